package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/peercred"
	"ataraxis.dev/landfall/shared/peercred/peercredtest"
)

// The users and groups of these tests; no account has the numbers.
const (
	theOwner = 41234
	theGroup = 45678
	somebody = 40001
)

// homestead is a machine whose checkout belongs to a person, with an agent in a process of its own.
type homestead struct {
	*machine
	t      *testing.T
	socket string
	log    *lockedBuffer
	cmd    *exec.Cmd
	done   chan struct{}
}

// settle makes the machine; groups is what /etc/group is for the agent, "" is what it is.
func settle(t *testing.T, groups string) *homestead {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	noEngine(t)
	h := &homestead{machine: newMachine(t, ""), t: t}
	h.socket = filepath.Join(h.dir, "agent.sock")
	if err := os.Chmod(filepath.Dir(h.dir), 0o755); err != nil { // others pass to the socket
		t.Fatal(err)
	}
	if out, err := exec.Command("chown", "-R", fmt.Sprint(theOwner), h.tree.Dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.start(groups)
	return h
}

func (h *homestead) start(groups string) {
	h.t.Helper()
	h.log, h.done = &lockedBuffer{}, make(chan struct{})
	h.cmd = exec.Command("/proc/self/exe")
	if groups != "" {
		file := filepath.Join(h.dir, "group")
		if err := os.WriteFile(file, []byte(groups), 0o644); err != nil {
			h.t.Fatal(err)
		}
		h.cmd = exec.Command("unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/group && exec "$1"`, file, os.Args[0])
	}
	h.cmd.Env = append(os.Environ(), serveEnv+"="+h.config)
	h.cmd.Stdout, h.cmd.Stderr = h.log, h.log
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	done := h.done
	go func() {
		_ = h.cmd.Wait() // how it ended is read from ProcessState
		close(done)
	}()
	h.t.Cleanup(func() { h.end(syscall.SIGTERM) })
	for began := time.Now(); !strings.Contains(h.log.String(), "serving: address="); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			h.t.Fatalf("the agent does not serve:\n%s", h.log.String())
		}
	}
}

// end ends the agent.
func (h *homestead) end(how syscall.Signal) {
	h.t.Helper()
	_ = h.cmd.Process.Signal(how) // it may have ended
	select {
	case <-h.done:
	case <-time.After(20 * time.Second):
		_ = h.cmd.Process.Kill()
		h.t.Errorf("the agent did not end within 20 s:\n%s", h.log.String())
	}
}

// calls looks and pauses as a user; the connection's own error counts for both.
func (h *homestead) calls(as peercred.Peer) (look, pause error) {
	h.t.Helper()
	raw, err := peercredtest.Dial(h.t, h.socket, as)
	if err != nil {
		return err, err
	}
	once := make(chan net.Conn, 1)
	once <- raw
	conn, err := grpc.NewClient("passthrough:///localhost", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-once:
				return c, nil
			default:
				return nil, errors.New("the connection was closed")
			}
		}))
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	gitops := landfallv1.NewGitOpsServiceClient(conn)
	_, look = gitops.GetGitOps(h.t.Context(), &landfallv1.GetGitOpsRequest{})
	_, pause = gitops.Pause(h.t.Context(), &landfallv1.PauseRequest{Reason: "by hand"})
	return look, pause
}

// TestTheHostsOwnPeople: root and the checkout's owner are operators, members of group landfall observers, the kernel lets nobody else in.
func TestTheHostsOwnPeople(t *testing.T) {
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("a group of our own needs a mount namespace: %v %s", err, out)
	}
	h := settle(t, fmt.Sprintf("root:x:0:\nlandfall:x:%d:\n", theGroup))
	info, err := os.Lstat(h.socket)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); info.Mode() != fs.ModeSocket|0o660 || stat.Uid != theOwner || stat.Gid != theGroup {
		t.Errorf("the socket is %v of %d:%d", info.Mode(), stat.Uid, stat.Gid)
	}
	member := peercred.Peer{UID: somebody, GID: somebody, Groups: []uint32{theGroup}}
	for name, c := range map[string]struct {
		as          peercred.Peer
		look, pause codes.Code
		shut        bool
	}{
		"root":       {peercred.Peer{}, codes.OK, codes.OK, false},
		"the owner":  {peercred.Peer{UID: theOwner, GID: theOwner}, codes.OK, codes.OK, false},
		"a member":   {member, codes.OK, codes.PermissionDenied, false},
		"a stranger": {peercred.Peer{UID: somebody, GID: somebody}, 0, 0, true},
	} {
		look, pause := h.calls(c.as)
		switch {
		case c.shut:
			if !errors.Is(look, fs.ErrPermission) {
				t.Errorf("%s: %v", name, look)
			}
		case status.Code(look) != c.look || status.Code(pause) != c.pause:
			t.Errorf("%s looks: %v, pauses: %v, want %s and %s", name, look, pause, c.look, c.pause)
		}
	}
	// Even where somebody opens the socket to all: the agent judges for itself.
	if err := os.Chmod(h.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if look, pause := h.calls(peercred.Peer{UID: somebody, GID: somebody}); status.Code(look) != codes.Unauthenticated || status.Code(pause) != codes.Unauthenticated {
		t.Errorf("a stranger, let in: %v, %v", look, pause)
	}
	h.end(syscall.SIGTERM)
	if _, err := os.Lstat(h.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is there after the stop: %v", err)
	}
}

// TestASocketWithoutTheGroup: a host that has no group landfall serves root and the owner.
func TestASocketWithoutTheGroup(t *testing.T) {
	if _, ok := groupID(); ok {
		t.Skip("this host has the group")
	}
	h := settle(t, "")
	if info, err := os.Lstat(h.socket); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	if look, pause := h.calls(peercred.Peer{UID: theOwner, GID: 9}); look != nil || pause != nil {
		t.Errorf("the owner: %v, %v", look, pause)
	}
	if look, _ := h.calls(peercred.Peer{UID: somebody, GID: somebody, Groups: []uint32{0}}); !errors.Is(look, fs.ErrPermission) {
		t.Errorf("a stranger: %v", look)
	}

	if o := agentProgram("check", "--config", h.config); !strings.Contains(o.out, "ok    socket: "+h.socket+" is for root, 41234 and nobody else") || !strings.Contains(o.out, "it is served now") {
		t.Errorf("check says\n%s", o.out)
	}

	// A killed agent leaves its socket; the next one starts over it.
	h.end(syscall.SIGKILL)
	if _, err := os.Lstat(h.socket); err != nil {
		t.Fatalf("the killed one left no socket, this test shows nothing: %v", err)
	}
	h.start("")
	if look, _ := h.calls(peercred.Peer{}); look != nil {
		t.Errorf("after the restart: %v", look)
	}

	// A second agent, of another checkout and state, on the same socket.
	second := newMachine(t, "")
	text, err := os.ReadFile(second.config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("socket: "+second.dir+"/agent.sock"), []byte("socket: "+h.socket), 1)
	if err := os.WriteFile(second.config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	o := agentProgram("serve", "--config", second.config)
	o.expect(t, 7, h.socket, fmt.Sprintf("pid %d", h.cmd.Process.Pid))
	if look, _ := h.calls(peercred.Peer{}); look != nil {
		t.Errorf("the first one does not serve any more: %v", look)
	}
	if _, err := net.Dial("tcp", second.address); err == nil {
		t.Error("the second one serves its port")
	}
}

// What is in the socket's place is told, and stays.
func TestWhatIsInTheSocketsPlace(t *testing.T) {
	noEngine(t)
	h := newMachine(t, "")
	path := filepath.Join(h.dir, "agent.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	agentProgram("serve", "--config", h.config).expect(t, 2, path, "no socket but a file", "`socket:`")
	if got, err := os.ReadFile(path); err != nil || string(got) != "precious" {
		t.Errorf("it is %q, %v", got, err)
	}
	found := false
	for _, check := range h.bad(t) {
		found = found || check == "socket"
	}
	if !found {
		t.Error("check says nothing of it")
	}
}

func TestNoSocket(t *testing.T) {
	noEngine(t)
	h := newMachine(t, "")
	text, err := os.ReadFile(h.config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("socket: "+h.dir+"/agent.sock"), []byte(`socket: ""`), 1)
	if err := os.WriteFile(h.config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if good, told := h.findings(t, 1)["socket"]; !good || !told {
		t.Errorf("check of none: %v, %v", good, told)
	}
}
