package checkout

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A git that was cut off at some point left a half-done move: going on takes it up, both ways, and takes
// nothing of the target for an edit.
func TestHalfDoneMove(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for n := range 8 {
		files[fmt.Sprintf("app/f%d", n)] = strings.Repeat("old\n", 100)
		files[fmt.Sprintf("gone/f%d", n)] = "old\n"
	}
	for name, c := range map[string]struct {
		stop  func(w *world, target string)
		saved bool // something is there that nobody can tell from an edit
		aside bool
	}{
		"before anything": {stop: func(w *world, _ string) { w.host.Write(".git/index.lock", "") }},
		"some written": {stop: func(w *world, target string) {
			w.host.Git("--work-tree="+w.host.Dir, "read-tree", "--index-output=.git/other", "HEAD")
			for _, p := range []string{"app/f1", "app/f2", "new/f1", "new/deep/f2"} {
				w.host.Write(p, w.host.Git("show", target+":"+p)+"\n")
			}
			w.host.Write(".git/index.lock", "half of an index")
		}},
		"some removed": {stop: func(w *world, _ string) {
			w.host.Remove("gone/f1")
			w.host.Remove("app/f1")
			w.host.Write(".git/index.lock", "")
		}},
		"one cut off": {saved: true, stop: func(w *world, _ string) {
			w.host.Write("app/f1", "new\nne")
			w.host.Write(".git/index.lock", "")
		}},
		"one emptied":       {saved: true, stop: func(w *world, _ string) { w.host.Write("app/f1", "") }},
		"a new one cut off": {aside: true, stop: func(w *world, _ string) { w.host.Write("new/f1", "ne") }},
		"all written, index old": {stop: func(w *world, target string) {
			w.host.Git("archive", "--format=tar", "--output=.git/all.tar", target)
			untar(w.t, w.host.Dir)
			w.host.Remove("gone")
		}},
		"index written, branch old": {stop: func(w *world, target string) { w.host.Git("read-tree", "-m", "-u", "HEAD", target) }},
		"branch moved, HEAD elsewhere": {stop: func(w *world, target string) {
			w.host.Git("checkout", "--quiet", "--detach")
			w.host.Git("read-tree", "-m", "-u", "HEAD", target)
			w.host.Git("update-ref", "refs/heads/main", target)
			w.host.Write(".git/HEAD.lock", "ref: refs/heads/main\n")
		}},
		"done": {stop: func(w *world, target string) { w.host.Git("reset", "--quiet", "--hard", target) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.hasty()
			first := w.push(files)
			w.fetch(first)
			w.host.Git("reset", "--quiet", "--hard", first)
			w.dev.Remove("gone")
			news := map[string]string{"new/f1": "new\n", "new/deep/f2": "new\n"}
			for n := range 8 {
				news[fmt.Sprintf("app/f%d", n)] = strings.Repeat("new\n", 100)
			}
			target := w.push(news)
			w.fetch(target)
			w.host.Write("data/live.db", "rows")
			c.stop(w, target)
			before := contents(t, w.host.Dir)
			moved, err := w.move(target, true)
			if err != nil {
				t.Fatal(err)
			}
			arrived(t, w, target)
			if (moved.Saved != "") != c.saved || (len(moved.Aside) > 0) != c.aside {
				t.Errorf("%+v", moved)
			}
			if c.saved {
				if got := "file false " + w.host.Git("show", moved.Saved+":app/f1"); got != before["app/f1"] {
					t.Errorf("saved %q, was %q", got, before["app/f1"])
				}
			}
			// And all the way back, from wherever it stopped.
			if _, err := w.move(first, true); err != nil {
				t.Fatal(err)
			}
			arrived(t, w, first)
			if w.host.Read("data/live.db") != "rows" {
				t.Error("data is lost")
			}
		})
	}
}

// untar lays .git/all.tar out over the tree.
func untar(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "tar", "-xf", filepath.Join(dir, ".git/all.tar"), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// What git wrote of new files when it failed half way goes, so that nothing of it is in the way of the next move; what somebody else wrote
// stays.
func TestFilesOfAFailedMoveGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	whole := strings.Repeat("text of the target\n", 100)
	target := w.push(map[string]string{"new/cut.txt": whole, "new/whole.txt": whole, "new/empty.txt": whole, "mine.txt": whole})
	w.fetch(target)
	before := contents(t, w.host.Dir)
	w.host.Write("new/cut.txt", whole[:700])
	w.host.Write("new/whole.txt", whole)
	w.host.Write("new/empty.txt", "")
	w.host.Write("mine.txt", "mine\n")
	w.unwrite(t.Context(), target)
	before["mine.txt"] = contents(t, w.host.Dir)["mine.txt"]
	if diff := cmp.Diff(before, contents(t, w.host.Dir)); diff != "" {
		t.Errorf("the tree (-want +got):\n%s", diff)
	}
}
