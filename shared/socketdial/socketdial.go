// Package socketdial connects to the agent on its own host, over its Unix socket.
//
// It promises that a socket which a stranger serves is refused, and that what cannot be reached says why. Who we are is what the kernel tells
// the agent. Start reading at [End].
package socketdial

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/peercred"
	"ataraxis.dev/landfall/shared/trust"
)

// Default is the agent's local socket where agent.yaml says nothing.
const Default = "unix:///run/landfall/agent.sock"

const schemeUnix = "unix:"

// maxSocket is the longest path of a socket, in bytes (sun_path, unix(7)).
const maxSocket = 107

// IsLocal reports whether an address is that of a socket on this host, where no identity is needed. unix:7443 is a host called unix.
func IsLocal(address string) bool {
	rest, ok := strings.CutPrefix(address, schemeUnix)
	_, err := strconv.ParseUint(rest, 10, 16)
	return ok && err != nil
}

// Path is the path that unix:///PATH or unix:/PATH names.
func Path(address string) (string, error) {
	path := strings.TrimPrefix(strings.TrimPrefix(address, schemeUnix), "//")
	switch {
	case !filepath.IsAbs(path) || path != filepath.Clean(path):
		return "", fault.New(fault.Invalid, "BAD_ADDRESS", "agent %q names no absolute path", address).WithHint("write three slashes: %s", Default)
	case len(path) > maxSocket:
		return "", fault.New(fault.Invalid, "BAD_ADDRESS", "agent %q: the path of a socket has at most %d bytes", address, maxSocket)
	}
	return path, nil
}

// End is the socket of an agent on this host. Who we are is what the kernel tells the agent, and who it is what the
// kernel tells us, so that nothing has to be proven.
type End struct {
	Path string
	last atomic.Pointer[error] // why the socket could not be connected at the last attempt: gRPC hands on its text alone
}

// Options connect gRPC to the socket, whatever target is named.
func (e *End) Options() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(e.dial)}
}

func (e *End) dial(ctx context.Context, _ string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", e.Path)
	if err == nil {
		if err = e.judge(conn); err != nil {
			_ = conn.Close() // err says why it is of no use
		}
	}
	e.last.Store(&err)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// judge refuses a socket that somebody serves who is neither root, nor us, nor the one whose folder it lies in: in /tmp, say,
// anybody can put one where an agent's is expected.
func (e *End) judge(conn net.Conn) error {
	raw, ok := conn.(syscall.Conn)
	if !ok || !peercred.Supported {
		return nil
	}
	server, err := peercred.Of(raw)
	if err != nil {
		return fault.Wrap(err, fault.Unauthenticated, "SOCKET_UNTRUSTED", "who serves %s is not known", e.Path)
	}
	if server.UID == 0 || int(server.UID) == os.Geteuid() {
		return nil
	}
	info, err := os.Stat(filepath.Dir(e.Path))
	if err == nil {
		if owner, known := trust.Owner(info); known && owner == int(server.UID) {
			return nil
		}
	}
	return fault.New(fault.Unauthenticated, "SOCKET_UNTRUSTED", "%s is served by the user %s, who is neither root, nor you, nor the owner of its folder", e.Path, peercred.Name(server.UID)).
		WithHint("name the `socket:` of agent.yaml; find out who serves this one: ss -lxp")
}

// Explain says why the socket cannot be used, nil where it was connected.
func (e *End) Explain() error {
	last := e.last.Load()
	if last == nil || *last == nil {
		return nil
	}
	err, f := *last, (*fault.Error)(nil)
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(err, fault.Unauthenticated, "SOCKET_DENIED", "the user %s may not use the agent's socket", peercred.Name(uint32(os.Geteuid()))).
			WithHint("root and the owner of the checkout may, and members of the group landfall may look; log in again after you became a member")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fault.Wrap(err, fault.Unreachable, "AGENT_UNREACHABLE", "no agent serves %s", e.Path).
			WithHint("is it running on this host, and is this the `socket:` of its agent.yaml? systemctl status landfall-agent")
	}
	return nil
}
