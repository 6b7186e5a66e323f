package checkout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

// The side tree shows what the checkout holds: nobody but its owner may enter, whatever lies there already.
func TestSideDirIsTheOwnersAlone(t *testing.T) {
	w := newWorld(t)
	head := w.host.Head()
	mode := func() os.FileMode {
		info, err := os.Lstat(w.SideDir)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if _, err := w.SideTree(t.Context(), head, ports.ForProof); err != nil || mode().Perm() != 0o700 {
		t.Errorf("made with %v, %v", mode(), err)
	}
	if err := os.Chmod(w.SideDir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SideTree(t.Context(), head, ports.ForProof); err != nil || mode().Perm() != 0o700 {
		t.Errorf("an open one stays %v, %v", mode(), err)
	}

	victim := t.TempDir()
	before, err := os.Lstat(victim)
	if err != nil {
		t.Fatal(err)
	}
	w.SideDir = filepath.Join(t.TempDir(), "side")
	if err := os.Symlink(victim, w.SideDir); err != nil {
		t.Fatal(err)
	}
	_, err = w.SideTree(t.Context(), head, ports.ForProof)
	wantFault(t, err, fault.Failed, "SIDE_TREE")
	after, statErr := os.Lstat(victim)
	entries, readErr := os.ReadDir(victim)
	if statErr != nil || readErr != nil || after.Mode() != before.Mode() || len(entries) > 0 {
		t.Errorf("the target of a link changed: %v, %v", after.Mode(), entries)
	}
}

func TestSideDirOfSomebodyElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	w := newWorld(t)
	w.SideDir = filepath.Join(t.TempDir(), "side")
	if err := os.Mkdir(w.SideDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(w.SideDir, 999, 999); err != nil {
		t.Fatal(err)
	}
	_, err := w.SideTree(t.Context(), w.host.Head(), ports.ForProof)
	wantFault(t, err, fault.Failed, "SIDE_TREE")
	if err != nil && !strings.Contains(err.Error(), "mv "+w.SideDir) {
		t.Errorf("it does not say what to do: %v", err)
	}
}
