package checkout

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// An agent that is not root may not see where root's git works: such a git may hold the lock.
func TestAGitThatCannotBeSeenCounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	w := newWorld(t)
	proc, hidden := t.TempDir(), filepath.Join(t.TempDir(), "hidden")
	dir := filepath.Join(proc, "41")
	if err := errors.Join(
		os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "stat"), []byte("41 (git) S 1"), 0o644), os.WriteFile(filepath.Join(dir, "cmdline"), []byte("git\x00add\x00"), 0o644),
		os.MkdirAll(filepath.Join(hidden, "tree"), 0o700), os.Symlink(filepath.Join(hidden, "tree"), filepath.Join(dir, "cwd")),
		os.Chmod(filepath.Dir(proc), 0o755), os.Chmod(proc, 0o755),
	); err != nil {
		t.Fatal(err)
	}
	w.proc = proc
	own := filepath.Join(w.host.Dir, ".git")
	if got := w.gits(own, own); got != nil {
		t.Errorf("root sees that it works elsewhere: %v", got)
	}
	found := make(chan []holder)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with us, and with it the other user
		if err := unix.Setfsuid(otherUID); err != nil {
			t.Error(err)
		}
		found <- w.gits(own, own)
	}()
	if got := <-found; len(got) != 1 || !got[0].unsure || got[0].pid != 41 {
		t.Errorf("another user finds %v", got)
	}
}
