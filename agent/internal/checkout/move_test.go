package checkout

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git/gittest"
	"ataraxis.dev/landfall/shared/pipeline"
)

const op = "op-7-k3f9x1"

// hasty makes locks go stale sooner, for tests that are about something else.
func (w *world) hasty() {
	w.locks = patience{age: 50 * time.Millisecond, most: 5 * time.Second, look: 10 * time.Millisecond}
}

func (w *world) move(target string, goOn bool) (picture.Moved, error) {
	w.t.Helper()
	return w.Move(w.t.Context(), picture.Move{Target: target, Operation: op, Prepare: mutable, GoOn: goOn}, w.out)
}

func (w *world) look(target string, known ...string) picture.Tree {
	w.t.Helper()
	tree, err := w.Look(w.t.Context(), target, mutable, known)
	if err != nil {
		w.t.Fatal(err)
	}
	return tree
}

func (w *world) symlink(to, path string) {
	w.t.Helper()
	if err := os.Symlink(to, filepath.Join(w.host.Dir, path)); err != nil {
		w.t.Fatal(err)
	}
}

// contents lists everything in a tree but git's own: path -> what it is, with its bytes.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == "." {
			return err
		}
		switch {
		case name == ".git":
			return filepath.SkipDir
		case e.IsDir():
			all[name] = "folder"
		case e.Type()&os.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			all[name] = "link " + to
		case !e.Type().IsRegular():
			all[name] = "special"
		default:
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			all[name] = fmt.Sprintf("file %v %s", info.Mode()&0o100 != 0, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// repository is the state of git that a refused move must leave alone.
func repository(r *gittest.Repo) string {
	index := sha256.Sum256([]byte(r.Read(".git/index")))
	return fmt.Sprintf("%s %x %s", r.Git("for-each-ref"), index, r.Read(".git/HEAD"))
}

// hosts are the ways in which a host differs from what git expects. Each is a checkout of a commit
// that has base, and a target that changes app/main.go and, of old, what it says.
var hosts = map[string]struct {
	base   map[string]string // beside what newWorld has
	target map[string]string
	remove string // by the target
	host   func(w *world)
	reason string // of the refusal
	names  string // what the message names
	// lives is where the precious bytes must be after a move that goes on: on the disk under
	// another name, or in the saved commit. Path -> content.
	aside map[string]string
	saved map[string]string
	stays map[string]string
}{
	"an untracked file": {
		target: map[string]string{"new.txt": "theirs"}, host: func(w *world) { w.host.Write("new.txt", "mine") },
		reason: "UNTRACKED_IN_THE_WAY", names: "new.txt", aside: map[string]string{"new.txt": "mine"},
	},
	"an identical untracked file": {
		target: map[string]string{"new.txt": "same"}, host: func(w *world) { w.host.Write("new.txt", "same") },
		reason: "UNTRACKED_IN_THE_WAY", names: "new.txt", stays: map[string]string{"new.txt": "same"},
	},
	"an ignored file": {
		base: map[string]string{".gitignore": ".env\n"}, target: map[string]string{".env": "PASSWORD=example", ".gitignore": "x\n"},
		host: func(w *world) { w.host.Write(".env", "PASSWORD=real") }, reason: "UNTRACKED_IN_THE_WAY", names: ".env", aside: map[string]string{".env": "PASSWORD=real"},
	},
	"a folder of data for a file": {
		target: map[string]string{"pgdata": "theirs"}, host: func(w *world) { w.host.Write("pgdata/base/1", "rows") },
		reason: "UNTRACKED_IN_THE_WAY", names: "pgdata/", aside: map[string]string{"pgdata": "folder", "pgdata/base/1": "rows"},
	},
	"a tracked folder with data becomes a file": {
		base: map[string]string{"d/x": "x"}, target: map[string]string{"d": "theirs"}, remove: "d", host: func(w *world) { w.host.Write("d/live.db", "rows") },
		reason: "UNTRACKED_IN_THE_WAY", names: "d/", aside: map[string]string{"d/live.db": "rows"},
	},
	"a file for a folder": {
		target: map[string]string{"conf/a": "theirs"}, host: func(w *world) { w.host.Write("conf", "mine") },
		reason: "UNTRACKED_IN_THE_WAY", names: "conf", aside: map[string]string{"conf": "mine"},
	},
	"a link for a folder": {
		target: map[string]string{"conf/a": "theirs", "conf/b": "theirs"}, host: func(w *world) { w.symlink("../elsewhere", "conf") },
		reason: "UNTRACKED_IN_THE_WAY", names: "1 untracked files or folders", aside: map[string]string{"conf": "link ../elsewhere"},
	},
	"a link for a file": {
		target: map[string]string{"conf": "theirs"}, host: func(w *world) { w.symlink("/nowhere", "conf") },
		reason: "UNTRACKED_IN_THE_WAY", names: "conf", aside: map[string]string{"conf": "link /nowhere"},
	},
	"a clone for a file": {
		target: map[string]string{"c": "theirs"}, host: func(w *world) { w.host.Git("init", "--quiet", "c"); w.host.Write("c/x", "mine") },
		reason: "UNTRACKED_IN_THE_WAY", names: "c/", aside: map[string]string{"c/x": "mine"},
	},
	"a pipe for a file": {
		target: map[string]string{"c": "theirs"}, host: func(w *world) { mkfifo(w.t, filepath.Join(w.host.Dir, "c")) },
		reason: "UNTRACKED_IN_THE_WAY", names: "c", aside: map[string]string{"c": "special"},
	},
	"a tracked folder moved to another disk": {
		base: map[string]string{"d/x": "x"}, target: map[string]string{"d/y": "theirs"},
		host: func(w *world) {
			w.host.Write("big/x", "edited there")
			w.host.Remove("d")
			w.symlink("big", "d")
		},
		reason: "DIRTY_TREE", names: "d/x", aside: map[string]string{"d": "link big"}, stays: map[string]string{"big/x": "edited there"},
	},
	"a folder where a tracked file was": {
		host:   func(w *world) { w.host.Remove("compose.yml"); w.host.Write("compose.yml/data", "rows") },
		reason: "DIRTY_TREE", names: "compose.yml/", aside: map[string]string{"compose.yml/data": "rows"},
	},
	"an edit": {
		host:   func(w *world) { w.host.Write("app/main.go", "mine\r\n\x00\xff") },
		reason: "DIRTY_TREE", names: "app/main.go", saved: map[string]string{"app/main.go": "mine\r\n\x00\xff"},
	},
	"an edit that the target does not touch": {
		host: func(w *world) { w.host.Write("compose.yml", "mine") }, reason: "DIRTY_TREE", names: "compose.yml", saved: map[string]string{"compose.yml": "mine"},
	},
	"an edit of a file that the target removes": {
		base: map[string]string{"old.txt": "x"}, remove: "old.txt", host: func(w *world) { w.host.Write("old.txt", "mine") },
		reason: "DIRTY_TREE", names: "old.txt", saved: map[string]string{"old.txt": "mine"},
	},
	"line ends and keywords that git would clean": {
		base: map[string]string{".gitattributes": "* text eol=lf ident\n"}, host: func(w *world) { w.host.Write("app/main.go", "mine\r\n$Id: x $\r\n") },
		reason: "DIRTY_TREE", names: "app/main.go", saved: map[string]string{"app/main.go": "mine\r\n$Id: x $\r\n"},
	},
	"a staged file": {
		host:   func(w *world) { w.host.Write("staged.txt", "mine"); w.host.Git("add", "staged.txt") },
		reason: "DIRTY_TREE", names: "staged.txt", saved: map[string]string{"staged.txt": "mine"},
	},
	"a staged file that changes at run time": { // Restore could not bring it back
		host:   func(w *world) { w.host.Write("runtime/staged.json", "mine"); w.host.Git("add", "runtime") },
		reason: "", saved: map[string]string{"runtime/staged.json": "mine"},
	},
	"an intended file": {
		host: func(w *world) {
			w.host.Write("intended.txt", "mine")
			w.host.Git("add", "--intent-to-add", "intended.txt")
		},
		reason: "DIRTY_TREE", names: "intended.txt", saved: map[string]string{"intended.txt": "mine"},
	},
	"a staged edit, taken back on the disk": {
		host: func(w *world) {
			w.host.Write("app/main.go", "staged only")
			w.host.Git("add", "app")
			w.host.Write("app/main.go", "one\n")
		},
		reason: "DIRTY_TREE", names: "app/main.go", saved: map[string]string{"^2:app/main.go": "staged only"},
	},
	"a file that is no longer tracked": {
		host: func(w *world) {
			w.host.Git("rm", "--quiet", "--cached", "app/main.go")
			w.host.Write("app/main.go", "mine")
		},
		reason: "DIRTY_TREE", names: "app/main.go", aside: map[string]string{"app/main.go": "mine"},
	},
	"an executable bit": {
		host: func(w *world) {
			if err := os.Chmod(filepath.Join(w.host.Dir, "compose.yml"), 0o755); err != nil {
				w.t.Fatal(err)
			}
		},
		reason: "DIRTY_TREE", names: "compose.yml", saved: map[string]string{"compose.yml": "services: {}\n"},
	},
	"a link where a tracked file was": {
		host: func(w *world) { w.host.Remove("app/main.go"); w.symlink("/etc/passwd", "app/main.go") }, reason: "DIRTY_TREE", names: "app/main.go",
		saved: map[string]string{"app/main.go": "/etc/passwd"},
	},
	"skip-worktree": {
		host: func(w *world) {
			w.host.Git("update-index", "--skip-worktree", "app/main.go")
			w.host.Write("app/main.go", "mine")
		},
		reason: "FLAGGED_FILES", names: "app/main.go", saved: map[string]string{"app/main.go": "mine"},
	},
	"assume-unchanged": {
		host: func(w *world) {
			w.host.Git("update-index", "--assume-unchanged", "app/main.go")
			w.host.Write("app/main.go", "mine")
		},
		reason: "FLAGGED_FILES", names: "app/main.go", saved: map[string]string{"app/main.go": "mine"},
	},
	"skip-worktree elsewhere": {
		host: func(w *world) {
			w.host.Git("update-index", "--skip-worktree", "compose.yml")
			w.host.Write("compose.yml", "mine")
		},
		stays: map[string]string{"compose.yml": "mine"},
	},
	"assume-unchanged elsewhere": {
		host: func(w *world) {
			w.host.Git("update-index", "--assume-unchanged", "compose.yml")
			w.host.Write("compose.yml", "mine")
		},
		stays: map[string]string{"compose.yml": "mine"},
	},
	"a commit of the host": {
		host: func(w *world) { w.host.Commit("local pi fix", map[string]string{"local.txt": "mine"}) }, reason: "HOST_COMMITS", names: "local pi fix",
		saved: map[string]string{":local.txt": "mine"},
	},
	"another branch with a commit": {
		host: func(w *world) {
			w.host.Git("checkout", "--quiet", "-b", "hotfix")
			w.host.Commit("urgent", map[string]string{"local.txt": "mine"})
		},
		reason: "BRANCH_CHECKED_OUT", names: "urgent", saved: map[string]string{":local.txt": "mine"},
	},
	"another branch": {
		host: func(w *world) { w.host.Git("checkout", "--quiet", "-b", "hotfix") }, reason: "BRANCH_CHECKED_OUT", names: "hotfix",
	},
	"a commit on the branch that is not checked out": {
		host: func(w *world) {
			w.host.Commit("behind your back", map[string]string{"local.txt": "mine"})
			w.host.Git("checkout", "--quiet", "--detach", "HEAD~1")
		},
		reason: "HOST_COMMITS", names: "behind your back",
	},
	"detached": {host: func(w *world) { w.host.Git("checkout", "--quiet", "--detach") }},
	"detached with a commit": {
		host: func(w *world) {
			w.host.Git("checkout", "--quiet", "--detach")
			w.host.Commit("nowhere", map[string]string{"local.txt": "mine"})
		},
		reason: "HOST_COMMITS", names: "nowhere", saved: map[string]string{":local.txt": "mine"},
	},
	"a merge with a conflict": {
		host: func(w *world) {
			first := w.host.Head()
			w.host.Git("checkout", "--quiet", "-b", "theirs")
			w.host.Commit("theirs", map[string]string{"app/main.go": "theirs\n"})
			w.host.Git("checkout", "--quiet", "main")
			w.host.Git("reset", "--quiet", "--hard", first)
			w.host.Commit("ours", map[string]string{"app/main.go": "ours\n"})
			if _, err := w.host.Try("merge", "theirs"); err == nil {
				w.t.Fatal("there is no conflict")
			}
			w.host.Write("app/main.go", "half resolved")
		},
		reason: "GIT_IN_PROGRESS", names: "git merge --abort", saved: map[string]string{"app/main.go": "half resolved"},
	},
	"nothing": {},
	"what is mutable changed": {
		target: map[string]string{"runtime/state.json": "{2}\n"}, host: func(w *world) { w.host.Write("runtime/state.json", "changed") },
	},
	"data beside it": {
		host: func(w *world) { w.host.Write("data/live.db", "rows") }, stays: map[string]string{"data/live.db": "rows"},
	},
	"an empty folder for a file": { // Docker makes one where a mounted file is missing
		target: map[string]string{"conf.yml": "theirs"}, host: func(w *world) {
			if err := os.MkdirAll(filepath.Join(w.host.Dir, "conf.yml", "sub"), 0o755); err != nil {
				w.t.Fatal(err)
			}
		},
	},
}

// prepared makes the world of one of hosts.
func prepared(t *testing.T, name string) (w *world, first, target string) {
	t.Helper()
	c := hosts[name]
	w = newWorld(t)
	w.hasty()
	if c.base != nil {
		first = w.push(c.base)
		w.fetch(first)
		w.host.Git("reset", "--quiet", "--hard", first)
	}
	first = w.host.Head()
	if c.remove != "" {
		w.dev.Remove(c.remove)
	}
	for path, content := range c.target {
		w.dev.Write(path, content)
		w.dev.Git("add", "--force", path)
	}
	target = w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	if c.host != nil {
		c.host(w)
	}
	return w, first, target
}

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

// arrived checks that HEAD, branch, index and every tracked file are the target's.
func arrived(t *testing.T, w *world, target string) {
	t.Helper()
	if w.host.Head() != target || w.host.Git("symbolic-ref", "HEAD") != "refs/heads/main" {
		t.Errorf("at %s on %s, want %s", w.host.Head(), w.host.Git("symbolic-ref", "HEAD"), target)
	}
	if status := w.host.Git("status", "--porcelain", "--untracked-files=no"); status != "" && status != "A  runtime/staged.json" {
		t.Errorf("the status is %q", status)
	}
	if _, err := os.Lstat(filepath.Join(w.host.Dir, ".git/index.lock")); err == nil {
		t.Error("a lock is left")
	}
	if _, err := os.Lstat(filepath.Join(w.host.Dir, ".gitattributes")); err == nil {
		return // git writes other bytes than it keeps
	}
	flags := w.host.Git("ls-files", "-v")
	var paths, ids []string
	for line := range strings.Lines(w.host.Git("ls-tree", "-r", target) + "\n") {
		meta, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if strings.Contains(flags, "H "+path+"\n") || strings.HasSuffix(flags, "H "+path) {
			paths, ids = append(paths, path), append(ids, strings.Fields(meta)[2])
		}
	}
	got := strings.Split(w.host.Git(append([]string{"hash-object", "--no-filters", "--"}, paths...)...), "\n")
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("files of %v (-target +disk):\n%s", paths, diff)
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

// half is a checkout in which a git to target was cut off at some point.
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

// What a move did is on the disk when it returns, and a disk that fails is an error of the move.
func TestMoveIsDurable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	var synced []string
	heads := map[string]int{}
	var broken error
	w.syncfs = func(dir string) error {
		synced = append(synced, dir)
		heads[w.host.Head()+" "+w.host.Read("app/main.go")]++
		return broken
	}
	if _, err := w.move(target, false); err != nil || !slices.Equal(synced, []string{w.host.Dir}) || heads[target+" two\n"] != 1 {
		t.Errorf("forward: %v, synced %q, %v", err, synced, heads)
	}
	first := w.host.Git("rev-parse", "HEAD~1")
	w.host.Write("app/main.go", "mine")
	synced, heads = nil, map[string]int{}
	if _, err := w.move(first, true); err != nil || len(synced) != 2 || heads[target+" mine"] != 1 || heads[first+" one\n"] != 1 {
		t.Errorf("an edit is not on the disk before it is overwritten: %v, synced %v", err, slices.Collect(maps.Keys(heads)))
	}
	synced = nil
	if _, err := w.Restore(t.Context(), mutable, w.out); err != nil || len(synced) != 1 {
		t.Errorf("restore: %v, synced %q", err, synced)
	}
	broken = errors.New("input/output error")
	for _, goOn := range []bool{false, true} {
		_, err := w.move(target, goOn)
		wantFault(t, err, fault.Failed, "SYNC_FAILED")
	}
	_, err := w.Restore(t.Context(), mutable, w.out)
	wantFault(t, err, fault.Failed, "SYNC_FAILED")
	w.host.Write("app/main.go", "mine")
	_, err = w.move(first, true)
	wantFault(t, err, fault.Failed, "SYNC_FAILED")
	if w.host.Read("app/main.go") != "mine" {
		t.Error("an edit was overwritten that may not be on the disk")
	}
}

func TestSyncfs(t *testing.T) {
	t.Parallel()
	if err := syncfs(t.TempDir()); err != nil {
		t.Error(err)
	}
}

func TestCommitForDisplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.push(nil)
	w.fetch(sha)
	got, err := w.Checkout.Commit(t.Context(), sha)
	if err != nil || got.SHA != sha || got.Subject != "next" || got.Author != "Ada" || got.Time.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	w.dev.Git("config", "i18n.commitEncoding", "UTF-8")
	hostile := w.dev.Commit(strings.Repeat("x", 300)+"\x1b[31m \xff", nil)
	w.dev.Push()
	w.fetch(hostile)
	got, err = w.Checkout.Commit(t.Context(), hostile)
	if err != nil || len([]rune(got.Subject)) != maxSubject || strings.Contains(got.Subject, "\x1b") {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = w.Checkout.Commit(t.Context(), strings.Repeat("e", 40))
	wantFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
}

func TestPack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Pack(t.Context()); err != nil {
		t.Error(err)
	}
}

var badPattern = pipeline.Prepare{Reset: []string{"["}}

func mkfifo(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// untar lays .git/all.tar out over the tree.
func untar(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "tar", "-xf", filepath.Join(dir, ".git/all.tar"), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
