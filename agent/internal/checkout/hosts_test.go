package checkout

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/git/gittest"
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
	"a pipe where a tracked file was": {
		host:   func(w *world) { w.host.Remove("compose.yml"); mkfifo(w.t, filepath.Join(w.host.Dir, "compose.yml")) },
		reason: "DIRTY_TREE", names: "compose.yml", aside: map[string]string{"compose.yml": "special"},
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

func mkfifo(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}
