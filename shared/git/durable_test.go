package git_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

var flushes = regexp.MustCompile(`"key":"fsync/hardware-flush","value":"(\d+)"`)

// What a command wrote is on the disk when it ends: git counts its own calls of fsync(2) for
// trace2 (git 2.36 and newer).
func TestWritesAreSynced(t *testing.T) {
	t.Parallel()
	origin, work, first := pushed(t)
	clone := gittest.Clone(t, origin)
	second := work.Commit("two", map[string]string{"a.txt": "two\n"})
	work.Push()
	trace := filepath.Join(t.TempDir(), "trace")
	repo := git.Repo{Dir: clone.Dir, Options: git.Options{NoUserConfig: true, Env: []string{"PATH=" + os.Getenv("PATH"), "GIT_TRACE2_EVENT=" + trace}}}
	synced := func() int {
		t.Helper()
		text, err := os.ReadFile(trace)
		requireNoError(t, err)
		requireNoError(t, os.Remove(trace))
		n := 0
		for _, m := range flushes.FindAllStringSubmatch(string(text), -1) {
			count, err := strconv.Atoi(m[1])
			requireNoError(t, err)
			n += count
		}
		return n
	}
	_, err := repo.Head(t.Context())
	requireNoError(t, err)
	if n := synced(); n != 0 {
		t.Errorf("reading syncs %d times", n)
	}
	_, err = repo.Fetch(t.Context(), "origin", "main", nil)
	requireNoError(t, err)
	if n := synced(); n < 2 { // the objects and the ref
		t.Errorf("a fetch syncs %d times", n)
	}
	requireNoError(t, repo.Switch(t.Context(), "main", second, nil))
	if n := synced(); n < 2 { // the index and the ref
		t.Errorf("a switch syncs %d times", n)
	}
	requireNoError(t, repo.ForceSwitch(t.Context(), "main", first, nil))
	if n := synced(); n < 2 {
		t.Errorf("a forced switch syncs %d times", n)
	}
	_, err = repo.Save(t.Context(), savedRef, git.Snapshot{Message: "m", Head: first, Disk: []git.Saved{{Path: "x", Mode: git.ModeFile, Content: content("x")}}})
	requireNoError(t, err)
	if n := synced(); n < 2 {
		t.Errorf("saving syncs %d times", n)
	}
}
