package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// TestFullDisk fills a file system of its own: what cannot be written is an error, what
// was written before stays, and once there is room the journal goes on.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size=1m"); err != nil {
		t.Skipf("cannot mount a small file system here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	j, err := Open(dir, 200, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	sha := strings.Repeat("a", 40)
	if err := j.SetStamp(sha); err != nil {
		t.Fatal(err)
	}
	op := create(t, j, "c", "")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the file system is not full")
	}
	last, failed := uint64(1), error(nil)
	for failed == nil && last < 10_000 {
		last++
		failed = j.Append(op.ID, []operation.Event{{Sequence: last, Warning: &operation.Warning{Message: strings.Repeat("x", 8000)}}})
	}
	wantFault(t, failed, fault.Degraded, "JOURNAL_FAILED")
	wantFault(t, j.SetStamp(strings.Repeat("b", 40)), fault.Degraded, "STATE_FILE")
	if got, _, err := j.Stamp(); got != sha || err != nil {
		t.Errorf("the stamp is now %q, %v", got, err)
	}
	stored, err := j.Operation(op.ID)
	if err != nil || stored.LastSequence != last-1 {
		t.Errorf("the record has %d events, %v; want %d", stored.LastSequence, err, last-1)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	noTemporary(t, dir)
	if err := j.Append(op.ID, []operation.Event{hosttest.Entered(last, operation.Proving)}); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
