package journal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/shared/fault"
)

// holdEnv makes the test binary a second agent: it holds the state directory it names
// until its standard input ends.
const holdEnv = "JOURNAL_TEST_HOLD"

func TestMain(m *testing.M) {
	dir := os.Getenv(holdEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	if _, err := Open(dir, 200, hclog.NewNullLogger()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestAnotherProcessHoldsTheLock(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), holdEnv+"="+dir)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stdin.Close()
		_ = child.Wait() // ended or killed by the test
	}()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	_, err = Open(dir, 200, hclog.NewNullLogger())
	wantFault(t, err, fault.Refused, "HOST_LOCKED")
	if holder := fmt.Sprintf("pid %d", child.Process.Pid); err != nil && !strings.Contains(err.Error(), holder) {
		t.Errorf("the message does not name the holder, %s: %v", holder, err)
	}
	if err := child.Process.Kill(); err != nil { // as kill -9 does: nothing is tidied up
		t.Fatal(err)
	}
	_ = child.Wait()
	j := open(t, dir, 200)
	if got, want := content(t, filepath.Join(dir, "lock")), fmt.Sprintf("pid %d\n", os.Getpid()); got != want {
		t.Errorf("the lock says %q, want %q", got, want)
	}
	if _, err := Open(dir, 200, hclog.NewNullLogger()); fault.ReasonOf(err) != "HOST_LOCKED" {
		t.Errorf("the same process opens it twice: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, 200)
}
