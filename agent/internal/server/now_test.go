package server

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

// gate is a bench whose agent has a clock of its own, and looks at its connections often.
type gate struct {
	*bench
	ca     *identity.CA
	offset atomic.Int64 // nanoseconds that the agent's clock is ahead
	agent  string       // the agent's identity folder
	caDir  string
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{agent: filepath.Join(t.TempDir(), "agent"), caDir: filepath.Join(t.TempDir(), "ca")}
	var err error
	if g.ca, err = identity.NewCA(time.Now()); err == nil {
		err = g.ca.WriteNew(g.caDir)
	}
	if err != nil {
		t.Fatal(err)
	}
	put(t, g.ca, g.agent, identity.Request{Role: identity.RoleAgent, Name: "test", Hosts: []string{"127.0.0.1"}})
	renewal, err := identity.OpenRenewal(filepath.Join(t.TempDir(), "renewal"), 100*24*time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	source, err := identity.Open(g.agent, identity.Options{Now: func() time.Time { return time.Now().Add(time.Duration(g.offset.Load())) }, Renewal: renewal})
	if err != nil {
		t.Fatal(err)
	}
	g.bench = newBench(t, func(c *Config) { c.Creds, c.Authority = source.ServerCredentials(), source })
	for _, role := range identity.Roles() {
		if role != identity.RoleAgent {
			put(t, g.ca, filepath.Join(g.dir, string(role)), identity.Request{Role: role, Name: "test", ValidFor: 90 * 24 * time.Hour})
		}
	}
	return g
}

func put(t *testing.T, ca *identity.CA, dir string, req identity.Request) {
	t.Helper()
	_ = os.Remove(filepath.Join(dir, "ca.pem")) // or the CA of before stays trusted
	bundle, err := ca.Issue(req, time.Now())
	if err == nil {
		err = bundle.Replace(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// later moves the agent's clock.
func (g *gate) later(d time.Duration) { g.offset.Store(int64(d)) }

// revoke has the CA revoke a role's certificate and copies the list to the agent, as a person does.
func (g *gate) revoke(role identity.Role) {
	g.t.Helper()
	r, err := g.ca.Revoke(g.caDir, []string{g.source(role).Identity().Principal.Serial}, time.Now())
	if err != nil {
		g.t.Fatal(err)
	}
	g.install(r.List)
}

// install puts a list in place whole: one that is being written is broken for whoever comes at that moment.
func (g *gate) install(list []byte) {
	g.t.Helper()
	path := filepath.Join(g.agent, identity.FileRevoked)
	err := os.WriteFile(path+".new", list, 0o644)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// replace gives the agent the identity of another CA.
func (g *gate) replace() {
	g.t.Helper()
	other, err := identity.NewCA(time.Now())
	if err != nil {
		g.t.Fatal(err)
	}
	put(g.t, other, g.agent, identity.Request{Role: identity.RoleAgent, Name: "test", Hosts: []string{"127.0.0.1"}})
}

// losses are the ways to lose the right to be here, with the reason that is told.
var losses = map[string]struct {
	lose   func(*gate)
	reason string
}{
	"expired":            {func(g *gate) { g.later(91 * 24 * time.Hour) }, identity.ReasonExpired},
	"not yet valid":      {func(g *gate) { g.later(-24 * time.Hour) }, identity.ReasonNotYetValid},
	"revoked":            {func(g *gate) { g.revoke(identity.RoleOperator) }, identity.ReasonRevoked},
	"authority replaced": {(*gate).replace, identity.ReasonUnknownAuthority},
	"list broken": {func(g *gate) {
		if err := os.WriteFile(filepath.Join(g.agent, identity.FileRevoked), []byte("-----BEGIN X509 CRL-----\nAAAA\n"), 0o644); err != nil {
			g.t.Fatal(err)
		}
	}, identity.ReasonListBroken},
	"list of others": {func(g *gate) {
		g.revoke(identity.RoleObserver)
		if err := os.Chmod(filepath.Join(g.agent, identity.FileRevoked), 0o666); err != nil {
			g.t.Fatal(err)
		}
	}, identity.ReasonListBroken},
}

// Each call on an open connection is judged by what holds when it is made.
func TestCallsOfAnOpenConnection(t *testing.T) {
	t.Parallel()
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			conn := g.dial(identity.RoleOperator)
			client := landfallv1.NewGitOpsServiceClient(conn)
			if _, err := client.Resume(g.context(), &landfallv1.ResumeRequest{}); err != nil {
				t.Fatal(err)
			}
			loss.lose(g)
			before := len(g.Calls("Sentinels."))
			_, err := client.Pause(g.context(), &landfallv1.PauseRequest{Reason: "stolen"})
			requireStatus(t, err, codes.Unauthenticated, loss.reason)
			if calls := g.Calls("Sentinels.")[before:]; len(calls) > 0 {
				t.Errorf("the call reached the host: %q", calls)
			}
		})
	}
}

// Streams on which nothing happens end with the caller's right, and say why; so does the
// stream that waits for a command, or for a message of a library's service.
func TestOpenStreamsEnd(t *testing.T) {
	t.Parallel()
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			ctx, conn := g.context(), g.dial(identity.RoleOperator)
			_, release := g.HoldAt("Commits.Fetch")
			defer release()
			execute := g.converse(conn)
			execute.deploy("held", g.deploying(g.Head()))
			id := execute.accepted("held").GetOperation().GetId()
			idle := g.converse(conn)
			watch, err := landfallv1.NewDiagnosticsServiceClient(conn).WatchOperation(ctx, &landfallv1.WatchOperationRequest{OperationId: id})
			if err != nil {
				t.Fatal(err)
			}
			health, err := healthv1.NewHealthClient(conn).Watch(ctx, &healthv1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			reflection, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
			if err != nil {
				t.Fatal(err)
			}
			loss.lose(g)
			ends := map[string]func() error{
				"execute": execute.end, "idle execute": idle.end,
				"watch": func() error { return lastOf(watch) }, "health": func() error { return lastOf(health) }, "reflection": func() error { return lastOf(reflection) },
			}
			results := make(chan struct {
				stream string
				err    error
			}, len(ends))
			for stream, end := range ends {
				go func() {
					results <- struct {
						stream string
						err    error
					}{stream, end()}
				}()
			}
			for range ends {
				r := <-results
				if status.Code(r.err) != codes.Unauthenticated || reasonOf(r.err) != loss.reason {
					t.Errorf("%s ends with %v, want %s", r.stream, r.err, loss.reason)
				}
			}
		})
	}
}

func lastOf[M any](stream interface{ Recv() (M, error) }) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

// A further command of an open stream is judged like a call.
func TestFurtherCommandsOfAStream(t *testing.T) {
	t.Parallel()
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			reached, release := g.HoldAt("Commits.Fetch")
			defer release()
			c := g.converse(g.dial(identity.RoleOperator))
			c.deploy("held", g.deploying(g.Head()))
			id := c.accepted("held").GetOperation().GetId()
			<-reached
			loss.lose(g)
			c.send(&landfallv1.ExecuteRequest{CommandId: "late", Command: &landfallv1.ExecuteRequest_Cancel{Cancel: &landfallv1.CancelCommand{OperationId: id}}})
			requireStatus(t, c.end(), codes.Unauthenticated, loss.reason)
			if op := g.engine.Current(); op == nil || op.ID != id || op.CancelledBy != "" {
				t.Errorf("the late command was carried out: %+v", op)
			}
		})
	}
}

// The connection itself ends as well, and who dials again is turned away at the handshake.
func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	w := g.wire(identity.RoleOperator)
	if got := w.call(1, "/landfall.v1.GitOpsService/Resume"); got["grpc-status"] != "0" {
		t.Fatalf("the harness does not work: %v", got)
	}
	others := g.dial(identity.RoleObserver)
	if _, err := landfallv1.NewGitOpsServiceClient(others).GetGitOps(g.context(), &landfallv1.GetGitOpsRequest{}); err != nil {
		t.Fatal(err)
	}
	g.revoke(identity.RoleOperator)
	if got := w.call(3, "/landfall.v1.GitOpsService/Resume"); got["grpc-status"] != fmt.Sprint(int(codes.Unauthenticated)) {
		t.Errorf("the answer after the revocation: %v", got)
	}
	_ = w.conn.SetReadDeadline(time.Now().Add(waiting))
	if n, err := io.Copy(io.Discard, w.conn); err != nil {
		t.Errorf("after %d bytes the connection is not closed: %v", n, err)
	}
	_, err := landfallv1.NewGitOpsServiceClient(g.dial(identity.RoleOperator)).Resume(g.context(), &landfallv1.ResumeRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a new connection: %v", err)
	}
	if _, err := landfallv1.NewGitOpsServiceClient(others).GetGitOps(g.context(), &landfallv1.GetGitOpsRequest{}); err != nil {
		t.Errorf("somebody else is hit: %v", err)
	}
}

// A list over the wire: only operators, only what the CA has signed, and at once.
func TestRevokeOverTheWire(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	serial := g.source(identity.RoleDeployer).Identity().Principal.Serial
	deployer := landfallv1.NewIdentityServiceClient(g.dial(identity.RoleDeployer))
	operator := landfallv1.NewIdentityServiceClient(g.dial(identity.RoleOperator))
	r, err := g.ca.Revoke(g.caDir, []string{serial}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	req := &landfallv1.RevokeRequest{List: string(r.List)}
	_, err = deployer.Revoke(g.context(), req)
	requireStatus(t, err, codes.PermissionDenied, "ROLE_NOT_ALLOWED")

	other, err := identity.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "other")
	if err := other.WriteNew(dir); err != nil {
		t.Fatal(err)
	}
	forged, err := other.Revoke(dir, []string{serial}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"", "x", string(forged.List), string(r.List[:len(r.List)/2])} {
		_, err = operator.Revoke(g.context(), &landfallv1.RevokeRequest{List: list})
		requireStatus(t, err, codes.InvalidArgument, identity.ReasonListBroken)
	}
	for _, changed := range []bool{true, false} { // the second time it is known
		resp, err := operator.Revoke(g.context(), req)
		if err != nil || resp.GetChanged() != changed || resp.GetRevokedCount() != 1 {
			t.Fatalf("answered %v, %v", resp, err)
		}
	}
	_, err = deployer.Renew(g.context(), &landfallv1.RenewRequest{})
	requireStatus(t, err, codes.Unauthenticated, identity.ReasonRevoked)

	newer, err := g.ca.Revoke(g.caDir, []string{"abc"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := operator.Revoke(g.context(), &landfallv1.RevokeRequest{List: string(newer.List)}); err != nil || resp.GetRevokedCount() != 2 {
		t.Errorf("a longer list: %v, %v", resp, err)
	}
	_, err = operator.Revoke(g.context(), req) // replayed
	requireStatus(t, err, codes.FailedPrecondition, "REVOCATION_OLDER")
}

// A renewed identity works here, keeps role and name, and ends with what it descends of.
func TestRenewOverTheWire(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	dir := filepath.Join(g.dir, string(identity.RoleDeployer))
	first := g.source(identity.RoleDeployer).Identity().Principal
	for range 3 { // renewed from renewed ones, too
		renewOnce(t, g, dir)
	}
	renewed := g.source(identity.RoleDeployer).Identity()
	if renewed.Principal.String() != first.String() || renewed.Principal.Serial == first.Serial || !renewed.Principal.NotAfter.After(first.NotAfter) {
		t.Errorf("%+v was renewed to %+v", first, renewed.Principal)
	}
	g.later(95 * 24 * time.Hour) // the first one has ended by now
	conn := g.dial(identity.RoleDeployer)
	c := landfallv1.NewGitOpsServiceClient(conn)
	if _, err := c.GetGitOps(g.context(), &landfallv1.GetGitOpsRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Pause(g.context(), &landfallv1.PauseRequest{Reason: "x"})
	requireStatus(t, err, codes.PermissionDenied, "ROLE_NOT_ALLOWED")

	r, err := g.ca.Revoke(g.caDir, []string{first.Serial}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g.install(r.List)
	_, err = c.GetGitOps(g.context(), &landfallv1.GetGitOpsRequest{})
	requireStatus(t, err, codes.Unauthenticated, identity.ReasonRevoked)
}

func renewOnce(t *testing.T, g *gate, dir string) {
	t.Helper()
	next, err := identity.NewSuccession()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := next.Request()
	if err != nil {
		t.Fatal(err)
	}
	conn := g.dial(identity.RoleDeployer)
	resp, err := landfallv1.NewIdentityServiceClient(conn).Renew(g.context(), &landfallv1.RenewRequest{CertificateRequest: csr})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Install(dir, identity.Renewed{Cert: []byte(resp.GetCertificate()), Authority: []byte(resp.GetAuthority())}); err != nil {
		t.Fatal(err)
	}
}

// The CA of a renewed identity's ancestor being replaced ends it as well.
func TestRenewedEndsWithTheAuthority(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	renewOnce(t, g, filepath.Join(g.dir, string(identity.RoleDeployer)))
	c := landfallv1.NewGitOpsServiceClient(g.dial(identity.RoleDeployer))
	if _, err := c.GetGitOps(g.context(), &landfallv1.GetGitOpsRequest{}); err != nil {
		t.Fatal(err)
	}
	g.replace()
	_, err := c.GetGitOps(g.context(), &landfallv1.GetGitOpsRequest{})
	requireStatus(t, err, codes.Unauthenticated, identity.ReasonUnknownAuthority)
}

// Where agent.yaml asks for no renewal nobody gets one, and bad requests get none anywhere.
func TestRenewRefusals(t *testing.T) {
	t.Parallel()
	next, err := identity.NewSuccession()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := next.Request()
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	_, err = landfallv1.NewIdentityServiceClient(b.dial(identity.RoleOperator)).Renew(b.context(), &landfallv1.RenewRequest{CertificateRequest: csr})
	requireStatus(t, err, codes.FailedPrecondition, "NO_RENEWAL")
	g := newGate(t)
	bad := append([]byte{}, csr...)
	bad[len(bad)-1] ^= 1 // the signature
	for _, request := range [][]byte{nil, []byte("x"), bad} {
		_, err = landfallv1.NewIdentityServiceClient(g.dial(identity.RoleOperator)).Renew(g.context(), &landfallv1.RenewRequest{CertificateRequest: request})
		requireStatus(t, err, codes.InvalidArgument, identity.ReasonRequest)
	}
}
