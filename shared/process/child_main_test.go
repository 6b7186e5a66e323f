package process_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is its own child: roleEnv says which part it plays.
const (
	roleEnv = "PROCESS_TEST_ROLE"
	addrEnv = "PROCESS_TEST_ADDR" // where hang reports that it lives
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		// Not os.Exit: its hooks print about coverage and sleep under the race detector.
		syscall.Exit(play(role, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// play is the child's main.
func play(role string, args []string) int {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	switch role {
	case "count": // N numbered lines on each stream
		n, _ := strconv.Atoi(args[0])
		errs := bufio.NewWriter(os.Stderr)
		defer errs.Flush()
		for i := range n {
			fmt.Fprintf(out, "o %d\n", i)
			fmt.Fprintf(errs, "e %d\n", i)
		}
	case "raw": // unquotes its argument
		text, err := strconv.Unquote(args[0])
		if err != nil {
			return 99
		}
		fmt.Fprint(out, text)
	case "fail":
		fmt.Fprintln(os.Stderr, "first")
		fmt.Fprintln(os.Stderr, args[0])
		return 17
	case "killself":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "env":
		fmt.Fprintln(out, strings.Join(os.Environ(), "\n"))
	case "echo":
		_, _ = io.Copy(out, os.Stdin)
	case "polite": // ends by itself on SIGTERM
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("ready")
		<-stop
		fmt.Println("bye")
		return 3
	case "hang": // ignores SIGTERM and lives until killed; its connection ends with it
		hang()
	case "chatter": // prints for ever
		signal.Ignore(syscall.SIGTERM, syscall.SIGPIPE)
		for {
			if _, err := fmt.Fprintln(os.Stdout, "again"); err != nil {
				return 0
			}
		}
	case "parent": // starts args[0] in this group, or (args[1] == "own") in a session of its own, and exits or stays
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleEnv+"="+args[0])
		cmd.Stdout = os.Stdout
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: args[1] == "own"}
		ready, _ := cmd.StderrPipe()
		if err := cmd.Start(); err != nil {
			return 98
		}
		if args[0] == "hang" {
			_, _ = ready.Read(make([]byte, 1))
		}
		fmt.Println("pid", cmd.Process.Pid)
		if args[2] == "stay" {
			_ = cmd.Wait()
		}
	}
	return 0
}

func hang() {
	signal.Ignore(syscall.SIGTERM)
	if addr := os.Getenv(addrEnv); addr != "" {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			syscall.Exit(97)
		}
		defer conn.Close()
	}
	fmt.Fprint(os.Stderr, "!")
	time.Sleep(time.Minute)
}

// lifeline accepts the connection of a "hang" process.
type lifeline struct {
	t        *testing.T
	listener net.Listener
}

func newLifeline(t *testing.T) *lifeline {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &lifeline{t: t, listener: l}
}

func (l *lifeline) env() string { return addrEnv + "=" + l.listener.Addr().String() }

// requireDead fails the test unless the process that holds the other end has ended.
func (l *lifeline) requireDead() {
	l.t.Helper()
	if err := l.listener.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		l.t.Fatal(err)
	}
	conn, err := l.listener.Accept()
	if err != nil {
		l.t.Fatalf("the process never lived: %v", err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		l.t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); os.IsTimeout(err) {
		l.t.Error("the process is still alive")
	}
}
