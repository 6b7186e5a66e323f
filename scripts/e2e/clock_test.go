package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

// clockFollower joins package main of the programs that settable makes: it sets the wall clock by
// the seconds in a file.
const clockFollower = `package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

func init() {
	follow := func() {
		raw, err := os.ReadFile(os.Getenv("WALL_CLOCK"))
		if err != nil {
			return
		}
		if seconds, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err == nil {
			time.WallClock.Store(seconds)
		}
	}
	follow()
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			follow()
		}
	}()
}
`

// settable builds agent and coordinator with a wall clock that can be set while they run, as a
// person or NTP sets a machine's: the standard library's time.Now adds what a file says. Their monotonic clock
// goes on as it did. Nothing of it is in the tree: the compiler is told to read other files.
var settable = sync.OnceValues(func() (programs map[string]string, err error) {
	dir := filepath.Join(bin.dir, "settable")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	overlay, err := clockOverlay(dir)
	if err != nil {
		return nil, err
	}
	programs = map[string]string{}
	for _, name := range []string{"agent", "coordinator"} {
		programs[name] = filepath.Join(dir, "landfall-"+name)
		build := exec.Command("go", "build", "-overlay", overlay, "-o", programs[name], "ataraxis.dev/landfall/"+name+"/cmd/landfall-"+name)
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return programs, nil
})

// clockOverlay writes what -overlay needs into a folder and returns its path.
func clockOverlay(dir string) (path string, err error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	library := filepath.Join(strings.TrimSpace(string(out)), "src", "time", "time.go")
	source, err := os.ReadFile(library)
	if err != nil {
		return "", err
	}
	const imports, now = "\t\"math/bits\"\n", "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	text := string(source)
	if strings.Count(text, imports) != 1 || strings.Count(text, now) != 1 {
		return "", fmt.Errorf("%s is not as expected: mend clockOverlay for this version of Go", library)
	}
	text = strings.Replace(text, imports, imports+"\t\"sync/atomic\"\n", 1)
	text = strings.Replace(text, now, "// WallClock is added to the wall clock, in seconds.\nvar WallClock atomic.Int64\n\n"+now+"\tsec += WallClock.Load()\n", 1)
	at := func(name string) string { return filepath.Join(dir, name) }
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		library: at("time.go"),
		filepath.Join(root, "agent", "cmd", "landfall-agent", "follow.go"):             at("follow.go"),
		filepath.Join(root, "coordinator", "cmd", "landfall-coordinator", "follow.go"): at("follow.go"),
	}})
	if err != nil {
		return "", err
	}
	for name, content := range map[string]string{"time.go": text, "follow.go": clockFollower, "overlay.json": string(overlay)} {
		if err := os.WriteFile(at(name), []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	return at("overlay.json"), nil
}

// clock is the wall clock of an agent, which a test may set.
type clock struct {
	s    *shop
	path string
	conn *grpc.ClientConn
}

// newClock has the shop's agent, which is not started yet, go by a clock of its own. The identities are older
// than the clock ever goes back.
func newClock(s *shop) *clock {
	s.t.Helper()
	programs, err := settable()
	if err != nil {
		s.t.Fatal(err)
	}
	c := &clock{s: s, path: filepath.Join(shortDir(s.t), "clock")}
	c.write(-48 * time.Hour)
	s.ids = shortDir(s.t)
	env := []string{"WALL_CLOCK=" + c.path}
	run1(s.t, env, programs["coordinator"], "identity", "init", "--dir", s.ids, "--host", "127.0.0.1")
	for _, role := range []string{"observer", "deployer", "operator"} {
		run1(s.t, env, programs["coordinator"], "identity", "issue", role, "--role", role, "--dir", s.ids)
	}
	c.write(0)
	s.program, s.env = programs["agent"], env
	return c
}

func (c *clock) write(by time.Duration) {
	c.s.t.Helper()
	if err := os.WriteFile(c.path+".new", []byte(fmt.Sprintf("%.0f\n", by.Seconds())), 0o644); err != nil {
		c.s.t.Fatal(err)
	}
	if err := os.Rename(c.path+".new", c.path); err != nil {
		c.s.t.Fatal(err)
	}
}

// start starts the agent, again where one runs, and makes the connection that lasts.
func (c *clock) start(extra ...string) {
	c.s.t.Helper()
	c.s.stopAgent()
	c.s.startAgent(extra...)
	c.conn = c.s.dial(identity.RoleObserver)
	c.set(0)
}

// set sets the agent's clock so far from the true time, within what certificates are valid for, and waits until it
// goes by it.
func (c *clock) set(by time.Duration) {
	c.s.t.Helper()
	c.write(by)
	c.s.eventually(20*time.Second, fmt.Sprintf("the agent's clock is set by %s", by), func() bool {
		host, err := landfallv1.NewDiagnosticsServiceClient(c.conn).GetHost(c.s.t.Context(), &landfallv1.GetHostRequest{})
		return err == nil && (time.Until(host.GetHost().GetCurrentTime().AsTime())-by).Abs() < time.Minute
	})
}

// paused asks whether convergence is paused.
func (c *clock) paused() bool {
	c.s.t.Helper()
	resp, err := landfallv1.NewGitOpsServiceClient(c.conn).GetGitOps(c.s.t.Context(), &landfallv1.GetGitOpsRequest{})
	if err != nil {
		c.s.t.Fatal(err)
	}
	return resp.GetStatus().GetPause() != nil
}

// steady checks that the times of an operation tell how long things took, whatever the clock was set to meanwhile.
// An operation that was left by one agent and taken up by another may have lasted as long as the clock was set by.
func (c *clock) steady(op record, away time.Duration) {
	c.s.t.Helper()
	if took := op.Ended.Sub(op.Created); took < 0 || took > max(0, away)+2*time.Minute {
		c.s.t.Errorf("%s took %s by its record", op.ID, took)
	}
	c.s.gapless(op.ID)
	a := c.s.coordinate("deployer", "attach", op.ID, "--progress", "json")
	var last time.Time
	for line := range strings.Lines(a.stderr) {
		var v struct {
			Event struct {
				Sequence string    `json:"sequence"`
				Time     time.Time `json:"event_time"`
			} `json:"event"`
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			c.s.t.Fatalf("%v: %s", err, line)
		}
		if v.Event.Sequence == "" {
			continue // a note, or the error
		}
		if v.Event.Time.Before(last) {
			c.s.t.Errorf("%s: event %s is of %s, the one before it of %s", op.ID, v.Event.Sequence, v.Event.Time, last)
		}
		last = v.Event.Time
	}
	if last.IsZero() {
		c.s.t.Errorf("%s: no event has a time", op.ID)
	}
}

const (
	months   = 300 * 24 * time.Hour
	tenYears = 10 * 365 * 24 * time.Hour // past the end of every certificate
)

// jumps are what a clock is set by: a daylight saving gone wrong, a machine without a battery, a broken time server.
var jumps = []time.Duration{3 * time.Hour, -3 * time.Hour, months}

// A wall clock that is set while the agent works changes no verdict and no deadline, and the record tells how long things took.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c := newClock(s)
	const within = 4 * time.Second
	c.start("verify_within: 4s")
	for i, by := range jumps {
		t.Run(fmt.Sprintf("by %s during a build", by), func(t *testing.T) {
			defer s.in(t)()
			gate := filepath.Join(s.state, fmt.Sprint("gate", i))
			sha := s.push("gated", map[string]string{"app/run.sh": serves(fmt.Sprint("gated ", i)), "app/prepare.sh": gated(gate)})
			scripts := s.count("app/prepare.sh")
			job := s.background("deployer", "run", "--no-gate", "--sha", sha)
			s.await("the build script runs", func() bool { return s.count("app/prepare.sh") > scripts })
			c.set(by)
			open(t, gate)
			_ = job.Wait() // its exit code is judged
			c.set(0)
			op := s.newest()
			if code := job.ProcessState.ExitCode(); op.State != "SUCCEEDED" || code != 0 || s.readStamp() != sha || s.revision() != sha {
				t.Errorf("%s, exit code %d, stamp %s, app %s, want %s: %s", op.State, code, s.readStamp(), s.revision(), sha, op.Failure.Message)
			}
			if s.sentinel("gitops-paused") != nil {
				t.Error("convergence is still paused")
			}
			c.steady(op, 0)
		})
	}
	for i, by := range jumps {
		t.Run(fmt.Sprintf("by %s while a deploy awaits its verdict", by), func(t *testing.T) {
			defer s.in(t)()
			sha := s.push("unjudged", map[string]string{"app/run.sh": serves(fmt.Sprint("unjudged ", i)), "app/prepare.sh": "#!/bin/sh\n"})
			s.detached(sha)
			s.happens("it awaits its verdict", enters(landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY))
			began := time.Now()
			c.write(by)
			c.happens("it is judged", enters(landfallv1.OperationState_OPERATION_STATE_VERIFYING))
			if took := time.Since(began); took < within-time.Second || took > within+3*time.Second {
				t.Errorf("judged after %s, want %s", took.Round(time.Millisecond), within)
			}
			c.set(0)
			op := s.ended(20 * time.Second)
			if op.State != "SUCCEEDED" || s.readStamp() != sha {
				t.Errorf("%s: %s; stamp %s", op.State, op.Failure.Message, s.readStamp())
			}
			c.steady(op, 0)
		})
	}
	for i, by := range jumps[:2] {
		t.Run(fmt.Sprintf("by %s while no agent runs", by), func(t *testing.T) {
			defer s.in(t)()
			sha := s.push("left", map[string]string{"app/run.sh": serves(fmt.Sprint("left ", i))})
			s.detached(sha)
			s.happens("it awaits its verdict", enters(landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY))
			s.kill()
			c.write(by)
			began := time.Now()
			s.startAgent("verify_within: 4s")
			op := s.ended(30 * time.Second)
			if took := time.Since(began); op.State != "SUCCEEDED" || took > within+8*time.Second {
				t.Errorf("%s %s after the restart: %s", op.State, took.Round(time.Millisecond), op.Failure.Message)
			}
			c.steady(op, by)
			c.write(0)
		})
		c.start("verify_within: 4s")
	}
	t.Run("while convergence is paused", func(t *testing.T) {
		defer s.in(t)()
		s.coordinate("operator", "pause", "--reason", "a look around", "--for", "1h").expect(t, 0)
		for by, want := range map[time.Duration]bool{3 * time.Hour: false, -3 * time.Hour: true, months: false, 0: true} {
			if c.set(by); c.paused() != want {
				t.Errorf("%s away, an hour's pause holds: %v, want %v", by, c.paused(), want)
			}
		}
		c.set(0)
		s.coordinate("operator", "resume").expect(t, 0)
	})
	t.Run("past the end of the certificates during a build", func(t *testing.T) {
		defer s.in(t)()
		gate := filepath.Join(s.state, "gate-past")
		sha := s.push("gated", map[string]string{"app/run.sh": serves("gated past"), "app/prepare.sh": gated(gate)})
		scripts := s.count("app/prepare.sh")
		job := s.background("deployer", "run", "--no-gate", "--sha", sha)
		s.await("the build script runs", func() bool { return s.count("app/prepare.sh") > scripts })
		c.write(tenYears)
		_ = job.Wait() // its exit code is judged
		if code := job.ProcessState.ExitCode(); code != 6 {
			t.Errorf("a run whose certificate ends meanwhile: exit code %d, want 6", code)
		}
		s.coordinate("observer", "status").expect(t, 6, "expired", "compare the clocks of both machines")
		open(t, gate)
		s.await("the agent judges by itself", func() bool { return s.readStamp() == sha })
		c.set(0)
		if op := s.ended(20 * time.Second); op.State != "SUCCEEDED" || s.revision() != sha {
			t.Errorf("%s, app %s, want %s: %s", op.State, s.revision(), sha, op.Failure.Message)
		}
	})
	t.Run("past the end of the certificates", func(t *testing.T) {
		defer s.in(t)()
		c.write(tenYears)
		s.eventually(20*time.Second, "the certificate counts as expired", func() bool {
			return s.coordinate("observer", "status").code == 6
		})
		s.coordinate("observer", "status").expect(t, 6, "expired", "compare the clocks of both machines")
		s.stopAgent()
		out, code := s.serveFails("verify_within: 4s")
		if code != 6 || !strings.Contains(out, "expired") || !strings.Contains(out, "identity renew") {
			t.Errorf("an agent whose certificate is over: exit code %d\n%s", code, out)
		}
		c.write(0)
	})
	c.start("verify_within: 4s")
	t.Run("the history is in order", func(t *testing.T) {
		defer s.in(t)()
		ops := s.history()
		for i, op := range ops {
			if want := fmt.Sprintf("op-%d-", len(ops)-i); !strings.HasPrefix(op.ID, want) {
				t.Errorf("place %d of the history has %s, want %s", i+1, op.ID, want)
			}
		}
	})
}

// enters tells the entry of a state.
func enters(state landfallv1.OperationState) func(*landfallv1.Event) bool {
	return func(e *landfallv1.Event) bool { return e.GetStateChanged().GetState() == state }
}

// happens is the shop's over the connection that lasts.
func (c *clock) happens(what string, is func(*landfallv1.Event) bool) {
	c.s.t.Helper()
	happens(c.s.t, c.conn, what, is)
}
