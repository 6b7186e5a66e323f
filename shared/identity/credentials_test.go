package identity_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// serve runs gRPC with the agent's credentials and returns its address and who called last.
func serve(t *testing.T, source *identity.Source) (addr string, last func() string) {
	t.Helper()
	callers := make(chan string, 100)
	server := grpc.NewServer(
		grpc.Creds(source.ServerCredentials()), grpc.KeepaliveParams(identity.KeepaliveServer()),
		grpc.KeepaliveEnforcementPolicy(identity.KeepaliveEnforcement()),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			p, _ := peer.FromContext(ctx)
			who, err := identity.PrincipalFromState(p.AuthInfo.(credentials.TLSInfo).State)
			if err != nil {
				return nil, err
			}
			callers <- who.String() + " " + who.Serial
			return next(ctx, req)
		}))
	healthpb.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	requireNoError(t, err)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String(), func() string { return <-callers }
}

// call makes one health check over a connection of its own.
func call(t *testing.T, addr string, creds credentials.TransportCredentials) error {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds), grpc.WithKeepaliveParams(identity.KeepaliveClient()))
	requireNoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	agentDir, clientDir := pki.leaf(agentRequest, noon), pki.leaf(deployerRequest, noon)
	server, reported := open(t, agentDir)
	client, _ := open(t, clientDir)
	addr, last := serve(t, server)
	creds := client.ClientCredentials() // made once, used for every connection

	requireNoError(t, call(t, addr, creds))
	first := last()
	pki.replace(clientDir, deployerRequest, noon)
	requireNoError(t, call(t, addr, creds))
	if second := last(); second == first {
		t.Errorf("the rotated certificate is not used: %s", second)
	}

	// Moving both ends to another CA needs no new credentials either.
	other := newAuthority(t)
	writeFile(t, agentDir+"/ca.pem", append(readAll(t, agentDir+"/ca.pem"), readAll(t, other.dir+"/ca/ca.pem")...), 0o644)
	other.replace(clientDir, deployerRequest, noon)
	other.replace(agentDir, agentRequest, noon)
	requireNoError(t, call(t, addr, creds))
	if got := reported.reasons(); len(got) != 0 {
		t.Errorf("reports %v", got)
	}
}

// gRPC hands on texts only; they must still be understood, and the agent must say why.
func TestGRPCRefusals(t *testing.T) {
	t.Parallel()
	pki, foreign := newAuthority(t), newAuthority(t)
	server, reported := open(t, pki.leaf(agentRequest, noon))
	addr, _ := serve(t, server)
	deployer, _ := open(t, pki.leaf(deployerRequest, noon))
	stranger, _ := open(t, foreign.leaf(deployerRequest, noon))

	anonymous := clientWith(deployer, tls.Certificate{})
	trusting := stranger.ClientTLS()
	trusting.RootCAs = deployer.ClientTLS().RootCAs
	agentAsClient := clientWith(deployer, server.Identity().Certificate)
	tests := []struct {
		name  string
		creds credentials.TransportCredentials
		told  string // to the client
	}{
		{"no certificate", credentials.NewTLS(anonymous), identity.ReasonMissing},
		{"client of another CA", credentials.NewTLS(trusting), identity.ReasonUnknownAuthority},
		{"agent's certificate used by a client", credentials.NewTLS(agentAsClient), identity.ReasonWrongRole},
		{"agent of another CA", stranger.ClientCredentials(), identity.ReasonUnknownAuthority},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := call(t, addr, tt.creds)
			if status.Code(err) != codes.Unavailable {
				t.Fatalf("got %v", err)
			}
			requireFault(t, identity.ExplainHandshake(err, addr), fault.Unauthenticated, tt.told)
		})
	}
	err := call(t, addr, insecure.NewCredentials())
	if err == nil {
		t.Error("a plaintext call was answered")
	}
	if got := reported.reasons(); !slices.Contains(got, identity.ReasonMissing) || !slices.Contains(got, identity.ReasonUnknownAuthority) {
		t.Errorf("reports %v", got)
	}
}

func TestClientCredentialsContract(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	client, _ := open(t, pki.leaf(deployerRequest, noon))
	creds := client.ClientCredentials()
	if got := creds.Info().SecurityProtocol; got != "tls" {
		t.Errorf("protocol %q", got)
	}
	if _, _, err := creds.Clone().ServerHandshake(nil); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("client credentials serve: %v", err)
	}
}

// The client must not ping more often than the server permits, nor than grpc-go allows.
func TestKeepaliveNumbersFit(t *testing.T) {
	t.Parallel()
	client, server, enforced := identity.KeepaliveClient(), identity.KeepaliveServer(), identity.KeepaliveEnforcement()
	if client.Time < enforced.MinTime || client.Time < 10*time.Second {
		t.Errorf("the client pings every %s, the server permits %s", client.Time, enforced.MinTime)
	}
	if client.PermitWithoutStream && !enforced.PermitWithoutStream {
		t.Error("the client pings without streams and the server forbids it")
	}
	if server.MaxConnectionAge != 0 {
		t.Error("the server would end long deploys")
	}
	if client.Timeout <= 0 || server.Timeout <= 0 {
		t.Error("a dead peer is never noticed")
	}
}
