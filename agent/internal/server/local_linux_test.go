package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/peercred"
	"ataraxis.dev/landfall/shared/peercred/peercredtest"
)

// The users and groups of these tests; no account has the numbers.
const (
	theOwner = 41234
	theGroup = 45678
	somebody = 40001
)

func TestLocalRoles(t *testing.T) {
	t.Parallel()
	l := Locals{Owner: theOwner, Observers: []uint32{theGroup}}
	for name, c := range map[string]struct {
		peer peercred.Peer
		want identity.Role
	}{
		"root":                        {peercred.Peer{UID: 0, GID: 0}, identity.RoleOperator},
		"root, of no group":           {peercred.Peer{UID: 0, GID: 9}, identity.RoleOperator},
		"the owner":                   {peercred.Peer{UID: theOwner, GID: 9}, identity.RoleOperator},
		"the owner, in the group":     {peercred.Peer{UID: theOwner, GID: theGroup}, identity.RoleOperator},
		"a member":                    {peercred.Peer{UID: somebody, GID: 9, Groups: []uint32{9, theGroup}}, identity.RoleObserver},
		"by the primary group":        {peercred.Peer{UID: somebody, GID: theGroup}, identity.RoleObserver},
		"a stranger":                  {peercred.Peer{UID: somebody, GID: somebody}, ""},
		"of root's group":             {peercred.Peer{UID: somebody, GID: 0, Groups: []uint32{0}}, ""},
		"whose group is the owner's":  {peercred.Peer{UID: somebody, GID: theOwner, Groups: []uint32{theOwner}}, ""},
		"whose number is the group's": {peercred.Peer{UID: theGroup, GID: 9}, ""},
	} {
		if got := l.role(c.peer); got != c.want {
			t.Errorf("%s is %q, want %q", name, got, c.want)
		}
	}
	if got := (Locals{}).role(peercred.Peer{UID: somebody, GID: 0, Groups: []uint32{0}}); got != "" {
		t.Errorf("where nothing is set a stranger is %q", got)
	}
	who, err := l.admit(&localPeer{err: peercred.ErrUnsupported})
	if who.Role != "" || fault.KindOf(err) != fault.Unauthenticated || fault.ReasonOf(err) != "PEER_UNKNOWN" {
		t.Errorf("whom nobody knows is %+v, %v", who, err)
	}
}

// socketBench is a bench that serves a socket besides, which everybody may open: what is tested is the server's own rule.
type socketBench struct {
	*bench
	trail *memoryTrail
	path  string
}

func newSocketBench(t *testing.T, change func(*limits)) *socketBench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	trail, l := &memoryTrail{}, defaults()
	change(&l)
	b := newBenchLimited(t, l, func(c *Config) {
		c.Trail, c.Locals = trail, Locals{Owner: theOwner, Observers: []uint32{theGroup}}
	})
	dir, err := os.MkdirTemp("", "landfall-socket-") // t.TempDir lies below a folder that others may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &socketBench{bench: b, trail: trail, path: filepath.Join(dir, "agent.sock")}
	local, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(s.path, 0o666)); err != nil {
		t.Fatal(err)
	}
	network, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.address = network.Addr().String()
	server := newLimited(b.config, l, nopLog())
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(network) })
	serving.Go(func() {
		if err := server.ServeLocal(local); err != nil {
			t.Errorf("ServeLocal: %v", err)
		}
	})
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	return s
}

// as connects as a user, and does not connect again.
func (s *socketBench) as(u peercred.Peer) *grpc.ClientConn {
	s.t.Helper()
	raw, err := peercredtest.Dial(s.t, s.path, u)
	if err != nil {
		s.t.Fatal(err)
	}
	once := make(chan net.Conn, 1)
	once <- raw
	conn, err := grpc.NewClient("passthrough:///localhost", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithKeepaliveParams(identity.KeepaliveClient()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-once:
				return c, nil
			default:
				return nil, errors.New("the connection was closed")
			}
		}))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

var (
	root     = peercred.Peer{}
	owner    = peercred.Peer{UID: theOwner, GID: theOwner}
	member   = peercred.Peer{UID: somebody, GID: somebody, Groups: []uint32{9, theGroup}}
	primary  = peercred.Peer{UID: somebody, GID: theGroup}
	stranger = peercred.Peer{UID: somebody, GID: somebody, Groups: []uint32{9, 10}}
)

// TestLocalCallers: the same rules as over TLS, by the kernel's word of who calls, and the trail names them.
func TestLocalCallers(t *testing.T) {
	t.Parallel()
	s := newSocketBench(t, func(*limits) {})
	for name, c := range map[string]struct {
		user        peercred.Peer
		look, pause codes.Code
	}{
		"root": {root, codes.OK, codes.OK}, "the owner": {owner, codes.OK, codes.OK},
		"a member": {member, codes.OK, codes.PermissionDenied}, "by the primary group": {primary, codes.OK, codes.PermissionDenied},
		"a stranger": {stranger, codes.Unauthenticated, codes.Unauthenticated},
	} {
		conn := s.as(c.user)
		_, err := landfallv1.NewDiagnosticsServiceClient(conn).GetHost(s.context(), &landfallv1.GetHostRequest{})
		if got := status.Code(err); got != c.look {
			t.Errorf("%s looks: %s (%v), want %s", name, got, err, c.look)
		}
		_, err = healthv1.NewHealthClient(conn).Check(s.context(), &healthv1.HealthCheckRequest{})
		if got := status.Code(err); got != c.look {
			t.Errorf("%s asks for the health: %s (%v), want %s", name, got, err, c.look)
		}
		_, err = landfallv1.NewGitOpsServiceClient(conn).Pause(s.context(), &landfallv1.PauseRequest{Reason: name})
		if got := status.Code(err); got != c.pause {
			t.Errorf("%s pauses: %s (%v), want %s", name, got, err, c.pause)
		}
		if c.look != codes.OK {
			requireStatus(t, err, codes.Unauthenticated, "USER_NOT_ALLOWED")
			if !strings.Contains(err.Error(), "40001") || !strings.Contains(err.Error(), "group landfall") {
				t.Errorf("the refusal does not say who and what to do: %v", err)
			}
		}
	}
	lines := s.trail.lines()
	const pause = " /landfall.v1.GitOpsService/Pause  "
	for _, want := range []string{
		"local/0-root" + pause + "done ", "local/41234" + pause + "begun ", "local/41234" + pause + "done ",
		"local/40001" + pause + "refused ROLE_NOT_ALLOWED", "local/40001 /landfall.v1.DiagnosticsService/GetHost  refused USER_NOT_ALLOWED",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the trail has no %q:\n%s", want, strings.Join(lines, "\n"))
		}
	}
	for _, e := range s.trail.all() {
		if e.From != "local" {
			t.Errorf("an entry is from %q: %+v", e.From, e)
		}
	}
	if p, err := s.config.Sentinels.Pause(); err != nil || !strings.HasPrefix(p.Owner, "local/") {
		t.Errorf("the pause is %+v, %v", p, err)
	}
}

// TestLocalDeploy: the checkout's owner deploys, and is named as who asked.
func TestLocalDeploy(t *testing.T) {
	t.Parallel()
	s := newSocketBench(t, func(*limits) {})
	conn := s.as(owner)
	id := s.verifyingDeploy(conn, s.next(2))
	got, err := landfallv1.NewDiagnosticsServiceClient(conn).GetOperation(s.context(), &landfallv1.GetOperationRequest{OperationId: id})
	if err != nil || got.GetOperation().GetRequester() != "local/41234" {
		t.Errorf("the operation was asked for by %q, %v", got.GetOperation().GetRequester(), err)
	}
	c := s.converse(s.as(member))
	target := s.next(3)
	c.deploy("not-allowed", s.deploying(target))
	requireStatus(t, c.end(), codes.PermissionDenied, "ROLE_NOT_ALLOWED")
	if lines := s.trail.lines(); !slices.Contains(lines, "local/40001 deploy "+target+" refused ROLE_NOT_ALLOWED") || !slices.Contains(lines, "local/41234 verify "+id+" done ") {
		t.Errorf("the trail is\n%s", strings.Join(lines, "\n"))
	}
}

// What is about a certificate has nothing to work on here.
func TestLocalCallersHaveNoCertificate(t *testing.T) {
	t.Parallel()
	s := newSocketBench(t, func(*limits) {})
	_, err := landfallv1.NewIdentityServiceClient(s.as(root)).Renew(s.context(), &landfallv1.RenewRequest{CertificateRequest: []byte("x")})
	requireStatus(t, err, codes.InvalidArgument, "NO_CERTIFICATE")

	// Nor does the port take anybody for local, whatever he says he is.
	raw, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///localhost", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return raw, nil }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := landfallv1.NewDiagnosticsServiceClient(conn).GetHost(s.context(), &landfallv1.GetHostRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("in clear over the network: %v", err)
	}
}

// A refused user reads why, then his connection ends.
func TestLocalStrangersAreHungUpOn(t *testing.T) {
	t.Parallel()
	s := newSocketBench(t, func(l *limits) { l.grace = 50 * time.Millisecond })
	raw, err := peercredtest.Dial(t, s.path, stranger)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(waiting))
	if _, err := raw.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	began := time.Now() // the once-a-second look finds him without a call
	if _, err := io.Copy(io.Discard, raw); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %s he is still connected", time.Since(began))
	}
}

// Those who may do nothing cannot take the room of those who may.
func TestLocalStrangersLeaveRoom(t *testing.T) {
	t.Parallel()
	s := newSocketBench(t, func(l *limits) { l.connections, l.connectionsPrincipal, l.look = 8, 100, time.Hour })
	over := s.dial(identity.RoleOperator)
	if _, err := landfallv1.NewGitOpsServiceClient(over).GetGitOps(s.context(), &landfallv1.GetGitOpsRequest{}); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		raw, err := peercredtest.Dial(t, s.path, stranger)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
	}
	for range 2 {
		if _, err := landfallv1.NewGitOpsServiceClient(s.as(root)).GetGitOps(s.context(), &landfallv1.GetGitOpsRequest{}); err != nil {
			t.Errorf("root finds no room: %v", err)
		}
	}
	if _, err := landfallv1.NewGitOpsServiceClient(over).GetGitOps(s.context(), &landfallv1.GetGitOpsRequest{}); err != nil {
		t.Errorf("the operator was put out: %v", err)
	}
}
