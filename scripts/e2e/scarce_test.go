package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// small mounts a file system of so many bytes on a folder and keeps what is in it.
func small(t *testing.T, dir string, size int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root, to mount a small file system")
	}
	keep := filepath.Join(t.TempDir(), "kept")
	for _, c := range [][]string{
		{"cp", "-a", dir, keep},
		{"mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=755", size), "tmpfs", dir},
		{"cp", "-a", keep + "/.", dir},
	} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", c, err, out)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// fill fills the file system of a folder but for some bytes; the result makes the room again.
func fill(t *testing.T, dir string, but int64) (empty func()) {
	t.Helper()
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ballast")
	if err := os.WriteFile(path, make([]byte, max(0, int64(stat.Bavail)*stat.Bsize-but)), 0o644); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// noise is text that does not compress well.
func noise(bytes int) string {
	random, b := rand.New(rand.NewPCG(1, 1)), strings.Builder{}
	for b.Len() < bytes {
		fmt.Fprintf(&b, "%x\n", random.Uint64())
	}
	return b.String()
}

const noLimits = "limits: {min_free_disk: 1KiB, min_available_memory: 1KiB}"

// A full disk under the checkout: before anything was touched the host stays as it was, after that it goes back.
func TestFullDiskUnderTheCheckout(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	small(t, s.tree.Dir, 8<<20)
	s.startAgent(noLimits)
	stamp := s.readStamp()
	big := s.push("big", map[string]string{"docs/big.txt": noise(3 << 20)})

	t.Run("before", func(t *testing.T) {
		defer s.in(t)()
		empty := fill(t, s.tree.Dir, 64<<10)
		before := s.look()
		s.deploys(big, 1, "No space left on device")
		if op := s.newest(); op.State != "FAILED_UNTOUCHED" {
			t.Errorf("%s: %s", op.State, op.Failure.Message)
		}
		empty()
		s.kept(before.containers)
		if s.tree.Head() != stamp || s.tree.Git("status", "--porcelain") != "" || s.readStamp() != stamp {
			t.Errorf("checkout at %s, %q", s.tree.Head(), s.tree.Git("status", "--porcelain"))
		}
	})
	t.Run("during", func(t *testing.T) {
		defer s.in(t)()
		s.tree.Git("fetch", "-q", "origin") // the commit has room, its files have not
		empty := fill(t, s.tree.Dir, 1<<20)
		before := s.look()
		s.deploys(big, 1, "unable to write file docs/big.txt", "FAILED_UNTOUCHED", "docker system df")
		s.asBefore(before)
		empty()
	})
	t.Run("with room again", func(t *testing.T) {
		defer s.in(t)()
		sha := s.push("smaller", map[string]string{"docs/big.txt": "small\n", "app/run.sh": serves("two")})
		s.deploys(sha, 0, "SUCCEEDED")
	})
}

// gated is a build script that waits until a file is there.
func gated(gate string) string {
	return "#!/bin/sh\necho waiting\nwhile [ ! -e " + gate + " ]; do sleep 0.1; done\necho prepared\n"
}

// open lets a gated script go on.
func open(t *testing.T, gate string) {
	t.Helper()
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A disk that is full under the journal: nothing happens that is not recorded, nothing more is begun, and an agent that
// is started with room again takes the operation up.
func TestFullDiskUnderTheState(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	small(t, s.state, 8<<20)
	s.startAgent(noLimits, "verify_within: 1s")
	gate := filepath.Join(s.ids, "gate")
	before := s.look()
	sha := s.push("two", map[string]string{"app/run.sh": serves("two"), "app/prepare.sh": gated(gate)})
	s.detached(sha)
	s.logged("app/prepare.sh", 20*time.Second)
	empty := fill(t, s.state, 0)
	open(t, gate)
	s.logged("the operation stops here", 20*time.Second)
	s.coordinate("deployer", "attach").expect(t, 5, "nobody works on it", "restart the agent")
	s.eventually(20*time.Second, "its children end", func() bool { return len(s.children()) == 0 })
	s.kept(before.containers)
	if s.readStamp() != before.stamp {
		t.Errorf("the stamp moved to %s", s.readStamp())
	}
	other := s.push("three", map[string]string{"side/message.txt": "three\n"})
	s.deploys(other, 5, "could not be recorded", "restart the agent")
	s.coordinate("observer", "status").expect(t, 0)
	empty()
	s.deploys(other, 5, "restart the agent") // room alone does not tell where the operation stands

	s.stopAgent()
	s.startAgent(noLimits, "verify_within: 1s")
	op := s.ended(40 * time.Second)
	if op.State != "SUCCEEDED" || op.Target != sha || s.readStamp() != sha || s.revision() != sha {
		t.Errorf("%s of %s: %s; stamp %s", op.State, op.Target, op.Failure.Message, s.readStamp())
	}
	s.gapless(op.ID)
	s.tidy()
	s.deploys(other, 0, "SUCCEEDED")
}

// An agent without file descriptors ends its operation with a name, and works again after a restart.
func TestNoFileDescriptors(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent(noLimits, "verify_within: 1s")
	gate := filepath.Join(s.ids, "gate")
	before := s.look()
	sha := s.push("two", map[string]string{"app/run.sh": serves("two"), "app/prepare.sh": gated(gate)})
	wait := s.runs(sha)
	s.logged("app/prepare.sh", 20*time.Second)
	pid := s.agent.cmd.Process.Pid
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}, nil); err != nil {
		t.Fatal(err)
	}
	open(t, gate)
	s.logged("operation left", 60*time.Second)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil); err != nil { // to ask it
		t.Fatal(err)
	}
	wait()
	op := s.newest()
	t.Logf("%s: %s: %s", op.State, op.Failure.Reason, op.Failure.Message)
	if op.State != "ROLLBACK_FAILED" || !strings.Contains(op.Failure.Message, "too many open files") || !strings.Contains(op.Failure.Hint, "a person is needed") {
		t.Errorf("%s: %s (%s)", op.State, op.Failure.Message, op.Failure.Hint)
	}
	s.coordinate("deployer", "attach", op.ID).expect(t, 5, "the rollback failed")
	s.kept(before.containers)
	if s.readStamp() != before.stamp {
		t.Errorf("the stamp moved to %s", s.readStamp())
	}
	s.stopAgent()
	s.startAgent(noLimits, "verify_within: 1s")
	sha = s.push("three", map[string]string{"app/run.sh": serves("three"), "app/prepare.sh": "#!/bin/sh\n"})
	s.deploys(sha, 0, "SUCCEEDED")
	s.tidy()
	if s.revision() != sha {
		t.Errorf("app runs %s, want %s", s.revision(), sha)
	}
}

// engineLine is a way to the engine that can be cut.
type engineLine struct {
	path string

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
}

// mend lets connections through again.
func (l *engineLine) mend(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("unix", l.path)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.listener = listener
	l.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.carry(conn)
		}
	}()
}

// carry joins a connection to the engine's.
func (l *engineLine) carry(conn net.Conn) {
	engine, err := net.Dial("unix", "/var/run/docker.sock")
	if err != nil {
		_ = conn.Close() // the caller sees it
		return
	}
	l.mu.Lock()
	l.conns = append(l.conns, conn, engine)
	l.mu.Unlock()
	for _, pair := range [][2]net.Conn{{conn, engine}, {engine, conn}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1]) // a cut is what the test wants
			if w, ok := pair[0].(interface{ CloseWrite() error }); ok {
				_ = w.CloseWrite() // the other direction may go on
			}
		}()
	}
}

// cut ends all connections and refuses new ones.
func (l *engineLine) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.listener.Close() // removes the socket, too
	for _, c := range l.conns {
		_ = c.Close() // it may have ended
	}
	l.conns = nil
}

// An engine that goes away in the middle of an up: the old version runs again once it is back.
func TestEngineGoesAway(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	line := &engineLine{path: filepath.Join(s.ids, "docker.sock")}
	line.mend(t)
	t.Cleanup(line.cut)
	s.env = []string{"DOCKER_HOST=unix://" + line.path}
	s.startAgent(noLimits, "verify_within: 1s")
	for i, away := range []time.Duration{0, 100 * time.Millisecond, 400 * time.Millisecond} {
		t.Run(fmt.Sprintf("%s into the up", away), func(t *testing.T) {
			defer s.in(t)()
			before, ups := s.look(), s.count(`args=["up"`)
			sha := s.push("next", map[string]string{"app/run.sh": serves(fmt.Sprint("edition ", i)), "side/message.txt": fmt.Sprint(i, "\n")})
			wait := s.runs(sha)
			s.await("the up begins", func() bool { return s.count(`args=["up"`) > ups })
			pause(away)
			line.cut()
			s.reaches("ROLLING_BACK", 30*time.Second)
			pause(1500 * time.Millisecond) // longer than one look at the engine
			if op := s.newest(); op.State != "ROLLING_BACK" {
				t.Errorf("%s while the engine is away: %s", op.State, op.Failure.Message)
			}
			line.mend(t)
			op := s.ended(60 * time.Second)
			wait()
			if op.State != "ROLLED_BACK" {
				t.Errorf("%s: %s", op.State, op.Failure.Message)
			}
			s.restored(before.stamp, sha)
			s.kept(before.containers, "app", "side")
			if now := s.look(); now.images["app"] != before.images["app"] {
				t.Errorf("app runs %s, it ran %s", now.images["app"], before.images["app"])
			}
		})
	}
	sha := s.push("last", map[string]string{"app/run.sh": serves("last")})
	s.deploys(sha, 0, "SUCCEEDED")
	if _, err := os.Stat(line.path); errors.Is(err, os.ErrNotExist) {
		t.Error("the agent took another way to the engine")
	}
}
