package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// edition pushes and deploys a good commit that changes app and side.
func (s *shop) edition(n int) string {
	s.t.Helper()
	sha := s.push(fmt.Sprint("edition ", n), map[string]string{
		"app/run.sh": serves(fmt.Sprint("edition ", n)), "side/message.txt": fmt.Sprint(n, "\n"), "landfall.yaml": shopConfig,
		"app/prepare.sh": "#!/bin/sh\necho prepared\n",
		fmt.Sprintf("migrations/%03d_more.sh", n+1): ":\n",
	})
	s.deploys(sha, 0, "SUCCEEDED")
	return sha
}

// wentBack checks what a rollback by hand promises: the target is stamped, checked out and runs; what was left is blocked, convergence is paused.
func (s *shop) wentBack(target, left string) {
	s.t.Helper()
	s.restored(target, left)
	if got := s.revision(); got != target {
		s.t.Errorf("app runs %s, want %s", got, target)
	}
	if got, want := s.docker("exec", s.containers()["side"], "cat", "/side/message.txt")[0], strings.TrimSpace(s.tree.Read("side/message.txt")); got != want {
		s.t.Errorf("side reads %q, the checkout has %q", got, want)
	}
}

// A person goes back: to what ran before an operation, to a commit that is remembered, to one that is not.
func TestRollbackByHand(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	first := s.readStamp()
	two := s.edition(2)
	undone := s.newest().ID
	rollback := func(args ...string) (took time.Duration) {
		s.t.Helper()
		began := time.Now()
		s.coordinate("deployer", append([]string{"rollback"}, args...)...).expect(s.t, 0, "SUCCEEDED")
		return time.Since(began)
	}

	t.Run("before an operation", func(t *testing.T) {
		defer s.in(t)()
		before := s.containers()
		took := rollback("--operation", undone)
		t.Logf("rollback with pinned images: %s, of which the agent's %s", took.Round(time.Millisecond), s.newest().Ended.Sub(s.newest().Created).Round(time.Millisecond))
		s.wentBack(first, two)
		s.kept(before, "app", "side")
		if op := s.newest(); strings.Contains(strings.Join(op.Warnings, " "), "are gone") || op.step("rollback/restore") == "" {
			t.Errorf("the images were pinned, and yet: %q; %s", op.Warnings, op.step("rollback/restore"))
		}
		if !slices.ContainsFunc(s.newest().Warnings, func(w string) bool { return strings.Contains(w, "003_more") }) {
			t.Errorf("migrations that stay are not named: %q", s.newest().Warnings)
		}
		s.coordinate("observer", "show").expect(t, 0, "rollback", "SUCCEEDED", "bring back what ran")
	})
	t.Run("what was left is refused until it is unblocked", func(t *testing.T) {
		defer s.in(t)()
		s.untouched(func() { s.deploys(two, 7, "is blocked since", "landfall-coordinator unblock") })
		s.coordinate("operator", "unblock").expect(t, 0, two[:12])
		s.deploys(two, 0, "SUCCEEDED")
		if len(s.blocked()) > 0 || s.sentinel("gitops-paused") != nil {
			t.Error("block or pause stays after a finished deploy")
		}
	})
	three := s.edition(3)
	t.Run("to a commit that is remembered", func(t *testing.T) {
		defer s.in(t)()
		before := s.containers()
		rollback("--to", two[:12])
		s.wentBack(two, three)
		s.kept(before, "app", "side")
		if op := s.newest(); strings.Contains(strings.Join(op.Warnings, " "), "are gone") || op.step("rollback/restore") == "" {
			t.Errorf("the images were pinned, and yet: %q; %s", op.Warnings, op.step("rollback/restore"))
		}
	})
	t.Run("to where it is already", func(t *testing.T) {
		defer s.in(t)()
		newest := s.newest().ID
		s.untouched(func() {
			s.coordinate("deployer", "rollback", "--to", two).expect(t, 0, "nothing to do: "+two[:12]+" runs, 4 services stay as they are")
		})
		if s.readStamp() != two || s.revision() != two || s.newest().ID != newest {
			t.Errorf("stamp %s, app %s, operation %s", s.readStamp(), s.revision(), s.newest().ID)
		}
	})
	t.Run("to a commit that no operation remembers", func(t *testing.T) {
		defer s.in(t)()
		sha := s.push("never deployed", map[string]string{"app/run.sh": serves("never deployed")})
		four := s.edition(4)
		took := rollback("--to", sha)
		t.Logf("rollback that builds: %s, of which the agent's %s", took.Round(time.Millisecond), s.newest().Ended.Sub(s.newest().Created).Round(time.Millisecond))
		s.wentBack(sha, four)
	})
	t.Run("image gone", func(t *testing.T) {
		defer s.in(t)()
		was := s.images()["app"]
		five := s.edition(5)
		s.docker("rmi", "--force", was)
		took := rollback("--operation", s.newest().ID)
		t.Logf("rollback whose image is gone: %s, of which the agent's %s", took.Round(time.Millisecond), s.newest().Ended.Sub(s.newest().Created).Round(time.Millisecond))
		if op := s.newest(); !strings.Contains(strings.Join(op.Warnings, " "), s.project+"/app are gone; they are built or pulled again") {
			t.Errorf("the image was gone, and yet: %q", op.Warnings)
		}
		s.wentBack(s.newest().Target, five)
	})
	t.Run("refused", func(t *testing.T) {
		defer s.in(t)()
		s.untouched(func() {
			s.coordinate("deployer", "rollback", "--to", s.dev.Head()).expect(t, 7, "does not come before")
			s.coordinate("deployer", "rollback", "--to", "0123456789abcdef0123456789abcdef01234567").expect(t, 2, "0123456789ab")
			s.coordinate("deployer", "rollback", "--operation", "op-999").expect(t, 2, "op-999")
			s.coordinate("deployer", "rollback").expect(t, 2, "--operation", "--to", two[:12])
			s.coordinate("observer", "rollback", "--to", first).expect(t, 6, "observer/observer may not rollback")
		})
		s.tree.Write("side/message.txt", "edited on the host\n")
		s.untouched(func() { s.coordinate("deployer", "rollback", "--to", first).expect(t, 7, "edited by hand") })
		s.tree.Git("checkout", "side/message.txt")
	})
}

// A rollback whose target cannot run stops nothing; one that fails on the way says what runs and what does not.
func TestRollbackThatCannotSucceed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	t.Run("the target's compose files are wrong", func(t *testing.T) {
		defer s.in(t)()
		wrong := s.push("wrong", map[string]string{"compose.yml": "services: {app: {imagee: x}}\n"})
		s.push("right", map[string]string{"compose.yml": shopCompose})
		s.edition(2)
		s.untouched(func() { s.coordinate("deployer", "rollback", "--to", wrong).expect(t, 2, "imagee") })
	})
	t.Run("the old version does not come up again", func(t *testing.T) {
		defer s.in(t)()
		stamp := s.readStamp()
		sha := s.push("hopeless", map[string]string{"app/run.sh": "exec sleep 1000000\n", "landfall.yaml": shopConfigWith("4s", "0s")})
		wait := s.runs(sha)
		s.reaches("VERIFYING", 30*time.Second)
		s.docker("stop", "--time", "1", s.project+"-store-1")
		s.docker("rm", s.project+"-store-1")
		s.docker("create", "--name", s.project+"-store-1", s.docker("inspect", "--format", "{{.Image}}", s.containers()["side"])[0]) // a stranger has its name
		wait()
		op := s.newest()
		if op.State != "ROLLBACK_FAILED" || !strings.Contains(op.Failure.Message, "running: ") || !strings.Contains(op.Failure.Message, "shop/store: 0 of 1 containers exist") {
			t.Errorf("%s: %s", op.State, op.Failure.Message)
		}
		s.coordinate("deployer", "attach", op.ID).expect(t, 5, "ROLLBACK_FAILED", "it began because", "a person is needed")
		s.coordinate("observer", "show").expect(t, 0, "ROLLBACK_FAILED", "shop/store: 0 of 1 containers exist")
		if s.readStamp() != stamp {
			t.Errorf("the stamp moved to %s", s.readStamp())
		}
		s.docker("rm", "--force", s.project+"-store-1")
		s.compose("", nil, "up", "--detach", "--no-deps", "store")
		s.edition(6)
	})
}

// A person ends an operation at each point where one can, and every end is in the history.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	config := filepath.Join(s.dev.Dir, s.config)
	stamp := s.edition(2)

	t.Run("a build script that hangs", func(t *testing.T) {
		defer s.in(t)()
		before := s.look()
		sha := s.push("hangs", map[string]string{"app/run.sh": serves("hangs"), "app/prepare.sh": "#!/bin/sh\ntrap '' TERM\necho hanging\nsleep 600 &\nsleep 600 &\nwait\nwait\nsleep 600\n"})
		wait := s.runs(sha)
		s.logged("app/prepare.sh", 20*time.Second)
		s.eventually(10*time.Second, "its children run", func() bool { return len(s.children()) >= 3 })
		began := time.Now()
		s.coordinate("observer", "status").expect(t, 0, "op-2-")
		s.coordinate("operator", "pause", "--reason", "a hung build", "--for", "1h").expect(t, 0)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("status and pause took %s while a child hangs", took)
		}
		a := s.coordinate("deployer", "cancel", "2")
		a.expect(t, 0, "CANCELLED", "cancelled by deployer/deployer")
		t.Logf("from the cancellation to the end: %s", time.Since(began).Round(time.Millisecond))
		wait()
		if op := s.newest(); op.State != "CANCELLED" || op.Failure.Reason != "CANCELLED" {
			t.Errorf("%s: %s", op.State, op.Failure.Reason)
		}
		if before.pause = s.sentinel("gitops-paused"); before.pause["reason"] != "a hung build" {
			t.Errorf("the pause of a person is %v", before.pause)
		}
		s.asBefore(before)
		s.coordinate("operator", "resume").expect(t, 0)
	})
	t.Run("while it awaits its verdict", func(t *testing.T) {
		defer s.in(t)()
		before := s.look()
		sha := s.push("unjudged", map[string]string{"app/run.sh": serves("unjudged"), "app/prepare.sh": "#!/bin/sh\n"})
		s.coordinate("deployer", "deploy", "--sha", sha, "--config", config).expect(t, 0, "AWAITING_VERIFY")
		s.coordinate("deployer", "cancel", s.newest().ID).expect(t, 0, "ROLLED_BACK", "in AWAITING_VERIFY", "services run what ran before")
		s.kept(before.containers, "app")
		if now := s.look(); now.stamp != stamp || s.tree.Head() != stamp || !maps.Equal(now.images, before.images) {
			t.Errorf("stamp %s, checkout %s, images %v, want %s, %v", now.stamp, s.tree.Head(), now.images, stamp, before.images)
		}
	})
	t.Run("one that has ended", func(t *testing.T) {
		defer s.in(t)()
		s.untouched(func() {
			s.coordinate("deployer", "cancel", s.newest().ID).expect(t, 7, "has ended already (ROLLED_BACK)")
			s.coordinate("deployer", "cancel", "1").expect(t, 7, "has ended already (SUCCEEDED)")
			s.coordinate("deployer", "cancel").expect(t, 7, "no operation runs")
			s.coordinate("deployer", "cancel", "op-999").expect(t, 2, "op-999")
		})
	})
	t.Run("before anything is touched", func(t *testing.T) {
		defer s.in(t)()
		sha := s.push("slow to fetch", map[string]string{"app/run.sh": serves("slow to fetch")})
		goOn := s.stallOrigin()
		before := s.picture()
		wait := s.runs(sha)
		s.reaches("PROVING", 10*time.Second)
		s.coordinate("deployer", "cancel", s.newest().ID).expect(t, 0, "CANCELLED")
		wait()
		goOn()
		if after := s.picture(); !slices.Equal(before, after) {
			t.Errorf("the host was changed\nbefore: %v\nafter:  %v", before, after)
		}
		s.tidy()
		s.deploys(sha, 0, "SUCCEEDED")
	})
	t.Run("every end is in the history", func(t *testing.T) {
		defer s.in(t)()
		s.untouched(func() { s.deploys(stamp, 7, "is older than what runs", "rollback --to "+stamp[:12]) })
		s.supersededByWire(stamp)
		var states []string
		for _, op := range s.history() {
			states = append(states, op.State)
			s.coordinate("observer", "show", op.ID).expect(t, 0, op.State, "timeline")
		}
		if got, want := strings.Join(states, " "), "SUPERSEDED SUCCEEDED CANCELLED ROLLED_BACK CANCELLED SUCCEEDED"; got != want {
			t.Errorf("history: %s\nwant:    %s", got, want)
		}
	})
}

// stallOrigin makes every fetch hang until the result is called: git waits for somebody to write the list of refs.
func (s *shop) stallOrigin() (goOn func()) {
	s.t.Helper()
	refs := filepath.Join(s.origin.Dir, "packed-refs")
	if err := os.Rename(refs, refs+".away"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	if err := syscall.Mkfifo(refs, 0o644); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		if err := os.Remove(refs); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Rename(refs+".away", refs); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.t.Fatal(err)
		}
	}
}
