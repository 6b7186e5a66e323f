// Package server is the agent's face on the network: gRPC with mutual TLS in front of the engine, and the same on a socket of the host.
//
// It promises that nobody without a verified certificate reaches a handler, on the socket nobody whom the kernel does not name as one of the host's, that whether a
// caller may be here is asked at every call and message and not only at the handshake, that every
// method and every command has an explicit rule of who may call it, that diagnostics
// change nothing, that what anybody may hold of the agent is bounded (limits.go). It converts between the protocol and the
// domain and decides nothing itself. Start reading at [New], then authorize.go.
package server

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/latest"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/audit"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/fault/rpcerr"
)

// ProtocolVersion is the version of landfall.v1 that this agent speaks.
const ProtocolVersion = 1

// Config is everything the server needs. All fields are required.
type Config struct {
	Engine    *flow.Flows
	Inspector ports.Inspector
	Logs      ports.Logs
	Teacher   ports.Teacher
	Prober    ports.Prober
	Stamp     ports.Stamp
	Sentinels ports.Sentinels
	Converger Converger
	Tree      Tree
	Versions  func(context.Context) (engine, compose string, err error)
	Expires   func() time.Time                                     // end of the agent's certificate
	Left      func() (diskFree, memoryAvailable uint64, err error) // bytes; 0 is unknown
	Checkout  string                                               // its folder
	Branch    string
	PauseTTL  time.Duration
	Creds     credentials.TransportCredentials           // mutual TLS
	Authority Authority                                  // who may be here at this moment
	Locals    Locals                                     // who of this host, by [Server.ServeLocal]
	Redact    func(text string) string                   // takes secrets out of what leaves the agent; nil takes nothing out
	Lines     func(before, line string) (string, string) // Redact for a line and the one before it; nil takes nothing out
	Trail     Trail                                      // nil keeps nothing
	Sign      func(audit.Checkpoint) (audit.Checkpoint, error)

	Notifications ports.Notifications // nil keeps none
}

// Tree is what diagnostics read of the checkout.
type Tree interface {
	Head(ctx context.Context) (string, error)
	HeadBranch(ctx context.Context) (string, error)
	Dirty(ctx context.Context) ([]string, error)
	Commit(ctx context.Context, sha string) (picture.Commit, error)
}

// Server serves one agent. Make it with [New].
type Server struct {
	engine    *flow.Flows
	inspector ports.Inspector
	logs      ports.Logs
	teacher   ports.Teacher
	prober    ports.Prober
	stamp     ports.Stamp
	sentinels ports.Sentinels
	converger Converger
	tree      Tree
	versions  func(context.Context) (string, string, error)
	expires   func() time.Time
	left      func() (uint64, uint64, error)
	checkout  string
	branch    string
	pauseTTL  time.Duration
	redact    func(string) string
	lines     func(before, line string) (string, string)
	audit     *recorder
	notified  ports.Notifications
	started   time.Time
	log       hclog.Logger

	seenCheckout *latest.Value[seenTree]
	seenVersions *latest.Value[versions]

	authority   Authority
	limits      limits
	connections *connections
	calls       *calls
	desk        *desk
	refusals    *tally

	stopping context.Context //nolint:containedctx // the server's own life, which ends what has no end by itself
	stop     context.CancelCauseFunc

	grpc   *grpc.Server
	health *health.Server
}

// New makes a server; it serves nothing until [Server.Serve].
func New(c Config, log hclog.Logger) *Server { return newLimited(c, defaults(), log) }

func newLimited(c Config, l limits, log hclog.Logger) *Server {
	log = log.Named("server")
	s := &Server{
		engine: c.Engine, inspector: c.Inspector, logs: c.Logs, teacher: c.Teacher, prober: c.Prober, stamp: c.Stamp, sentinels: c.Sentinels, converger: c.Converger, tree: c.Tree,
		versions: c.Versions, expires: c.Expires, left: c.Left, checkout: c.Checkout, branch: c.Branch, pauseTTL: c.PauseTTL,
		started: time.Now(), log: log, health: health.NewServer(),
		seenCheckout: latest.New[seenTree](checkoutLimits), seenVersions: latest.New[versions](versionLimits),
		notified: c.Notifications, authority: c.Authority, limits: l, connections: newConnections(l, c.Authority), calls: newCalls(l), desk: newDesk(l), refusals: newTally(log, l.quiet),
	}
	if s.redact = c.Redact; s.redact == nil {
		s.redact = func(text string) string { return text }
	}
	s.connections.locals = c.Locals
	if s.lines = c.Lines; s.lines == nil {
		s.lines = func(before, line string) (string, string) { return before, line }
	}
	s.stopping, s.stop = context.WithCancelCause(context.Background())
	s.audit = &recorder{trail: c.Trail, sign: c.Sign, warn: func(err error) { s.log.Error("audit trail", "error", err) }}
	s.grpc = grpc.NewServer(append(l.options(),
		grpc.Creds(guarded{c.Creds, s.connections}),
		grpc.ChainUnaryInterceptor(s.redactUnary, rpcerr.UnaryServer, s.unaryGuard),
		grpc.ChainStreamInterceptor(s.redactStream, rpcerr.StreamServer, s.streamGuard),
	)...)
	landfallv1.RegisterDeployServiceServer(s.grpc, deployService{Server: s})
	landfallv1.RegisterGitOpsServiceServer(s.grpc, gitopsService{Server: s})
	landfallv1.RegisterDiagnosticsServiceServer(s.grpc, diagnosticsService{Server: s})
	landfallv1.RegisterIdentityServiceServer(s.grpc, identityService{Server: s})
	landfallv1.RegisterAuditServiceServer(s.grpc, auditService{Server: s})
	healthv1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	return s
}

// Serve serves until Stop. It takes the listener over.
func (s *Server) Serve(l net.Listener) error {
	for name := range s.grpc.GetServiceInfo() {
		s.health.SetServingStatus(name, healthv1.HealthCheckResponse_SERVING)
	}
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { s.connections.watch(ctx) })
	defer watching.Wait()
	defer stop()
	return s.grpc.Serve(s.door(l))
}

// ServeLocal serves the same on the socket of this host, beside [Server.Serve], until Stop. It takes the listener over.
func (s *Server) ServeLocal(l net.Listener) error {
	d := s.door(l)
	d.local = true
	return s.grpc.Serve(d)
}

func (s *Server) door(l net.Listener) *door {
	return newDoor(l, s.limits, func() {
		s.refusals.add("connection put out", "", "why", "too many others are at their handshake")
	})
}

// Refused counts a connection that was turned away at its handshake; for [identity.Options].
// Anybody on the network causes it, so it costs no log line each.
func (s *Server) Refused(err error) {
	s.refusals.add("identity", fault.ReasonOf(err), "error", err)
}

// stopGrace is how long calls may take to end by themselves.
const stopGrace = 3 * time.Second

// Stop ends the service: new calls are refused, running ones get a moment, then end.
// Callers that watch an operation re-attach to the next agent.
func (s *Server) Stop() {
	s.health.Shutdown()
	s.stop(fault.New(fault.Unreachable, "SHUTTING_DOWN", "the agent is stopping"))
	timer := time.AfterFunc(stopGrace, s.grpc.Stop)
	defer timer.Stop()
	s.grpc.GracefulStop()
	s.audit.close()
	s.seenCheckout.Close()
	s.seenVersions.Close()
	s.desk.close()
	s.refusals.close()
}
