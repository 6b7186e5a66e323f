package agentclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/fault/rpcerr"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/version"
)

// host is an agent that answers with one host, or not at all.
type host struct {
	*agent
	answer *landfallv1.Host
	tail   func(*landfallv1.TailLogsRequest, grpc.ServerStreamingServer[landfallv1.TailLogsResponse]) error
}

func (h *host) TailLogs(req *landfallv1.TailLogsRequest, stream grpc.ServerStreamingServer[landfallv1.TailLogsResponse]) error {
	return h.tail(req, stream)
}

func (h *host) GetHost(ctx context.Context, _ *landfallv1.GetHostRequest) (*landfallv1.GetHostResponse, error) {
	if h.answer == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &landfallv1.GetHostResponse{Host: h.answer}, nil
}

func (h *host) ListOperations(_ context.Context, req *landfallv1.ListOperationsRequest) (*landfallv1.ListOperationsResponse, error) {
	return nil, fault.New(fault.Failed, "JOURNAL", "page of %d", req.GetPageSize()).WithHint("mend it")
}

// identities makes an identity for every role and returns the folder they lie in.
func identities(t *testing.T, ca *identity.CA, hosts ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, role := range identity.Roles() {
		req := identity.Request{Role: role, Name: "test"}
		if role == identity.RoleAgent {
			req.Hosts = hosts
		}
		bundle, err := ca.Issue(req, time.Now())
		if err == nil {
			err = bundle.Replace(filepath.Join(dir, string(role)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func newCA(t *testing.T) *identity.CA {
	t.Helper()
	ca, err := identity.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// serve serves h over TLS on a loopback port with the agent's identity in ids.
func serve(t *testing.T, h *host, ids string) (address string) {
	t.Helper()
	source, err := identity.Open(filepath.Join(ids, "agent"), identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(source.ServerCredentials()), grpc.UnaryInterceptor(rpcerr.UnaryServer))
	landfallv1.RegisterDiagnosticsServiceServer(server, h)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends by Stop
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return listener.Addr().String()
}

func dial(t *testing.T, address, dir string) *Client {
	t.Helper()
	c, err := Dial(address, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestHostOverTLS(t *testing.T) {
	t.Parallel()
	ids := identities(t, newCA(t), "127.0.0.1")
	h := &host{agent: &agent{}, answer: &landfallv1.Host{Name: "caroline", ProtocolVersion: ProtocolVersion}}
	address := serve(t, h, ids)
	for _, role := range []string{"observer", "deployer", "operator"} {
		c := dial(t, address, filepath.Join(ids, role))
		if got, err := c.Host(t.Context()); err != nil || got.GetName() != "caroline" || c.address != address {
			t.Errorf("%s: %v, %v", role, got, err)
		}
		_, err := c.Operations(t.Context(), 7)
		if fault.KindOf(err) != fault.Failed || fault.ReasonOf(err) != "JOURNAL" || err.Error() != "page of 7 (mend it)" {
			t.Errorf("a fault arrives as %v %s: %v", fault.KindOf(err), fault.ReasonOf(err), err)
		}
	}
}

func TestProtocolVersions(t *testing.T) {
	for _, theirs := range []uint32{0, ProtocolVersion + 1} {
		synctest.Test(t, func(t *testing.T) {
			c := connectHost(t, &host{agent: &agent{}, answer: &landfallv1.Host{AgentVersion: "9.9.9", ProtocolVersion: theirs}})
			_, err := c.Host(t.Context())
			if fault.ReasonOf(err) != "PROTOCOL_VERSION" || fault.ExitCode(err) != 7 {
				t.Fatalf("protocol %d: %v", theirs, err)
			}
			for _, part := range []string{"9.9.9", fmt.Sprint("protocol ", theirs), version.Get().Version, fmt.Sprint("speaks ", ProtocolVersion), "same version on both sides"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

// An agent that accepts a call and never answers is as good as away.
func TestAnAgentThatHangsIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connectHost(t, &host{agent: &agent{}})
		began := time.Now()
		_, err := c.Host(t.Context())
		if fault.ExitCode(err) != 6 || fault.ReasonOf(err) != "NO_ANSWER" || !strings.Contains(err.Error(), c.address) || time.Since(began) != callTimeout {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		why := fault.New(fault.Interrupted, "TIMEOUT", "stopped waiting after --timeout")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		if _, err := c.Host(ctx); !errors.Is(err, why) {
			t.Errorf("the caller's own limit: %v", err)
		}
	})
}

func TestIdentitiesThatDoNotFit(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	ids, strangers := identities(t, ca, "127.0.0.1"), identities(t, newCA(t), "127.0.0.1")
	h := &host{agent: &agent{}, answer: &landfallv1.Host{ProtocolVersion: ProtocolVersion}}
	elsewhere := identities(t, ca, "elsewhere.test")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for name, tt := range map[string]struct {
		address, dir string
		kind         fault.Kind
		reason       string
	}{
		"of another CA":   {serve(t, h, ids), filepath.Join(strangers, "deployer"), fault.Unauthenticated, identity.ReasonUnknownAuthority},
		"of another host": {serve(t, h, elsewhere), filepath.Join(ids, "deployer"), fault.Unauthenticated, identity.ReasonWrongHost},
		"nobody is there": {closed.Addr().String(), filepath.Join(ids, "deployer"), fault.Unreachable, "AGENT_UNREACHABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := dial(t, tt.address, tt.dir).Host(t.Context())
			if fault.KindOf(err) != tt.kind || fault.ReasonOf(err) != tt.reason || fault.ExitCode(err) != 6 || !strings.Contains(err.Error(), tt.address) {
				t.Errorf("got %v %s: %v", fault.KindOf(err), fault.ReasonOf(err), err)
			}
			w := &watcher{}
			s := dial(t, tt.address, tt.dir).Session(w)
			defer s.Close()
			if err := s.Send(t.Context(), deployCommand()); fault.KindOf(err) != tt.kind || len(w.warnings) > 0 {
				t.Errorf("a session: %v, warnings %q", err, w.warnings)
			}
		})
	}
}

func TestDialRefusals(t *testing.T) {
	t.Parallel()
	ids := identities(t, newCA(t), "127.0.0.1")
	for name, tt := range map[string]struct {
		address, dir string
		reason       string
		exit         int
	}{
		"no agent":          {"", filepath.Join(ids, "observer"), "NO_AGENT", 2},
		"no port":           {"caroline", filepath.Join(ids, "observer"), "BAD_ADDRESS", 2},
		"empty port":        {"caroline:", filepath.Join(ids, "observer"), "BAD_ADDRESS", 2},
		"no identity":       {"caroline:7443", "", "NO_IDENTITY", 2},
		"no such folder":    {"caroline:7443", filepath.Join(ids, "nobody"), identity.ReasonMissing, 6},
		"an agent's folder": {"caroline:7443", filepath.Join(ids, "agent"), identity.ReasonWrongRole, 6},
	} {
		c, err := Dial(tt.address, tt.dir)
		if c != nil || fault.ReasonOf(err) != tt.reason || fault.ExitCode(err) != tt.exit {
			t.Errorf("%s: exit code %d, %s, %v", name, fault.ExitCode(err), fault.ReasonOf(err), err)
		}
	}
}

// Every call of the client reaches the method it is named after, with what it was given.
func TestCallsReachTheirMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var called []string
		c := connectHost(t, &host{agent: &agent{}, answer: &landfallv1.Host{ProtocolVersion: ProtocolVersion}}, grpc.ChainUnaryInterceptor(
			func(_ context.Context, req any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
				called = append(called, fmt.Sprintf("%s %v", info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:], req))
				return nil, fault.New(fault.Denied, "ROLE_NOT_ALLOWED", "no")
			}))
		ctx := t.Context()
		_, e1 := c.Services(ctx, []string{"core"})
		_, e2 := c.Probe(ctx, []string{"web"})
		_, _, e3 := c.Operation(ctx, "op-1")
		_, e4 := c.Pause(ctx, &landfallv1.PauseRequest{Reason: "disk"})
		_, e5 := c.Resume(ctx)
		_, e6 := c.Unblock(ctx, strings.Repeat("d", 40))
		_, e7 := c.GitOps(ctx)
		_, e8 := c.RollbackPlan(ctx, &landfallv1.GetRollbackPlanRequest{Target: &landfallv1.GetRollbackPlanRequest_OperationId{OperationId: "op-3"}})
		for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8} {
			if fault.KindOf(err) != fault.Denied {
				t.Errorf("call %d: %v", i+1, err)
			}
		}
		want := []string{"ListServices", "core", "Probe", "web", "GetOperation", "op-1", "Pause", "disk", "Resume", "Unblock", strings.Repeat("d", 40), "GetGitOps", "GetRollbackPlan", "op-3"}
		all := strings.Join(called, "\n")
		if i := slices.IndexFunc(want, func(part string) bool { return !strings.Contains(all, part) }); i >= 0 || len(called) != 8 {
			t.Errorf("called:\n%s", all)
		}
	})
}
