package e2e

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	killSeed   = flag.Uint64("kill.seed", 0, "seed of TestKilledAgent; 0 takes one from the clock")
	killRounds = flag.Int("kill.rounds", 26, "how many operations TestKilledAgent cuts off")
)

// trial is a kind of operation that is cut off, and how it must end all the same.
type trial struct {
	name string
	// start prepares and starts the operation; the result is its target.
	start func(s *shop, n int) string
	// state is where it must end, whenever the agent dies, and reason why it failed.
	state, reason string
	// touched are the services that it may give new containers.
	touched []string
	// took is how long it takes when nobody disturbs it.
	took time.Duration
}

func trials() []*trial {
	push := func(files func(n int) map[string]string) func(*shop, int) string {
		return func(s *shop, n int) string {
			changed := map[string]string{ // what an earlier bad commit broke is mended
				"app/run.sh":           serves(fmt.Sprint("edition ", n)),
				"app/Dockerfile":       shopFiles()["app/Dockerfile"],
				"side/message.txt":     fmt.Sprint(n, "\n"),
				"migrations/README.md": fmt.Sprint(n, "\n"),
			}
			s.dev.Remove("migrations")
			maps.Copy(changed, files(n))
			sha := s.push(fmt.Sprint("trial ", n), changed)
			s.detached(sha)
			return sha
		}
	}
	return []*trial{
		{name: "good", state: "SUCCEEDED", touched: []string{"app", "side"}, start: push(func(n int) map[string]string {
			return map[string]string{fmt.Sprintf("migrations/1%03d_more.sh", n): ":\n"}
		})},
		{name: "does not build", state: "FAILED_UNTOUCHED", reason: "BUILD_FAILED", start: push(func(int) map[string]string {
			return map[string]string{"app/Dockerfile": "FROM scratch\nCOPY is-not-there /\n"}
		})},
		{name: "crashes", state: "ROLLED_BACK", reason: "PROBE_FAILED", touched: []string{"app", "side"}, start: push(func(int) map[string]string {
			return map[string]string{"app/run.sh": "echo crashing\nexit 1\n"}
		})},
		{name: "does not migrate", state: "ROLLED_BACK", reason: "MIGRATION_FAILED", start: push(func(n int) map[string]string {
			return map[string]string{fmt.Sprintf("migrations/1%03d_bad.sh", n): "sleep 0.3\nexit 3\n"}
		})},
		{name: "rollback by hand", state: "SUCCEEDED", touched: []string{"app", "side"}, start: func(s *shop, _ int) string {
			target := s.tree.Git("rev-parse", s.readStamp()+"~1")
			for _, op := range s.history() { // the newest good one says what ran before it
				if op.State == "SUCCEEDED" && op.Target == s.readStamp() && op.PreDeploy != op.Target {
					target = op.PreDeploy
					break
				}
			}
			started := s.count("operation started")
			cmd := s.background("deployer", "rollback", "--to", target)
			s.t.Cleanup(func() { _ = cmd.Wait() }) // how it ends is read from the journal
			s.await("the rollback is recorded", func() bool { return s.count("operation started") > started })
			return target
		}},
	}
}

// Whenever the agent is killed, the next one finds out where things stand and brings the
// operation to the end that it would have had: the new version or the old one runs, wholly, and the files say which.
func TestKilledAgent(t *testing.T) {
	t.Parallel()
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d; try it again with: go test ./scripts/e2e -run TestKilledAgent -kill.seed %d", seed, seed)
	random := rand.New(rand.NewPCG(seed, seed))
	s := newShop(t)
	all := trials()
	n := 0
	for _, tr := range all { // undisturbed, to know how long it takes
		s.startAgent(killYAML)
		n++
		before := s.look()
		target := tr.start(s, n)
		op := s.ended(30 * time.Second)
		tr.took = op.Ended.Sub(op.Created)
		t.Logf("undisturbed: %-16s %s in %s", tr.name, op.State, tr.took.Round(time.Millisecond))
		s.check(tr, before, target, op)
		s.stopAgent()
	}
	var recovery []time.Duration
	for len(recovery) < *killRounds {
		if n++; n > 3*(*killRounds) {
			t.Fatalf("%d of %d kills came after the operation's end", n-len(all)-len(recovery), n-len(all))
		}
		tr := all[(n-1)%len(all)]
		s.startAgent(killYAML)
		before := s.look()
		target := tr.start(s, n)
		moment := time.Duration(random.Int64N(int64(tr.took)))
		pause(moment)
		s.kill()
		killed, again := time.Now(), ""
		restarts := []time.Time{killed}
		s.startAgent(killYAML)
		if random.IntN(3) == 0 { // and once more while it recovers
			second := time.Duration(random.Int64N(int64(tr.took)))
			pause(second)
			s.kill()
			again = fmt.Sprintf(", again %s later", second.Round(time.Millisecond))
			restarts = append(restarts, time.Now())
			s.startAgent(killYAML)
		}
		op := s.ended(60 * time.Second)
		var took time.Duration // since the restart after which it ended
		for _, at := range restarts {
			if op.Ended.After(at) {
				took = op.Ended.Sub(at)
			}
		}
		if op.Ended.After(killed) {
			recovery = append(recovery, took)
		} else {
			again += ", when it had ended"
			tr.took = op.Ended.Sub(op.Created) // the machine has become faster
		}
		t.Logf("%2d %-16s killed after %s%s: %s %s after the restart", n, tr.name, moment.Round(time.Millisecond), again, op.State, took.Round(time.Millisecond))
		s.check(tr, before, target, op)
		s.stopAgent()
		if t.Failed() {
			t.Fatalf("round %d: %s\nwarnings: %s\nfailure: %s: %s", n, op.ID, strings.Join(op.Warnings, "; "), op.Failure.Reason, op.Failure.Message)
		}
	}
	slices.Sort(recovery)
	t.Logf("from the agent's restart to the end of the operation, %d kills: min %s, median %s, max %s", len(recovery),
		recovery[0].Round(time.Millisecond), recovery[len(recovery)/2].Round(time.Millisecond), recovery[len(recovery)-1].Round(time.Millisecond))
}

// killYAML has the agent judge at once: nobody else does.
const killYAML = "verify_within: 10ms"

// pause lets the time pass after which the agent is killed: the moment is what is tried.
func pause(d time.Duration) { <-time.After(d) }

// sight is what a trial may change.
type sight struct {
	stamp      string
	containers map[string]string
	images     map[string]string
	blocked    []string
	pause      map[string]any
}

func (s *shop) look() sight {
	s.t.Helper()
	return sight{s.readStamp(), s.containers(), s.images(), s.blocked(), s.sentinel("gitops-paused")}
}

// check holds the host to what the end of an operation promises.
func (s *shop) check(tr *trial, before sight, target string, op record) {
	s.t.Helper()
	if op.State != tr.state || op.Failure.Reason != tr.reason || op.Target != target {
		s.t.Errorf("%s to %.12s ended in %s (%s: %s), want %s %s of %.12s", tr.name, op.Target, op.State, op.Failure.Reason, op.Failure.Message, tr.state, tr.reason, target)
		return
	}
	s.kept(before.containers, tr.touched...)
	s.gapless(op.ID)
	now := s.look()
	if op.State == "FAILED_UNTOUCHED" {
		s.asBefore(before)
		return
	}
	if op.State == "ROLLED_BACK" {
		s.restored(before.stamp, target)
		if !maps.Equal(now.images, before.images) {
			s.t.Errorf("other images run than before\nbefore: %v\nafter:  %v", before.images, now.images)
		}
		return
	}
	s.tidy()
	if now.stamp != target || s.tree.Head() != target {
		s.t.Errorf("stamp %s, checkout %s, want %s", now.stamp, s.tree.Head(), target)
	}
	if got := s.revision(); got != target {
		s.t.Errorf("app runs revision %s, want %s", got, target)
	}
	if tagged := s.docker("inspect", "--format", "{{.Id}}", s.project+"-app")[0]; tagged != now.images["app"] {
		s.t.Errorf("app runs image %s, its name means %s", now.images["app"], tagged)
	}
	if got, want := s.docker("exec", now.containers["side"], "cat", "/side/message.txt")[0], strings.TrimSpace(s.tree.Read("side/message.txt")); got != want {
		s.t.Errorf("side reads %q, the checkout has %q", got, want)
	}
	if blocked := s.blocked(); tr.name == "good" && len(blocked) > 0 {
		s.t.Errorf("%v are still blocked after a good deploy on top of them", blocked)
	}
	want := any(op.ID)
	if tr.name == "good" {
		want = nil // the agent judged it alone: nobody is left who would resume
	}
	if got := s.sentinel("gitops-paused")["operation"]; got != want {
		s.t.Errorf("convergence is paused by %v, want %v", got, want)
	}
}
