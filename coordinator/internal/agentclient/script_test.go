package agentclient

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault/rpcerr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	theOperation = "op-7-script"
	applying     = landfallv1.OperationState_OPERATION_STATE_APPLYING
	awaiting     = landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY
	succeeded    = landfallv1.OperationState_OPERATION_STATE_SUCCEEDED
)

// agent is a scripted agent: each Execute stream plays the next scene, the last one again
// and again. It remembers every command.
type agent struct {
	landfallv1.UnimplementedDeployServiceServer
	landfallv1.UnimplementedDiagnosticsServiceServer
	landfallv1.UnimplementedGitOpsServiceServer

	mu       sync.Mutex
	scenes   []scene
	commands []*landfallv1.ExecuteRequest
	down     bool // refuses connections
	refused  int  // connections so far
	conns    []net.Conn
	lost     int // looks at an operation that break before one is answered
}

// GetOperation answers once as many looks as the script says have broken.
func (a *agent) GetOperation(context.Context, *landfallv1.GetOperationRequest) (*landfallv1.GetOperationResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost > 0 {
		a.lost--
		return nil, status.Error(codes.Unavailable, "transport is closing")
	}
	return &landfallv1.GetOperationResponse{Operation: &landfallv1.Operation{Id: theOperation, State: succeeded}}, nil
}

// scene plays one stream.
type scene func(s *stage) error

// stage is one stream of the scripted agent.
type stage struct {
	agent  *agent
	stream grpc.BidiStreamingServer[landfallv1.ExecuteRequest, landfallv1.ExecuteResponse]
}

// errBroken is what a scene returns to break its stream as a lost connection does.
var errBroken = errors.New("scene: broken")

// Execute plays the next scene.
func (a *agent) Execute(stream grpc.BidiStreamingServer[landfallv1.ExecuteRequest, landfallv1.ExecuteResponse]) error {
	a.mu.Lock()
	play := a.scenes[0]
	if len(a.scenes) > 1 {
		a.scenes = a.scenes[1:]
	}
	a.mu.Unlock()
	return play(&stage{agent: a, stream: stream})
}

// command receives one command.
func (s *stage) command() *landfallv1.ExecuteRequest {
	req, err := s.stream.Recv()
	if err != nil {
		return nil
	}
	s.agent.mu.Lock()
	defer s.agent.mu.Unlock()
	s.agent.commands = append(s.agent.commands, req)
	return req
}

// accept acknowledges a command with the operation as it stands after its last event.
func (s *stage) accept(req *landfallv1.ExecuteRequest, state landfallv1.OperationState, last uint64) error {
	return s.stream.Send(&landfallv1.ExecuteResponse{Payload: &landfallv1.ExecuteResponse_Accepted{Accepted: &landfallv1.CommandAccepted{
		CommandId: req.GetCommandId(), Operation: &landfallv1.Operation{Id: theOperation, State: state, LastSequence: last},
	}}})
}

// events sends events in one batch; see eventAt.
func (s *stage) events(sequences ...uint64) error {
	batch := &landfallv1.EventBatch{OperationId: theOperation}
	for _, n := range sequences {
		batch.Events = append(batch.Events, eventAt(n))
	}
	return s.stream.Send(&landfallv1.ExecuteResponse{Payload: &landfallv1.ExecuteResponse_Batch{Batch: batch}})
}

// eventAt is the script's event: 10 applies, 20 awaits verify, 30 succeeds, the others warn.
func eventAt(n uint64) *landfallv1.Event {
	e := &landfallv1.Event{Sequence: n}
	state := map[uint64]landfallv1.OperationState{10: applying, 20: awaiting, 30: succeeded}[n]
	if state == 0 {
		e.Fact = &landfallv1.Event_Warning{Warning: &landfallv1.Warning{Message: "something"}}
		return e
	}
	e.Fact = &landfallv1.Event_StateChanged{StateChanged: &landfallv1.StateChanged{State: state}}
	return e
}

// upTo are the sequences after one up to another.
func upTo(after, last uint64) []uint64 {
	var all []uint64
	for n := after + 1; n <= last; n++ {
		all = append(all, n)
	}
	return all
}

// attached plays a well-behaved stream: whatever the command, everything after what the
// caller has, up to last, and then what then returns.
func attached(last uint64, state landfallv1.OperationState, then error) scene {
	return func(s *stage) error {
		req := s.command()
		if req == nil {
			return errBroken
		}
		if err := s.accept(req, state, last); err != nil {
			return err
		}
		for _, n := range upTo(req.GetAttach().GetAfterSequence(), last) {
			if err := s.events(n); err != nil {
				return err
			}
		}
		return then
	}
}

// waiting plays the scene, then goes on until the caller leaves.
func waiting(play scene) scene {
	return func(s *stage) error {
		if err := play(s); err != nil {
			return err
		}
		<-s.stream.Context().Done()
		return s.stream.Context().Err()
	}
}

// commandIDs are the identifiers of the commands of one kind, in the order they came.
func (a *agent) commandIDs(attach bool) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []string
	for _, c := range a.commands {
		if (c.GetAttach() != nil) == attach {
			ids = append(ids, c.GetCommandId())
		}
	}
	return ids
}

// setDown makes the agent refuse connections, or accept them again.
func (a *agent) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

// refuses reports whether a connection is refused, and counts it.
func (a *agent) refuses() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		a.refused++
	}
	return a.down
}

// hangUp breaks every connection.
func (a *agent) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.conns {
		_ = c.Close()
	}
	a.conns = nil
}

// connectTo serves the agent in memory and returns a client of it. It works in a bubble
// of fake time, where a TCP connection would not.
func connectTo(t *testing.T, a *agent) *Client {
	t.Helper()
	return connectHost(t, &host{agent: a})
}

// connectHost is connectTo for an agent that answers more than Execute.
func connectHost(t *testing.T, h *host, options ...grpc.ServerOption) *Client {
	t.Helper()
	a := h.agent
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(append([]grpc.ServerOption{grpc.ChainUnaryInterceptor(rpcerr.UnaryServer), grpc.ChainStreamInterceptor(breakable)}, options...)...)
	landfallv1.RegisterDeployServiceServer(server, h)
	landfallv1.RegisterDiagnosticsServiceServer(server, h)
	landfallv1.RegisterGitOpsServiceServer(server, h)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends by Stop
	}()
	conn, err := grpc.NewClient("passthrough:///agent", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			if a.refuses() {
				return nil, errors.New("connection refused")
			}
			conn, err := listener.DialContext(ctx)
			a.mu.Lock()
			a.conns = append(a.conns, conn)
			a.mu.Unlock()
			return conn, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-done
	})
	return newClient("agent.test:7443", conn)
}

// breakable turns errBroken into what a client sees of a connection that is gone.
func breakable(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	err := handler(srv, stream)
	if errors.Is(err, errBroken) {
		return status.Error(codes.Unavailable, "transport is closing")
	}
	return rpcerr.ToStatus(err)
}

// watcher remembers what it hears.
type watcher struct {
	mu       sync.Mutex
	heard    []uint64
	warnings []string
}

func (w *watcher) Event(_ string, e *landfallv1.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, e.GetSequence())
}

func (w *watcher) Warn(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warnings = append(w.warnings, text)
}

// requireHeard fails unless the events up to last were heard, each once, in order.
func (w *watcher) requireHeard(t *testing.T, after, last uint64) {
	t.Helper()
	want := upTo(after, last)
	if len(w.heard) != len(want) {
		t.Fatalf("heard %d events, want %d: %v", len(w.heard), len(want), w.heard)
	}
	for i, n := range w.heard {
		if n != want[i] {
			t.Fatalf("heard %v, want %v", w.heard, want)
		}
	}
}
