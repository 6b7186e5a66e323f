// Package server is the agent's face on the network: gRPC with mutual TLS in front of the engine.
//
// It promises that nobody without a verified certificate reaches a handler, that every
// method and every command has an explicit rule of who may call it, that diagnostics
// change nothing. It converts between the protocol and the
// domain and decides nothing itself. Start reading at [New], then authorize.go.
package server

import (
	"context"
	"net"
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
	"ataraxis.dev/landfall/shared/fault/rpcerr"
	"ataraxis.dev/landfall/shared/identity"
)

// ProtocolVersion is the version of landfall.v1 that this agent speaks.
const ProtocolVersion = 1

// Bounds of what a peer may send or open. A command is small; events that go out are
// batches of at most 512 lines of 16 KiB.
const (
	maxReceive = 1 << 20
	maxSend    = 32 << 20
	maxStreams = 100
)

// Config is everything the server needs. All fields are required.
type Config struct {
	Engine    *flow.Flows
	Inspector ports.Inspector
	Prober    ports.Prober
	Stamp     ports.Stamp
	Sentinels ports.Sentinels
	Tree      Tree
	Versions  func(context.Context) (engine, compose string, err error)
	Expires   func() time.Time                                     // end of the agent's certificate
	Left      func() (diskFree, memoryAvailable uint64, err error) // bytes; 0 is unknown
	Checkout  string                                               // its folder
	Branch    string
	PauseTTL  time.Duration
	Creds     credentials.TransportCredentials // mutual TLS
	Redact    func(text string) string         // takes secrets out of what leaves the agent; nil takes nothing out
	Trail     Trail                            // nil keeps nothing
	Sign      func(audit.Checkpoint) (audit.Checkpoint, error)
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
	prober    ports.Prober
	stamp     ports.Stamp
	sentinels ports.Sentinels
	tree      Tree
	versions  func(context.Context) (string, string, error)
	expires   func() time.Time
	left      func() (uint64, uint64, error)
	checkout  string
	branch    string
	pauseTTL  time.Duration
	redact    func(string) string
	audit     *recorder
	started   time.Time
	log       hclog.Logger

	seenCheckout *latest.Value[seenTree]
	seenVersions *latest.Value[versions]

	grpc   *grpc.Server
	health *health.Server
}

// New makes a server; it serves nothing until [Server.Serve].
func New(c Config, log hclog.Logger) *Server {
	s := &Server{
		engine: c.Engine, inspector: c.Inspector, prober: c.Prober, stamp: c.Stamp, sentinels: c.Sentinels, tree: c.Tree,
		versions: c.Versions, expires: c.Expires, left: c.Left, checkout: c.Checkout, branch: c.Branch, pauseTTL: c.PauseTTL,
		started: time.Now(), log: log.Named("server"), health: health.NewServer(),
		seenCheckout: latest.New[seenTree](checkoutLimits), seenVersions: latest.New[versions](versionLimits),
	}
	if s.redact = c.Redact; s.redact == nil {
		s.redact = func(text string) string { return text }
	}
	s.audit = &recorder{trail: c.Trail, sign: c.Sign, warn: func(err error) { s.log.Error("audit trail", "error", err) }}
	s.grpc = grpc.NewServer(
		grpc.Creds(c.Creds),
		grpc.ChainUnaryInterceptor(s.redactUnary, rpcerr.UnaryServer, s.unaryGuard),
		grpc.ChainStreamInterceptor(s.redactStream, rpcerr.StreamServer, s.streamGuard),
		grpc.KeepaliveParams(identity.KeepaliveServer()),
		grpc.KeepaliveEnforcementPolicy(identity.KeepaliveEnforcement()),
		grpc.MaxRecvMsgSize(maxReceive), grpc.MaxSendMsgSize(maxSend), grpc.MaxConcurrentStreams(maxStreams),
	)
	landfallv1.RegisterDeployServiceServer(s.grpc, deployService{Server: s})
	landfallv1.RegisterGitOpsServiceServer(s.grpc, gitopsService{Server: s})
	landfallv1.RegisterDiagnosticsServiceServer(s.grpc, diagnosticsService{Server: s})
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
	return s.grpc.Serve(l)
}

// stopGrace is how long calls may take to end by themselves.
const stopGrace = 3 * time.Second

// Stop ends the service: new calls are refused, running ones get a moment, then end.
// Callers that watch an operation re-attach to the next agent.
func (s *Server) Stop() {
	s.health.Shutdown()
	timer := time.AfterFunc(stopGrace, s.grpc.Stop)
	defer timer.Stop()
	s.grpc.GracefulStop()
	s.audit.close()
	s.seenCheckout.Close()
	s.seenVersions.Close()
}
