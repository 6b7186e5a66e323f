// Package agentclient is the coordinator's end of the connection to the agent.
//
// It promises that a broken connection loses no event and repeats none, that a command
// is carried out once however often it has to be sent, that whatever goes wrong comes back
// as a fault that says what to do. Start reading at [Dial], then [Session].
package agentclient

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/fault/rpcerr"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/socketdial"
	"ataraxis.dev/landfall/shared/version"
)

// ProtocolVersion is the version of landfall.v1 that this coordinator speaks.
const ProtocolVersion = 1

// callTimeout bounds a call that only looks.
const callTimeout = 20 * time.Second

// convergeTimeout bounds a tick of convergence, which asks a remote, GitHub and registries; compareTimeout a look at what differs.
const (
	convergeTimeout = 5 * time.Minute
	compareTimeout  = time.Minute
)

// connectTimeout bounds one attempt to connect, TLS included.
const connectTimeout = 20 * time.Second

// maxReceive bounds one message from the agent: a batch of 512 lines of 16 KiB.
const maxReceive = 32 << 20

// Client is one connection to one agent. Safe for concurrent use; the caller closes it.
type Client struct {
	address     string
	conn        *grpc.ClientConn
	deploy      landfallv1.DeployServiceClient
	gitops      landfallv1.GitOpsServiceClient
	diagnostics landfallv1.DiagnosticsServiceClient
	audit       landfallv1.AuditServiceClient
	identity    landfallv1.IdentityServiceClient

	endings endings
	local   *socketdial.End // nil for HOST:PORT

	met atomic.Bool // the agent has answered: from then on its absence is worth waiting for
}

// Dial prepares a connection: to HOST:PORT with the identity in a folder, to unix:///PATH as the user we are. The network is
// first used by the first call. The error is about the address or the identity.
func Dial(address, identityDir string) (*Client, error) {
	if address == "" {
		return nil, fault.New(fault.Invalid, "NO_AGENT", "which agent?").WithHint("name it with --agent HOST:PORT or LANDFALL_AGENT; on its own host: --agent %s", DefaultSocket)
	}
	if IsLocal(address) {
		return dialLocal(address)
	}
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		return nil, fault.New(fault.Invalid, "BAD_ADDRESS", "agent %q is no HOST:PORT", address).WithHint("a socket on this host is named like %s", DefaultSocket)
	}
	if identityDir == "" {
		return nil, fault.New(fault.Invalid, "NO_IDENTITY", "which identity?").WithHint("name its folder with --identity DIR or LANDFALL_IDENTITY")
	}
	c := &Client{address: address}
	source, err := identity.OpenRole(identityDir, identity.Options{Met: c.endings.met}, identity.RoleDeployer, identity.RoleOperator, identity.RoleObserver)
	if err != nil {
		return nil, err
	}
	if err := c.connect("passthrough:///"+address, grpc.WithTransportCredentials(source.ClientCredentials())); err != nil {
		return nil, err
	}
	c.endings.met(source.Identity().Principal)
	return c, nil
}

// dialLocal is Dial to a socket on this host.
func dialLocal(address string) (*Client, error) {
	path, err := socketdial.Path(address)
	if err != nil {
		return nil, err
	}
	c := &Client{address: address, local: &socketdial.End{Path: path}}
	if err := c.connect("passthrough:///localhost", c.local.Options()...); err != nil {
		return nil, err
	}
	return c, nil
}

// connect prepares the connection; options are those of its kind.
func (c *Client) connect(target string, options ...grpc.DialOption) error {
	conn, err := grpc.NewClient(target, append(options,
		grpc.WithKeepaliveParams(identity.KeepaliveClient()),
		// gRPC's own pauses between attempts grow to two minutes: an agent that is back must be found sooner.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: retryFirst, Multiplier: backoff.DefaultConfig.Multiplier, Jitter: backoff.DefaultConfig.Jitter, MaxDelay: retryMost},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive)),
		grpc.WithUserAgent("landfall-coordinator/"+version.Get().Version),
	)...)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "BAD_ADDRESS", "agent %q", c.address)
	}
	c.over(conn)
	return nil
}

func newClient(address string, conn *grpc.ClientConn) *Client {
	return (&Client{address: address}).over(conn)
}

func (c *Client) over(conn *grpc.ClientConn) *Client {
	c.conn = conn
	c.deploy = landfallv1.NewDeployServiceClient(conn)
	c.gitops = landfallv1.NewGitOpsServiceClient(conn)
	c.diagnostics = landfallv1.NewDiagnosticsServiceClient(conn)
	c.audit = landfallv1.NewAuditServiceClient(conn)
	c.identity = landfallv1.NewIdentityServiceClient(conn)
	return c
}

// Close ends the connection; operations go on. It is then that certificates are warned of
// which end soon: whatever was shown of an operation is whole.
func (c *Client) Close() error {
	c.endings.tell()
	return c.conn.Close()
}

// explain turns what a call returned into a fault that names the agent.
func (c *Client) explain(err error) error {
	if err == nil {
		return nil
	}
	f := rpcerr.FromError(err)
	// What the agent says itself has a reason of its own, and needs no guessing at texts.
	if r := fault.ReasonOf(f); r == codes.Unavailable.String() || r == codes.Unauthenticated.String() {
		f = identity.ExplainHandshake(f, c.address)
	}
	if fault.ReasonOf(f) == codes.Unavailable.String() { // gRPC's own words
		if c.local != nil {
			if why := c.local.Explain(); why != nil {
				return why
			}
		}
		return fault.Wrap(f, fault.Unreachable, "AGENT_UNREACHABLE", "the agent at %s cannot be reached", c.address).
			WithHint("is it running, and is this its address? on its host: systemctl status landfall-agent")
	}
	return inPlainWords(f)
}

// look makes one unary call with a deadline of its own. An agent that lets it pass is
// Unreachable; when ctx ends first, its cause is the error.
func look[Req, Resp any](ctx context.Context, c *Client, call func(context.Context, Req, ...grpc.CallOption) (Resp, error), req Req) (Resp, error) {
	return lookWithin(ctx, callTimeout, c, call, req)
}

func lookWithin[Req, Resp any](ctx context.Context, within time.Duration, c *Client, call func(context.Context, Req, ...grpc.CallOption) (Resp, error), req Req) (Resp, error) {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	resp, err := call(limited, req)
	switch {
	case err != nil && ctx.Err() != nil:
		return resp, context.Cause(ctx)
	case err != nil && (limited.Err() != nil || cutOff(err)):
		return resp, fault.Wrap(err, fault.Unreachable, "NO_ANSWER", "the agent at %s does not answer", c.address)
	}
	return resp, c.explain(err)
}

// cutOff reports whether gRPC itself ended a call for want of time. The two sides have a clock each, so the far end may do
// so before our own deadline has passed.
func cutOff(err error) bool {
	reason := fault.ReasonOf(rpcerr.FromError(err)) // of an error that the agent wrote, a word of its own
	return reason == codes.DeadlineExceeded.String() || reason == codes.Canceled.String()
}

// Host asks for the host and checks that both sides speak the same protocol.
func (c *Client) Host(ctx context.Context) (*landfallv1.Host, error) {
	resp, err := look(ctx, c, c.diagnostics.GetHost, &landfallv1.GetHostRequest{})
	if err != nil {
		return nil, err
	}
	if v := resp.GetHost().GetProtocolVersion(); v != ProtocolVersion {
		return nil, fault.New(fault.Refused, "PROTOCOL_VERSION", "the agent (%s) speaks protocol %d, this coordinator (%s) speaks %d",
			resp.GetHost().GetAgentVersion(), v, version.Get().Version, ProtocolVersion).WithHint("install the same version on both sides")
	}
	return resp.GetHost(), nil
}

// Services lists the services of the stacks, all when none is named.
func (c *Client) Services(ctx context.Context, stacks []string) ([]*landfallv1.Service, error) {
	resp, err := look(ctx, c, c.diagnostics.ListServices, &landfallv1.ListServicesRequest{Stacks: stacks})
	return resp.GetServices(), err
}

// Probe runs probes once, all when none is named.
func (c *Client) Probe(ctx context.Context, names []string) ([]*landfallv1.ProbeResult, error) {
	resp, err := look(ctx, c, c.diagnostics.Probe, &landfallv1.ProbeRequest{Names: names})
	return resp.GetResults(), err
}

// Operations lists at most limit operations, newest first.
func (c *Client) Operations(ctx context.Context, limit int) ([]*landfallv1.Operation, error) {
	resp, err := look(ctx, c, c.diagnostics.ListOperations, &landfallv1.ListOperationsRequest{PageSize: int32(limit)})
	return resp.GetOperations(), err
}

// Operation reads one operation with its plan; "" is the newest.
func (c *Client) Operation(ctx context.Context, id string) (*landfallv1.Operation, *landfallv1.Plan, error) {
	resp, err := look(ctx, c, c.diagnostics.GetOperation, &landfallv1.GetOperationRequest{OperationId: id})
	return resp.GetOperation(), resp.GetPlan(), err
}

// RecordNotification tells the agent which message tells of an operation. An agent that keeps none is no error.
func (c *Client) RecordNotification(ctx context.Context, operation, channel, message string) error {
	_, err := look(ctx, c, c.deploy.RecordNotification, &landfallv1.RecordNotificationRequest{OperationId: operation, Channel: channel, MessageId: message})
	if fault.KindOf(err) == fault.Unimplemented {
		return nil
	}
	return err
}

// Notification is the message that tells of an operation in a channel, "" when the agent knows of none.
func Notification(op *landfallv1.Operation, channel string) string {
	for _, n := range op.GetNotifications() {
		if n.GetChannel() == channel {
			return n.GetMessageId()
		}
	}
	return ""
}

// Policy says what the policy of the host finds in the compose files of a commit that it knows, a line each. One that it does not know is NotFound.
func (c *Client) Policy(ctx context.Context, target, base, everything string) ([]string, error) {
	resp, err := look(ctx, c, c.diagnostics.GetPlan, &landfallv1.GetPlanRequest{TargetSha: target, BaseSha: base, EverythingReason: everything, Policy: true})
	return resp.GetPlan().GetNotes(), err
}

// Pause pauses convergence; see the protocol.
func (c *Client) Pause(ctx context.Context, req *landfallv1.PauseRequest) (*landfallv1.GitOpsStatus, error) {
	resp, err := look(ctx, c, c.gitops.Pause, req)
	return resp.GetStatus(), err
}

// Resume lets convergence run again.
func (c *Client) Resume(ctx context.Context) (*landfallv1.ResumeResponse, error) {
	return look(ctx, c, c.gitops.Resume, &landfallv1.ResumeRequest{})
}

// Converge makes a tick of convergence.
func (c *Client) Converge(ctx context.Context, req *landfallv1.ConvergeRequest) (*landfallv1.ConvergeResponse, error) {
	return lookWithin(ctx, convergeTimeout, c, c.gitops.Converge, req)
}

// Drift holds what runs against what the checkout says.
func (c *Client) Drift(ctx context.Context, stacks []string) (*landfallv1.GetDriftResponse, error) {
	return lookWithin(ctx, compareTimeout, c, c.diagnostics.GetDrift, &landfallv1.GetDriftRequest{Stacks: stacks})
}

// Unblock removes the block of one commit, or all blocks when sha is "".
func (c *Client) Unblock(ctx context.Context, sha string) (*landfallv1.UnblockResponse, error) {
	return look(ctx, c, c.gitops.Unblock, &landfallv1.UnblockRequest{Sha: sha})
}

// GitOps reads the pause and the blocked commits.
func (c *Client) GitOps(ctx context.Context) (*landfallv1.GitOpsStatus, error) {
	resp, err := look(ctx, c, c.gitops.GetGitOps, &landfallv1.GetGitOpsRequest{})
	return resp.GetStatus(), err
}

// Blocks are the commits that must not be deployed, oldest block first. An agent that knows one block only tells it in
// a field of its own.
func Blocks(s *landfallv1.GitOpsStatus) []*landfallv1.BlockedCommit {
	if all := s.GetAllBlocked(); len(all) > 0 {
		return all
	}
	if one := s.GetBlocked(); one != nil {
		return []*landfallv1.BlockedCommit{one}
	}
	return nil
}

// RollbackPlan asks what a rollback would do now; nothing is done. The error of an agent that cannot tell is Unimplemented.
func (c *Client) RollbackPlan(ctx context.Context, req *landfallv1.GetRollbackPlanRequest) (*landfallv1.GetRollbackPlanResponse, error) {
	return look(ctx, c, c.diagnostics.GetRollbackPlan, req)
}
