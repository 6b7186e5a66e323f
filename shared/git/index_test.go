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

func TestEdited(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	work.Commit("one", map[string]string{"a": "1", "b": "1", latin1: "1", "gone": "1", "run": "1"})
	repo := open(work)
	if entries, err := repo.Edited(t.Context()); len(entries) != 0 || err != nil {
		t.Fatalf("a clean tree has %+v, %v", entries, err)
	}
	work.Write("a", "2")
	work.Write("b", "2")
	work.Git("add", "b")
	work.Write("b", "3")
	work.Write(latin1, "2")
	work.Remove("gone")
	requireNoError(t, os.Chmod(filepath.Join(work.Dir, "run"), 0o755))
	work.Write("staged", "new")
	work.Write("intended", "new")
	work.Git("add", "staged")
	work.Git("add", "--intent-to-add", "intended")
	work.Write("untracked", "")
	one, two, fresh := work.Git("hash-object", "-t", "blob", writeTemp(t, "1")), work.Git("hash-object", writeTemp(t, "2")), work.Git("hash-object", writeTemp(t, "new"))
	got, err := repo.Edited(t.Context())
	requireNoError(t, err)
	file := git.ModeFile
	want := []git.Tracked{
		{Entry: git.Entry{Index: '.', Worktree: 'M', Path: "a"}, HeadMode: file, HeadID: one, IndexMode: file, IndexID: one, DiskMode: file},
		{Entry: git.Entry{Index: 'M', Worktree: 'M', Path: "b"}, HeadMode: file, HeadID: one, IndexMode: file, IndexID: two, DiskMode: file},
		{Entry: git.Entry{Index: '.', Worktree: 'M', Path: latin1}, HeadMode: file, HeadID: one, IndexMode: file, IndexID: one, DiskMode: file},
		{Entry: git.Entry{Index: '.', Worktree: 'D', Path: "gone"}, HeadMode: file, HeadID: one, IndexMode: file, IndexID: one},
		{Entry: git.Entry{Index: '.', Worktree: 'A', Path: "intended"}, DiskMode: file},
		{Entry: git.Entry{Index: '.', Worktree: 'M', Path: "run"}, HeadMode: file, HeadID: one, IndexMode: file, IndexID: one, DiskMode: git.ModeExecutable},
		{Entry: git.Entry{Index: 'A', Worktree: '.', Path: "staged"}, IndexMode: file, IndexID: fresh, DiskMode: file},
	}
	byPath := func(list []git.Tracked) map[string]git.Tracked {
		m := map[string]git.Tracked{}
		for _, e := range list {
			m[e.Path] = e
		}
		return m
	}
	if diff := cmp.Diff(byPath(want), byPath(got)); diff != "" || len(got) != len(want) {
		t.Errorf("edited (-want +got):\n%s", diff)
	}
}

func writeTemp(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "content")
	requireNoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestIndexDiff(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	first := work.Commit("one", map[string]string{"a": "1", "gone": "1", "same": "1", newlined: "1"})
	work.Remove("gone")
	second := work.Commit("two", map[string]string{"a": "2", "new": "1", newlined: "2"})
	work.Git("reset", "--quiet", "--hard", first)
	repo := open(work)
	got, err := repo.IndexDiff(t.Context(), second)
	requireNoError(t, err)
	var lines []string
	for _, c := range got {
		lines = append(lines, c.Path+" tree "+c.TreeMode+" index "+c.IndexMode)
		if (c.TreeMode == "") != (c.TreeID == "") || (c.IndexMode == "") != (c.IndexID == "") {
			t.Errorf("%+v has half an object", c)
		}
	}
	want := []string{
		"a tree 100644 index 100644", "gone tree  index 100644", "new tree 100644 index ", newlined + " tree 100644 index 100644",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	if same, err := repo.IndexDiff(t.Context(), first); len(same) != 0 || err != nil {
		t.Errorf("against HEAD: %+v, %v", same, err)
	}
	_, err = repo.IndexDiff(t.Context(), absent)
	requireFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
}

func TestFlags(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	work.Commit("one", map[string]string{"a": "1", "assumed": "1", "skipped": "1", "both": "1", newlined: "1"})
	work.Git("update-index", "--assume-unchanged", "assumed", "both", newlined)
	work.Git("update-index", "--skip-worktree", "skipped", "both")
	repo := open(work)
	got, err := repo.Flags(t.Context())
	requireNoError(t, err)
	want := []git.Flag{{"assumed", true, false}, {"both", true, true}, {"skipped", false, true}, {newlined, true, false}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	requireNoError(t, repo.SkipWorktree(t.Context(), []string{"a"}, true))
	requireNoError(t, repo.Unflag(t.Context(), []string{"both", newlined, "a"}))
	requireNoError(t, repo.SkipWorktree(t.Context(), []string{"skipped"}, false))
	got, err = repo.Flags(t.Context())
	requireNoError(t, err)
	if diff := cmp.Diff([]git.Flag{{"assumed", true, false}}, got); diff != "" {
		t.Errorf("flags afterwards (-want +got):\n%s", diff)
	}
}
