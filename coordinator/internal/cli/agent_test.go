package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/fault/rpcerr"
	"ataraxis.dev/landfall/shared/identity"
)

const theOperation = "op-7-sample"

// agent is an agent that carries every deploy out at once and says what it is told to say. It holds a deploy's pause as the
// real one does: from its beginning until it is finished, or until its own verdict.
type agent struct {
	landfallv1.UnimplementedDeployServiceServer
	landfallv1.UnimplementedDiagnosticsServiceServer
	landfallv1.UnimplementedGitOpsServiceServer

	mu       sync.Mutex
	older    bool // knows nothing of judging, of more than one block, of plans of rollbacks
	holds    bool // leaves every deploy in the middle
	stamp    string
	host     func(*landfallv1.Host)         // what else the host tells
	ends     landfallv1.OperationState      // of the next operation
	endsBy   func(op *landfallv1.Operation) // what else its end tells
	op       *landfallv1.Operation
	commands []string
	deploys  []*landfallv1.DeployCommand
	services []*landfallv1.Service
	trouble  error // of looking at services
	probes   []*landfallv1.ProbeResult
	pause    *landfallv1.GitOpsPause
	blocks   []*landfallv1.BlockedCommit
	past     []*landfallv1.Operation // besides op
	rollback *landfallv1.GetRollbackPlanResponse
	tails    func(*landfallv1.TailLogsRequest, grpc.ServerStreamingServer[landfallv1.TailLogsResponse]) error
	policy   []string // findings in every commit that it knows; nil: it knows none
}

// RecordNotification keeps a message with the operation that it is about.
func (a *agent) RecordNotification(_ context.Context, req *landfallv1.RecordNotificationRequest) (*landfallv1.RecordNotificationResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.older {
		return nil, status.Error(codes.Unimplemented, "unknown method RecordNotification")
	}
	for _, op := range append([]*landfallv1.Operation{a.op}, a.past...) {
		if op.GetId() == req.GetOperationId() {
			op.Notifications = []*landfallv1.Notification{{Channel: req.GetChannel(), MessageId: req.GetMessageId()}}
		}
	}
	return &landfallv1.RecordNotificationResponse{}, nil
}

// set changes what the agent does from now on, while a stream may still be open.
func (a *agent) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *agent) gitops() *landfallv1.GitOpsStatus {
	s := &landfallv1.GitOpsStatus{Pause: a.pause}
	if n := len(a.blocks); n > 0 {
		s.Blocked = a.blocks[n-1]
		if !a.older {
			s.AllBlocked = a.blocks
		}
	}
	return s
}

func (a *agent) GetHost(context.Context, *landfallv1.GetHostRequest) (*landfallv1.GetHostResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := &landfallv1.Host{Name: "caroline", ProtocolVersion: agentclient.ProtocolVersion, Gitops: a.gitops()}
	if a.stamp != "" {
		h.Stamp = &landfallv1.Stamp{Sha: a.stamp}
	}
	if a.op != nil && !agentclient.Terminal(a.op.GetState()) {
		h.CurrentOperationId = a.op.GetId()
	}
	if a.host != nil {
		a.host(h)
	}
	return &landfallv1.GetHostResponse{Host: h}, nil
}

func (a *agent) ListServices(context.Context, *landfallv1.ListServicesRequest) (*landfallv1.ListServicesResponse, error) {
	services := a.services
	if services == nil {
		services = []*landfallv1.Service{{Stack: "core", Name: "app", Ready: true}}
	}
	return &landfallv1.ListServicesResponse{Services: services}, a.trouble
}

func (a *agent) ListOperations(context.Context, *landfallv1.ListOperationsRequest) (*landfallv1.ListOperationsResponse, error) {
	if a.past != nil {
		return &landfallv1.ListOperationsResponse{Operations: a.past}, nil
	}
	return &landfallv1.ListOperationsResponse{Operations: []*landfallv1.Operation{{Id: "op-2-b"}, {Id: "op-1-a"}}}, nil
}

func (a *agent) GetOperation(_ context.Context, req *landfallv1.GetOperationRequest) (*landfallv1.GetOperationResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, op := range a.past {
		if op.GetId() == req.GetOperationId() {
			return &landfallv1.GetOperationResponse{Operation: op}, nil
		}
	}
	if a.op == nil || (req.GetOperationId() != "" && req.GetOperationId() != theOperation) {
		return nil, fault.New(fault.NotFound, "UNKNOWN_OPERATION", "there is no operation %s", req.GetOperationId())
	}
	return &landfallv1.GetOperationResponse{Operation: proto.CloneOf(a.op)}, nil
}

func (a *agent) GetPlan(_ context.Context, req *landfallv1.GetPlanRequest) (*landfallv1.GetPlanResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.policy == nil {
		return nil, fault.New(fault.NotFound, "UNKNOWN_COMMIT", "no commit %s", req.GetTargetSha())
	}
	plan := &landfallv1.Plan{}
	if req.GetPolicy() {
		plan.Notes = a.policy
	}
	return &landfallv1.GetPlanResponse{Plan: plan}, nil
}

func (a *agent) GetRollbackPlan(_ context.Context, req *landfallv1.GetRollbackPlanRequest) (*landfallv1.GetRollbackPlanResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.older:
		return nil, status.Error(codes.Unimplemented, "unknown method GetRollbackPlan")
	case a.rollback == nil:
		return nil, fault.New(fault.Refused, "HOST_LOCKED", "op-9 runs")
	}
	plan := proto.CloneOf(a.rollback)
	if sha := req.GetTargetSha(); sha != "" && plan.GetTarget() != nil {
		plan.Target.Sha = sha
	}
	return plan, nil
}

func (a *agent) TailLogs(req *landfallv1.TailLogsRequest, stream grpc.ServerStreamingServer[landfallv1.TailLogsResponse]) error {
	return a.tails(req, stream)
}

func (a *agent) Probe(context.Context, *landfallv1.ProbeRequest) (*landfallv1.ProbeResponse, error) {
	return &landfallv1.ProbeResponse{Results: a.probes}, nil
}

func (a *agent) GetGitOps(context.Context, *landfallv1.GetGitOpsRequest) (*landfallv1.GetGitOpsResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &landfallv1.GetGitOpsResponse{Status: a.gitops()}, nil
}

func (a *agent) Pause(_ context.Context, req *landfallv1.PauseRequest) (*landfallv1.PauseResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pause = &landfallv1.GitOpsPause{Owner: "operator/test", Reason: req.GetReason(), ExpireTime: timestamppb.New(time.Now().Add(req.GetTtl().AsDuration()))}
	return &landfallv1.PauseResponse{Status: a.gitops()}, nil
}

func (a *agent) Resume(context.Context, *landfallv1.ResumeRequest) (*landfallv1.ResumeResponse, error) {
	return nil, fault.New(fault.Refused, "HOST_LOCKED", "op-9 runs and needs the pause").WithHint("wait for its end")
}

func (a *agent) Unblock(_ context.Context, req *landfallv1.UnblockRequest) (*landfallv1.UnblockResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	resp := &landfallv1.UnblockResponse{}
	a.blocks = slices.DeleteFunc(a.blocks, func(b *landfallv1.BlockedCommit) bool {
		if !a.older && req.GetSha() != "" && b.GetSha() != req.GetSha() {
			return false
		}
		resp.UnblockedSha = b.GetSha()
		if !a.older {
			resp.UnblockedShas = append(resp.UnblockedShas, b.GetSha())
		}
		return true
	})
	return resp, nil
}

// Execute plays the agent's part of a deploy: it applies at once, and ends when it is told to verify, or judges by itself.
func (a *agent) Execute(stream grpc.BidiStreamingServer[landfallv1.ExecuteRequest, landfallv1.ExecuteResponse]) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		from, to, err := a.take(req)
		if err != nil {
			return err
		}
		a.mu.Lock()
		accepted := &landfallv1.CommandAccepted{CommandId: req.GetCommandId(), Operation: proto.CloneOf(a.op)}
		a.mu.Unlock()
		err = stream.Send(&landfallv1.ExecuteResponse{Payload: &landfallv1.ExecuteResponse_Accepted{Accepted: accepted}})
		for n := from + 1; n <= to; n++ {
			batch := &landfallv1.EventBatch{OperationId: theOperation, Events: []*landfallv1.Event{{Sequence: n, EventTime: timestamppb.Now(), Fact: a.fact(n)}}}
			err = errors.Join(err, stream.Send(&landfallv1.ExecuteResponse{Payload: &landfallv1.ExecuteResponse_Batch{Batch: batch}}))
		}
		if err != nil {
			return err
		}
	}
}

// take carries a command out and says which events are new to its caller.
func (a *agent) take(req *landfallv1.ExecuteRequest) (from, to uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch c := req.GetCommand().(type) {
	case *landfallv1.ExecuteRequest_Deploy:
		command := "deploy " + c.Deploy.GetTargetSha()
		if c.Deploy.GetAskNewer() {
			command += " asking"
		}
		a.commands, a.deploys = append(a.commands, command), append(a.deploys, c.Deploy)
		a.begin(landfallv1.OperationKind_OPERATION_KIND_DEPLOY, c.Deploy.GetTargetSha())
		a.op.Judge = c.Deploy.GetJudge() && !a.older
		if a.pause.GetOwner() != "operator/test" {
			a.pause = &landfallv1.GitOpsPause{OperationId: theOperation, Owner: "deployer/test", Reason: "deploy"}
		}
		if (a.op.GetJudge() && !a.holds) || a.ends == landfallv1.OperationState_OPERATION_STATE_SUPERSEDED {
			a.end()
		}
		return 0, a.op.GetLastSequence(), nil
	case *landfallv1.ExecuteRequest_Rollback:
		a.commands = append(a.commands, "rollback "+c.Rollback.GetOperationId()+c.Rollback.GetTargetSha())
		a.begin(landfallv1.OperationKind_OPERATION_KIND_ROLLBACK, c.Rollback.GetTargetSha())
		a.end()
		return 0, 3, nil
	case *landfallv1.ExecuteRequest_Verify:
		a.commands = append(a.commands, "verify "+c.Verify.GetOperationId())
		a.end()
		return 2, 3, nil
	case *landfallv1.ExecuteRequest_Finish:
		a.commands = append(a.commands, "finish "+c.Finish.GetOperationId())
		a.lift()
	case *landfallv1.ExecuteRequest_Cancel:
		a.commands = append(a.commands, "cancel "+c.Cancel.GetOperationId())
		a.end()
		return 2, 3, nil
	case *landfallv1.ExecuteRequest_Attach:
		a.commands = append(a.commands, "attach "+c.Attach.GetOperationId())
		return c.Attach.GetAfterSequence(), a.op.GetLastSequence(), nil
	}
	return 0, 0, nil
}

func (a *agent) begin(kind landfallv1.OperationKind, sha string) {
	a.op = &landfallv1.Operation{
		Id: theOperation, Kind: kind, State: landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY, TargetSha: sha, LastSequence: 2, CreateTime: timestamppb.Now(),
	}
}

// end brings the operation to the end that it is to have.
func (a *agent) end() {
	a.op.State, a.op.LastSequence, a.op.EndTime = a.ends, 3, timestamppb.Now()
	if a.ends != landfallv1.OperationState_OPERATION_STATE_SUCCEEDED && a.ends != landfallv1.OperationState_OPERATION_STATE_SUPERSEDED {
		a.op.Failure = &landfallv1.Failure{Kind: landfallv1.FaultKind_FAULT_KIND_FAILED, Reason: "PROBE_FAILED", Message: "app is down"}
	}
	if a.endsBy != nil {
		a.endsBy(a.op)
	}
	if a.op.GetJudge() && a.ends == landfallv1.OperationState_OPERATION_STATE_SUCCEEDED {
		a.lift()
	}
}

// lift ends the pause of the operation, and of nobody else.
func (a *agent) lift() {
	if a.pause.GetOperationId() == theOperation {
		a.pause = nil
	}
}

func (a *agent) fact(n uint64) *landfallv1.Event_StateChanged {
	a.mu.Lock()
	defer a.mu.Unlock()
	state := map[uint64]landfallv1.OperationState{
		1: landfallv1.OperationState_OPERATION_STATE_PENDING, 2: landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY, 3: a.ends,
	}[n]
	change := &landfallv1.StateChanged{State: state}
	if n == 3 {
		change.Failure, change.Summary, change.SupersededBy = a.op.GetFailure(), a.op.GetSummary(), a.op.GetSupersededBy()
	}
	return &landfallv1.Event_StateChanged{StateChanged: change}
}

// serve serves the agent over TLS and points the environment to it.
func (a *agent) serve(t *testing.T) {
	t.Helper()
	bare(t)
	ids := identities(t)
	source, err := identity.Open(filepath.Join(ids, "agent"), identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(source.ServerCredentials()), grpc.UnaryInterceptor(rpcerr.UnaryServer), grpc.StreamInterceptor(rpcerr.StreamServer))
	landfallv1.RegisterDeployServiceServer(server, a)
	landfallv1.RegisterDiagnosticsServiceServer(server, a)
	landfallv1.RegisterGitOpsServiceServer(server, a)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends by Stop
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	t.Setenv("LANDFALL_AGENT", listener.Addr().String())
	t.Setenv("LANDFALL_IDENTITY", filepath.Join(ids, "operator"))
	t.Setenv("LANDFALL_PROGRESS", "plain")
}
