package checkout

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

// A submodule's folder becomes a file: git itself would remove the folder with everything in
// it, commits of the submodule that were never pushed included.
func TestASubmoduleThatBecomesAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sub := gittest.New(t)
	inner := sub.Commit("inner", map[string]string{"s": "s"})
	w.dev.Git("update-index", "--add", "--cacheinfo", "160000,"+inner+",sub")
	w.dev.Git("commit", "--quiet", "--message=submodule")
	base := w.dev.Head()
	w.dev.Git("rm", "--quiet", "--cached", "sub")
	target := w.push(map[string]string{"sub": "a file now"})
	w.fetch(target)
	if _, err := w.move(base, false); err != nil {
		t.Fatal(err)
	}
	w.host.Remove("sub")
	w.host.Git("clone", "--quiet", sub.URL(), "sub")
	w.host.Write("sub/untracked", "mine")
	w.host.Write("sub/s", "edited")
	before := contents(t, w.host.Dir)
	_, err := w.move(target, false)
	wantFault(t, err, fault.Refused, "DIRTY_TREE")
	if tree := w.look(target); !slices.Equal(tree.InTheWay, []string{"sub/"}) {
		t.Errorf("in the way: %q", tree.InTheWay)
	}
	moved, err := w.move(target, true)
	if err != nil {
		t.Fatal(err)
	}
	arrived(t, w, target)
	after := contents(t, w.host.Dir)
	for path, want := range before {
		if rest, ok := strings.CutPrefix(path, "sub/"); ok && after[filepath.Join(moved.Aside[0], rest)] != want {
			t.Errorf("%s is lost", path)
		}
	}
	if _, err := os.Stat(filepath.Join(w.host.Dir, moved.Aside[0], ".git")); err != nil {
		t.Errorf("the submodule's repository is lost: %v", err)
	}
}

// A populated submodule that stays, or comes, keeps what is in its folder.
func TestASubmodulesContentStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dev.Git("update-index", "--add", "--cacheinfo", "160000,"+w.dev.Head()+",sub")
	w.dev.Git("commit", "--quiet", "--message=submodule")
	target := w.dev.Head()
	w.dev.Push()
	w.fetch(target)
	w.host.Write("sub/data", "rows")
	for _, goOn := range []bool{false, true} {
		if moved, err := w.move(target, goOn); err != nil || moved.Aside != nil {
			t.Errorf("%+v, %v", moved, err)
		}
		if w.host.Read("sub/data") != "rows" {
			t.Error("its data is lost")
		}
	}
}

// In a sparse checkout most files are flagged and absent; moves go on as ever.
func TestSparseCheckout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host.Git("sparse-checkout", "set", "--no-cone", "/app/", "/landfall.yaml")
	first := w.host.Head()
	target := w.push(map[string]string{"app/main.go": "two\n", "compose.yml": "services: {x: {}}\n", "runtime/new.json": "{}"})
	w.fetch(target)
	if tree := w.look(target); tree.Refusal("main", "x") != nil || len(tree.Noted) != 0 {
		t.Errorf("%+v", tree)
	}
	for _, m := range []struct {
		to   string
		goOn bool
	}{{target, false}, {first, true}, {target, true}} {
		if moved, err := w.move(m.to, m.goOn); err != nil || moved.Unflagged != nil || moved.Saved != "" {
			t.Errorf("%+v: %+v, %v", m, moved, err)
		}
		if _, err := os.Lstat(filepath.Join(w.host.Dir, "compose.yml")); err == nil || w.host.Head() != m.to {
			t.Errorf("%+v: at %s, the sparse file is there: %v", m, w.host.Head(), err)
		}
	}
	// One that a person put there nevertheless is seen; git takes its flag off by itself.
	w.host.Write("compose.yml", "mine")
	_, err := w.move(first, false)
	wantFault(t, err, fault.Refused, "DIRTY_TREE")
	moved, err := w.move(first, true)
	if err != nil || w.host.Git("show", moved.Saved+":compose.yml") != "mine" {
		t.Errorf("%+v, %v", moved, err)
	}
}

// Git runs as the owner, the agent as root: what is written belongs to the owner, and an edit
// that only root may read is saved like any other.
func TestMoveAsAnotherOwner(t *testing.T) {
	w := ownedByAnother(t)
	give(t, w.origin.Dir, 0)
	target := w.push(map[string]string{"app/main.go": "two\n", "fresh/file": "x\n", "pgdata": "theirs"})
	give(t, w.origin.Dir, otherUID)
	w.fetch(target)
	w.host.Write("app/main.go", "written by a container")
	secret := filepath.Join(w.host.Dir, "app/main.go")
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(secret, 0, 0); err != nil {
		t.Fatal(err)
	}
	w.host.Write("pgdata/base", "rows")
	give(t, filepath.Join(w.host.Dir, "pgdata"), 999)
	if err := os.Chmod(filepath.Join(w.host.Dir, "pgdata"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := w.move(target, false)
	wantFault(t, err, fault.Refused, "DIRTY_TREE")
	if err == nil || !strings.Contains(err.Error(), "pgdata/") {
		t.Errorf("%v", err)
	}
	moved, err := w.move(target, true)
	if err != nil {
		t.Fatal(err)
	}
	give(t, filepath.Join(w.host.Dir, ".git"), 0) // the test's git is root's
	if got := w.host.Git("-c", "safe.directory=*", "show", moved.Saved+":app/main.go"); got != "written by a container" {
		t.Errorf("saved %q", got)
	}
	for path, uid := range map[string]uint32{"app/main.go": otherUID, "fresh": otherUID, "fresh/file": otherUID, moved.Aside[0]: 999, moved.Aside[0] + "/base": 999} {
		if got := uidOf(t, filepath.Join(w.host.Dir, path)); got != uid {
			t.Errorf("%s belongs to %d, want %d", path, got, uid)
		}
	}
	if w.host.Read(moved.Aside[0]+"/base") != "rows" {
		t.Error("data is lost")
	}
}

// A repository whose git folder is on another disk is synced there, too.
func TestGitFolderOnAnotherDisk(t *testing.T) {
	w := newWorld(t)
	const shm = "/dev/shm"
	dir, err := os.MkdirTemp(shm, "landfall")
	if err != nil {
		t.Skipf("there is no second file system here: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // nothing else is in it
	gitDir := filepath.Join(dir, "git")
	w.host = gittest.Clone(t, w.origin, "--separate-git-dir="+gitDir)
	w.open()
	var synced []string
	w.syncfs = func(dir string) error {
		synced = append(synced, dir)
		return nil
	}
	target := w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	if _, err := w.move(target, false); err != nil || !slices.Equal(synced, []string{w.host.Dir, gitDir}) {
		t.Errorf("%v, synced %q", err, synced)
	}
}

// A file that keeps changing is not overwritten for ever: the move gives up and says so.
func TestATreeThatNeverRests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	n := 0
	w.host.Write("app/main.go", "edit 0")
	w.syncfs = func(string) error {
		n++
		w.host.Write("app/main.go", fmt.Sprint("edit ", n))
		return nil
	}
	moved, err := w.move(target, true)
	wantFault(t, err, fault.Failed, "TREE_BUSY")
	last := w.host.Read("app/main.go")
	if moved.Saved == "" || !strings.HasPrefix(last, "edit ") {
		t.Errorf("%+v, it is now %q", moved, last)
	}
	for commit, i := moved.Saved, n-1; i >= 0; commit, i = commit+"^2^2", i-1 {
		if got := w.host.Git("show", commit+":app/main.go"); got != fmt.Sprint("edit ", i) {
			t.Errorf("%s has %q, want edit %d", commit, got, i)
		}
	}
}

// A target that was fetched by its SHA is on no remote-tracking branch; its commits are not the host's.
func TestCommitsOfTheTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dev.Commit("one", nil)
	target := w.dev.Commit("two", nil)
	w.dev.Git("push", "--quiet", "origin", "HEAD:refs/heads/feature")
	w.host.Git("fetch", "--quiet", w.origin.URL(), "feature")
	w.host.Git("reset", "--quiet", "--hard", target+"~1")
	if tree := w.look(target); tree.Unpushed != nil {
		t.Errorf("%+v", tree.Unpushed)
	}
	if tree := w.look(w.host.Head()); tree.Unpushed != nil {
		t.Errorf("at the target: %+v", tree.Unpushed)
	}
	if tree := w.look(w.host.Git("rev-parse", target+"~2")); len(tree.Unpushed) != 1 || tree.Unpushed[0].Subject != "one" {
		t.Errorf("back: %+v", tree.Unpushed)
	}
}

// The other side of an unfinished merge may be on no branch; only MERGE_HEAD names it.
func TestTheOtherSideOfAMergeIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	w.host.Git("checkout", "--quiet", "--detach")
	theirs := w.host.Commit("theirs", map[string]string{"local.txt": "mine"})
	w.host.Git("checkout", "--quiet", "main")
	w.host.Git("merge", "--quiet", "--no-ff", "--no-commit", theirs)
	moved, err := w.move(target, true)
	if err != nil {
		t.Fatal(err)
	}
	arrived(t, w, target)
	w.host.Git("merge-base", "--is-ancestor", theirs, moved.Saved)
	if told := strings.Join(w.printed, "\n"); !strings.Contains(told, "unfinished git merge") {
		t.Errorf("it says %q", told)
	}
}

// BenchmarkLook looks at 100,000 tracked files, beside a folder of data that git does not track.
func BenchmarkLook(b *testing.B) {
	const folders, each = 1000, 100
	origin, host := gittest.NewBare(b), gittest.New(b)
	for f := range folders {
		dir := filepath.Join(host.Dir, fmt.Sprint("d", f))
		if err := os.Mkdir(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		for n := range each {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", n)), fmt.Appendf(nil, "%d %d", f, n), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	host.Git("remote", "add", "origin", origin.URL())
	first := host.Commit("first", nil)
	target := host.Commit("second", map[string]string{"d1/f1": "two", "new/f": "two"})
	host.Push()
	host.Git("fetch", "--quiet", "origin")
	host.Git("reset", "--quiet", "--hard", first)
	for n := range 10_000 {
		host.Write(fmt.Sprintf("pgdata/%d/%d", n/100, n), "rows")
	}
	c, err := Open(b.Context(), Settings{
		Dir: host.Dir, Remote: "origin", Branch: "main", Config: "landfall.yaml", Git: git.Options{NoUserConfig: true},
	}, hclog.NewNullLogger())
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		if tree, err := c.Look(b.Context(), target, mutable, nil); err != nil || tree.Refusal("main", "x") != nil {
			b.Fatal(tree, err)
		}
	}
}
