package git_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	base := work.Commit("base", map[string]string{
		"changed": "1\n2\n3\n", "removed": "x\ny\n", "mode": "m\n", "type": "t\n", "renamed-from": strings.Repeat("same\n", 50),
		"binary": "\x00\x01", latin1: "1\n", newlined: "1\n", spaced: "1\n", magic: "1\n", "same": "s\n", ".gitattributes": "changed diff=evil\n",
	})
	work.Git("config", "diff.evil.textconv", "touch "+work.Dir+"/pwned; cat")
	work.Git("config", "diff.external", "touch "+work.Dir+"/pwned;")
	work.Git("config", "diff.renames", "true")
	work.Remove("removed")
	work.Remove("type")
	work.Remove("renamed-from")
	requireNoError(t, os.Chmod(filepath.Join(work.Dir, "mode"), 0o755))
	requireNoError(t, os.Symlink("same", filepath.Join(work.Dir, "type")))
	work.Git("update-index", "--add", "--cacheinfo", "160000,"+absent+",module")
	requireNoError(t, os.Mkdir(filepath.Join(work.Dir, "module"), 0o755)) // an empty folder is a submodule that is not checked out
	work.Commit("between", map[string]string{"changed": "1\ntwo\n3\n4\n"})
	head := work.Commit("head", map[string]string{
		"renamed-to": strings.Repeat("same\n", 50), "binary": "\x00\x02", latin1: "2\n", newlined: "2\n", spaced: "2\n", magic: "2\n", "added": "a\n",
	})

	got, err := open(work).Diff(t.Context(), base, head)
	requireNoError(t, err)
	const file, none = git.ModeFile, "000000"
	want := git.Diff{
		Changes: []git.Change{
			{'M', magic, file, file},
			{'A', "added", none, file},
			{'M', "binary", file, file},
			{'M', latin1, file, file},
			{'M', "changed", file, file},
			{'M', "mode", file, git.ModeExecutable},
			{'A', "module", none, git.ModeSubmodule},
			{'D', "removed", file, none},
			{'D', "renamed-from", file, none},
			{'A', "renamed-to", none, file},
			{'M', newlined, file, file},
			{'T', "type", file, git.ModeSymlink},
			{'M', spaced, file, file},
		},
		Files: 13, Commits: 2,
	}
	// added, changed, four unusual names, module's one line, the new symbolic link
	want.Insertions = 1 + 2 + 4 + 1 + 50 + 1
	want.Deletions = 1 + 4 + 2 + 50 + 1
	slices.SortFunc(want.Changes, func(a, b git.Change) int { return strings.Compare(a.Path, b.Path) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diff (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(work.Dir, "pwned")); err == nil {
		t.Error("the repository's diff program ran")
	}
}

func TestDiffOfUnrelatedCommits(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	first := work.Commit("one", map[string]string{"a": "1\n"})
	work.Git("checkout", "--quiet", "--orphan", "other")
	second := work.Commit("two", map[string]string{"b": "1\n"})
	repo := open(work)
	for _, tt := range []struct {
		base, head string
		want       git.Diff
	}{
		{first, second, git.Diff{Changes: []git.Change{{'A', "b", "000000", git.ModeFile}}, Files: 1, Insertions: 1, Commits: 1}},
		{second, first, git.Diff{Changes: []git.Change{{'D', "b", git.ModeFile, "000000"}}, Files: 1, Deletions: 1, Commits: 1}},
		{first, first, git.Diff{}},
	} {
		got, err := repo.Diff(t.Context(), tt.base, tt.head)
		requireNoError(t, err)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s..%s (-want +got):\n%s", tt.base, tt.head, diff)
		}
	}
	_, err := repo.Diff(t.Context(), absent, first)
	requireFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
	_, err = repo.Diff(t.Context(), "--output=pwned", first)
	requireFault(t, err, fault.Invalid, "INVALID_SHA")
}

// Many changed paths are parsed as they arrive.
func TestDiffOfManyFiles(t *testing.T) {
	t.Parallel()
	const folders, files = 40, 500
	work := gittest.New(t)
	base := work.Commit("empty", nil)
	for i := range files {
		work.Write(fmt.Sprintf("file-%03d", i), "")
	}
	work.Git("add", "--all")
	tree := work.Git("write-tree")
	for i := range folders {
		work.Git("read-tree", fmt.Sprintf("--prefix=folder-%02d/", i), tree)
	}
	work.Git("commit", "--quiet", "--message=many")
	got, err := open(work).Diff(t.Context(), base, work.Head())
	requireNoError(t, err)
	if want := (folders + 1) * files; got.Files != want || len(got.Changes) != want || got.Commits != 1 {
		t.Errorf("%d files, %d changes, %d commits, want %d files", got.Files, len(got.Changes), got.Commits, want)
	}
}
