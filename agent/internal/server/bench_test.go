package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/picture"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/tick"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waiting bounds what a test waits for; only a broken server reaches it.
const waiting = 30 * time.Second

// bench is a server on a loopback port, over an engine on a host in memory.
type bench struct {
	*hosttest.Host
	t       *testing.T
	config  Config
	engine  *flow.Flows
	limits  limits
	logs    *logs
	server  *Server
	address string
	dir     string // identities, by role
}

// tree is the checkout as diagnostics see it.
type tree struct {
	head  string
	dirty []string
	err   error
}

func (t *tree) Head(context.Context) (string, error)       { return t.head, t.err }
func (t *tree) HeadBranch(context.Context) (string, error) { return "main", t.err }
func (t *tree) Commit(_ context.Context, sha string) (picture.Commit, error) {
	return picture.Commit{SHA: sha, Subject: "subject of " + sha[:4], Author: "Ada"}, t.err
}
func (t *tree) Dirty(context.Context) ([]string, error) { return t.dirty, t.err }

// newBench serves until the test ends; change adjusts the server's configuration.
func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	return newBenchLimited(t, defaults(), change...)
}

// newBenchLimited is newBench with other limits.
func newBenchLimited(t *testing.T, l limits, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{Host: hosttest.NewHost(), t: t, dir: t.TempDir(), limits: l, logs: &logs{}}
	// No soak: these tests run on real time.
	b.Push(map[string]string{hosttest.ConfigPath: strings.Replace(hosttest.Files()[hosttest.ConfigPath], "soak: 3s", "soak: 0s", 1)})
	b.issue("127.0.0.1")
	b.engine = b.Engine()
	if err := b.engine.Start(); err != nil {
		t.Fatal(err)
	}
	b.config = b.configure()
	for _, c := range change {
		c(&b.config)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.address = listener.Addr().String()
	b.serve(listener)
	return b
}

// serve serves on a listener until the test ends.
func (b *bench) serve(listener net.Listener) {
	s := newLimited(b.config, b.limits, hclog.NewNullLogger())
	b.server = s
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	b.t.Cleanup(func() {
		b.engine.Close()
		s.Stop()
		if err := <-done; err != nil {
			b.t.Errorf("Serve: %v", err)
		}
	})
}

// configure is a healthy host's configuration.
func (b *bench) configure() Config {
	b.t.Helper()
	source, err := identity.Open(filepath.Join(b.dir, string(identity.RoleAgent)), identity.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	p := b.Ports()
	return Config{
		Engine: b.engine, Inspector: p.Inspector, Logs: b.logs, Teacher: p.Teacher, Prober: p.Prober,
		Stamp: p.Stamp, Sentinels: p.Sentinels, Tree: &tree{head: b.Head()},
		Converger: tick.New(tick.Settings{
			Engine: b.engine, Sentinels: p.Sentinels, Stamp: p.Stamp, Commits: p.Commits, Trees: p.Trees, Branch: "main", Every: 15 * time.Minute, CI: green{},
		}, hclog.NewNullLogger()),
		Versions: func(context.Context) (string, string, error) { return "28.5.2", "2.40.3", nil },
		Expires:  func() time.Time { return source.Identity().Principal.NotAfter },
		Left:     func() (uint64, uint64, error) { return 5 << 30, 1 << 30, nil },
		Checkout: "/srv/sample", Branch: "main", PauseTTL: 4 * time.Hour, Creds: source.ServerCredentials(), Authority: source,
	}
}

// green is a CI that every commit passed.
type green struct{}

func (green) Of(context.Context, string, []string) converge.CI {
	return converge.CI{Verdict: converge.CIGreen}
}

// issue makes an identity for every role.
func (b *bench) issue(host string) {
	b.t.Helper()
	ca, err := identity.NewCA(time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, role := range identity.Roles() {
		req := identity.Request{Role: role, Name: "test"}
		if role == identity.RoleAgent {
			req.Hosts = []string{host}
		}
		bundle, err := ca.Issue(req, time.Now())
		if err != nil {
			b.t.Fatal(err)
		}
		if err := bundle.Replace(filepath.Join(b.dir, string(role))); err != nil {
			b.t.Fatal(err)
		}
	}
}

// source is the identity of a role.
func (b *bench) source(role identity.Role) *identity.Source {
	b.t.Helper()
	s, err := identity.Open(filepath.Join(b.dir, string(role)), identity.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// dial connects with a role's identity, as a coordinator does.
func (b *bench) dial(role identity.Role, options ...grpc.DialOption) *grpc.ClientConn {
	b.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+b.address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(b.source(role).ClientCredentials()), grpc.WithKeepaliveParams(identity.KeepaliveClient()),
	}, options...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (b *bench) diagnostics() landfallv1.DiagnosticsServiceClient {
	return landfallv1.NewDiagnosticsServiceClient(b.dial(identity.RoleObserver))
}

func (b *bench) gitops() landfallv1.GitOpsServiceClient {
	return landfallv1.NewGitOpsServiceClient(b.dial(identity.RoleOperator))
}

func (b *bench) context() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), waiting)
	b.t.Cleanup(cancel)
	return ctx
}

// deploying is the command that a coordinator sends to have target deployed.
func (b *bench) deploying(target string) *landfallv1.DeployCommand {
	b.t.Helper()
	req, err := b.Request("unused", target)
	if err != nil {
		b.t.Fatal(err)
	}
	return &landfallv1.DeployCommand{
		TargetSha: req.Target, BaseSha: req.Base, PlanDigest: req.PlanDigest, EverythingReason: req.Everything,
	}
}

// conversation is one Execute stream as its caller sees it.
type conversation struct {
	t      *testing.T
	stream landfallv1.DeployService_ExecuteClient
	leave  context.CancelFunc
	events []*landfallv1.Event // in the order they came
}

// converse opens an Execute stream.
func (b *bench) converse(conn *grpc.ClientConn) *conversation {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), waiting)
	b.t.Cleanup(cancel)
	stream, err := landfallv1.NewDeployServiceClient(conn).Execute(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	return &conversation{t: b.t, stream: stream, leave: cancel}
}

func (c *conversation) send(req *landfallv1.ExecuteRequest) {
	c.t.Helper()
	if err := c.stream.Send(req); err != nil && !errors.Is(err, io.EOF) {
		c.t.Fatal(err)
	}
}

func (c *conversation) deploy(id string, d *landfallv1.DeployCommand) {
	c.t.Helper()
	c.send(&landfallv1.ExecuteRequest{CommandId: id, Command: &landfallv1.ExecuteRequest_Deploy{Deploy: d}})
}

func (c *conversation) verify(id, operation string) {
	c.t.Helper()
	c.send(&landfallv1.ExecuteRequest{
		CommandId: id, Command: &landfallv1.ExecuteRequest_Verify{Verify: &landfallv1.VerifyCommand{OperationId: operation}},
	})
}

func (c *conversation) attach(id, operation string, after uint64) {
	c.t.Helper()
	c.send(&landfallv1.ExecuteRequest{
		CommandId: id,
		Command:   &landfallv1.ExecuteRequest_Attach{Attach: &landfallv1.AttachCommand{OperationId: operation, AfterSequence: after}},
	})
}

// accepted reads up to the acknowledgement of a command.
func (c *conversation) accepted(id string) *landfallv1.CommandAccepted {
	c.t.Helper()
	for {
		resp, err := c.stream.Recv()
		if err != nil {
			c.t.Fatalf("instead of the acknowledgement of %s: %v", id, err)
		}
		if a := resp.GetAccepted(); a != nil {
			if a.GetCommandId() != id {
				c.t.Fatalf("acknowledged %s, want %s", a.GetCommandId(), id)
			}
			return a
		}
		c.events = append(c.events, resp.GetBatch().GetEvents()...)
	}
}

// until reads up to the change to a state.
func (c *conversation) until(state landfallv1.OperationState) {
	c.t.Helper()
	for {
		for _, e := range c.events {
			if e.GetStateChanged().GetState() == state {
				return
			}
		}
		resp, err := c.stream.Recv()
		if err != nil {
			c.t.Fatalf("before %s: %v", state, err)
		}
		c.events = append(c.events, resp.GetBatch().GetEvents()...)
	}
}

// end reads to the end of the stream; nil is an orderly one.
func (c *conversation) end() error {
	for {
		resp, err := c.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		c.events = append(c.events, resp.GetBatch().GetEvents()...)
	}
}

// checkEvents fails unless the events are those after a sequence, each once, in order.
func (c *conversation) checkEvents(after uint64) {
	c.t.Helper()
	if len(c.events) == 0 {
		c.t.Error("no events")
	}
	for i, e := range c.events {
		if want := after + uint64(i) + 1; e.GetSequence() != want {
			c.t.Fatalf("event number %d has sequence %d, want %d", i, e.GetSequence(), want)
		}
	}
}

// requireStatus fails unless err has a code and ErrorInfo with a reason.
func requireStatus(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if got, gotReason := status.Code(err), reasonOf(err); got != code || gotReason != reason {
		t.Errorf("got %s %q (%v), want %s %q", got, gotReason, err, code, reason)
	}
}

// reasonOf is the reason in Landfall's ErrorInfo, "" when there is none.
func reasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "landfall" {
			return info.GetReason()
		}
	}
	return ""
}

// verifyingDeploy brings target to SUCCEEDED over the wire and returns its operation.
func (b *bench) verifyingDeploy(conn *grpc.ClientConn, target string) string {
	b.t.Helper()
	c := b.converse(conn)
	c.deploy("deploy-"+target, b.deploying(target))
	id := c.accepted("deploy-" + target).GetOperation().GetId()
	c.until(landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY)
	c.verify("verify-"+target, id)
	c.accepted("verify-" + target)
	c.until(landfallv1.OperationState_OPERATION_STATE_SUCCEEDED)
	if err := c.end(); err != nil {
		b.t.Fatal(err)
	}
	return id
}

// next pushes another version of the app.
func (b *bench) next(n int) string {
	return b.Push(map[string]string{"app/main.go": fmt.Sprint("version ", n)})
}
