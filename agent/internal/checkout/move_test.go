package checkout

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git/gittest"
	"ataraxis.dev/landfall/shared/pipeline"
)

// A move forward loses nothing: it is made, or refused and the tree is as it was, byte for byte.
func TestMoveForward(t *testing.T) {
	t.Parallel()
	for name, c := range hosts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, target := prepared(t, name)
			tree, repo := contents(t, w.host.Dir), repository(w.host)
			moved, err := w.move(target, false)
			if c.reason == "" {
				if err != nil || moved.Saved != "" || moved.Aside != nil {
					t.Fatalf("%+v, %v", moved, err)
				}
				arrived(t, w, target)
				for path, want := range c.stays {
					if got := w.host.Read(path); got != want {
						t.Errorf("%s holds %q, want %q", path, got, want)
					}
				}
				return
			}
			wantFault(t, err, fault.Refused, c.reason)
			if err == nil || !strings.Contains(err.Error(), c.names) || strings.Contains(err.Error(), "state.json") {
				t.Errorf("the message is %v, it should name %s", err, c.names)
			}
			if diff := cmp.Diff(tree, contents(t, w.host.Dir)); diff != "" {
				t.Errorf("the tree was changed (-before +after):\n%s", diff)
			}
			if got := repository(w.host); got != repo {
				t.Errorf("the repository was changed:\n%s\nwas\n%s", got, repo)
			}
			looked := w.look(target).Refusal("main", "landfall.yaml")
			if looked == nil || looked.Error() != err.Error() {
				t.Errorf("the look says %v", looked)
			}
		})
	}
}

// A move that must go on arrives whatever is in its way, and every byte is somewhere.
func TestMoveGoesOn(t *testing.T) {
	t.Parallel()
	for name, c := range hosts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, target := prepared(t, name)
			flags := w.host.Git("ls-files", "-v")
			head := w.host.Head()
			moved, err := w.move(target, true)
			if err != nil {
				t.Fatal(err)
			}
			arrived(t, w, target)
			for path, want := range c.aside {
				top, rest, _ := strings.Cut(path, "/")
				if _, ok := c.aside[path]; ok && !slices.Contains([]string{"pgdata", "d", "c", "compose.yml"}, top) {
					top, rest = path, ""
				}
				got := contents(t, w.host.Dir)[filepath.Join(top+".landfall-saved-"+op, rest)]
				if got != want && got != "file false "+want {
					t.Errorf("aside of %s is %q, want %q; moved %+v", path, got, want, moved)
				}
			}
			if (len(c.aside) > 0) != (len(moved.Aside) > 0) {
				t.Errorf("moved aside: %q", moved.Aside)
			}
			for path, want := range c.saved {
				if !strings.Contains(path, ":") {
					path = ":" + path
				}
				if moved.Saved != "refs/landfall/saved/"+op {
					t.Fatalf("saved at %q", moved.Saved)
				}
				got, err := w.host.Try("show", moved.Saved+path)
				if err != nil || got != strings.TrimSuffix(want, "\n") {
					t.Errorf("saved %s is %q, %v, want %q", path, got, err, want)
				}
			}
			if c.saved == nil && moved.Saved != "" && c.reason != "HOST_COMMITS" && c.reason != "DIRTY_TREE" {
				t.Errorf("it saved %s: %s", moved.Saved, w.host.Git("show", "--stat", moved.Saved))
			}
			if c.reason == "HOST_COMMITS" || name == "another branch with a commit" {
				w.host.Git("merge-base", "--is-ancestor", head, moved.Saved)
				if w.host.Git("log", "--format=%s", "--author=Ada", "--not", "--remotes", "--not", moved.Saved) == "" {
					t.Error("the commit is lost")
				}
			}
			for path, want := range c.stays {
				if got := w.host.Read(path); got != want {
					t.Errorf("%s holds %q, want %q", path, got, want)
				}
			}
			if strings.HasSuffix(name, "elsewhere") && w.host.Git("ls-files", "-v") != flags {
				t.Errorf("the flags are now %s", w.host.Git("ls-files", "-v"))
			}
			told := strings.Join(w.printed, "\n")
			for _, what := range append(slices.Clone(moved.Aside), moved.Unflagged...) {
				if !strings.Contains(told, what) {
					t.Errorf("%q does not tell of %s", told, what)
				}
			}
			if moved.Saved != "" && !strings.Contains(told, moved.Saved) {
				t.Errorf("%q does not tell of %s", told, moved.Saved)
			}
			// A rollback that follows arrives as well, and a repeated one has nothing to do.
			before := w.host.Git("for-each-ref", "refs/landfall")
			again, err := w.move(target, true)
			if err != nil || again.Saved != "" || again.Aside != nil || w.host.Git("for-each-ref", "refs/landfall") != before {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// What was saved by hand can be put back with git's own command.
func TestSavedCanBeApplied(t *testing.T) {
	t.Parallel()
	w, _, target := prepared(t, "an edit that the target does not touch")
	moved, err := w.move(target, true)
	if err != nil {
		t.Fatal(err)
	}
	w.host.Git("stash", "apply", moved.Saved)
	if got := w.host.Read("compose.yml"); got != "mine" {
		t.Errorf("it is %q", got)
	}
}

// A second save of one operation keeps the first, and nothing that was put aside is replaced.
func TestMoveGoesOnTwice(t *testing.T) {
	t.Parallel()
	w, first, target := prepared(t, "an untracked file")
	w.host.Write("app/main.go", "edit one")
	if _, err := w.move(target, true); err != nil {
		t.Fatal(err)
	}
	one := w.host.Git("rev-parse", "refs/landfall/saved/"+op)
	if _, err := w.move(first, true); err != nil {
		t.Fatal(err)
	}
	w.host.Write("app/main.go", "edit two")
	w.host.Write("new.txt", "mine again")
	moved, err := w.move(target, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.host.Git("show", moved.Saved+":app/main.go"); got != "edit two" {
		t.Errorf("the second edit is %q", got)
	}
	w.host.Git("merge-base", "--is-ancestor", one, moved.Saved)
	if got := w.host.Git("show", one+":app/main.go"); got != "edit one" {
		t.Errorf("the first edit is %q", got)
	}
	if want := []string{"new.txt.landfall-saved-" + op + "-2"}; !slices.Equal(moved.Aside, want) || w.host.Read(want[0]) != "mine again" || w.host.Read("new.txt.landfall-saved-"+op) != "mine" {
		t.Errorf("aside %q", moved.Aside)
	}
}

func TestAsideOfALongName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("n", 250)
	target := w.push(map[string]string{long: "theirs"})
	w.fetch(target)
	w.host.Write(long, "mine")
	moved, err := w.move(target, true)
	if err != nil || len(moved.Aside) != 1 || w.host.Read(moved.Aside[0]) != "mine" || w.host.Read(long) != "theirs" {
		t.Errorf("%+v, %v", moved, err)
	}
}

// The stamped commit is no longer on the branch, nor in any reflog; that it was deployed is known.
func TestAForcedPushIsNoCommitOfTheHost(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]bool{"reflog": false, "no reflog": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			lost := w.push(map[string]string{"app/main.go": "two\n"})
			w.fetch(lost)
			if _, err := w.move(lost, false); err != nil {
				t.Fatal(err)
			}
			w.dev.Git("reset", "--quiet", "--hard", "HEAD~1")
			target := w.push(map[string]string{"app/main.go": "other\n"})
			w.fetch(target)
			unknown := strings.Repeat("e", 40)
			if forget {
				w.host.Remove(".git/logs")
				if tree := w.look(target); len(tree.Unpushed) != 1 || tree.Unpushed[0].SHA != lost || tree.Unpushed[0].Subject != "next" || tree.Unpushed[0].Author != "Ada" {
					t.Errorf("without any memory: %+v", tree.Unpushed)
				}
			} else if tree := w.look(target, unknown); tree.Refusal("main", "x") != nil {
				t.Errorf("by the reflog: %+v", tree)
			}
			if tree := w.look(target, unknown, "HEAD", "--all", lost); tree.Refusal("main", "x") != nil {
				t.Errorf("known: %+v", tree)
			}
			_, err := w.Move(t.Context(), picture.Move{Target: target, Operation: op, Known: []string{unknown, lost}}, w.out)
			if err != nil {
				t.Fatal(err)
			}
			arrived(t, w, target)
		})
	}
}

func TestShallowClone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(map[string]string{"app/main.go": "two\n"})
	w.host = gittest.Clone(t, w.origin, "--depth=1")
	w.open()
	target := w.push(map[string]string{"app/main.go": "three\n"})
	w.fetch(target)
	if _, err := w.move(target, false); err != nil {
		t.Fatal(err)
	}
	arrived(t, w, target)
	w.host.Commit("mine", nil)
	if tree := w.look(target); len(tree.Unpushed) != 1 {
		t.Errorf("commits of the host: %+v", tree.Unpushed)
	}
}

// Between the look and the move somebody edits: git refuses, and we say it in our words.
func TestEditBetweenLookAndMove(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(w *world){
		"an edit": func(w *world) { w.host.Write("app/main.go", "mine") }, "a new file": func(w *world) { w.host.Write("new.txt", "mine") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			target := w.push(map[string]string{"app/main.go": "two\n", "new.txt": "theirs"})
			w.fetch(target)
			if err := w.look(target).Refusal("main", "landfall.yaml"); err != nil {
				t.Fatal(err)
			}
			edit(w)
			tree := contents(t, w.host.Dir)
			if err := w.repo.Switch(t.Context(), "main", target, nil); fault.KindOf(err) != fault.Refused { // after the last look
				t.Errorf("git does it: %v", err)
			}
			if _, err := w.move(target, false); fault.KindOf(err) != fault.Refused {
				t.Errorf("it is done: %v", err)
			}
			if diff := cmp.Diff(tree, contents(t, w.host.Dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMoveOfWhatIsNoOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"", "../x", "a/b", "a b", "-x", "x.lock", strings.Repeat("x", 65), ".."} {
		_, err := w.Move(t.Context(), picture.Move{Target: w.host.Head(), Operation: id, GoOn: true}, nil)
		wantFault(t, err, fault.Internal, "INVALID_OPERATION")
	}
	for _, goOn := range []bool{false, true} {
		_, err := w.move(strings.Repeat("e", 40), goOn)
		wantFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
		_, err = w.move("main", goOn)
		wantFault(t, err, fault.Invalid, "INVALID_SHA")
		_, err = w.Move(t.Context(), picture.Move{Target: w.host.Head(), Operation: op, Prepare: badPattern, GoOn: goOn}, nil)
		if err == nil {
			t.Error("a pattern that is none is taken")
		}
	}
}

var badPattern = pipeline.Prepare{Reset: []string{"["}}
