package peercred_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ataraxis.dev/landfall/shared/peercred"
)

// connectEnv makes the test binary a caller, which connects to the socket that it names.
const connectEnv = "PEERCRED_TEST_CONNECT"

func TestMain(m *testing.M) {
	path := os.Getenv(connectEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = conn.Read(make([]byte, 1)) // until the test hangs up
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// many is more groups than fit into the first answer.
func many() []uint32 {
	var groups []uint32
	for n := range uint32(300) {
		groups = append(groups, 50000+n)
	}
	return groups
}

func TestOfOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	dir, err := os.MkdirTemp("", "landfall-peercred-") // t.TempDir lies below a folder that others may not enter
	must(t, err)
	defer func() { _ = os.RemoveAll(dir) }()
	must(t, os.Chmod(dir, 0o755))
	raw, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	program, path := filepath.Join(dir, "caller"), filepath.Join(dir, "socket")
	must(t, os.WriteFile(program, raw, 0o755))
	l, err := net.Listen("unix", path)
	must(t, err)
	defer l.Close()
	must(t, os.Chmod(path, 0o666))
	for _, as := range []syscall.Credential{{Uid: 40001, Gid: 40002}, {Uid: 40001, Gid: 40002, Groups: []uint32{40003, 40004}}, {Uid: 40001, Gid: 7, Groups: many()}, {}} {
		cmd := exec.Command(program)
		cmd.Dir, cmd.Env, cmd.Stderr = "/", []string{connectEnv + "=" + path}, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &as}
		must(t, cmd.Start())
		conn, err := l.Accept()
		must(t, err)
		p, err := peercred.Of(conn.(syscall.Conn))
		_ = conn.Close()
		must(t, cmd.Wait())
		slices.Sort(p.Groups)
		if err != nil || p.PID != cmd.Process.Pid || p.UID != as.Uid || p.GID != as.Gid || !slices.Equal(p.Groups, as.Groups) {
			t.Errorf("%d:%d with %d groups is seen as %+v, %v", as.Uid, as.Gid, len(as.Groups), p, err)
		}
		for _, g := range append(as.Groups, as.Gid) {
			if !p.In(g) {
				t.Errorf("he is not in %d", g)
			}
		}
		if p.In(40005) {
			t.Error("he is in a group that he is not in")
		}
	}
}

func TestOfNoUnixSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer conn.Close()
	if p, err := peercred.Of(conn.(syscall.Conn)); err == nil {
		t.Errorf("over the network comes %+v", p)
	}
}

func TestName(t *testing.T) {
	if got := peercred.Name(0); got != "0-root" {
		t.Errorf("root is %q", got)
	}
	if got := peercred.Name(40001); got != "40001" || strings.ContainsAny(got, " /") {
		t.Errorf("who has no account is %q", got)
	}
}
