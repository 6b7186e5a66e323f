package process_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// self is a command that runs this binary in a role.
func self(t *testing.T, role string, args ...string) process.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return process.Cmd{Path: path, Args: args, Env: []string{roleEnv + "=" + role}, Label: role}
}

// requireCause checks the typed error inside the fault.
func requireCause(t *testing.T, err error, kind fault.Kind, reason string, cause process.Cause) *process.Error {
	t.Helper()
	var e *process.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, not a *process.Error", err)
	}
	if fault.KindOf(err) != kind || fault.ReasonOf(err) != reason || e.Cause != cause {
		t.Fatalf("got %v %s %s, want %v %s %s (%v)", fault.KindOf(err), fault.ReasonOf(err), e.Cause, kind, reason, cause, err)
	}
	return e
}

func TestRunDeliversEveryLineInOrder(t *testing.T) {
	t.Parallel()
	const n = 200_000
	next := map[process.Stream]int{}
	prefix := map[process.Stream]string{process.Stdout: "o", process.Stderr: "e"}
	cmd := self(t, "count", strconv.Itoa(n))
	cmd.OnLine = func(l process.Line) {
		if want := fmt.Sprintf("%s %d", prefix[l.Stream], next[l.Stream]); l.Text != want && !t.Failed() {
			t.Errorf("line %d of %s is %q", next[l.Stream], l.Stream, l.Text)
		}
		next[l.Stream]++
	}
	result, err := process.Run(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	if next[process.Stdout] != n || next[process.Stderr] != n || result.Lines != 2*n {
		t.Errorf("got %d and %d lines, counted %d", next[process.Stdout], next[process.Stderr], result.Lines)
	}
}

// A consumer that needs longer than the patience with stragglers loses nothing.
func TestSlowConsumerLosesNothing(t *testing.T) {
	t.Parallel()
	var got int
	cmd := self(t, "count", "1500")
	cmd.NoProgress = 300 * time.Millisecond // the consumer's slowness is not the child's silence
	cmd.OnLine = func(l process.Line) {
		if got == 0 {
			time.Sleep(2500 * time.Millisecond)
		}
		got++
	}
	if _, err := process.Run(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	if got != 3000 {
		t.Errorf("got %d lines, want 3000", got)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, output string
		max          int
		want         []process.Line
	}{
		{"no newline at the end", "a\nb", 0, []process.Line{{Text: "a"}, {Text: "b"}}},
		{"empty lines stay", "\na\n\n", 0, []process.Line{{Text: ""}, {Text: "a"}, {Text: ""}}},
		{"windows line ends", "a\r\n\r\nb\r\n", 0, []process.Line{{Text: "a"}, {Text: ""}, {Text: "b"}}},
		{"progress", "\r10%\r20%\r\ndone\n", 0, []process.Line{{Text: "10%"}, {Text: "20%"}, {Text: "done"}}},
		{"long line", strings.Repeat("x", 70_000) + "\ny\n", 0, []process.Line{{Text: strings.Repeat("x", process.DefaultMaxLine), Truncated: true}, {Text: "y"}}},
		{"exactly the limit", "abc\nabcd\n", 3, []process.Line{{Text: "abc"}, {Text: "abc", Truncated: true}}},
		{"cut inside a rune", "aé€z\n", 4, []process.Line{{Text: "aé", Truncated: true}}},
		{"not UTF-8", "a\xff\xfeb\n\x80", 0, []process.Line{{Text: "a\uFFFDb"}, {Text: "\uFFFD"}}},
		{"nothing", "", 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []process.Line
			cmd := self(t, "raw", strconv.Quote(tt.output))
			cmd.MaxLine = tt.max
			cmd.OnLine = func(l process.Line) {
				l.Stream = 0
				got = append(got, l)
			}
			if _, err := process.Run(t.Context(), cmd); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFailureCarriesExitCodeAndTail(t *testing.T) {
	t.Parallel()
	cmd := self(t, "fail", "token=hunter2 is wrong")
	cmd.Redact = func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }
	_, err := process.Run(t.Context(), cmd)
	e := requireCause(t, err, fault.Failed, "CHILD_FAILED", process.CauseExit)
	if e.ExitCode != 17 {
		t.Errorf("exit code %d, want 17", e.ExitCode)
	}
	if diff := cmp.Diff([]string{"first", "token=*** is wrong"}, e.Tail); diff != "" {
		t.Errorf("tail (-want +got):\n%s", diff)
	}
	if want := "fail failed: exit code 17: token=*** is wrong"; err.Error() != want {
		t.Errorf("message %q, want %q", err, want)
	}
	if diff := cmp.Diff([]string{"token=*** is wrong"}, e.Args); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
}

func TestTailKeepsTheLastLines(t *testing.T) {
	t.Parallel()
	cmd := self(t, "count", "100")
	cmd.Stdout = discard{}
	result, err := process.Run(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Tail) != process.TailLines || result.Tail[0] != "e 60" || result.Tail[39] != "e 99" {
		t.Errorf("tail %q", result.Tail)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func TestSignalledChild(t *testing.T) {
	t.Parallel()
	_, err := process.Run(t.Context(), self(t, "killself"))
	e := requireCause(t, err, fault.Failed, "CHILD_FAILED", process.CauseExit)
	if e.Signal != syscall.SIGKILL || e.ExitCode != -1 {
		t.Errorf("signal %v, exit code %d", e.Signal, e.ExitCode)
	}
}

func TestDeadlineAsksFirst(t *testing.T) {
	t.Parallel()
	cmd := self(t, "polite")
	cmd.Deadline = 2 * time.Second
	result, err := process.Run(t.Context(), cmd)
	e := requireCause(t, err, fault.Deadline, "CHILD_DEADLINE", process.CauseDeadline)
	if e.ExitCode != 3 || !slices.Equal(result.Tail, []string{"ready", "bye"}) {
		t.Errorf("exit code %d, tail %q: SIGTERM was not answered", e.ExitCode, result.Tail)
	}
}

func TestNoProgressKillsTheWholeGroup(t *testing.T) {
	t.Parallel()
	life := newLifeline(t)
	cmd := self(t, "parent", "hang", "group", "stay")
	cmd.Env = append(cmd.Env, life.env())
	cmd.NoProgress, cmd.Grace = 500*time.Millisecond, 100*time.Millisecond
	_, err := process.Run(t.Context(), cmd)
	requireCause(t, err, fault.Deadline, "CHILD_NO_PROGRESS", process.CauseNoProgress)
	life.requireDead()
}

func TestCancelKillsTheWholeGroup(t *testing.T) {
	t.Parallel()
	life := newLifeline(t)
	cause := fault.New(fault.Refused, "SHUTTING_DOWN", "the agent stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	cmd := self(t, "parent", "hang", "group", "stay")
	cmd.Env = append(cmd.Env, life.env())
	cmd.Grace = 100 * time.Millisecond
	var started int
	cmd.OnStart = func(pid int) { started = pid }
	cmd.OnLine = func(process.Line) { cancel(cause) } // the grandchild lives
	result, err := process.Run(ctx, cmd)
	requireCause(t, err, fault.Refused, "CHILD_CANCELLED", process.CauseCancelled)
	if !errors.Is(err, cause) {
		t.Errorf("%v does not wrap the cause", err)
	}
	if started == 0 || started != result.PID {
		t.Errorf("OnStart saw pid %d, the result says %d", started, result.PID)
	}
	life.requireDead()
}

func TestCancelledBeforeStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := process.Run(ctx, process.Cmd{Path: "/nonexistent"})
	requireCause(t, err, fault.Interrupted, "CHILD_CANCELLED", process.CauseCancelled)
}

// What a child leaves behind in its group neither holds Run nor survives it.
func TestStragglerInTheGroup(t *testing.T) {
	t.Parallel()
	life := newLifeline(t)
	cmd := self(t, "parent", "hang", "group", "leave")
	cmd.Env = append(cmd.Env, life.env())
	cmd.Deadline = 30 * time.Second
	result, err := process.Run(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	if result.Duration > 10*time.Second {
		t.Errorf("the straggler held Run for %s", result.Duration)
	}
	life.requireDead()
}

// What left the group cannot be killed with it, so it must at least not hold Run:
// neither silent nor printing for ever.
func TestStragglerOutsideTheGroup(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"hang", "chatter"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			cmd := self(t, "parent", role, "own", "leave")
			cmd.OnLine = func(l process.Line) {
				if text, ok := strings.CutPrefix(l.Text, "pid "); ok {
					pid, err := strconv.Atoi(text)
					if err != nil {
						t.Errorf("pid: %v", err)
						return
					}
					t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
				}
			}
			result, err := process.Run(t.Context(), cmd)
			if err != nil {
				t.Fatal(err)
			}
			if result.Duration > 10*time.Second {
				t.Errorf("the straggler held Run for %s", result.Duration)
			}
		})
	}
}

func TestCapture(t *testing.T) {
	t.Parallel()
	cmd := self(t, "raw", strconv.Quote("a\x00b\xff\n"))
	cmd.CaptureLimit = 5
	result, err := process.Run(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	if string(result.Stdout) != "a\x00b\xff\n" {
		t.Errorf("captured %q", result.Stdout)
	}
	cmd.CaptureLimit = 4
	_, err = process.Run(t.Context(), cmd)
	requireCause(t, err, fault.Failed, "CHILD_OUTPUT", process.CauseOutput)
}

func TestRefusingWriterEndsTheChild(t *testing.T) {
	t.Parallel()
	full := errors.New("parser gave up")
	cmd := self(t, "chatter")
	cmd.Stdout = writerFunc(func([]byte) (int, error) { return 0, full })
	cmd.Grace = 100 * time.Millisecond
	_, err := process.Run(t.Context(), cmd)
	requireCause(t, err, fault.Failed, "CHILD_OUTPUT", process.CauseOutput)
	if !errors.Is(err, full) {
		t.Errorf("%v does not wrap the writer's error", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestEnvironmentIsComplete(t *testing.T) {
	t.Setenv("PROCESS_TEST_SECRET", "must not leak")
	cmd := self(t, "env")
	cmd.CaptureLimit = 1 << 20
	result, err := process.Run(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(result.Stdout)); got != strings.Join(cmd.Env, "\n") {
		t.Errorf("the child's environment is %q", got)
	}
}

func TestStdin(t *testing.T) {
	t.Parallel()
	cmd := self(t, "echo")
	cmd.Stdin, cmd.CaptureLimit = strings.NewReader("hello"), 100
	result, err := process.Run(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	if string(result.Stdout) != "hello" {
		t.Errorf("got %q", result.Stdout)
	}
}

func TestStartFailures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name   string
		cmd    process.Cmd
		reason string
		says   string
	}{
		{"not in PATH", process.Cmd{Path: "git", Env: []string{"PATH=" + dir}}, "EXECUTABLE_NOT_FOUND", "apt-get install git"},
		{"not in PATH, unknown", process.Cmd{Path: "no-such-program", Env: []string{"PATH=" + dir}}, "EXECUTABLE_NOT_FOUND", "install no-such-program"},
		{"no such file", process.Cmd{Path: filepath.Join(dir, "gone")}, "EXECUTABLE_NOT_FOUND", filepath.Join(dir, "gone")},
		{"no such directory", process.Cmd{Path: "/bin/sh", Dir: filepath.Join(dir, "gone")}, "CHILD_NOT_STARTED", "may be entered"},
		{"interpreter missing", process.Cmd{Path: write("script", "#!/no/such/interpreter\n", 0o700)}, "CHILD_NOT_STARTED", "interpreter"},
		{"not executable", process.Cmd{Path: write("plain", "text", 0o600)}, "CHILD_NOT_STARTED", "chmod +x"},
		{"no program", process.Cmd{Path: write("noformat", "text", 0o700)}, "CHILD_NOT_STARTED", "#! line"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := process.Run(t.Context(), tt.cmd)
			requireCause(t, err, fault.Failed, tt.reason, process.CauseStart)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
		})
	}
}

// TestOwnPath: a PATH among the child's variables does not choose the program.
func TestOwnPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "true"), []byte("#!/bin/sh\nexit 9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for own, want := range map[bool]int{true: 0, false: 9} {
		_, err := process.Run(t.Context(), process.Cmd{Path: "true", OwnPath: own, Env: []string{"PATH=" + dir}})
		var child *process.Error
		code := 0
		if errors.As(err, &child) {
			code = child.ExitCode
		}
		if code != want {
			t.Errorf("OwnPath %v: exit code %d, %v", own, code, err)
		}
	}
}
