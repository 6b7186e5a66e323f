package agentclient

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/fault/rpcerr"
	"ataraxis.dev/landfall/shared/peercred"
	"ataraxis.dev/landfall/shared/peercred/peercredtest"
	"ataraxis.dev/landfall/shared/socketdial"
)

func TestAddressesOfSockets(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("s", 106)
	for address, want := range map[string]string{
		"unix:///run/landfall/agent.sock": "/run/landfall/agent.sock", "unix:/run/landfall/agent.sock": "/run/landfall/agent.sock",
		"unix:///a b%20c/x": "/a b%20c/x", "unix://" + long: long,
		"unix://run/landfall/agent.sock": "", "unix:agent.sock": "", "unix:": "", "unix://": "", "unix:///": "/", "unix:///run/": "", "unix:///run/../x": "",
		"unix://" + long + "s": "",
	} {
		got, err := socketdial.Path(address)
		if got != want || (want == "") != (fault.KindOf(err) == fault.Invalid && fault.ReasonOf(err) == "BAD_ADDRESS") {
			t.Errorf("%s is %q, %v, want %q", address, got, err, want)
		}
	}
	if IsLocal("unix:7443") || IsLocal("caroline:7443") || !IsLocal("unix:") {
		t.Error("a host called unix is taken for a socket, or a socket for a host")
	}
	for address, says := range map[string]string{"unix://x": "unix:///run/landfall/agent.sock", "/run/landfall/agent.sock": "unix:///run/landfall/agent.sock", "": "unix:///run/landfall/agent.sock"} {
		if _, err := Dial(address, "nowhere"); fault.ExitCode(err) != 2 || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestHostOverASocket: no identity is needed, and a broken one is no obstacle.
func TestHostOverASocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serveSocket(t, l)
	for _, dir := range []string{"", "/nowhere"} {
		c := dial(t, "unix://"+path, dir)
		if got, err := c.Host(t.Context()); err != nil || got.GetName() != "caroline" {
			t.Errorf("with identity %q: %v, %v", dir, got, err)
		}
	}
}

func serveSocket(t *testing.T, l net.Listener) {
	t.Helper()
	server := grpc.NewServer(grpc.UnaryInterceptor(rpcerr.UnaryServer))
	landfallv1.RegisterDiagnosticsServiceServer(server, &host{agent: &agent{}, answer: &landfallv1.Host{Name: "caroline", ProtocolVersion: ProtocolVersion}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends by Stop
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
}

// TestSocketsThatCannotBeUsed: each says which it is and what to do.
func TestSocketsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dead, file, filepath.Join(dir, "none.sock"), filepath.Join(dir, "none", "x.sock")} {
		_, err := dial(t, "unix://"+path, "").Host(t.Context())
		if fault.KindOf(err) != fault.Unreachable || fault.ReasonOf(err) != "AGENT_UNREACHABLE" || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "systemctl status") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestASocketOfAStranger: who serves it is neither root, nor us, nor the owner of its folder.
func TestASocketOfAStranger(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	const stranger = 40001
	dir, err := os.MkdirTemp("", "landfall-socket-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.sock")
	l, err := peercredtest.Listen(t, path, peercred.Peer{UID: stranger, GID: stranger})
	if err != nil {
		t.Fatal(err)
	}
	serveSocket(t, l)
	_, err = dial(t, "unix://"+path, "").Host(t.Context())
	if fault.KindOf(err) != fault.Unauthenticated || fault.ReasonOf(err) != "SOCKET_UNTRUSTED" || !strings.Contains(err.Error(), "40001") {
		t.Errorf("a stranger's socket: %v", err)
	}
	// The same in a folder of his own is an agent that runs as he.
	if err := os.Chown(dir, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	if got, err := dial(t, "unix://"+path, "").Host(t.Context()); err != nil || got.GetName() != "caroline" {
		t.Errorf("an agent that runs as another user: %v, %v", got, err)
	}
}
