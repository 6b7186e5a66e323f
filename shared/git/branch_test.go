package git_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

func TestBranch(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	sha := work.Commit("one", nil)
	repo := open(work)
	for _, c := range []struct{ args, want string }{{"main", "main"}, {"feature/x", "feature/x"}, {"--detach", ""}} {
		if c.args == "--detach" {
			work.Git("checkout", "--quiet", "--detach")
		} else {
			work.Git("checkout", "--quiet", "-B", c.args)
		}
		if got, err := repo.Branch(t.Context()); got != c.want || err != nil {
			t.Errorf("on %q: %q, %v", c.args, got, err)
		}
	}
	own, common, err := repo.Dirs(t.Context())
	if own != filepath.Join(work.Dir, ".git") || common != own || err != nil {
		t.Errorf("dirs %s, %s, %v", own, common, err)
	}
	side, err := repo.WorktreeAdd(t.Context(), filepath.Join(t.TempDir(), "side"), sha)
	requireNoError(t, err)
	own, common, err = side.Dirs(t.Context())
	if filepath.Dir(filepath.Dir(own)) != common || common != filepath.Join(work.Dir, ".git") || err != nil {
		t.Errorf("dirs of a side tree: %s, %s, %v", own, common, err)
	}
}

func TestUnfinished(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin []string
		keeps bool // whether a commit is named by its state
	}{
		"":            {nil, false},
		"merge":       {[]string{"merge", "theirs"}, true},
		"rebase":      {[]string{"rebase", "theirs"}, true},
		"cherry-pick": {[]string{"cherry-pick", "theirs"}, true},
		"revert":      {[]string{"revert", "main~1"}, true},
		"bisect":      {[]string{"bisect", "start", "main", "main~2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			work := gittest.New(t)
			first := work.Commit("one", map[string]string{"a": "1\n"})
			work.Commit("two", map[string]string{"a": "2\n"})
			work.Commit("three", map[string]string{"a": "3\n"})
			work.Git("checkout", "--quiet", "-b", "theirs", first)
			theirs := work.Commit("theirs", map[string]string{"a": "4\n"})
			work.Git("checkout", "--quiet", "main")
			if c.begin != nil {
				if _, err := work.Try(c.begin...); err == nil && name != "bisect" {
					t.Fatal("there is no conflict")
				}
			}
			got, heads, err := open(work).Unfinished(t.Context())
			if got != name || err != nil || (len(heads) > 0) != c.keeps {
				t.Errorf("%q, %v, %v", got, heads, err)
			}
			if (name == "merge" || name == "cherry-pick") && !slices.Contains(heads, theirs) {
				t.Errorf("%v does not name %s", heads, theirs)
			}
		})
	}
}

// What git itself refuses is the belt of every move; a git that grows more careless fails here.
func TestSwitchLosesNothing(t *testing.T) {
	t.Parallel()
	ignore := map[string]string{".gitignore": "*.ign\n.env\nigd/\n", "a": "1\n", "d/x": "x\n"}
	for name, c := range map[string]struct {
		target map[string]string
		remove string
		host   func(*testing.T, *gittest.Repo)
		reason string
	}{
		"nothing in the way": {map[string]string{"n": "n", "a": "2\n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write("other", "") }, ""},
		"an edit elsewhere":  {map[string]string{"n": "n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write("a", "mine") }, ""},
		"an edit":            {map[string]string{"a": "2\n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write("a", "mine") }, "DIRTY_TREE"},
		"an identical edit":  {map[string]string{"a": "2\n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write("a", "2\n") }, "DIRTY_TREE"},
		"an untracked file":  {map[string]string{"n": "n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write("n", "mine") }, "UNTRACKED_IN_THE_WAY"},
		"an identical file":  {map[string]string{"n": "n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write("n", "n") }, "UNTRACKED_IN_THE_WAY"},
		"an ignored file":    {map[string]string{".env": "n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write(".env", "mine") }, "UNTRACKED_IN_THE_WAY"},
		"a folder":           {map[string]string{"pg": "n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write("pg/base", "mine") }, "UNTRACKED_IN_THE_WAY"},
		"an ignored folder":  {map[string]string{"igd": "n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write("igd/base", "mine") }, "UNTRACKED_IN_THE_WAY"},
		"ignored in folder":  {map[string]string{"pg": "n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write("pg/b.ign", "mine") }, "UNTRACKED_IN_THE_WAY"},
		"beside tracked":     {map[string]string{"d": "n"}, "d", func(_ *testing.T, r *gittest.Repo) { r.Write("d/b.ign", "mine") }, "UNTRACKED_IN_THE_WAY"},
		"file for a folder":  {map[string]string{"f.ign/x": "n"}, "", func(_ *testing.T, r *gittest.Repo) { r.Write("f.ign", "mine") }, "UNTRACKED_IN_THE_WAY"},
		"link for a folder": {map[string]string{"f/x": "n"}, "", func(t *testing.T, r *gittest.Repo) {
			requireNoError(t, os.Symlink(t.TempDir(), filepath.Join(r.Dir, "f")))
		}, "UNTRACKED_IN_THE_WAY"},
		"a clone in the way": {map[string]string{"c": "n"}, "", func(_ *testing.T, r *gittest.Repo) {
			r.Git("init", "--quiet", "c")
			r.Write("c/x", "mine")
		}, "UNTRACKED_IN_THE_WAY"},
		"skip-worktree": {map[string]string{"a": "2\n"}, "", func(_ *testing.T, r *gittest.Repo) {
			r.Git("update-index", "--skip-worktree", "a")
			r.Write("a", "mine")
		}, "DIRTY_TREE"},
		"assume-unchanged": {map[string]string{"a": "2\n"}, "", func(_ *testing.T, r *gittest.Repo) {
			r.Git("update-index", "--assume-unchanged", "a")
			r.Write("a", "mine")
		}, "DIRTY_TREE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			work := gittest.New(t)
			first := work.Commit("one", ignore)
			if c.remove != "" {
				work.Remove(c.remove)
			}
			for path, content := range c.target {
				work.Write(path, content)
				work.Git("add", "--force", path)
			}
			target := work.Commit("two", nil)
			work.Git("reset", "--quiet", "--hard", first)
			c.host(t, work)
			before := disk(t, work.Dir)
			err := open(work).Switch(t.Context(), "main", target, nil)
			if c.reason == "" {
				requireNoError(t, err)
				return
			}
			requireFault(t, err, fault.Refused, c.reason)
			if after := disk(t, work.Dir); work.Head() != first || !slices.Equal(before, after) {
				t.Errorf("it is at %s, and on the disk is %q, was %q", work.Head(), after, before)
			}
		})
	}
}

// disk lists everything in a working tree with its content.
func disk(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	requireNoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		line := path
		if d.Type().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += " " + string(content)
		}
		list = append(list, line)
		return nil
	}))
	return list
}

func TestSwitchMovesBranchAndHead(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	first := work.Commit("one", map[string]string{"a": "1"})
	second := work.Commit("two", map[string]string{"a": "2"})
	repo := open(work)
	for name, move := range map[string]func(branch, sha string) error{
		"switch": func(branch, sha string) error { return repo.Switch(t.Context(), branch, sha, nil) },
		"force":  func(branch, sha string) error { return repo.ForceSwitch(t.Context(), branch, sha, nil) },
	} {
		for _, c := range []struct{ branch, sha string }{{"main", first}, {"other", second}, {"main", second}} {
			requireNoError(t, move(c.branch, c.sha))
			if work.Head() != c.sha || work.Git("symbolic-ref", "HEAD") != "refs/heads/"+c.branch || work.Git("status", "--porcelain") != "" {
				t.Errorf("%s to %v: at %s", name, c, work.Head())
			}
		}
		requireFault(t, move("main", absent), fault.NotFound, "UNKNOWN_COMMIT")
		requireFault(t, move("--orphan", first), fault.Invalid, "INVALID_REF")
		requireFault(t, move("main", "main"), fault.Invalid, "INVALID_SHA")
	}
}

func TestLockPath(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	sha := work.Commit("one", nil)
	for _, lock := range []string{"index.lock", "HEAD.lock", "refs/heads/main.lock"} {
		work.Write(".git/"+lock, "")
		err := open(work).ForceSwitch(t.Context(), "main", sha, nil)
		if lock == "refs/heads/main.lock" && err == nil {
			work.Remove(".git/" + lock) // nothing to write there
			continue
		}
		requireFault(t, err, fault.Refused, "INDEX_LOCKED")
		if got := git.LockPath(err); got != filepath.Join(work.Dir, ".git", lock) {
			t.Errorf("the lock is %q, want %s", got, lock)
		}
		work.Remove(".git/" + lock)
	}
	if git.LockPath(os.ErrNotExist) != "" {
		t.Error("an error of another kind names a lock")
	}
}

// TestDetachedSwitch: HEAD moves and no branch does; a branch that is not checked out is put where it was.
func TestDetachedSwitch(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	first := work.Commit("one", map[string]string{"a": "1\n"})
	second := work.Commit("two", map[string]string{"a": "2\n"})
	repo := open(work)
	requireNoError(t, repo.ForceSwitch(t.Context(), "", first, nil))
	branch, err := repo.Branch(t.Context())
	if err != nil || branch != "" || work.Head() != first || work.Read("a") != "1\n" || work.Git("rev-parse", "main") != second {
		t.Errorf("on %q at %s, a is %q, main at %s, %v", branch, work.Head(), work.Read("a"), work.Git("rev-parse", "main"), err)
	}
	requireNoError(t, repo.SetBranch(t.Context(), "main", first))
	if got := work.Git("rev-parse", "main"); got != first {
		t.Errorf("main is at %s, want %s", got, first)
	}
	for range 2 { // it may be gone already
		requireNoError(t, repo.SetBranch(t.Context(), "main", ""))
	}
	if got := work.Git("for-each-ref", "refs/heads"); got != "" {
		t.Errorf("branches are left: %s", got)
	}
	if err := repo.SetBranch(t.Context(), "main", "feedfeedfeedfeedfeedfeedfeedfeedfeedfeed"); fault.ReasonOf(err) != "UNKNOWN_COMMIT" {
		t.Errorf("a commit that is not there: %v", err)
	}
	if err := repo.SetBranch(t.Context(), "--force", first); err == nil {
		t.Error("a branch named like an option is taken")
	}
}
