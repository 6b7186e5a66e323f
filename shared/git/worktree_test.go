package git_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

func TestResetHard(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	first := work.Commit("one", map[string]string{"a": "1", "gone-later": "x"})
	work.Remove("gone-later")
	second := work.Commit("two", map[string]string{"a": "2", "new": "n"})
	work.Write("a", "changed at run time")
	work.Write("data/untracked", "live data")
	repo := open(work)

	requireNoError(t, repo.ResetHard(t.Context(), first, nil))
	if work.Read("a") != "1" || work.Read("gone-later") != "x" || work.Read("data/untracked") != "live data" {
		t.Error("the tree is not the first commit's with untracked files kept")
	}
	if branch := work.Git("symbolic-ref", "HEAD"); branch != "refs/heads/main" || work.Head() != first {
		t.Errorf("HEAD is %s at %s", branch, work.Head())
	}
	requireNoError(t, repo.ResetHard(t.Context(), second, nil))
	requireFault(t, repo.ResetHard(t.Context(), absent, nil), fault.NotFound, "UNKNOWN_COMMIT")
	requireFault(t, repo.ResetHard(t.Context(), "--soft", nil), fault.Invalid, "INVALID_SHA")
	if work.Head() != second {
		t.Errorf("a refused reset moved HEAD to %s", work.Head())
	}
}

func TestFastForward(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	first := work.Commit("one", map[string]string{"a": "1", "b": "1"})
	second := work.Commit("two", map[string]string{"a": "2"})
	repo := open(work)
	requireFault(t, repo.FastForward(t.Context(), first, nil), fault.Refused, "NOT_A_FAST_FORWARD")

	requireNoError(t, repo.ResetHard(t.Context(), first, nil))
	work.Write("a", "local")
	requireFault(t, repo.FastForward(t.Context(), second, nil), fault.Refused, "DIRTY_TREE")
	work.Git("checkout", "--", "a")
	work.Write("b", "a local change elsewhere stays")
	requireNoError(t, repo.FastForward(t.Context(), second, nil))
	if work.Head() != second || work.Read("a") != "2" || work.Read("b") != "a local change elsewhere stays" {
		t.Errorf("HEAD %s, a = %q, b = %q", work.Head(), work.Read("a"), work.Read("b"))
	}
}

func TestCheckoutPaths(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	work.Commit("one", map[string]string{
		"flows/a.json": "a", "flows/deep/b.json": "b", "flows/keep.json": "k", "boards/c.json": "c", "boards/deep/d.json": "d",
		"other": "o", "flows/" + latin1: "l", "flows/" + magic: "m",
	})
	for _, path := range []string{"flows/a.json", "flows/keep.json", "boards/c.json", "boards/deep/d.json", "other", "flows/" + latin1, "flows/" + magic} {
		work.Write(path, "mutated")
	}
	work.Remove("flows/deep/b.json")
	work.Write("flows/untracked.json", "u")
	work.Write("flows/staged.json", "s")
	work.Git("add", "flows/staged.json", "flows/a.json")

	got, err := open(work).CheckoutPaths(t.Context(), []string{"flows/**", "boards/*.json", "!flows/keep.json", "matches/nothing/**"})
	requireNoError(t, err)
	want := []string{"boards/c.json", "flows/" + magic, "flows/a.json", "flows/" + latin1, "flows/deep/b.json"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	for path, content := range map[string]string{
		"flows/a.json": "a", "flows/deep/b.json": "b", "boards/c.json": "c", "flows/" + latin1: "l", "flows/" + magic: "m",
		"flows/keep.json": "mutated", "boards/deep/d.json": "mutated", "other": "mutated", "flows/untracked.json": "u", "flows/staged.json": "s",
	} {
		if work.Read(path) != content {
			t.Errorf("%q holds %q, want %q", path, work.Read(path), content)
		}
	}
	for _, patterns := range [][]string{nil, {"flows/**", "!flows/keep.json"}, {"none"}} {
		if got, err := open(work).CheckoutPaths(t.Context(), patterns); len(got) != 0 || err != nil {
			t.Errorf("a second time with %q: %q, %v", patterns, got, err)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	work.Commit("one", map[string]string{"a": "1", "b": "1", latin1: "1", spaced: "1", "renamed": "same\n"})
	repo := open(work)
	if entries, err := repo.Status(t.Context()); len(entries) != 0 || err != nil {
		t.Fatalf("a clean tree has %+v, %v", entries, err)
	}
	work.Write("a", "2")
	work.Remove("b")
	work.Write(latin1, "2")
	work.Write(spaced, "2")
	work.Git("add", "--", spaced)
	work.Git("mv", "renamed", "moved")
	work.Write("dir/untracked", "")
	work.Write(newlined, "")
	got, err := repo.Status(t.Context())
	requireNoError(t, err)
	want := []git.Entry{
		{'.', 'M', "a"},
		{'.', 'D', "b"},
		{'.', 'M', latin1},
		{'A', '.', "moved"},
		{'D', '.', "renamed"},
		{'M', '.', spaced},
		{'?', '?', "dir/"},
		{'?', '?', newlined},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if !got[6].Untracked() || got[0].Untracked() {
		t.Error("Untracked is wrong")
	}
}

func TestStatusUnmerged(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	first := work.Commit("one", map[string]string{"a": "1\n"})
	work.Commit("ours", map[string]string{"a": "2\n"})
	work.Git("checkout", "--quiet", "-b", "theirs", first)
	work.Commit("theirs", map[string]string{"a": "3\n"})
	if _, err := work.Try("merge", "main"); err == nil {
		t.Fatal("the merge has no conflict")
	}
	got, err := open(work).Status(t.Context())
	requireNoError(t, err)
	if diff := cmp.Diff([]git.Entry{{'U', 'U', "a"}}, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestWorktree(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	first := work.Commit("one", map[string]string{"a": "1", ".gitignore": "ignored\n"})
	second := work.Commit("two", map[string]string{"a": "2"})
	repo := open(work)
	dir := filepath.Join(gittest.New(t).Dir, "side")

	side, err := repo.WorktreeAdd(t.Context(), dir, first)
	requireNoError(t, err)
	requireTree(t, side, first, "1")

	// Everything a run may leave in it is gone after a reset.
	for _, name := range []string{"untracked", "ignored", "a"} {
		requireNoError(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
	}
	side, err = repo.WorktreeReset(t.Context(), dir, second)
	requireNoError(t, err)
	requireTree(t, side, second, "2")

	_, err = repo.WorktreeReset(t.Context(), dir, absent)
	requireFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
	requireTree(t, side, second, "2")

	requireNoError(t, repo.WorktreeRemove(t.Context(), dir))
	requireNoError(t, repo.WorktreeRemove(t.Context(), dir))
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the worktree is still there: %v", err)
	}
	if work.Head() != second || work.Read("a") != "2" {
		t.Error("the main working tree was touched")
	}
}

func requireTree(t *testing.T, side git.Repo, sha, content string) {
	t.Helper()
	head, err := side.Head(t.Context())
	requireNoError(t, err)
	got, err := os.ReadFile(filepath.Join(side.Dir, "a"))
	requireNoError(t, err)
	entries, err := os.ReadDir(side.Dir)
	requireNoError(t, err)
	if head != sha || string(got) != content || len(entries) != 3 {
		t.Errorf("worktree at %s, a = %q, %d entries; want %s, %q, 3", head, got, len(entries), sha, content)
	}
}

// A crash may leave any half of a worktree; the next reset makes it whole.
func TestWorktreeResetRepairs(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	sha := work.Commit("one", map[string]string{"a": "1", ".gitignore": "ignored\n"})
	repo := open(work)
	damage := map[string]func(dir string) error{
		"nothing there yet": func(dir string) error { return repo.WorktreeRemove(t.Context(), dir) },
		"folder deleted":    os.RemoveAll,
		"empty folder": func(dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return os.Mkdir(dir, 0o700)
		},
		"registration deleted": func(string) error { return os.RemoveAll(filepath.Join(work.Dir, ".git", "worktrees")) },
		"locked by an add": func(string) error {
			locks, err := filepath.Glob(filepath.Join(work.Dir, ".git", "worktrees", "*"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(locks[0], "locked"), []byte("initializing"), 0o600)
		},
		"index locked": func(string) error {
			dirs, err := filepath.Glob(filepath.Join(work.Dir, ".git", "worktrees", "*"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dirs[0], "index.lock"), nil, 0o600)
		},
		"file deleted": func(dir string) error { return os.Remove(filepath.Join(dir, "a")) },
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(gittest.New(t).Dir, "side")
			_, err := repo.WorktreeReset(t.Context(), dir, sha)
			requireNoError(t, err)
			requireNoError(t, do(dir))
			side, err := repo.WorktreeReset(t.Context(), dir, sha)
			requireNoError(t, err)
			requireTree(t, side, sha, "1")
			requireNoError(t, repo.WorktreeRemove(t.Context(), dir))
		})
	}
}

// What is not a side worktree of this repository is never deleted or reset.
func TestWorktreeKeepsItsHandsOff(t *testing.T) {
	t.Parallel()
	work, other := gittest.New(t), gittest.New(t)
	sha := work.Commit("one", map[string]string{"a": "1"})
	other.Commit("one", map[string]string{"a": "1"})
	full := t.TempDir()
	requireNoError(t, os.WriteFile(filepath.Join(full, "precious"), nil, 0o600))
	link := filepath.Join(t.TempDir(), "link")
	requireNoError(t, os.Symlink(work.Dir, link))
	repo := open(work)
	for dir, reason := range map[string]string{
		work.Dir: "INVALID_WORKTREE", filepath.Dir(work.Dir): "INVALID_WORKTREE", link: "INVALID_WORKTREE", "relative": "INVALID_WORKTREE",
		other.Dir: "WORKTREE_IN_THE_WAY", full: "WORKTREE_IN_THE_WAY",
	} {
		_, err := repo.WorktreeReset(t.Context(), dir, sha)
		if fault.ReasonOf(err) != reason {
			t.Errorf("reset of %s: %v, want %s", dir, err, reason)
		}
		if err := repo.WorktreeRemove(t.Context(), dir); fault.ReasonOf(err) != reason {
			t.Errorf("remove of %s: %v, want %s", dir, err, reason)
		}
	}
	if other.Read("a") != "1" || work.Read("a") != "1" {
		t.Error("a foreign tree was touched")
	}
	if _, err := os.Stat(filepath.Join(full, "precious")); err != nil {
		t.Error(err)
	}
}

// Nothing that a repository says may run anything.
func TestNothingOfTheRepositoryRuns(t *testing.T) {
	t.Parallel()
	origin, work, first := pushed(t)
	second := work.Commit("two", map[string]string{"a.txt": "two\n"})
	work.Push()
	clone := gittest.Clone(t, origin)
	mark := filepath.Join(clone.Dir, ".git", "pwned")
	script := "#!/bin/sh\ntouch '" + mark + "'\nexit 0\n"
	for _, hook := range []string{
		"post-checkout", "pre-merge-commit", "post-merge", "reference-transaction", "post-index-change", "pre-auto-gc", "fsmonitor-watchman", "post-rewrite",
	} {
		requireNoError(t, os.WriteFile(filepath.Join(clone.Dir, ".git", "hooks", hook), []byte(script), 0o755))
	}
	clone.Git("config", "core.hooksPath", ".git/hooks")
	clone.Git("config", "core.fsmonitor", ".git/hooks/fsmonitor-watchman")
	clone.Git("config", "fetch.recurseSubmodules", "true")
	clone.Git("checkout", "--quiet", "-B", "main")
	if _, err := os.Stat(mark); err != nil {
		t.Fatal("the hooks of this test do not run at all") // the control: plain git runs them
	}
	requireNoError(t, os.Remove(mark))

	repo := open(clone)
	ctx := t.Context()
	_, err := repo.Fetch(ctx, "origin", "main", nil)
	requireNoError(t, err)
	requireNoError(t, repo.ResetHard(ctx, first, nil))
	requireNoError(t, repo.FastForward(ctx, second, nil))
	clone.Write("a.txt", "mutated")
	_, err = repo.Status(ctx)
	requireNoError(t, err)
	_, err = repo.CheckoutPaths(ctx, []string{"**"})
	requireNoError(t, err)
	dir := filepath.Join(gittest.New(t).Dir, "side")
	_, err = repo.WorktreeReset(ctx, dir, first)
	requireNoError(t, err)
	_, err = repo.WorktreeReset(ctx, dir, second)
	requireNoError(t, err)
	requireNoError(t, repo.WorktreeRemove(ctx, dir))
	requireNoError(t, repo.Maintain(ctx))
	requireNoError(t, repo.Switch(ctx, "main", first, nil))
	requireNoError(t, repo.ForceSwitch(ctx, "main", second, nil))
	_, err = repo.Save(ctx, savedRef, git.Snapshot{Message: "m", Head: first})
	requireNoError(t, err)
	_, err = repo.Edited(ctx)
	requireNoError(t, err)
	_, err = repo.Flags(ctx)
	requireNoError(t, err)
	requireNoError(t, repo.SkipWorktree(ctx, []string{"a.txt"}, true))
	requireNoError(t, repo.Unflag(ctx, []string{"a.txt"}))
	_, err = repo.IndexDiff(ctx, first)
	requireNoError(t, err)
	_, err = repo.OnlyIn(ctx, []string{"HEAD"}, nil, 5)
	requireNoError(t, err)
	if _, err := os.Stat(mark); err == nil {
		t.Error("a hook ran")
	}
}
