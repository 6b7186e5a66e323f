package changes_test

import (
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/coordinator/internal/changes"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

// addMoved compares base with head, then adds what the checkout was moved to.
func addMoved(t *testing.T, clone *gittest.Repo, base, head, moved string) changes.Set {
	t.Helper()
	set, err := changes.AddMoved(t.Context(), git.Repo{Dir: clone.Dir}, remote, detect(t, clone, base, head), moved)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// A host whose checkout was moved stands between two commits: what differs from either is changed by the deploy, the
// counts stay those of what was pushed.
func TestAMovedCheckoutAddsItsOwnChanges(t *testing.T) {
	t.Parallel()
	r := gittest.New(t)
	moved := r.Commit("one", map[string]string{"app.txt": "1\n", "old.txt": "1\n"})
	base := r.Commit("two", map[string]string{"app.txt": "2\n", "old.txt": "2\n"})
	head := r.Commit("three", map[string]string{"app.txt": "3\n", "docs.md": "d\n"})
	set := addMoved(t, r, base, head, moved)
	if got, want := paths(set), []string{"M app.txt", "A docs.md", "M old.txt"}; !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	if set.Moved != moved || set.Everything != "" || set.Diff.Files != 2 || set.Diff.Commits != 1 {
		t.Errorf("%+v", set)
	}
	if none := addMoved(t, r, base, head, ""); none.Moved != "" || len(none.Beside) != 0 || len(paths(none)) != 2 {
		t.Errorf("nobody moved it: %+v", none)
	}
}

func TestAMovedCommitIsFetched(t *testing.T) {
	t.Parallel()
	r := origin(t)
	moved := r.Commit("one", map[string]string{"app.txt": "1\n", "old.txt": "1\n"})
	base := r.Commit("two", map[string]string{"old.txt": "2\n"})
	head := r.Commit("three", map[string]string{"docs.md": "d\n"})
	clone := gittest.Clone(t, r, "--depth=2")
	if _, err := clone.Try("cat-file", "-e", moved); err == nil {
		t.Fatal("the clone is not shallow")
	}
	set := addMoved(t, clone, base, head, moved)
	if got, want := paths(set), []string{"A docs.md", "M old.txt"}; set.Everything != "" || !slices.Equal(got, want) {
		t.Errorf("changes %q (%s), want %q", got, set.Everything, want)
	}
}

// A commit that was made on the host is nowhere else.
func TestAMovedCommitThatNobodyPushedSetsEverything(t *testing.T) {
	t.Parallel()
	r := origin(t)
	base := r.Commit("one", map[string]string{"app.txt": "1\n"})
	head := r.Commit("two", map[string]string{"app.txt": "2\n"})
	moved := strings.Repeat("ab", 20)
	for name, clone := range map[string]*gittest.Repo{"with an origin": gittest.Clone(t, r), "without": r} {
		set := addMoved(t, clone, base, head, moved)
		if !strings.HasPrefix(set.Everything, "somebody moved the checkout to "+moved) || set.Moved != moved || len(set.Beside) != 0 || set.Empty() {
			t.Errorf("%s: %+v", name, set)
		}
	}
}

func TestARevertLeavesNothing(t *testing.T) {
	t.Parallel()
	r := gittest.New(t)
	base := r.Commit("one", map[string]string{"app.txt": "1\n"})
	bad := r.Commit("two", map[string]string{"app.txt": "2\n"})
	head := r.Commit("revert", map[string]string{"app.txt": "1\n"})
	if set := detect(t, r, base, head); !set.Empty() {
		t.Errorf("%+v", set)
	}
	if set := detect(t, r, base, bad); set.Empty() {
		t.Errorf("%+v", set)
	}
	if set := addMoved(t, r, base, head, bad); set.Empty() {
		t.Errorf("the checkout stands at another tree: %+v", set)
	}
	if set := detect(t, r, "", head); set.Empty() {
		t.Errorf("a first deploy: %+v", set)
	}
}
