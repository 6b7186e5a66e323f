package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

// floodLines is how many lines the deploy prints whose stream is broken again and again.
const floodLines = 50_000

// flood is a build script that prints in bursts, so that its end cannot be buffered at once.
func flood(lines int) string {
	return fmt.Sprintf("#!/bin/sh\nfor burst in $(seq 1 50); do seq -f \"burst $burst line %%.0f of a flood that a bad line carries\" 1 %d; sleep 0.1; done\n", lines/50)
}

// follower is a coordinator that tells what it hears as JSON.
type follower struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr lockedBuffer
	stdout lockedBuffer
	done   chan struct{}
}

// follow starts a coordinator that follows an operation with --progress json.
func (h *host) follow(address string, args ...string) *follower {
	h.t.Helper()
	f := &follower{t: h.t, done: make(chan struct{})}
	f.cmd = exec.Command(bin.coordinator, append(args, "--agent", address, "--identity", filepath.Join(h.ids, "deployer"), "--progress", "json")...)
	f.cmd.Dir, f.cmd.Stdout, f.cmd.Stderr = h.dev.Dir, &f.stdout, &f.stderr
	if err := f.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		_ = f.cmd.Wait() // how it ended is read from ProcessState
		close(f.done)
	}()
	h.t.Cleanup(func() {
		_ = f.cmd.Process.Kill() // it may have ended
		<-f.done
	})
	return f
}

// followRun starts the main job for a commit.
func (h *host) followRun(address, sha string) *follower {
	return h.follow(address, "run", "--no-gate", "--sha", sha, "--config", filepath.Join(h.dev.Dir, h.config))
}

// ends waits for the coordinator and expects an exit code.
func (f *follower) ends(code int) {
	f.t.Helper()
	select {
	case <-f.done:
	case <-time.After(3 * time.Minute):
		f.t.Fatalf("%v does not end; the last it told: %s", f.cmd.Args[1:], f.lastLines())
	}
	if got := f.cmd.ProcessState.ExitCode(); got != code {
		f.t.Errorf("%v: exit code %d, want %d\nstdout: %s\nstderr: %s", f.cmd.Args[1:], got, code, f.stdout.String(), f.lastLines())
	}
}

func (f *follower) lastLines() string {
	lines := strings.Split(f.stderr.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// events are the events as they were told, one JSON text each, and how often the connection was lost.
func (f *follower) events(after int) (texts []string, lost int) {
	f.t.Helper()
	scanner := bufio.NewScanner(strings.NewReader(f.stderr.String()))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line struct {
			Event   json.RawMessage `json:"event"`
			Warning string          `json:"warning"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			f.t.Fatalf("%v: %s", err, scanner.Text())
		}
		if strings.HasPrefix(line.Warning, "connection to ") {
			lost++
		}
		if line.Event == nil {
			continue // a note
		}
		var event struct {
			Sequence int `json:"sequence,string"`
		}
		if err := json.Unmarshal(line.Event, &event); err != nil {
			f.t.Fatalf("%v: %s", err, line.Event)
		}
		if want := after + len(texts) + 1; event.Sequence != want {
			f.t.Fatalf("event %d is told where %d is due", event.Sequence, want)
		}
		texts = append(texts, string(line.Event))
	}
	if err := scanner.Err(); err != nil {
		f.t.Fatal(err)
	}
	return texts, lost
}

// recorded is what an undisturbed client reads of the newest operation.
func (h *host) recorded() []string {
	h.t.Helper()
	f := h.follow(h.address, "attach")
	<-f.done
	texts, _ := f.events(0)
	return texts
}

// same compares what was heard with what is on record.
func same(t *testing.T, who string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s heard as event %d\n%s\non record is\n%s", who, i+1, got[i], want[i])
		}
	}
	t.Fatalf("%s heard %d events, on record are %d", who, len(got), len(want))
}

// floodIn counts the lines of the flood and checks their order.
func floodIn(t *testing.T, events []string) int {
	t.Helper()
	lines := 0
	for _, text := range events {
		var event struct {
			Output *struct {
				StepID string `json:"step_id"`
				Text   string `json:"text"`
			} `json:"output"`
		}
		if err := json.Unmarshal([]byte(text), &event); err != nil {
			t.Fatal(err)
		}
		if o := event.Output; o != nil && strings.HasPrefix(o.Text, "burst ") {
			const burst = floodLines / 50
			if want := fmt.Sprintf("burst %d line %d of", lines/burst+1, lines%burst+1); !strings.HasPrefix(o.Text, want) {
				t.Fatalf("line %d of the flood is %q, want %q", lines+1, o.Text, want)
			}
			lines++
		}
	}
	return lines
}

// The connection is cut, stalled and delayed at random bytes; every event arrives once, in
// order. Another client watches; a third has stopped reading; both change nothing.
func TestBrokenConnections(t *testing.T) {
	h := tinyHost(t)
	h.startAgent()
	line := newBadLine(t, h.address, 1, 400<<10)
	sha := h.push("flood", map[string]string{"noise/print.sh": flood(floodLines)})

	began := time.Now()
	deploying := h.followRun(line.address(), sha)
	h.eventually(20*time.Second, "the flood begins", func() bool { return strings.Contains(deploying.stderr.String(), "burst 1 ") })
	line.bad.Store(true)
	watching := h.follow(h.address, "attach")
	stopped := h.follow(h.address, "attach")
	h.eventually(20*time.Second, "both watch", func() bool {
		return strings.Contains(watching.stderr.String(), "burst 1 ") && strings.Contains(stopped.stderr.String(), "burst 1 ")
	})
	if err := stopped.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	watching.ends(0)
	took := time.Since(began)
	deploying.ends(0)
	t.Logf("deploy of %d lines: %s while one viewer was stopped, its coordinator told the last event after %s; %s", floodLines, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), line)
	if h.readStamp() != sha {
		t.Errorf("stamp %s, want %s", h.readStamp(), sha)
	}
	if line.cuts.Load() < 5 {
		t.Errorf("only %s: this proves little", line)
	}
	want := h.recorded()
	got, lost := deploying.events(0)
	same(t, "the deploying coordinator", got, want)
	if lines := floodIn(t, got); lines != floodLines {
		t.Errorf("%d of %d lines arrived", lines, floodLines)
	}
	if lost < 3 {
		t.Errorf("the coordinator tells of %d lost connections, the line of %s", lost, line)
	}
	got, _ = watching.events(0)
	same(t, "the watcher", got, want)
	if err := stopped.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	stopped.ends(0)
	got, _ = stopped.events(0)
	same(t, "the watcher that had stopped", got, want)

	for _, after := range []int{len(want) / 2, len(want) - 1, len(want)} {
		f := h.follow(h.address, "attach", "1", "--after", fmt.Sprint(after))
		f.ends(0)
		got, _ := f.events(after)
		same(t, fmt.Sprintf("attach --after %d", after), got, want[after:])
	}
}

// The agent is stopped, or killed, in the middle while the line is bad: who follows hears the rest of it from the next agent.
func TestBrokenConnectionsAndRestarts(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := tinyHost(t)
			h.startAgent()
			line := newBadLine(t, h.address, 1, 200<<10)
			sha := h.push("flood", map[string]string{"noise/print.sh": flood(floodLines / 5), "front/message.txt": "two\n"})
			deploying := h.followRun(line.address(), sha)
			h.eventually(20*time.Second, "the flood begins", func() bool { return strings.Contains(deploying.stderr.String(), "burst 1 ") })
			watching := h.follow(h.address, "attach")
			h.eventually(20*time.Second, "the flood goes on", func() bool { return strings.Contains(watching.stderr.String(), "burst 3 ") })
			line.bad.Store(true)
			if err := h.agent.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			<-h.agent.done
			h.startAgent()
			deploying.ends(0)
			if h.readStamp() != sha {
				t.Errorf("stamp %s, want %s", h.readStamp(), sha)
			}
			want := h.recorded()
			got, lost := deploying.events(0)
			same(t, "the deploying coordinator", got, want)
			if all := strings.Join(want, "\n"); lost == 0 || !strings.Contains(all, `"taken_up":`) || strings.Count(all, "burst 50 line") != floodLines/5/50 {
				t.Errorf("%d connections lost, %s; the record has %d events", lost, line, len(want))
			}
			watching.ends(0)
			got, _ = watching.events(0)
			same(t, "the watcher", got, want)
			t.Logf("%d events, %d connections lost, %s", len(got), lost, line)
		})
	}
}

// Every command of the main job, and the answer at its end, gets through a line that hardly
// carries a TLS handshake.
func TestEveryCommandOutlastsABadLine(t *testing.T) {
	h := tinyHost(t)
	h.startAgent()
	for n := range 3 {
		line := newBadLine(t, h.address, 1, 8<<10)
		line.enough = 6
		sha := h.push("front", map[string]string{"front/message.txt": fmt.Sprintf("%d\n", n), "noise/print.sh": fmt.Sprintf("#!/bin/sh\necho begun %d\n", n)})
		deploying := h.followRun(line.address(), sha)
		h.eventually(20*time.Second, "the script runs", func() bool { return strings.Contains(deploying.stderr.String(), "begun") })
		line.bad.Store(true)
		deploying.ends(0)
		got, lost := deploying.events(0)
		same(t, "the deploying coordinator", got, h.recorded())
		if !strings.Contains(deploying.stdout.String(), "SUCCEEDED") || h.readStamp() != sha {
			t.Errorf("%s; stamp %s, want %s", deploying.stdout.String(), h.readStamp(), sha)
		}
		t.Logf("%d connections lost, %s", lost, line)
	}
}

// A command that is sent again is the same command: twice in a row, from ten connections at
// once, after a restart, after the end.
func TestACommandIsCarriedOutOnce(t *testing.T) {
	h := tinyHost(t)
	h.startAgent()
	sha := h.push("slow", map[string]string{"noise/print.sh": "#!/bin/sh\necho begun\nsleep 3\n"})
	req := &landfallv1.ExecuteRequest{CommandId: "deploy-once", Command: &landfallv1.ExecuteRequest_Deploy{Deploy: h.deployCommand(sha)}}

	const callers = 10
	var group sync.WaitGroup
	answers, errs := make([]*landfallv1.CommandAccepted, callers), make([]error, callers)
	for i := range callers {
		conn := h.dial(identity.RoleDeployer)
		group.Go(func() { answers[i], errs[i] = execute(t, conn, req) })
	}
	group.Wait()
	id, first := "", 0
	for i, a := range answers {
		if errs[i] != nil {
			t.Fatalf("caller %d: %v", i, errs[i])
		}
		if id == "" {
			id = a.GetOperation().GetId()
		}
		if a.GetOperation().GetId() != id || a.GetCommandId() != "deploy-once" {
			t.Errorf("caller %d was told of %s, the first of %s", i, a.GetOperation().GetId(), id)
		}
		if !a.GetRepeatedCommand() {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d of %d callers were told that theirs was the first", first, callers)
	}
	again := func(when string) {
		t.Helper()
		conn := h.dial(identity.RoleDeployer)
		for range 2 {
			a, err := execute(t, conn, req)
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			if a.GetOperation().GetId() != id || !a.GetRepeatedCommand() {
				t.Errorf("%s: told of %s, repeated %v", when, a.GetOperation().GetId(), a.GetRepeatedCommand())
			}
		}
	}
	again("while it runs")
	h.stopAgent()
	h.startAgent()
	again("after a restart")
	h.eventually(60*time.Second, "it awaits its verdict", func() bool { return h.operation()["state"] == "OPERATION_STATE_AWAITING_VERIFY" })
	h.coordinate("deployer", "verify").expect(t, 0, "SUCCEEDED")
	again("after its end")
	h.stopAgent()
	h.startAgent()
	again("after its end and a restart")
	resp, err := landfallv1.NewDiagnosticsServiceClient(h.dial(identity.RoleObserver)).ListOperations(t.Context(), &landfallv1.ListOperationsRequest{})
	if err != nil || len(resp.GetOperations()) != 1 {
		t.Errorf("%d operations are on record, %v", len(resp.GetOperations()), err)
	}
}
