package changes_test

import (
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/coordinator/internal/changes"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

const remote = "origin"

// detect compares two commits of a clone; the test ends when that fails.
func detect(t *testing.T, clone *gittest.Repo, base, head string) changes.Set {
	t.Helper()
	set, err := changes.Detect(t.Context(), git.Repo{Dir: clone.Dir}, remote, base, head)
	if err != nil {
		t.Fatal(err)
	}
	if set.Base != base || set.Head != head {
		t.Errorf("compared %s with %s, want %s with %s", set.Base, set.Head, base, head)
	}
	return set
}

// paths are the changes as a plan sees them: "M app.txt".
func paths(s changes.Set) []string {
	var all []string
	for _, c := range s.Input().Changes {
		all = append(all, string(c.Status)+" "+c.Path)
	}
	return all
}

// origin is a repository to clone from, with a working tree.
func origin(t *testing.T) *gittest.Repo {
	r := gittest.New(t)
	r.Git("config", "uploadpack.allowAnySHA1InWant", "true") // as GitHub does
	return r
}

func TestChangesAreThoseBetweenTheTwoTrees(t *testing.T) {
	t.Parallel()
	r := gittest.New(t)
	base := r.Commit("one", map[string]string{"app.txt": "1\n", "old.txt": "x\n", "kept.txt": "k\n", "back.txt": "1\n"})
	r.Commit("two", map[string]string{"app.txt": "2\n", "back.txt": "2\n"})
	r.Remove("old.txt")
	head := r.Commit("three", map[string]string{"app.txt": "2\n3\n", "back.txt": "1\n", "dir/new file.txt": "n\n"})

	set := detect(t, r, base, head)
	if got, want := paths(set), []string{"M app.txt", "A dir/new file.txt", "D old.txt"}; !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q: what was changed and changed back is as it was", got, want)
	}
	if d := set.Diff; set.Everything != "" || d.Commits != 2 || d.Files != 3 || d.Insertions != 3 || d.Deletions != 2 {
		t.Errorf("%+v", set)
	}
	if in := set.Input(); in.Base != base || in.Target != head || in.Everything != "" {
		t.Errorf("input %+v", in)
	}
	if same := detect(t, r, head, head); len(paths(same)) != 0 || same.Everything != "" || same.Diff.Commits != 0 {
		t.Errorf("a commit with itself: %+v", same)
	}
}

// The host runs what it runs: what another branch did since the fork is undone by the
// deploy, so it counts (git's two dots, not three).
func TestBaseOnAnotherBranch(t *testing.T) {
	t.Parallel()
	r := gittest.New(t)
	r.Commit("fork", map[string]string{"app.txt": "1\n"})
	r.Git("checkout", "-q", "-b", "side")
	base := r.Commit("side", map[string]string{"side.txt": "s\n"})
	r.Git("checkout", "-q", "main")
	head := r.Commit("main", map[string]string{"app.txt": "2\n"})
	if got, want := paths(detect(t, r, base, head)), []string{"M app.txt", "D side.txt"}; !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	older := detect(t, r, head, base)
	if got, want := paths(older), []string{"M app.txt", "A side.txt"}; !slices.Equal(got, want) {
		t.Errorf("back again %q, want %q", got, want)
	}
}

func TestNothingWasDeployedYet(t *testing.T) {
	t.Parallel()
	r := gittest.New(t)
	head := r.Commit("one", map[string]string{"app.txt": "1\n"})
	set := detect(t, r, "", head)
	if set.Everything != "nothing was deployed here yet" || set.Input().Everything != set.Everything || len(paths(set)) != 0 {
		t.Errorf("%+v", set)
	}
}

func TestBaseOutsideAShallowCloneIsFetched(t *testing.T) {
	t.Parallel()
	r := origin(t)
	base := r.Commit("one", map[string]string{"app.txt": "1\n", "kept.txt": "k\n"})
	r.Commit("two", map[string]string{"app.txt": "2\n"})
	head := r.Commit("three", map[string]string{"docs/a.md": "a\n"})
	clone := gittest.Clone(t, r, "--depth=1")
	if _, err := clone.Try("cat-file", "-e", base); err == nil {
		t.Fatal("the clone is not shallow")
	}
	set := detect(t, clone, base, head)
	if got, want := paths(set), []string{"M app.txt", "A docs/a.md"}; set.Everything != "" || !slices.Equal(got, want) {
		t.Errorf("changes %q (%s), want %q", got, set.Everything, want)
	}
	if !set.Shallow || detect(t, r, base, head).Shallow {
		t.Error("a shallow clone is not known to be one")
	}
	if clone.Head() != head || clone.Git("status", "--porcelain") != "" {
		t.Error("looking changed the clone's working tree")
	}
}

// After a force-push the commit that runs may be gone everywhere: then all flags are set,
// and it is said why.
func TestBaseThatIsGoneMeansEverything(t *testing.T) {
	t.Parallel()
	bare := gittest.NewBare(t)
	work := gittest.Clone(t, bare)
	work.Git("checkout", "-q", "-B", "main")
	work.Commit("one", map[string]string{"app.txt": "1\n"})
	work.Push()
	gone := work.Commit("two", map[string]string{"app.txt": "2\n"})
	work.Push()
	work.Git("reset", "-q", "--hard", "HEAD~1")
	head := work.Commit("two again", map[string]string{"app.txt": "3\n"})
	work.Push()
	bare.Git("reflog", "expire", "--expire=now", "--all")
	bare.Git("gc", "--quiet", "--prune=now")

	set := detect(t, gittest.Clone(t, bare), gone, head)
	if !strings.Contains(set.Everything, gone) || !strings.Contains(set.Everything, "force-push") || len(paths(set)) != 0 {
		t.Errorf("%+v", set)
	}
	// The developer's own clone still has it: then the answer is exact.
	if got := paths(detect(t, work, gone, head)); !slices.Equal(got, []string{"M app.txt"}) {
		t.Errorf("where the commit is known: %q", got)
	}
}

func TestRemoteThatDoesNotAnswerMeansEverything(t *testing.T) {
	t.Parallel()
	r := gittest.New(t)
	head := r.Commit("one", map[string]string{"app.txt": "1\n"})
	set := detect(t, r, strings.Repeat("a", 40), head) // r has no remote at all
	if set.Everything == "" || set.Input().Everything != set.Everything {
		t.Errorf("%+v", set)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	r := gittest.New(t)
	head := r.Commit("one", map[string]string{"app.txt": "1\n"})
	for name, tt := range map[string]struct{ dir, base, head, reason string }{
		"no repository": {t.TempDir(), head, head, "NOT_A_REPOSITORY"},
		"bad base":      {r.Dir, "main", head, "INVALID_SHA"},
		"option":        {r.Dir, "--output=/tmp/x", head, "INVALID_SHA"},
	} {
		set, err := changes.Detect(t.Context(), git.Repo{Dir: tt.dir}, remote, tt.base, tt.head)
		if fault.ReasonOf(err) != tt.reason || set.Head != "" {
			t.Errorf("%s: %s %v, %+v", name, fault.ReasonOf(err), err, set)
		}
	}
	// A head that the clone lacks must not pass for a base that is gone.
	if set, err := changes.Detect(t.Context(), git.Repo{Dir: r.Dir}, remote, head, strings.Repeat("b", 40)); err == nil {
		t.Errorf("an unknown head: %+v", set)
	}
}
