package journal

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// stranger is a user that is neither root nor us.
const stranger = 65534

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
}

// used is a state directory that an agent has used.
func used(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	j, err := Open(dir, 200, hclog.NewNullLogger())
	if err == nil {
		err = j.SetStamp(strings.Repeat("a", 40))
	}
	if err == nil {
		err = j.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// wantRefusal fails unless the directory is refused with a command that names what is wrong.
func wantRefusal(t *testing.T, dir, command string) {
	t.Helper()
	j, err := Open(dir, 200, hclog.NewNullLogger())
	if err == nil {
		_ = j.Close()
		t.Errorf("opened; want a refusal that says %q", command)
		return
	}
	if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "STATE_DIR" || !strings.Contains(err.Error(), command) {
		t.Errorf("got %v, want %q", err, command)
	}
}

func TestStateDirThatOthersCanWrite(t *testing.T) {
	for _, mode := range []os.FileMode{0o777, 0o775, 0o757, os.ModeSticky | 0o777} {
		dir := used(t)
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, dir, "chmod go-w "+dir)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(dir), 0o777); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, dir, "chmod go-w "+filepath.Dir(dir))
	}
}

func TestStateOfOthers(t *testing.T) {
	asRoot(t)
	for _, name := range []string{".", "journal.db", "lock", fileStamp, filePause, fileBlocked, "notes"} {
		t.Run("entry "+name, func(t *testing.T) {
			dir := used(t)
			path := filepath.Join(dir, name)
			if _, err := os.Lstat(path); err != nil {
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chown(path, stranger, stranger); err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, dir, "chown -h 0 ")
		})
	}
}

// A link in place of a file is never followed: neither read, nor written, nor truncated.
func TestLinksInStateDir(t *testing.T) {
	for _, name := range []string{"lock", "journal.db", "journal.db.new", fileStamp, filePause, fileBlocked, "notes"} {
		for _, hard := range []bool{false, true} {
			dir := used(t)
			victim := filepath.Join(t.TempDir(), "victim")
			if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			path, link, command := filepath.Join(dir, name), os.Symlink, "link"
			if hard {
				link, command = os.Link, "cp -p "+path
			}
			_ = os.Remove(path)
			if err := link(victim, path); err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, dir, command)
			if got, err := os.ReadFile(victim); err != nil || string(got) != "precious" {
				t.Errorf("%s: the victim holds %q, %v", name, got, err)
			}
		}
	}
}

// The lock alone holds as well: between the look and the opening nothing is left to chance.
func TestLockIsNoLink(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(path); fault.ReasonOf(err) != "STATE_DIR" || !strings.Contains(err.Error(), "rm "+path) {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "precious" {
		t.Errorf("the victim holds %q, %v", got, err)
	}
	pipe := filepath.Join(t.TempDir(), "lock")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(pipe); fault.ReasonOf(err) != "STATE_DIR" {
		t.Errorf("a pipe as lock: %v", err)
	}
}

func TestModesAreTightened(t *testing.T) {
	dir := used(t)
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for _, name := range []string{"journal.db", "lock", fileStamp, "notes"} {
		path := filepath.Join(dir, name)
		if name == "notes" {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, mode := range []os.FileMode{0o644, 0o666, 0o640} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			j := open(t, dir, 200)
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s of %04o has mode %v, %v", name, mode, info.Mode().Perm(), err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What happens while the agent runs is judged at each reading.
func TestFilesAreJudgedWhenRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, 200)
	sha := strings.Repeat("b", 40)
	stamp := filepath.Join(dir, fileStamp)
	write := func(mode os.FileMode) {
		t.Helper()
		_ = os.Remove(stamp)
		if err := os.WriteFile(stamp, []byte(sha+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(stamp, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(0o644) // as an operator's editor leaves it
	if got, _, err := j.Stamp(); err != nil || got != sha {
		t.Errorf("stamp %q, %v", got, err)
	}
	write(0o666)
	if _, _, err := j.Stamp(); fault.ReasonOf(err) != "STATE_FILE" || !strings.Contains(err.Error(), "chmod go-w "+stamp) {
		t.Errorf("a stamp that others can write: %v", err)
	}
	_ = os.Remove(stamp)
	if err := syscall.Mkfifo(stamp, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := j.Stamp(); fault.ReasonOf(err) != "STATE_FILE" {
		t.Errorf("a pipe as stamp: %v", err)
	}
	_ = os.Remove(stamp)
	block := filepath.Join(dir, fileBlocked)
	if err := os.Symlink("/dev/null", block); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Blocked(); fault.ReasonOf(err) != "STATE_FILE" {
		t.Errorf("a link as block: %v", err)
	}
}

// A page is bounded by bytes, and the pages together are everything.
func TestPagesAreBounded(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "state"), 200)
	op, _, err := j.Create(operation.Event{Sequence: 1, Accepted: &operation.Accepted{CommandID: "c"}})
	if err != nil {
		t.Fatal(err)
	}
	const lines = 200
	var events []operation.Event
	for i := range lines {
		events = append(events, operation.Event{Sequence: uint64(i) + 2, Output: &operation.OutputLine{StepID: "s", Text: strings.Repeat("x", 16<<10)}})
	}
	if err := j.Append(op.ID, events); err != nil {
		t.Fatal(err)
	}
	seen, pages := uint64(0), 0
	for {
		page, err := j.Events(op.ID, seen, 512)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		if len(page) > 20 {
			t.Errorf("a page of %d lines of 16 KiB", len(page))
		}
		if page[0].Sequence != seen+1 {
			t.Fatalf("after %d comes %d", seen, page[0].Sequence)
		}
		seen, pages = page[len(page)-1].Sequence, pages+1
	}
	if seen != lines+1 || pages < 10 {
		t.Errorf("%d events in %d pages", seen, pages)
	}
}

// TestASocketInStateDir: the local socket may lie in state_dir; one that a killed agent left, given to the checkout's owner, keeps
// no agent from starting. Under a name that is read it is still no file.
func TestASocketInStateDir(t *testing.T) {
	asRoot(t)
	dir := used(t)
	for _, name := range []string{"agent.sock", filePause} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		if err := errFirst(l.Close(), os.Chown(filepath.Join(dir, name), stranger, stranger)); err != nil {
			t.Fatal(err)
		}
	}
	j := open(t, dir, 200)
	_, err := j.Pause()
	wantFault(t, err, fault.Degraded, "STATE_FILE")
}
