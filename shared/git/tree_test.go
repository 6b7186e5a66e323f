package git_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

// The unusual names of these tests: what -z output must carry unchanged.
const (
	spaced   = "with space and \"quotes\".txt"
	newlined = "two\nlines\ttab"
	latin1   = "caf\xe9.txt" // not UTF-8
	magic    = ":(glob)*"
	dashed   = "--output=x"
)

func TestReadFile(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	requireNoError(t, os.Symlink("/etc/passwd", filepath.Join(work.Dir, "link")))
	requireNoError(t, os.Symlink("dir", filepath.Join(work.Dir, "linkdir")))
	sha := work.Commit("one", map[string]string{
		"dir/file": "content\x00\xff\n", "empty": "", dashed: "dash", magic: "magic", "large": strings.Repeat("x", git.MaxFile+1),
	})
	repo := open(work)
	for path, want := range map[string]string{"dir/file": "content\x00\xff\n", "empty": "", dashed: "dash", magic: "magic"} {
		if got, err := repo.ReadFile(t.Context(), sha, path); err != nil || string(got) != want {
			t.Errorf("ReadFile(%q) = %q, %v", path, got, err)
		}
	}
	tests := []struct {
		sha, path string
		kind      fault.Kind
		reason    string
	}{
		{sha, "none", fault.NotFound, "NO_SUCH_FILE"},
		{sha, "linkdir/file", fault.NotFound, "NO_SUCH_FILE"},
		{sha, "link", fault.Invalid, "NOT_A_REGULAR_FILE"},
		{sha, "dir", fault.Invalid, "NOT_A_REGULAR_FILE"},
		{sha, "large", fault.Invalid, "FILE_TOO_LARGE"},
		{sha, "../etc/passwd", fault.Invalid, "INVALID_PATH"},
		{absent, "dir/file", fault.NotFound, "UNKNOWN_COMMIT"},
		{"HEAD", "dir/file", fault.Invalid, "INVALID_SHA"},
	}
	for _, tt := range tests {
		_, err := repo.ReadFile(t.Context(), tt.sha, tt.path)
		requireFault(t, err, tt.kind, tt.reason)
	}
	for path, want := range map[string]bool{"dir/file": true, "dir": true, "link": true, "none": false, "*": false} {
		if got, err := repo.Exists(t.Context(), sha, path); err != nil || got != want {
			t.Errorf("Exists(%q) = %v, %v", path, got, err)
		}
	}
}

func TestListTree(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	sha := work.Commit("one", map[string]string{"b/c": "12345", "a": "1", latin1: "", newlined: "", spaced: ""})
	got, err := open(work).ListTree(t.Context(), sha)
	requireNoError(t, err)
	want := []git.TreeEntry{
		{Mode: git.ModeFile, Size: 1, Path: "a"},
		{Mode: git.ModeFile, Size: 5, Path: "b/c"},
		{Mode: git.ModeFile, Path: latin1},
		{Mode: git.ModeFile, Path: newlined},
		{Mode: git.ModeFile, Path: spaced},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(git.TreeEntry{}, "ID")); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}
