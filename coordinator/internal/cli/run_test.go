package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/fault/rpcerr"
	"ataraxis.dev/landfall/shared/git/gittest"
	"ataraxis.dev/landfall/shared/identity"
)

// outcome is what a run of the program left.
type outcome struct {
	code     int
	out, err string
}

// environment is what the program reads; the tests start from none of it.
var environment = []string{
	"LANDFALL_AGENT", "LANDFALL_IDENTITY", "LANDFALL_CONFIG", "LANDFALL_PROGRESS", "GITHUB_SHA", "GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY",
	"GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "GITHUB_REPOSITORY", "GITHUB_TOKEN", "GITHUB_API_URL", "GITHUB_RUN_ID", "GITHUB_RUN_NUMBER", "GITHUB_RUN_ATTEMPT",
	"GITHUB_WORKFLOW_REF", "GITHUB_REF", "GITHUB_JOB", "RUNNER_ENVIRONMENT", "DISCORD_WEBHOOK_URL",
}

// bare takes away what the surroundings of the test would tell the program.
func bare(t *testing.T) {
	t.Helper()
	for _, key := range environment {
		t.Setenv(key, "")
	}
}

// landfall runs the program as a person does.
func landfall(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code := Run(args, Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return outcome{code: code, out: out.String(), err: errs.String()}
}

// expect fails unless the run ended with a code and said every part on stderr.
func (o outcome) expect(t *testing.T, code int, says ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", o.code, code, o.out, o.err)
	}
	for _, part := range says {
		if !strings.Contains(o.err, part) {
			t.Errorf("stderr does not say %q:\n%s", part, o.err)
		}
	}
	if code == 2 && o.out != "" {
		t.Errorf("a usage error prints an answer: %s", o.out)
	}
}

const sampleConfig = `version: 1
project: sample
stacks: {core: {files: [compose.yml]}}
flags:
  app:  {paths: ["app/**"], actions: [app]}
  docs: {paths: ["docs/**"]}
skip: [Makefile]
actions:
  app:
    - build: {stack: core, services: [app]}
    - up: {stack: core, services: [app]}
verify: {probes: {up: {containers: {}}}}
`

// clone is a repository with two commits, of which the second changes the app.
func clone(t *testing.T) (repo *gittest.Repo, base, head string) {
	t.Helper()
	repo = gittest.New(t)
	base = repo.Commit("one", map[string]string{"landfall.yaml": sampleConfig, "compose.yml": "services: {}\n", "app/main.txt": "1\n", "Makefile": "all:\n", "deep/er/x.txt": ""})
	head = repo.Commit("two", map[string]string{"app/main.txt": "2\n"})
	return repo, base, head
}

// identities makes an identity for every role below a folder.
func identities(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca, err := identity.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range identity.Roles() {
		req := identity.Request{Role: role, Name: "test"}
		if role == identity.RoleAgent {
			req.Hosts = []string{"127.0.0.1"}
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

const theOperation = "op-7-sample"

// agent is an agent that carries every deploy out at once and says what it is told to say.
type agent struct {
	landfallv1.UnimplementedDeployServiceServer
	landfallv1.UnimplementedDiagnosticsServiceServer
	landfallv1.UnimplementedGitOpsServiceServer

	mu       sync.Mutex
	stamp    string
	ends     landfallv1.OperationState // of the next operation
	op       *landfallv1.Operation
	commands []string
	services error
	probes   []*landfallv1.ProbeResult
}

func (a *agent) GetHost(context.Context, *landfallv1.GetHostRequest) (*landfallv1.GetHostResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := &landfallv1.Host{Name: "caroline", ProtocolVersion: agentclient.ProtocolVersion}
	if a.stamp != "" {
		h.Stamp = &landfallv1.Stamp{Sha: a.stamp}
	}
	return &landfallv1.GetHostResponse{Host: h}, nil
}

func (a *agent) ListServices(context.Context, *landfallv1.ListServicesRequest) (*landfallv1.ListServicesResponse, error) {
	return &landfallv1.ListServicesResponse{Services: []*landfallv1.Service{{Stack: "core", Name: "app", Ready: true}}}, a.services
}

func (a *agent) ListOperations(context.Context, *landfallv1.ListOperationsRequest) (*landfallv1.ListOperationsResponse, error) {
	return &landfallv1.ListOperationsResponse{Operations: []*landfallv1.Operation{{Id: "op-2-b"}, {Id: "op-1-a"}}}, nil
}

func (a *agent) GetOperation(_ context.Context, req *landfallv1.GetOperationRequest) (*landfallv1.GetOperationResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.op == nil || (req.GetOperationId() != "" && req.GetOperationId() != theOperation) {
		return nil, fault.New(fault.NotFound, "UNKNOWN_OPERATION", "there is no operation %s", req.GetOperationId())
	}
	return &landfallv1.GetOperationResponse{Operation: a.op}, nil
}

func (a *agent) Probe(context.Context, *landfallv1.ProbeRequest) (*landfallv1.ProbeResponse, error) {
	return &landfallv1.ProbeResponse{Results: a.probes}, nil
}

func (a *agent) Pause(_ context.Context, req *landfallv1.PauseRequest) (*landfallv1.PauseResponse, error) {
	return &landfallv1.PauseResponse{Status: &landfallv1.GitOpsStatus{Pause: &landfallv1.GitOpsPause{
		Reason: req.GetReason(), ExpireTime: timestamppb.New(time.Now().Add(req.GetTtl().AsDuration())),
	}}}, nil
}

func (a *agent) Resume(context.Context, *landfallv1.ResumeRequest) (*landfallv1.ResumeResponse, error) {
	return nil, fault.New(fault.Refused, "HOST_LOCKED", "op-9 runs and needs the pause").WithHint("wait for its end")
}

func (a *agent) Unblock(context.Context, *landfallv1.UnblockRequest) (*landfallv1.UnblockResponse, error) {
	return &landfallv1.UnblockResponse{UnblockedSha: strings.Repeat("d", 40)}, nil
}

// Execute plays the agent's part of a deploy: it applies at once, and ends when it is told to verify.
func (a *agent) Execute(stream grpc.BidiStreamingServer[landfallv1.ExecuteRequest, landfallv1.ExecuteResponse]) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		from, to := a.take(req)
		a.mu.Lock()
		accepted := &landfallv1.CommandAccepted{CommandId: req.GetCommandId(), Operation: a.op}
		a.mu.Unlock()
		err = stream.Send(&landfallv1.ExecuteResponse{Payload: &landfallv1.ExecuteResponse_Accepted{Accepted: accepted}})
		batch := &landfallv1.EventBatch{OperationId: theOperation}
		for n := from + 1; n <= to; n++ {
			batch.Events = append(batch.Events, &landfallv1.Event{Sequence: n, EventTime: timestamppb.Now(), Fact: a.fact(n)})
		}
		if len(batch.GetEvents()) > 0 {
			err = errors.Join(err, stream.Send(&landfallv1.ExecuteResponse{Payload: &landfallv1.ExecuteResponse_Batch{Batch: batch}}))
		}
		if err != nil {
			return err
		}
	}
}

// take carries a command out and says which events are new to its caller.
func (a *agent) take(req *landfallv1.ExecuteRequest) (from, to uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch c := req.GetCommand().(type) {
	case *landfallv1.ExecuteRequest_Deploy:
		command := "deploy " + c.Deploy.GetTargetSha()
		if c.Deploy.GetAskNewer() {
			command += " asking"
		}
		a.commands = append(a.commands, command)
		a.op = &landfallv1.Operation{
			Id: theOperation, State: landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY, TargetSha: c.Deploy.GetTargetSha(), LastSequence: 2,
			CreateTime: timestamppb.Now(),
		}
		return 0, 2
	case *landfallv1.ExecuteRequest_Verify:
		a.commands = append(a.commands, "verify "+c.Verify.GetOperationId())
		a.op.State, a.op.LastSequence, a.op.EndTime = a.ends, 3, timestamppb.Now()
		if a.ends != landfallv1.OperationState_OPERATION_STATE_SUCCEEDED {
			a.op.Failure = &landfallv1.Failure{Kind: landfallv1.FaultKind_FAULT_KIND_FAILED, Reason: "PROBE_FAILED", Message: "app is down"}
		}
		return 2, 3
	case *landfallv1.ExecuteRequest_Finish:
		a.commands = append(a.commands, "finish "+c.Finish.GetOperationId())
	case *landfallv1.ExecuteRequest_Attach:
		a.commands = append(a.commands, "attach "+c.Attach.GetOperationId())
		return c.Attach.GetAfterSequence(), a.op.GetLastSequence()
	}
	return 0, 0
}

func (a *agent) fact(n uint64) *landfallv1.Event_StateChanged {
	a.mu.Lock()
	defer a.mu.Unlock()
	state := map[uint64]landfallv1.OperationState{
		1: landfallv1.OperationState_OPERATION_STATE_PENDING, 2: landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY, 3: a.ends,
	}[n]
	change := &landfallv1.StateChanged{State: state}
	if n == 3 {
		change.Failure = a.op.GetFailure()
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

// decode reads one JSON object a line.
func decode(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%q is no JSON object: %v", line, err)
		}
		all = append(all, object)
	}
	return all
}
