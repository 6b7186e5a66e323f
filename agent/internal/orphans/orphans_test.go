//go:build linux

package orphans

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// roleEnv makes the test binary play a child.
const roleEnv = "ORPHANS_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		// Not os.Exit: its hooks print about coverage and sleep under the race detector.
		syscall.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

// play is the child's main. Every role says "ready" and holds its standard output until it ends.
func play(role string) int {
	switch role {
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	case "family": // its child has a session of its own, as a daemon would
		signal.Ignore(syscall.SIGTERM)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleEnv+"=stubborn")
		cmd.Stdout = os.Stdout
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return 98
		}
	}
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return 97
	}
	_, _ = io.Copy(os.Stdout, os.Stdin) // until a signal, or the end of the test
	if role == "polite" || role == "stranger" {
		return 0
	}
	select {} // its parent's standard input may be gone before it is
}

// child is a running one, with its children.
type child struct {
	t     *testing.T
	stdin io.WriteCloser
	pipe  *os.File // read end of its standard output, which its children hold, too
	lines *bufio.Reader
}

// spawn starts a child in a group of its own and waits for as many processes to be ready.
func spawn(t *testing.T, role string, processes int, env ...string) *child {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), append(env, roleEnv+"="+role)...)
	cmd.Stdout = write
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: role != "group"}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = read.Close()
	})
	c := &child{t: t, stdin: stdin, pipe: read, lines: bufio.NewReader(read)}
	for range processes {
		c.line("ready")
	}
	return c
}

func (c *child) line(want string) {
	c.t.Helper()
	if err := c.pipe.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	if got, err := c.lines.ReadString('\n'); err != nil || strings.TrimSpace(got) != want {
		c.t.Fatalf("the child says %q, %v; want %q", got, err, want)
	}
}

// requireDead fails the test unless the child and its children have ended.
func (c *child) requireDead() {
	c.t.Helper()
	if err := c.pipe.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	if rest, err := io.ReadAll(c.lines); err != nil {
		c.t.Errorf("it is still alive: %q, %v", rest, err)
	}
}

// requireAlive fails the test unless the child answers.
func (c *child) requireAlive() {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, "are you there\n"); err != nil {
		c.t.Fatal(err)
	}
	c.line("are you there")
}

func finder() *Orphans { return New(hclog.NewNullLogger()) }

func TestEndsTheChildrenOfOneOperation(t *testing.T) {
	t.Parallel()
	mine := Variable + "=op-1-a"
	polite, group := spawn(t, "polite", 1, mine), spawn(t, "group", 1, mine)
	longer := spawn(t, "stranger", 1, Variable+"=op-1-ab")
	other, unmarked := spawn(t, "stranger", 1, Variable+"=op-2-a", "X"+mine), spawn(t, "stranger", 1)
	began := time.Now()
	if n, err := finder().End(t.Context(), "op-1-a"); n != 2 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	if took := time.Since(began); took >= grace {
		t.Errorf("children that heed SIGTERM took %s", took)
	}
	polite.requireDead()
	group.requireDead() // it was in our group, and we are alive
	for _, c := range []*child{longer, other, unmarked} {
		c.requireAlive()
	}
	if n, err := finder().End(t.Context(), "op-1-a"); n != 0 || err != nil {
		t.Errorf("again: %d ended, %v", n, err)
	}
}

// TestKillsWhatIgnoresTheSignal, grandchildren in sessions of their own included.
func TestKillsWhatIgnoresTheSignal(t *testing.T) {
	t.Parallel()
	family := spawn(t, "family", 2, Variable+"=op-7-b")
	stranger := spawn(t, "stranger", 1, Variable+"=op-8-b")
	if n, err := finder().End(t.Context(), "op-7-b"); n != 2 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	family.requireDead()
	stranger.requireAlive()
}

// TestMark: what a marked context runs is found, and so is what that runs.
func TestMark(t *testing.T) {
	t.Parallel()
	o := finder()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}, 2), make(chan error, 1)
	go func() {
		read, write, err := os.Pipe() // a standard input that stays open
		if err != nil {
			ended <- err
			return
		}
		defer read.Close()
		defer write.Close()
		_, err = process.Run(o.Mark(t.Context(), "op-9-c"), process.Cmd{
			Path: path, Env: []string{roleEnv + "=family"}, Label: "family", Stdin: read,
			OnLine: func(process.Line) { ready <- struct{}{} },
		})
		ended <- err
	}()
	<-ready
	<-ready
	if n, err := o.End(t.Context(), "op-9-c"); n != 2 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	var failure *process.Error
	if err := <-ended; !errors.As(err, &failure) {
		t.Errorf("the child ended with %v", err)
	}
}

// TestWhatCannotBeEndedIsSaid: a process that stays, whatever it is sent.
func TestWhatCannotBeEndedIsSaid(t *testing.T) {
	t.Parallel()
	o := fake(t, map[string]string{"1073741824": "A=1\x00" + Variable + "=op-1-a\x00B=2\x00"}) // beyond any real one
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // not to wait for what a file will not do
	n, err := o.End(ctx, "op-1-a")
	if n != 1 || fault.KindOf(err) != fault.Degraded || fault.ReasonOf(err) != "ORPHANS_LEFT" || !strings.Contains(err.Error(), "1073741824") {
		t.Errorf("%d ended, %v", n, err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	o := fake(t, map[string]string{
		"1000000012": Variable + "=op-1-a", "1000000003": "A=1\x00" + Variable + "=op-1-a\x00", "1000000004": Variable + "=op-1-ab\x00",
		"1000000005": "X" + Variable + "=op-1-a\x00", "1000000006": "", "self": Variable + "=op-1-a\x00", "12x": Variable + "=op-1-a\x00",
	})
	if err := os.Mkdir(filepath.Join(o.proc, "1000000007"), 0o700); err != nil { // gone between two looks
		t.Fatal(err)
	}
	if got := o.find("op-1-a"); !slices.Equal(got, []int{1000000003, 1000000012}) {
		t.Errorf("found %v", got)
	}
	if got := (&Orphans{proc: filepath.Join(o.proc, "none")}).find("op-1-a"); len(got) != 0 {
		t.Errorf("without a process table: %v", got)
	}
}

// fake is a process table in files: environments by process.
func fake(t *testing.T, environ map[string]string) *Orphans {
	t.Helper()
	dir := t.TempDir()
	for pid, text := range environ {
		if err := os.Mkdir(filepath.Join(dir, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, pid, "environ"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &Orphans{proc: dir, log: hclog.NewNullLogger()}
}
