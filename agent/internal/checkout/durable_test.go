package checkout

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

// What a move did is on the disk when it returns, and a disk that fails is an error of the move.
func TestMoveIsDurable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	var synced []string
	heads := map[string]int{}
	var broken error
	w.syncfs = func(dir string) error {
		synced = append(synced, dir)
		heads[w.host.Head()+" "+w.host.Read("app/main.go")]++
		return broken
	}
	if _, err := w.move(target, false); err != nil || !slices.Equal(synced, []string{w.host.Dir}) || heads[target+" two\n"] != 1 {
		t.Errorf("forward: %v, synced %q, %v", err, synced, heads)
	}
	first := w.host.Git("rev-parse", "HEAD~1")
	w.host.Write("app/main.go", "mine")
	synced, heads = nil, map[string]int{}
	if _, err := w.move(first, true); err != nil || len(synced) != 2 || heads[target+" mine"] != 1 || heads[first+" one\n"] != 1 {
		t.Errorf("an edit is not on the disk before it is overwritten: %v, synced %v", err, slices.Collect(maps.Keys(heads)))
	}
	synced = nil
	if _, err := w.Restore(t.Context(), mutable, w.out); err != nil || len(synced) != 1 {
		t.Errorf("restore: %v, synced %q", err, synced)
	}
	broken = errors.New("input/output error")
	for _, goOn := range []bool{false, true} {
		_, err := w.move(target, goOn)
		wantFault(t, err, fault.Failed, "SYNC_FAILED")
	}
	_, err := w.Restore(t.Context(), mutable, w.out)
	wantFault(t, err, fault.Failed, "SYNC_FAILED")
	w.host.Write("app/main.go", "mine")
	_, err = w.move(first, true)
	wantFault(t, err, fault.Failed, "SYNC_FAILED")
	if w.host.Read("app/main.go") != "mine" {
		t.Error("an edit was overwritten that may not be on the disk")
	}
}

func TestSyncfs(t *testing.T) {
	t.Parallel()
	if err := syncfs(t.TempDir()); err != nil {
		t.Error(err)
	}
}
