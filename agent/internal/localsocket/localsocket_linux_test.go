package localsocket

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// connectEnv makes the test binary a caller, which connects to the socket that it names and says how that went. holdEnv makes it
// an agent that serves the socket until its input ends, with groupEnv for a group.
const (
	connectEnv = "LOCALSOCKET_TEST_CONNECT"
	holdEnv    = "LOCALSOCKET_TEST_HOLD"
	groupEnv   = "LOCALSOCKET_TEST_GROUP" // for theOwner and theGroup
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(connectEnv) != "":
		conn, err := net.Dial("unix", os.Getenv(connectEnv))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_ = conn.Close()
		fmt.Println("connected")
	case os.Getenv(holdEnv) != "":
		a := Access{UID: os.Getuid(), GID: NoGroup}
		if os.Getenv(groupEnv) != "" {
			a = Access{UID: theOwner, GID: theGroup}
		}
		if _, err := Listen(os.Getenv(holdEnv), a); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
	default:
		code := m.Run()
		if copied != "" {
			_ = os.RemoveAll(filepath.Dir(copied))
		}
		os.Exit(code)
	}
}

// The users and groups of these tests; no account has the numbers.
const (
	theOwner = 41234
	theGroup = 45678
	somebody = 40001
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
}

// place is a path for a socket in a folder that everybody may pass.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "landfall-socket-") // t.TempDir lies below a folder that others may not enter
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return filepath.Join(dir, "run", "agent.sock")
}

func serve(t *testing.T, path string, a Access) net.Listener {
	t.Helper()
	l, err := Listen(path, a)
	must(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return l
}

func entries(t *testing.T, path string) string {
	t.Helper()
	list, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func wantRefusal(t *testing.T, err error, kind fault.Kind, reason string, says ...string) {
	t.Helper()
	if fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Errorf("got %v %s (%v), want %v %s", fault.KindOf(err), fault.ReasonOf(err), err, kind, reason)
	}
	for _, part := range says {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}

func TestASocketComesAndGoes(t *testing.T) {
	asRoot(t)
	for _, umask := range []int{0o000, 0o077} {
		path := place(t)
		was := syscall.Umask(umask)
		l := serve(t, path, Access{UID: theOwner, GID: theGroup})
		syscall.Umask(was)
		info, err := os.Lstat(path)
		must(t, err)
		stat := info.Sys().(*syscall.Stat_t)
		if info.Mode() != fs.ModeSocket|0o660 || stat.Uid != theOwner || stat.Gid != theGroup {
			t.Errorf("with umask %o the socket is %v of %d:%d", umask, info.Mode(), stat.Uid, stat.Gid)
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("with umask %o its folder is %v, %v", umask, info.Mode(), err)
		}
		if got := entries(t, path); got != "agent.sock agent.sock.lock" {
			t.Errorf("in the folder are %s", got)
		}
		must(t, l.Close())
		must(t, l.Close())
		if got := entries(t, path); got != "" {
			t.Errorf("after the end there are %s", got)
		}
	}
}

// TestWhoMayConnect: the kernel itself lets nobody else in.
func TestWhoMayConnect(t *testing.T) {
	asRoot(t)
	for name, a := range map[string]Access{"with a group": {UID: theOwner, GID: theGroup}, "without": {UID: theOwner, GID: NoGroup}} {
		path := place(t)
		serve(t, path, a)
		grouped := a.GID != NoGroup
		for _, c := range []struct {
			who  string
			as   syscall.Credential
			want bool
		}{
			{"root", syscall.Credential{}, true},
			{"the owner", syscall.Credential{Uid: theOwner, Gid: theOwner}, true},
			{"a member", syscall.Credential{Uid: somebody, Gid: somebody, Groups: []uint32{9, theGroup}}, grouped},
			{"a member by the primary group", syscall.Credential{Uid: somebody, Gid: theGroup}, grouped},
			{"a stranger", syscall.Credential{Uid: somebody, Gid: somebody, Groups: []uint32{9}}, false},
			{"one of the root group", syscall.Credential{Uid: somebody, Gid: 0}, false},
		} {
			out, ok := connectAs(t, path, c.as)
			if ok != c.want || (!ok && !strings.Contains(out, "permission denied")) {
				t.Errorf("%s, %s: %v %s, want %v", name, c.who, ok, out, c.want)
			}
		}
	}
}

// connectAs has a child connect as another user. The test binary lies where others may not enter, so it is one of our own.
func connectAs(t *testing.T, path string, as syscall.Credential) (string, bool) {
	t.Helper()
	cmd := exec.Command(program(t))
	cmd.Env = []string{connectEnv + "=" + path}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &as}
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// copied is the test binary in a place that everybody may enter; "" until it is needed.
var copied string

func program(t *testing.T) string {
	t.Helper()
	if copied == "" {
		dir, err := os.MkdirTemp("", "landfall-program-")
		must(t, err)
		must(t, os.Chmod(dir, 0o755))
		raw, err := os.ReadFile("/proc/self/exe")
		must(t, err)
		copied = filepath.Join(dir, "caller")
		must(t, os.WriteFile(copied, raw, 0o755))
	}
	return copied
}

// TestTwoAgents: the second is refused and told who is first, and the first serves on. One that was killed is no obstacle.
func TestTwoAgents(t *testing.T) {
	path := place(t)
	first := exec.Command("/proc/self/exe")
	first.Env = append(os.Environ(), holdEnv+"="+path)
	in, err := first.StdinPipe()
	must(t, err)
	defer in.Close()
	out, err := first.StdoutPipe()
	must(t, err)
	must(t, first.Start())
	held := make([]byte, 5)
	if _, err := io.ReadFull(out, held); err != nil || string(held) != "held\n" {
		rest, _ := io.ReadAll(out)
		t.Fatalf("the first says %s%s, %v", held, rest, err)
	}
	a := Access{UID: os.Getuid(), GID: NoGroup}
	before, err := os.Lstat(path)
	must(t, err)
	_, err = Listen(path, a)
	wantRefusal(t, err, fault.Refused, ReasonInUse, path, fmt.Sprintf("pid %d", first.Process.Pid), "ss -lxp")
	if served, err := Check(path, a); !served || err != nil {
		t.Errorf("check says served %v, %v", served, err)
	}
	if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the first's socket was touched: %v", err)
	}
	must(t, first.Process.Kill())
	_ = first.Wait()
	if got := entries(t, path); got != "agent.sock agent.sock.lock" {
		t.Fatalf("the killed one left %s: this test shows nothing", got)
	}
	if served, err := Check(path, a); served || err != nil {
		t.Errorf("after its death check says served %v, %v", served, err)
	}
	must(t, os.WriteFile(path+".lock", nil, 0o600))
	l := serve(t, path, a)
	conn, err := net.Dial("unix", path)
	must(t, err)
	_ = conn.Close()
	must(t, l.Close())
	if got := entries(t, path); got != "" {
		t.Errorf("after the end there are %s", got)
	}
}

// TestAnAgentThatIsNotRoot gives its socket away as far as it can, and never further than it was to go.
func TestAnAgentThatIsNotRoot(t *testing.T) {
	asRoot(t)
	for name, c := range map[string]struct {
		as       syscall.Credential
		mode     fs.FileMode
		uid, gid uint32
	}{
		"the owner, a member":        {syscall.Credential{Uid: theOwner, Gid: theOwner, Groups: []uint32{theGroup}}, 0o660, theOwner, theGroup},
		"the owner, no member":       {syscall.Credential{Uid: theOwner, Gid: theOwner}, 0o600, theOwner, theOwner},
		"a user of its own, member":  {syscall.Credential{Uid: somebody, Gid: somebody, Groups: []uint32{theGroup}}, 0o660, somebody, theGroup},
		"a user of its own, no more": {syscall.Credential{Uid: somebody, Gid: somebody}, 0o600, somebody, somebody},
	} {
		path := place(t)
		must(t, os.Mkdir(filepath.Dir(path), 0o755)) // as RuntimeDirectory= does
		must(t, os.Chown(filepath.Dir(path), int(c.as.Uid), int(c.as.Gid)))
		agent := exec.Command(program(t))
		agent.Dir, agent.Env = "/", []string{holdEnv + "=" + path, groupEnv + "=yes"}
		agent.SysProcAttr = &syscall.SysProcAttr{Credential: &c.as}
		in, err := agent.StdinPipe()
		must(t, err)
		out, err := agent.StdoutPipe()
		must(t, err)
		must(t, agent.Start())
		held := make([]byte, 5)
		if _, err := io.ReadFull(out, held); err != nil || string(held) != "held\n" {
			rest, _ := io.ReadAll(out)
			t.Fatalf("%s: %s%s, %v", name, held, rest, err)
		}
		info, err := os.Lstat(path)
		must(t, err)
		if stat := info.Sys().(*syscall.Stat_t); info.Mode() != fs.ModeSocket|c.mode || stat.Uid != c.uid || stat.Gid != c.gid {
			t.Errorf("%s: the socket is %v of %d:%d", name, info.Mode(), stat.Uid, stat.Gid)
		}
		_ = in.Close()
		must(t, agent.Wait())
	}
}

// TestManyAgentsAtOnce: of several that start over a stale socket one serves, whatever the moment, and its socket is the one that is there.
func TestManyAgentsAtOnce(t *testing.T) {
	for range 20 {
		path := place(t)
		stale(t, path)
		a := Access{UID: os.Getuid(), GID: NoGroup}
		var mu sync.Mutex
		var made []net.Listener
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				l, err := Listen(path, a)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made = append(made, l)
				} else if fault.ReasonOf(err) != ReasonInUse {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(made) != 1 {
			t.Fatalf("%d serve", len(made))
		}
		conn, err := net.Dial("unix", path)
		must(t, err)
		_ = conn.Close()
		must(t, made[0].Close())
	}
}

// stale leaves a socket as a dead agent does.
func stale(t *testing.T, path string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close())
}

// TestAServedSocketOfOthersIsLeft: somebody serves it who knows nothing of our lock.
func TestAServedSocketOfOthersIsLeft(t *testing.T) {
	path := place(t)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	l, err := net.Listen("unix", path)
	must(t, err)
	defer l.Close()
	_, err = Listen(path, Access{UID: os.Getuid(), GID: NoGroup})
	wantRefusal(t, err, fault.Refused, ReasonInUse, path)
	if got := entries(t, path); got != "agent.sock" {
		t.Errorf("the refused one left %s", got)
	}
}

// A closing agent removes its own socket only.
func TestASuccessorsSocketStays(t *testing.T) {
	path := place(t)
	l := serve(t, path, Access{UID: os.Getuid(), GID: NoGroup})
	must(t, os.Remove(path))
	stale(t, path)
	must(t, l.Close())
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other one's socket went: %v", err)
	}
}

// TestWhatIsNoSocketStays: what is wrong with a place is told, and nothing of it changes.
func TestWhatIsNoSocketStays(t *testing.T) {
	asRoot(t)
	for name, c := range map[string]struct {
		spoil func(path string) error
		says  []string
	}{
		"a file":                {func(p string) error { return os.WriteFile(p, []byte("precious"), 0o644) }, []string{"is no socket but a file", "ls -l "}},
		"a folder":              {func(p string) error { return os.Mkdir(p, 0o755) }, []string{"is no socket but a folder"}},
		"a link":                {func(p string) error { return os.Symlink("/etc/passwd", p) }, []string{"is no socket but a link"}},
		"a link to nowhere":     {func(p string) error { return os.Symlink("nowhere", p) }, []string{"is no socket but a link"}},
		"a pipe":                {func(p string) error { return syscall.Mkfifo(p, 0o600) }, []string{"is no socket but a pipe"}},
		"a socket of others":    {func(p string) error { stale(t, p); return os.Chown(p, somebody, somebody) }, []string{"belongs to user 40001", "rm "}},
		"a file as the new one": {func(p string) error { return os.WriteFile(p+".new", []byte("precious"), 0o644) }, []string{".new", "is no socket but a file"}},
		"an open folder":        {func(p string) error { return os.Chmod(filepath.Dir(p), 0o777) }, []string{"can be written by others", "chmod go-w "}},
		"a sticky folder":       {func(p string) error { return os.Chmod(filepath.Dir(p), 0o777|fs.ModeSticky) }, []string{"can be written by others"}},
		"a folder of others":    {func(p string) error { return os.Chown(filepath.Dir(p), somebody, somebody) }, []string{"belongs to user 40001", "chown -h 0 "}},
		"an open way":           {func(p string) error { return os.Chmod(filepath.Dir(filepath.Dir(p)), 0o777) }, []string{"chmod go-w "}},
		"a lock of others": {func(p string) error {
			return errors.Join(os.WriteFile(p+".lock", nil, 0o600), os.Chown(p+".lock", somebody, -1))
		}, []string{"belongs to user 40001"}},
		"a lock that is a link": {func(p string) error { return os.Symlink("/etc/passwd", p+".lock") }, []string{"lock"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := place(t)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, c.spoil(path))
			before := picture(t, path)
			a := Access{UID: theOwner, GID: NoGroup}
			l, err := Listen(path, a)
			if err == nil {
				_ = l.Close()
			}
			wantRefusal(t, err, fault.Invalid, ReasonSocket, c.says...)
			if after := picture(t, path); after != before {
				t.Errorf("before\n%safter\n%s", before, after)
			}
			if strings.Contains(name, "lock") || strings.Contains(name, "new one") {
				return
			}
			_, err = Check(path, a)
			wantRefusal(t, err, fault.Invalid, ReasonSocket, c.says...)
		})
	}
}

// picture is the folder of a socket.
func picture(t *testing.T, path string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(filepath.Dir(path), func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		uid, _ := trust.Owner(info)
		fmt.Fprintln(&b, p, info.Mode(), uid, info.Size(), info.ModTime().Format(time.RFC3339))
		return nil
	}))
	return b.String()
}

// The folder is made where the one above it is there, as /run is, and no more than one.
func TestTheFolderIsMade(t *testing.T) {
	path := place(t)
	a := Access{UID: os.Getuid(), GID: NoGroup}
	if served, err := Check(path, a); served || err != nil {
		t.Errorf("check of a folder to be made: %v, %v", served, err)
	}
	if _, err := os.Lstat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("check made it: %v", err)
	}
	must(t, serve(t, path, a).Close())
	deep := filepath.Join(filepath.Dir(path), "a", "b", "agent.sock")
	_, err := Listen(deep, a)
	wantRefusal(t, err, fault.Invalid, ReasonSocket, filepath.Dir(filepath.Dir(deep)), "`socket:`")
	_, err = Check(deep, a)
	wantRefusal(t, err, fault.Invalid, ReasonSocket)
}

// A socket that a dead agent was making is no obstacle.
func TestAHalfMadeSocketIsReplaced(t *testing.T) {
	path := place(t)
	stale(t, path)
	stale(t, path+".new")
	must(t, serve(t, path, Access{UID: os.Getuid(), GID: NoGroup}).Close())
	if got := entries(t, path); got != "" {
		t.Errorf("left: %s", got)
	}
}

// The longest path that agent.yaml may name works, with all the names that are made of it.
func TestTheLongestPath(t *testing.T) {
	dir := filepath.Dir(filepath.Dir(place(t)))
	path := filepath.Join(dir, strings.Repeat("s", MaxPath-len(dir)-1))
	if len(path) != 103 {
		t.Fatalf("it has %d bytes: agent.yaml allows 103", len(path))
	}
	must(t, serve(t, path, Access{UID: os.Getuid(), GID: NoGroup}).Close())
}
