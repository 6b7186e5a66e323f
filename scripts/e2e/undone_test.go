package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// What comes after a rollback: the revert that is pushed, the same rollback again, images that somebody has pruned.
func TestAfterARollback(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	first := s.readStamp()
	t.Run("a pushed revert moves the stamp, and lifts block and pause", func(t *testing.T) {
		defer s.in(t)()
		bad := s.push("bad", map[string]string{"job/run.sh": "exit 5\n"})
		s.fails(bad, "PROBE_FAILED", []string{"job"})
		before := s.containers()
		s.dev.Git("revert", "--no-edit", "HEAD")
		s.dev.Push()
		sha := s.dev.Head()
		s.deploys(sha, 0, "SUCCEEDED")
		if s.readStamp() != sha || s.tree.Head() != sha || len(s.blocked()) > 0 || s.sentinel("gitops-paused") != nil {
			t.Errorf("stamp %s, checkout %s, blocked %v, pause %v; want %s", s.readStamp(), s.tree.Head(), s.blocked(), s.sentinel("gitops-paused"), sha)
		}
		s.kept(before)
	})
	base, atBase := s.readStamp(), s.truth()
	if base == first {
		t.Fatal("the stamp has not moved")
	}
	isAtBase := func(left string) {
		s.t.Helper()
		s.restored(base, left)
		for _, d := range atBase.differences(s.truth()) {
			s.t.Errorf("rolled back, and yet %s", d)
		}
	}
	two := s.edition(2)
	t.Run("what is shown is what is done, and doing it again does nothing", func(t *testing.T) {
		defer s.in(t)()
		shown := func() (verbs map[string]string) {
			a := s.coordinate("deployer", "rollback", "--to", base, "--dry-run", "--format", "json")
			a.expect(t, 0)
			var plan struct {
				Services []struct {
					Service string `json:"service"`
					Action  string `json:"action"`
				} `json:"services"`
			}
			if err := json.Unmarshal([]byte(a.stdout), &plan); err != nil {
				t.Fatalf("%v: %s", err, a.stdout)
			}
			verbs = map[string]string{}
			for _, d := range plan.Services {
				verbs[d.Service] = d.Action
			}
			return verbs
		}
		before := s.truth()
		plan := shown()
		if now := s.truth(); len(before.differences(now))+len(before.touched(now)) > 0 {
			t.Errorf("a dry run has changed %v", before.touched(now))
		}
		s.coordinate("deployer", "rollback", "--to", base).expect(t, 0, "SUCCEEDED")
		now := s.truth()
		var did, said []string
		for _, key := range before.touched(now) {
			did = append(did, strings.TrimPrefix(key, s.project+"/"))
		}
		for service := range plan {
			said = append(said, service)
		}
		slices.Sort(said)
		if !slices.Equal(did, said) {
			t.Errorf("shown were %v, touched are %v", plan, did)
		}
		isAtBase(two)
		if again := shown(); len(again) > 0 {
			t.Errorf("a rollback to where it is would touch %v", again)
		}
		newest := s.newest().ID
		s.coordinate("deployer", "rollback", "--to", base).expect(t, 0, "nothing to do")
		if after := s.truth(); len(now.differences(after))+len(now.touched(after)) > 0 || s.newest().ID != newest {
			t.Errorf("a rollback to where it is has touched %v", now.touched(after))
		}
		s.coordinate("operator", "unblock").expect(t, 0)
		s.coordinate("operator", "resume").expect(t, 0)
	})
	t.Run("images that somebody pruned are told before they are needed", func(t *testing.T) {
		defer s.in(t)()
		was := s.images()["app"]
		three := s.edition(3)
		s.coordinate("observer", "status", "--check").expect(t, 0)
		s.docker("image", "prune", "--all", "--force", "--filter", "label=com.docker.compose.project="+s.project)
		if left := s.docker("images", "-q", "--no-trunc", "--filter", "reference="+s.pins()); slices.Contains(left, was) {
			t.Fatalf("%s is still there", was)
		}
		s.coordinate("observer", "status").expect(t, 0, s.newest().ID, "app", "gone")
		s.coordinate("deployer", "rollback", "--to", base, "--dry-run").expect(t, 0, "app")
		s.coordinate("deployer", "rollback", "--to", base).expect(t, 0, "SUCCEEDED", "are gone; they are built or pulled again")
		s.restored(base, three)
		if side := s.docker("exec", s.containers()["side"], "cat", "/side/message.txt")[0]; side != "one" {
			t.Errorf("side reads %q after the rollback", side)
		}
	})
}

// The verdict does not need who asked for it: a run that is killed, whenever, leaves a deploy that is judged and ended by the agent.
func TestCoordinatorIsKilled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	starts := func(prefix string) func(*landfallv1.Event) bool {
		return func(e *landfallv1.Event) bool { return strings.HasPrefix(e.GetStepStarted().GetStepId(), prefix) }
	}
	for i, c := range []struct {
		when  string
		is    func(*landfallv1.Event) bool
		run   string
		state string
	}{
		{"as it is accepted", func(e *landfallv1.Event) bool { return e.GetAccepted() != nil }, serves("first"), "SUCCEEDED"},
		{"while it builds", starts("build/"), serves("two"), "SUCCEEDED"},
		{"while it is applied", starts("apply/"), serves("three"), "SUCCEEDED"},
		{"while it is judged", starts("verify/"), serves("four"), "SUCCEEDED"},
		{"while a bad one is judged", starts("verify/"), "exit 3\n", "ROLLED_BACK"},
		{"while it is rolled back", starts("rollback/"), "exit 4\n", "ROLLED_BACK"},
	} {
		t.Run(c.when, func(t *testing.T) {
			defer s.in(t)()
			before := s.truth()
			sha := s.push(c.when, map[string]string{"app/run.sh": c.run, "side/message.txt": fmt.Sprint(i, "\n")})
			started := s.count("operation started")
			run := s.background("deployer", "run", "--no-gate", "--sha", sha)
			s.await("the operation is recorded", func() bool { return s.count("operation started") > started })
			s.happens(c.when, c.is)
			if err := run.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			_ = run.Wait() // it was killed
			op := s.ended(40 * time.Second)
			if op.State != c.state || op.Target != sha {
				t.Errorf("%s: %s", op.State, op.Failure.Message)
			}
			pause(1500 * time.Millisecond)
			now := s.truth()
			if c.state == "SUCCEEDED" {
				if now.stamp != sha || now.head != sha || s.revision() != sha || now.pause != "" {
					t.Errorf("SUCCEEDED: stamp %s, checkout %s, app %s, pause %q; want %s", now.stamp, now.head, s.revision(), now.pause, sha)
				}
				return
			}
			for _, d := range before.differences(now) {
				t.Errorf("%s, and yet %s", op.State, d)
			}
		})
	}
}
