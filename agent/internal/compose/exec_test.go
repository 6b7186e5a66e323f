package compose

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// top tells what runs in a container, as the engine sees it.
func (b *bench) top(service string) string {
	b.t.Helper()
	return docker(b.t, "top", b.project+"-"+service+"-1", "-eo", "pid,args")
}

// needsRoot says why a test cannot be made.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may end what runs inside containers")
	}
}

// When its time is over, or it is called off, a command is gone with all that it has started, also what ignores SIGTERM or outlives
// its parent.
func TestExecLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	b := newBench(t, map[string]string{"core.yml": "services:\n  web: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	for name, c := range map[string]struct {
		sleeps string // marks the command
		script string
		cause  error
		kind   fault.Kind
	}{
		"deadline":          {"4001", "sleep 4001", errors.New("out of time"), fault.Deadline},
		"cancelled":         {"4002", "sleep 4002", fault.New(fault.Interrupted, "CANCELLED", "somebody cancelled"), fault.Interrupted},
		"ignores SIGTERM":   {"4003", "trap '' TERM; while true; do sleep 4003; done", errors.New("out of time"), fault.Deadline},
		"children":          {"4004", "sleep 4004 & sh -c 'sleep 4004; :' & wait", errors.New("out of time"), fault.Deadline},
		"stubborn child":    {"4005", "sh -c \"trap '' TERM; while true; do sleep 4005; done\" & wait", errors.New("out of time"), fault.Deadline},
		"closes its output": {"4006", "exec >&- 2>&-; sleep 4006; :", errors.New("out of time"), fault.Deadline},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s, ended := &said{}, make(chan error, 1)
			go func() {
				_, err := b.Exec(ctx, b.plan, pipeline.Exec{Stack: "core", Service: "web", Command: []string{"sh", "-c", c.script}}, s.output)
				ended <- err
			}()
			eventually(t, "the command runs", func() bool { return strings.Contains(b.top("web"), "sleep "+c.sleeps) })
			cancel(c.cause)
			if err := <-ended; !errors.Is(err, c.cause) || fault.KindOf(err) != c.kind {
				t.Errorf("%v", err)
			}
			if got := b.top("web"); strings.Contains(got, c.sleeps) {
				t.Errorf("afterwards there runs\n%s\n%s", got, s.text())
			}
		})
	}
}

// A command that closes its output and goes on is waited for.
func TestExecOfACommandThatIsSilent(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  web: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	code, err := b.Exec(t.Context(), b.plan, pipeline.Exec{Stack: "core", Service: "web", Command: []string{"sh", "-c", "exec >&- 2>&-; sleep 6; exit 5"}}, b.said.output)
	if code != 5 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}

// Who may not end a command waits for it, and says so.
func TestExecByWhoMayNotEndIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  web: " + sleeper})
	b.kill = func(int, syscall.Signal) error { return syscall.EPERM }
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	s := &said{}
	_, err := b.Exec(ctx, b.plan, pipeline.Exec{Stack: "core", Service: "web", Command: []string{"sh", "-c", "sleep 4; echo late >/tmp/late"}}, s.output)
	if fault.KindOf(err) != fault.Deadline || !strings.Contains(s.text(), "it is waited for, because only root may end it") || !strings.Contains(s.text(), "has ended") {
		t.Errorf("%v\n%s", err, s.text())
	}
	if got := docker(t, "exec", b.project+"-web-1", "cat", "/tmp/late"); got != "late" {
		t.Errorf("it was not waited for: %s", got)
	}
}

// What a script left running inside containers is found and ended; health checks, and what a person began before or has in a terminal, are not.
func TestRestEndsWhatAScriptLeft(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	b := newBench(t, map[string]string{"core.yml": `services:
  web: ` + sleeper + `  checked:
    image: ${IMAGE}
    init: true
    stop_grace_period: 1s
    command: [sleep, "1000"]
    healthcheck: {test: ["CMD-SHELL", "sleep 5004"], interval: 1s, timeout: 300s}
`})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web"}}})
	background := func(name string, args ...string) {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = b.dir, b.environ(b.plan.Environment)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	has := func(service, words string) func() bool {
		return func() bool { return strings.Contains(b.top(service), words) }
	}
	background("docker", "exec", b.project+"-web-1", "sleep", "5001") // a person's
	eventually(t, "the person's command runs", has("web", "sleep 5001"))
	time.Sleep(1500 * time.Millisecond) // starts are told apart by the second
	began := time.Now()
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"checked"}}})
	eventually(t, "the health check runs", has("checked", "sleep 5004"))
	background("docker", "exec", b.project+"-web-1", "sh", "-c", "sleep 5002; :")
	background("docker", "compose", "--project-name", b.project, "--file", "core.yml", "exec", "-T", "web", "sleep", "5003")
	background("docker", "exec", "-t", b.project+"-web-1", "sleep", "5005")
	for _, words := range []string{"sleep 5002", "sleep 5003", "sleep 5005"} {
		eventually(t, words+" runs", has("web", words))
	}
	s := &said{}
	if err := b.Rest(t.Context(), ports.Cut{Projects: []string{b.project}, Began: began, Left: true}, s.output); err != nil {
		t.Error(err)
	}
	got := b.top("web") + b.top("checked")
	for words, stays := range map[string]bool{"sleep 5001": true, "sleep 5002": false, "sleep 5003": false, "sleep 5004": true, "sleep 5005": true} {
		if strings.Contains(got, words) != stays {
			t.Errorf("%s runs: %v\n%s\n%s", words, !stays, got, s.text())
		}
	}
}

// The environment of an operation reaches its commands.
func TestExecIsMarked(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  web: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	s := &said{}
	ctx := process.WithEnv(t.Context(), "LANDFALL_OPERATION=op-7")
	if _, err := b.Exec(ctx, b.plan, pipeline.Exec{Stack: "core", Service: "web", Command: []string{"sh", "-c", "echo $LANDFALL_OPERATION"}}, s.output); err != nil || s.text() != "out op-7" {
		t.Errorf("%q, %v", s.text(), err)
	}
}
