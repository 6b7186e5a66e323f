package git_test

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

const savedRef = "refs/landfall/saved/op-1"

func content(b string) func() (io.ReadCloser, int64, error) {
	return func() (io.ReadCloser, int64, error) { return io.NopCloser(strings.NewReader(b)), int64(len(b)), nil }
}

func TestSaveKeepsEveryByte(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	work.Write(".gitattributes", "* text eol=crlf ident\n")
	head := work.Commit("one", map[string]string{"a": "1\n", "dir/b": "b\n", "dir2/c": "c\n", "keep": "k\n"})
	repo := open(work)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	files := map[string]string{
		"a": "mixed\r\nline\nends $Id$\r", "every": string(every), "empty": "", latin1: "l", newlined: "n", `quo"ted\`: "q", "dir": "a file now",
		"large": strings.Repeat("0123456789abcdef", 1<<16),
	}
	files[spaced] = "s"
	shot := git.Snapshot{Message: "what op-1 found", Time: time.Unix(1_700_000_000, 0), Head: head}
	for path, text := range files {
		shot.Disk = append(shot.Disk, git.Saved{Path: path, Mode: git.ModeFile, Content: content(text)})
	}
	shot.Disk = append(shot.Disk, git.Saved{Path: "dir/b"}, git.Saved{Path: "dir2/c"}, git.Saved{Path: "never/there"},
		git.Saved{Path: "link", Mode: git.ModeSymlink, Content: content("../outside")}, git.Saved{Path: "run", Mode: git.ModeExecutable, Content: content("#!")})
	shot.Index = []git.Saved{{Path: "a", Mode: git.ModeFile, ID: work.Git("rev-parse", "HEAD:keep")}}
	sha, err := repo.Save(t.Context(), savedRef, shot)
	requireNoError(t, err)
	if work.Git("rev-parse", savedRef) != sha || work.Head() != head || work.Git("status", "--porcelain") != "" {
		t.Error("it did not make one commit at its ref, and nothing else")
	}
	files["link"], files["run"], files["keep"] = "../outside", "#!", "k\n"
	listed := work.Git("ls-tree", "-r", "-z", "--name-only", sha)
	for path, want := range files {
		id := ""
		for line := range strings.SplitSeq(work.Git("ls-tree", "-r", "-z", sha), "\x00") {
			if meta, name, _ := strings.Cut(line, "\t"); name == path {
				id = strings.Fields(meta)[2]
			}
		}
		if got := blob(t, work, id); !bytes.Equal(got, []byte(want)) {
			t.Errorf("%q is saved as %.40q", path, got)
		}
	}
	if strings.Contains(listed, "dir/b") || strings.Contains(listed, "dir2/c") {
		t.Errorf("what was gone is in %q", listed)
	}
	if work.Git("show", sha+"^2:a") != "k" || work.Git("rev-parse", sha+"^1") != head {
		t.Error("the index is not saved beside it")
	}
	for _, what := range [][]string{{"gc", "--quiet", "--prune=now"}, {"reflog", "expire", "--expire=now", "--all"}, {"gc", "--quiet", "--prune=now"}} {
		work.Git(what...)
	}
	if work.Git("rev-parse", savedRef) != sha {
		t.Error("gc forgot it")
	}
}

// Saving again under one name forgets nothing that was saved before, nor the commits to keep.
func TestSaveAgain(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	first := work.Commit("one", map[string]string{"a": "1\n"})
	lost := work.Commit("lost", map[string]string{"a": "2\n"})
	work.Git("reset", "--quiet", "--hard", first)
	repo := open(work)
	shot := git.Snapshot{Message: "m", Head: first, Disk: []git.Saved{{Path: "a", Mode: git.ModeFile, Content: content("edit one")}}, Keep: []string{lost, absent, first}}
	one, err := repo.Save(t.Context(), savedRef, shot)
	requireNoError(t, err)
	shot.Disk[0].Content, shot.Keep = content("edit two"), nil
	two, err := repo.Save(t.Context(), savedRef, shot)
	requireNoError(t, err)
	for _, kept := range []string{one, lost, first} {
		if ok, err := repo.IsAncestor(t.Context(), kept, two); !ok || err != nil {
			t.Errorf("%s is lost: %v", kept, err)
		}
	}
	if work.Git("show", one+":a") != "edit one" || work.Git("show", two+":a") != "edit two" {
		t.Error("an edit is not what it was")
	}
	work.Git("stash", "apply", savedRef)
	if work.Read("a") != "edit two" {
		t.Errorf("git stash apply gives %q", work.Read("a"))
	}
}

// A file that cannot be read to its end, or is shorter than it was, saves nothing: a ref that promises it would lie.
func TestSaveAllOrNothing(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	head := work.Commit("one", map[string]string{"a": "1\n"})
	for name, open1 := range map[string]func() (io.ReadCloser, int64, error){
		"cannot be opened": func() (io.ReadCloser, int64, error) { return nil, 0, errors.New("no") },
		"shrank":           func() (io.ReadCloser, int64, error) { return io.NopCloser(strings.NewReader("abc")), 4000, nil },
		"broke": func() (io.ReadCloser, int64, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("abc"), broken{})), 4000, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(work).Save(t.Context(), savedRef, git.Snapshot{Message: "m", Head: head, Disk: []git.Saved{
				{Path: "b", Mode: git.ModeFile, Content: content("b")}, {Path: "a", Mode: git.ModeFile, Content: open1}, {Path: "c", Mode: git.ModeFile, Content: content("c")},
			}})
			if err == nil {
				t.Fatal("it was saved")
			}
			if _, err := work.Try("rev-parse", "--verify", savedRef); err == nil {
				t.Error("there is a ref")
			}
		})
	}
	for ref, reason := range map[string]string{"HEAD": "INVALID_REF", "refs/x y": "INVALID_REF", "main": "INVALID_REF"} {
		_, err := open(work).Save(t.Context(), ref, git.Snapshot{Head: head})
		requireFault(t, err, fault.Invalid, reason)
	}
	_, err := open(work).Save(t.Context(), savedRef, git.Snapshot{Head: "HEAD"})
	requireFault(t, err, fault.Invalid, "INVALID_SHA")
	_, err = open(work).Save(t.Context(), savedRef, git.Snapshot{Head: head, Disk: []git.Saved{{Path: "a", Mode: "0"}}})
	requireFault(t, err, fault.Invalid, "INVALID_MODE")
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

func TestSavedSurvivesAPruningFetch(t *testing.T) {
	t.Parallel()
	origin, _, head := pushed(t)
	clone := gittest.Clone(t, origin)
	sha, err := open(clone).Save(t.Context(), savedRef, git.Snapshot{Message: "m", Head: head})
	requireNoError(t, err)
	clone.Git("fetch", "--quiet", "--prune", "--prune-tags", "origin")
	clone.Git("remote", "prune", "origin")
	if clone.Git("rev-parse", savedRef) != sha {
		t.Error("it was pruned")
	}
}

// blob is the exact content of an object; Git would cut a line end off.
func blob(t *testing.T, r *gittest.Repo, id string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "cat-file", "blob", id)
	cmd.Dir = r.Dir
	out, err := cmd.Output()
	requireNoError(t, err)
	return out
}
