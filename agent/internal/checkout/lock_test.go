package checkout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
)

// editing begins a person's commit and returns once their editor is open; done closes it.
func (w *world) editing(env ...string) (done func()) {
	w.t.Helper()
	dir := w.t.TempDir()
	opened, closed := filepath.Join(dir, "opened"), filepath.Join(dir, "closed")
	for _, fifo := range []string{opened, closed} {
		mkfifo(w.t, fifo)
	}
	editor := filepath.Join(dir, "editor")
	script := fmt.Sprintf("#!/bin/sh\necho > '%s'\ncat '%s' > /dev/null\necho message > \"$1\"\n", opened, closed)
	if err := os.WriteFile(editor, []byte(script), 0o755); err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command("git", "commit", "--all")
	cmd.Dir = w.host.Dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_EDITOR=" + editor, "GIT_AUTHOR_NAME=Chris", "GIT_AUTHOR_EMAIL=c@example.org",
		"GIT_COMMITTER_NAME=Chris", "GIT_COMMITTER_EMAIL=c@example.org", "GIT_CONFIG_NOSYSTEM=1",
	}, env...)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	if _, err := os.ReadFile(opened); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(closed, nil, 0o600); err != nil {
			w.t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			w.t.Error(err)
		}
	}
}

// A lock is never taken from a person whose editor is open, however long that takes.
func TestALiveLockStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.locks = patience{age: 20 * time.Millisecond, most: 400 * time.Millisecond, look: 20 * time.Millisecond}
	target := w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	w.host.Write("compose.yml", "a person's edit")
	done := w.editing()
	lock := filepath.Join(w.host.Dir, ".git/index.lock")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	tree := contents(t, w.host.Dir)
	for name, move := range map[string]func() error{
		"forward": func() error { _, err := w.move(target, false); return err },
		"goes on": func() error { _, err := w.move(target, true); return err },
		"reset":   func() error { return w.Reset(t.Context(), target, w.out) },
	} {
		err := move()
		wantFault(t, err, fault.Refused, "INDEX_LOCKED")
		if err == nil || !strings.Contains(err.Error(), "git commit (process ") || !strings.Contains(err.Error(), "index.lock") {
			t.Errorf("%s: the message is %v", name, err)
		}
		if _, err := os.Stat(lock); err != nil || len(contents(t, w.host.Dir)) != len(tree) || w.host.Read("compose.yml") != "a person's edit" {
			t.Fatalf("%s: the lock is gone or the tree is another: %v", name, err)
		}
	}
	done()
	if w.host.Git("log", "-1", "--format=%an %s") != "Chris message" {
		t.Error("the person's commit did not come about")
	}
	_, err := w.move(target, false)
	wantFault(t, err, fault.Refused, "HOST_COMMITS")
}

// A move waits for a git that ends.
func TestMoveWaitsForAGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.locks.look = 20 * time.Millisecond
	target := w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	w.host.Write("compose.yml", "a person's edit")
	done := w.editing()
	timer := time.AfterFunc(300*time.Millisecond, done)
	defer timer.Stop()
	moved, err := w.move(target, true)
	if err != nil || w.host.Head() != target {
		t.Fatal(err)
	}
	if got := w.host.Git("log", "--format=%s", "--author=Chris", moved.Saved); got != "message" {
		t.Errorf("the person's commit is lost: %q", got)
	}
}

// Who waits for a lock can be told to stop.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	w, target, _ := locked(t, 0)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped")
	timer := time.AfterFunc(100*time.Millisecond, func() { cancel(stop) })
	defer timer.Stop()
	if _, err := w.Move(ctx, picture.Move{Target: target, Operation: op}, w.out); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

// A lock that nobody holds is removed, wherever a killed git left it.
func TestStaleLocks(t *testing.T) {
	t.Parallel()
	for _, lock := range []string{"index.lock", "HEAD.lock", "refs/heads/main.lock", "refs/landfall/saved/" + op + ".lock"} {
		for _, goOn := range []bool{false, true} {
			t.Run(fmt.Sprint(lock, goOn), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.hasty()
				target := w.push(map[string]string{"app/main.go": "two\n"})
				w.fetch(target)
				if goOn {
					w.host.Write("app/main.go", "mine")
				} else if strings.Contains(lock, "landfall") {
					t.Skip("nothing is saved")
				}
				w.host.Write(".git/"+lock, "")
				if _, err := w.move(target, goOn); err != nil {
					t.Fatal(err)
				}
				arrived(t, w, target)
				if told := strings.Join(w.printed, "\n"); !strings.Contains(told, "removed the "+filepath.Base(lock)) && lock != "HEAD.lock" {
					t.Errorf("it says %q", told)
				}
			})
		}
	}
}

// A path that git printed is not removed outside git's folders.
func TestRemoveLockStaysInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := filepath.Join(w.host.Dir, ".git")
	outside := filepath.Join(t.TempDir(), "x.lock")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(own, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{outside, own + "/../compose.yml", own + "/link/x.lock", own + "/index", own} {
		if err := removeLock(path, own, own); fault.ReasonOf(err) != "LOCK_NOT_REMOVED" {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Stat(outside); err != nil || w.host.Read("compose.yml") == "" {
		t.Error("something outside is gone")
	}
}

// Who works where is seen by folder, whatever it is called, and what cannot be seen counts.
func TestGitsAtWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := filepath.Join(w.host.Dir, ".git")
	other := t.TempDir()
	linkedTree := filepath.Join(t.TempDir(), "linked")
	w.host.Git("worktree", "add", "--quiet", "--detach", linkedTree)
	alias := filepath.Join(t.TempDir(), "alias")
	if err := os.Symlink(filepath.Join(w.host.Dir, "app"), alias); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		comm, state, cwd string
		args             []string
		want             string
	}{
		"in the tree":       {"git", "S", w.host.Dir, []string{"git", "-c", "a=b", "commit", "-m", "secret"}, "git commit (process 41)"},
		"deep in it":        {"git", "S", filepath.Join(w.host.Dir, "app"), []string{"git", "-C", "/x", "rebase"}, "git rebase (process 41)"},
		"by another name":   {"git", "R", alias, []string{"git"}, "git (process 41)"},
		"in its git folder": {"git-gc", "D", own, []string{"git", "\x1b[31m"}, "git ??31m (process 41)"},
		"a linked tree":     {"git", "S", linkedTree, []string{"git", "add"}, "git add (process 41)"},
		"elsewhere":         {"git", "S", other, []string{"git", "add"}, ""},
		"no git":            {"vim", "S", w.host.Dir, []string{"vim"}, ""},
		"named like one":    {"x) S (git", "S", w.host.Dir, []string{"vim"}, ""},
		"ended":             {"git", "Z", w.host.Dir, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			proc := t.TempDir()
			dir := filepath.Join(proc, "41")
			if err := errors.Join(
				os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "stat"), fmt.Appendf(nil, "41 (%s) %s 1 1", c.comm, c.state), 0o600),
				os.WriteFile(filepath.Join(dir, "cmdline"), []byte(strings.Join(c.args, "\x00")+"\x00"), 0o600), os.Symlink(c.cwd, filepath.Join(dir, "cwd")),
			); err != nil {
				t.Fatal(err)
			}
			v := *w.Checkout
			v.proc = proc
			var got string
			for _, h := range v.gits(own, own) {
				got += h.String()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	v := *w.Checkout
	v.proc = filepath.Join(t.TempDir(), "none")
	if got := v.gits(own, own); got != nil {
		t.Errorf("without a process table: %v", got)
	}
	if h := (holder{pid: 7, command: "git", unsure: true}).String(); !strings.Contains(h, "only root") {
		t.Error(h)
	}
}

// TestKilledGit kills git in the middle of a forced move, again and again: the next move takes it up,
// and what is not git's stays.
func TestKilledGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hasty()
	one, two := map[string]string{}, map[string]string{}
	for n := range 300 {
		one[fmt.Sprintf("many/%d/f", n)] = strings.Repeat(fmt.Sprint("one ", n), 500)
		two[fmt.Sprintf("many/%d/f", n)] = strings.Repeat(fmt.Sprint("two ", n), 500)
		two[fmt.Sprintf("fresh/%d", n)] = strings.Repeat("fresh", 500)
	}
	first := w.push(one)
	target := w.push(two)
	w.fetch(target)
	if _, err := w.move(first, true); err != nil {
		t.Fatal(err)
	}
	w.host.Write("many/0/live.db", "rows")
	killed := 0
	for n := range 12 {
		to, other := target, first
		if n%2 == 1 {
			to, other = first, target
		}
		cmd := exec.CommandContext(t.Context(), "git", "checkout", "--quiet", "--no-overwrite-ignore", "-B", "main", to)
		cmd.Dir = w.host.Dir
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(n)*4*time.Millisecond, func() { _ = cmd.Process.Signal(syscall.SIGKILL) }) // it may have ended
		if err := cmd.Wait(); err != nil {
			killed++
		}
		kill.Stop()
		if n%3 == 0 {
			to, other = other, to // a rollback instead
		}
		if _, err := w.move(to, true); err != nil {
			t.Fatal(err)
		}
		arrived(t, w, to)
		if w.host.Read("many/0/live.db") != "rows" {
			t.Fatal("data is lost")
		}
		// The next one begins at the other end.
		if n%3 == 0 {
			if _, err := w.move(other, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d of 12 were killed at work", killed)
}
