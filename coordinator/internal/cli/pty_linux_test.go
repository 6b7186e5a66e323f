package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a person at a terminal.
type terminal struct {
	master, slave *os.File

	mu    sync.Mutex
	shown strings.Builder
	read  chan struct{}
}

// newTerminal opens a pseudo terminal (pty(7)).
func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master, slave: slave, read: make(chan struct{})}
	go func() {
		defer close(term.read)
		for r := bufio.NewReader(master); ; {
			b, err := r.ReadByte()
			if err != nil { // EIO once nobody has the other end
				return
			}
			term.mu.Lock()
			term.shown.WriteByte(b)
			term.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = slave.Close()
		<-term.read
		_ = master.Close()
	})
	return term
}

// says waits until the terminal shows a text.
func (term *terminal) says(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for {
		term.mu.Lock()
		shown := term.shown.String()
		term.mu.Unlock()
		if strings.Contains(shown, text) {
			return
		}
		select {
		case <-ticks.C:
		case <-deadline:
			t.Errorf("the terminal does not show %q:\n%s", text, shown)
			return
		}
	}
}

// answers runs the program at the terminal and types an answer to its question; "" is for a run that asks nothing.
func (term *terminal) answers(t *testing.T, answer string, args ...string) (code int, out string) {
	t.Helper()
	var b strings.Builder
	done := make(chan int, 1)
	go func() { done <- Run(args, Streams{In: term.slave, Out: &b, Err: term.slave}) }()
	if answer != "" {
		term.says(t, "Roll back? [y/N]")
		if _, err := io.WriteString(term.master, answer); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case code = <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	return code, b.String()
}

func TestRollbackAsksAtATerminal(t *testing.T) {
	target := strings.Repeat("a", 40)
	for name, tt := range map[string]struct {
		answer string
		args   []string
		code   int
		sent   bool
	}{
		"yes":         {"y\n", nil, 0, true},
		"YES":         {"Yes\n", nil, 0, true},
		"no":          {"n\n", nil, 7, false},
		"just return": {"\n", nil, 7, false},
		"end of file": {"\x04", nil, 7, false},
		"--yes":       {"", []string{"--yes"}, 0, true},
		"--dry-run":   {"", []string{"--dry-run"}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := &agent{ends: succeeded, rollback: somethingToRollBack()}
			a.serve(t)
			term := newTerminal(t)
			code, out := term.answers(t, tt.answer, append([]string{"rollback", "--to", target}, tt.args...)...)
			if code != tt.code || (len(a.commands) == 1) != tt.sent {
				t.Errorf("exit code %d, want %d, commands %q", code, tt.code, a.commands)
			}
			if name != "--dry-run" {
				term.says(t, "2 services change, 1 image is gone")
			}
			if tt.sent != strings.HasPrefix(out, theOperation+" SUCCEEDED") {
				t.Errorf("stdout %q", out)
			}
		})
	}
}

// Where all is as it would be afterwards there is nothing to ask.
func TestRollbackToWhatRunsAsksNothing(t *testing.T) {
	a := &agent{stamp: strings.Repeat("a", 40), rollback: nothingToRollBack()}
	a.serve(t)
	code, out := newTerminal(t).answers(t, "", "rollback", "--to", a.stamp)
	if code != 0 || len(a.commands) != 0 || out != "nothing to do: aaaaaaaaaaaa runs, 30 services stay as they are\n" {
		t.Errorf("exit code %d, commands %q, stdout %q", code, a.commands, out)
	}
}
