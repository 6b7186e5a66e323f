package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

func open(t *testing.T, dir string, keep int) *Journal {
	t.Helper()
	j, err := Open(dir, keep, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() }) // closed already where the test did
	return j
}

func wantFault(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Errorf("error %v (%v, %s), want %v, %s", err, fault.KindOf(err), fault.ReasonOf(err), kind, reason)
	}
}

func TestContract(t *testing.T) {
	hosttest.TestJournal(t, func(t *testing.T) hosttest.Record { return open(t, t.TempDir(), 200) })
	hosttest.TestStamp(t, func(t *testing.T) ports.Stamp { return open(t, t.TempDir(), 200) })
	hosttest.TestSentinels(t, func(t *testing.T) ports.Sentinels { return open(t, t.TempDir(), 200) })
}

// create records an operation and, with a state, ends it there.
func create(t *testing.T, j *Journal, command string, end operation.State) operation.Operation {
	t.Helper()
	op, created, err := j.Create(hosttest.Accepted(command))
	if err != nil || !created {
		t.Fatalf("create %s: created %v, %v", command, created, err)
	}
	if end != "" {
		if err := j.Append(op.ID, []operation.Event{hosttest.Entered(2, end)}); err != nil {
			t.Fatal(err)
		}
	}
	return op
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 200)
	op := create(t, j, "c", operation.Succeeded)
	if err := j.SetStamp(strings.Repeat("a", 40)); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir, 200)
	stored, err := j.Operation(op.ID)
	if err != nil || stored.State != operation.Succeeded || stored.LastSequence != 2 {
		t.Errorf("after reopening: %+v, %v", stored, err)
	}
	events, err := j.Events(op.ID, 0, 10)
	if err != nil || len(events) != 2 {
		t.Errorf("after reopening: %d events, %v", len(events), err)
	}
	if sha, _, err := j.Stamp(); sha != strings.Repeat("a", 40) || err != nil {
		t.Errorf("stamp %q, %v", sha, err)
	}
	if again, created, err := j.Create(hosttest.Accepted("c")); err != nil || created || again.ID != op.ID {
		t.Errorf("the command is forgotten: %+v, %v", again, err)
	}
	if next := create(t, j, "d", ""); next.Number != 2 {
		t.Errorf("the next operation has number %d", next.Number)
	}
	if j.Dir() != dir {
		t.Errorf("Dir is %s", j.Dir())
	}
}

func TestAClosedJournalIsAnError(t *testing.T) {
	j := open(t, t.TempDir(), 200)
	op := create(t, j, "c", "")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	wantFault(t, j.Append(op.ID, []operation.Event{hosttest.Entered(2, operation.Proving)}), fault.Degraded, "JOURNAL_FAILED")
	_, err := j.Operation(op.ID)
	wantFault(t, err, fault.Degraded, "JOURNAL_FAILED")
}

func TestNewerVersionIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		version []byte
		kind    fault.Kind
		reason  string
	}{
		"newer":       {number(schemaVersion + 1), fault.Invalid, "JOURNAL_NEWER"},
		"much newer":  {number(1 << 40), fault.Invalid, "JOURNAL_NEWER"},
		"no version":  {nil, fault.Degraded, "JOURNAL_BROKEN"},
		"odd version": {[]byte("1"), fault.Degraded, "JOURNAL_BROKEN"},
	} {
		dir := t.TempDir()
		j := open(t, dir, 200)
		if err := j.db.Update(func(tx *bbolt.Tx) error {
			if c.version == nil {
				return tx.Bucket(bucketMeta).Delete(keyVersion)
			}
			return tx.Bucket(bucketMeta).Put(keyVersion, c.version)
		}); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		before := content(t, filepath.Join(dir, "journal.db"))
		_, err := Open(dir, 200, hclog.NewNullLogger())
		if t.Run(name, func(t *testing.T) { wantFault(t, err, c.kind, c.reason) }); content(t, filepath.Join(dir, "journal.db")) != before {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestDamagedFileIsAnError: a journal that cannot be read is never a fresh start, and
// the lock is given up so that the next attempt says the same.
func TestDamagedFileIsAnError(t *testing.T) {
	for name, damage := range map[string]func(string) string{
		"empty":              func(string) string { return "" },
		"one byte":           func(s string) string { return s[:1] },
		"a part of a page":   func(s string) string { return s[:1000] },
		"one page":           func(s string) string { return s[:4096] },
		"two pages":          func(s string) string { return s[:8192] },
		"three pages":        func(s string) string { return s[:3*4096] },
		"half":               func(s string) string { return s[:len(s)/2] },
		"garbage":            func(s string) string { return strings.Repeat("garbage\n", len(s)/8) },
		"zeros":              func(s string) string { return strings.Repeat("\x00", len(s)) },
		"text":               func(string) string { return "hello\n" },
		"meta pages damaged": func(s string) string { return strings.Repeat("\xff", 8192) + s[8192:] },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j := open(t, dir, 200)
			for n := range 50 {
				create(t, j, fmt.Sprint(n), operation.Succeeded)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "journal.db")
			damaged := damage(content(t, path))
			if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				_, err := Open(dir, 200, hclog.NewNullLogger())
				wantFault(t, err, fault.Degraded, "JOURNAL_BROKEN")
				if err != nil && !strings.Contains(err.Error(), path) {
					t.Errorf("the message does not name the file: %v", err)
				}
			}
			if content(t, path) != damaged {
				t.Error("the damaged file was changed")
			}
		})
	}
}

func TestAnInterruptedFirstStartIsRepeated(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileFresh), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	create(t, open(t, dir, 200), "c", "")
	if left, err := filepath.Glob(filepath.Join(dir, fileFresh)); len(left) != 0 || err != nil {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestStateDirThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(filepath.Join(file, "state"), 200, hclog.NewNullLogger())
	wantFault(t, err, fault.Invalid, "STATE_DIR")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, 200, hclog.NewNullLogger())
	wantFault(t, err, fault.Invalid, "STATE_DIR")
}

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	old := unix.Umask(0)
	defer unix.Umask(old)
	j := open(t, dir, 200)
	create(t, j, "c", "")
	if err := j.SetStamp(strings.Repeat("a", 40)); err != nil {
		t.Fatal(err)
	}
	// Operators and their scripts read the files; the journal holds what builds printed.
	for path, want := range map[string]os.FileMode{"": 0o711, "journal.db": 0o600, "lock": 0o600, fileStamp: 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q has mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestPrune(t *testing.T) {
	j := open(t, t.TempDir(), 3)
	blocked := create(t, j, "1 blocked", operation.Failed)
	blocks := []ports.Blocked{{SHA: strings.Repeat("a", 40), Operation: blocked.ID, Created: time.Now()}}
	if err := j.ChangeBlocked(func([]ports.Blocked) []ports.Blocked { return blocks }); err != nil {
		t.Fatal(err)
	}
	create(t, j, "2 old success", operation.Succeeded)
	create(t, j, "3 last success", operation.Succeeded)
	create(t, j, "4 unfinished", "")
	gone := create(t, j, "5", operation.Failed)
	for n := 6; n <= 9; n++ {
		create(t, j, fmt.Sprint(n), operation.Failed)
	}
	// Of the ended ones the newest three are kept while the tenth runs.
	create(t, j, "10 runs", "")
	ops, err := j.Operations(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, op := range ops {
		kept = append(kept, op.CommandID)
	}
	if got, want := strings.Join(kept, ", "), "10 runs, 9, 8, 7, 4 unfinished, 3 last success, 1 blocked"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	_, err = j.Operation(gone.ID)
	wantFault(t, err, fault.NotFound, "UNKNOWN_OPERATION")
	_, err = j.Events(gone.ID, 0, 1)
	wantFault(t, err, fault.NotFound, "UNKNOWN_OPERATION")
	if _, known, err := j.Known("5"); known || err != nil {
		t.Errorf("the command of a dropped operation: known %v, %v", known, err)
	}
	if _, err := j.Operation("5"); err == nil {
		t.Error("a dropped operation is found by its number")
	}
	if op := create(t, j, "5", ""); op.Number != 11 {
		t.Errorf("a number was given twice: %d", op.Number)
	}
}

func TestPruneStopsAtABrokenSentinel(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 1)
	if err := os.WriteFile(filepath.Join(dir, fileBlocked), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := j.Create(hosttest.Accepted("c"))
	wantFault(t, err, fault.Degraded, "SENTINEL_BROKEN")
	if ops, err := j.Operations(0, 1); len(ops) != 0 || err != nil {
		t.Errorf("half an operation is recorded: %v, %v", ops, err)
	}
}

func TestDamagedRecordsAreErrors(t *testing.T) {
	j := open(t, t.TempDir(), 200)
	op := create(t, j, "c", "")
	if err := j.db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(
			tx.Bucket(bucketRecords).Put(number(1), []byte("{")),
			tx.Bucket(bucketEvents).Bucket(number(1)).Put(number(1), []byte("{")))
	}); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"Operation":  func() error { _, err := j.Operation(op.ID); return err },
		"Operations": func() error { _, err := j.Operations(0, 1); return err },
		"Unfinished": func() error { _, err := j.Unfinished(); return err },
		"Events":     func() error { _, err := j.Events(op.ID, 0, 1); return err },
		"Known":      func() error { _, _, err := j.Known("c"); return err },
		"Append":     func() error { return j.Append(op.ID, []operation.Event{hosttest.Entered(2, operation.Proving)}) },
		"Create":     func() error { _, _, err := j.Create(hosttest.Accepted("d")); return err },
	} {
		t.Run(name, func(t *testing.T) { wantFault(t, try(), fault.Degraded, "JOURNAL_FAILED") })
	}
}

func TestABuildLogIsKept(t *testing.T) {
	j := open(t, t.TempDir(), 200)
	op := create(t, j, "c", "")
	const batches, size = 100, 512
	n := uint64(1)
	for range batches {
		var events []operation.Event
		for range size {
			n++
			events = append(events, operation.Event{Sequence: n, Output: &operation.OutputLine{StepID: "s", Stream: operation.Stdout, Text: fmt.Sprint(n)}})
		}
		if err := j.Append(op.ID, events); err != nil {
			t.Fatal(err)
		}
	}
	for after := uint64(1); after < n; {
		events, err := j.Events(op.ID, after, 1000)
		if err != nil || len(events) == 0 {
			t.Fatalf("after %d: %d events, %v", after, len(events), err)
		}
		for _, e := range events {
			if after++; e.Sequence != after || e.Output.Text != fmt.Sprint(after) {
				t.Fatalf("event %+v follows %d", e, after-1)
			}
		}
	}
}
