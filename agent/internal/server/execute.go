package server

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"sync"

	"ataraxis.dev/landfall/agent/internal/flow"

	"google.golang.org/grpc"

	"ataraxis.dev/landfall/agent/internal/operation"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

var (
	commandID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
	commit    = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	digest    = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// maxReason bounds what a caller may have us keep in the record, in bytes.
const maxReason = 1000

// deployService implements DeployService.
type deployService struct {
	landfallv1.UnimplementedDeployServiceServer
	*Server
}

// Execute reads commands in one goroutine and streams the events of the operation they
// belong to in this one. The stream's end never touches the operation.
func (d deployService) Execute(stream grpc.BidiStreamingServer[landfallv1.ExecuteRequest, landfallv1.ExecuteResponse]) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	x := &execution{deployService: d, stream: stream, accepted: make(chan acceptance), closed: make(chan struct{}), turn: make(chan struct{}, 1)}
	var receiving sync.WaitGroup
	receiving.Go(func() { x.receive(ctx, cancel) })
	err := x.send(ctx)
	cancel(nil)
	receiving.Wait() // what it records must be recorded before the call counts as ended
	return err
}

// execution is one Execute stream.
type execution struct {
	deployService
	stream   grpc.BidiStreamingServer[landfallv1.ExecuteRequest, landfallv1.ExecuteResponse]
	accepted chan acceptance
	closed   chan struct{} // the caller has closed its side
	turn     chan struct{} // holds one value while a command is carried out, until it is handed to send
}

// acceptance is one command that was accepted.
type acceptance struct {
	commandID string
	operation operation.Operation
	repeated  bool
	after     uint64 // where its events start
}

// receive carries out commands until the caller closes its side, ends the stream or
// sends one that is refused: that refusal is the stream's result.
func (x *execution) receive(ctx context.Context, cancel context.CancelCauseFunc) {
	for {
		req, err := x.next(ctx)
		if errors.Is(err, io.EOF) {
			close(x.closed)
			return
		}
		if err != nil {
			cancel(err)
			return
		}
		select {
		case x.turn <- struct{}{}:
		case <-ctx.Done():
			return
		}
		a, err := x.recorded(ctx, req)
		if err != nil {
			cancel(err)
			return
		}
		select {
		case x.accepted <- a:
			<-x.turn
		case <-ctx.Done():
			return
		}
	}
}

// next waits for a command no longer than for the end of the call.
func (x *execution) next(ctx context.Context) (*landfallv1.ExecuteRequest, error) {
	type received struct {
		req *landfallv1.ExecuteRequest
		err error
	}
	got := make(chan received, 1)
	go func() { // ends with the stream, at the latest
		req, err := x.stream.Recv()
		got <- received{req, err}
	}()
	select {
	case r := <-got:
		return r.req, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// send acknowledges commands and streams events. Only this goroutine sends.
func (x *execution) send(ctx context.Context) error {
	var a acceptance
	select {
	case a = <-x.accepted:
	case <-x.closed:
		return fault.New(fault.Invalid, "NO_COMMAND", "the stream was closed without a command")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := x.acknowledge(a); err != nil {
		return err
	}
	at, closed := position{a.operation.ID, a.after}, x.closed
	for {
		more, err := x.watch(ctx, &at, closed)
		switch {
		case more != nil:
			if more.operation.ID != at.operation {
				at = position{more.operation.ID, more.after}
			}
			if err := x.acknowledge(*more); err != nil {
				return err
			}
		case errors.Is(err, errHalfClosed):
			closed = nil // known now; whether to stay is to be asked again
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return err
		}
	}
}

// position is how far the caller has heard of an operation.
type position struct {
	operation string
	after     uint64
}

// watch streams events from a position on. A further command interrupts it between two
// batches and is returned: its acknowledgement must not wait for the next event. So does the
// caller that closes its side; closed is nil when that is known already. At the end of the
// operation neither is set, unless a command is being carried out: its acknowledgement is owed.
func (x *execution) watch(ctx context.Context, at *position, closed <-chan struct{}) (more *acceptance, err error) {
	watch, interrupt := context.WithCancelCause(ctx)
	next := make(chan acceptance, 1)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		select {
		case a := <-x.accepted:
			next <- a
			interrupt(nil)
		case <-closed:
			interrupt(errHalfClosed)
		case <-watch.Done():
		}
	}()
	err = x.engine.Watch(watch, at.operation, at.after, func(events []operation.Event) error {
		batch, err := batchOf(at.operation, events)
		if err != nil {
			return err
		}
		at.after = events[len(events)-1].Sequence
		return x.stream.Send(&landfallv1.ExecuteResponse{Payload: &landfallv1.ExecuteResponse_Batch{Batch: batch}})
	}, x.stay)
	interrupt(nil)
	<-listening
	select {
	case a := <-next:
		return &a, nil
	default:
	}
	if err != nil {
		return nil, err
	}
	select {
	case x.turn <- struct{}{}: // no command is being carried out, and none will be
		return nil, nil
	case a := <-x.accepted:
		return &a, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// errHalfClosed is the cause of a watch's end when the caller closes its side meanwhile.
var errHalfClosed = errors.New("the caller closed its side")

// stay says whether to wait for more events of an operation that has none: an
// operation that awaits a command from a caller who has closed its side gets none.
func (x *execution) stay(state operation.State) bool {
	if state != operation.AwaitingVerify {
		return true
	}
	select {
	case <-x.closed:
		return false
	default:
		return true
	}
}

func (x *execution) acknowledge(a acceptance) error {
	return x.stream.Send(&landfallv1.ExecuteResponse{Payload: &landfallv1.ExecuteResponse_Accepted{Accepted: &landfallv1.CommandAccepted{
		CommandId: a.commandID, Operation: operationOf(a.operation), RepeatedCommand: a.repeated,
	}}})
}

// recorded carries out one command that the caller may send, between the two entries of the audit trail. One that was carried out before, and
// one that only watches, change nothing.
func (d deployService) recorded(ctx context.Context, req *landfallv1.ExecuteRequest) (a acceptance, err error) {
	name, _ := commandRule(req)
	who, subject := principalFrom(ctx).String(), subjectOfCommand(req, "")
	if err := d.permit(ctx, req); err != nil {
		d.audit.record(ctx, who, name, subject, err)
		return acceptance{}, err
	}
	if name == "attach" || d.engine.Knows(req.GetCommandId()) {
		a, err = d.command(ctx, req)
		if name != "attach" || err != nil {
			d.audit.record(ctx, who, name, subjectOfCommand(req, a.operation.ID), err)
		}
		return a, err
	}
	end, err := d.audit.begin(ctx, who, name, subject)
	if err != nil {
		return acceptance{}, err
	}
	a, err = d.command(ctx, req)
	end(subjectOfCommand(req, a.operation.ID), err)
	return a, err
}

// permit asks whether the caller may send a command, and whether the command has a form that may be kept.
func (d deployService) permit(ctx context.Context, req *landfallv1.ExecuteRequest) error {
	who := principalFrom(ctx)
	name, roles := commandRule(req)
	// It may have waited for its turn since it was received.
	if c, err := connectionOf(ctx); err != nil {
		return err
	} else if err := d.connections.judge(c); err != nil {
		d.refusals.add("denied", who.String(), "command", name, "who", who.String(), "error", err)
		return err
	}
	if !slices.Contains(roles, who.Role) {
		d.refusals.add("denied", who.String()+name, "command", name, "who", who.String())
		return denied(who, "Execute with "+name, roles)
	}
	if !commandID.MatchString(req.GetCommandId()) {
		return fault.New(fault.Invalid, "BAD_COMMAND_ID", "command_id must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
	}
	return nil
}

// command carries out one command.
func (d deployService) command(ctx context.Context, req *landfallv1.ExecuteRequest) (acceptance, error) {
	who := principalFrom(ctx)
	a := acceptance{commandID: req.GetCommandId()}
	var err error
	switch c := req.GetCommand().(type) {
	case *landfallv1.ExecuteRequest_Deploy:
		a.operation, a.repeated, err = d.deploy(who.String(), req.GetCommandId(), c.Deploy)
	case *landfallv1.ExecuteRequest_Verify:
		a.operation, err = d.engine.Verify(c.Verify.GetOperationId())
	case *landfallv1.ExecuteRequest_Proceed:
		a.operation, err = d.proceed(c.Proceed)
		a.after = a.operation.LastSequence
	case *landfallv1.ExecuteRequest_Finish:
		a.operation, err = d.engine.Finish(c.Finish.GetOperationId())
		a.after = a.operation.LastSequence
	case *landfallv1.ExecuteRequest_Rollback:
		a.operation, a.repeated, err = d.rollback(who.String(), req.GetCommandId(), c.Rollback)
	case *landfallv1.ExecuteRequest_Cancel:
		a.operation, err = d.engine.Cancel(c.Cancel.GetOperationId(), who.String())
		a.after = a.operation.LastSequence
	case *landfallv1.ExecuteRequest_Attach:
		a.operation, err = d.attach(c.Attach.GetOperationId())
		a.after = c.Attach.GetAfterSequence()
	case *landfallv1.ExecuteRequest_Restart:
		a.operation, a.repeated, err = d.restart(ctx, who.String(), req.GetCommandId(), c.Restart)
	case *landfallv1.ExecuteRequest_Migrate:
		a.operation, a.repeated, err = d.migrate(ctx, who.String(), req.GetCommandId(), c.Migrate)
	case *landfallv1.ExecuteRequest_Converge:
		a.operation, err = d.converge(ctx, who.String(), req.GetCommandId())
	default:
		err = fault.New(fault.Unimplemented, "NOT_YET", "this agent does not know %s commands", nameOf(req)).
			WithHint("a newer version will; see CHANGELOG.md")
	}
	d.log.Info("command", "command", nameOf(req), "who", who.String(), "command_id", req.GetCommandId(), "operation", a.operation.ID, "error", err)
	return a, err
}

func nameOf(req *landfallv1.ExecuteRequest) string {
	name, _ := commandRule(req)
	return name
}

func (d deployService) deploy(who, id string, c *landfallv1.DeployCommand) (operation.Operation, bool, error) {
	switch {
	case !commit.MatchString(c.GetTargetSha()):
		return operation.Operation{}, false, fault.New(fault.Invalid, "BAD_SHA", "target_sha must be a full commit SHA in lower case")
	case c.GetBaseSha() != "" && !commit.MatchString(c.GetBaseSha()):
		return operation.Operation{}, false, fault.New(fault.Invalid, "BAD_SHA", "base_sha must be a full commit SHA in lower case, or empty")
	case c.GetMovedSha() != "" && !commit.MatchString(c.GetMovedSha()):
		return operation.Operation{}, false, fault.New(fault.Invalid, "BAD_SHA", "moved_sha must be a full commit SHA in lower case, or empty")
	case c.GetBaseSha() == "" && c.GetEverythingReason() == "":
		return operation.Operation{}, false, fault.New(fault.Invalid, "NO_BASE", "without base_sha everything_reason must say why every flag is set")
	case len(c.GetEverythingReason()) > maxReason:
		return operation.Operation{}, false, fault.New(fault.Invalid, "BAD_REASON", "everything_reason may have %d bytes", maxReason)
	case !digest.MatchString(c.GetPlanDigest()):
		return operation.Operation{}, false, fault.New(fault.Invalid, "BAD_DIGEST", "plan_digest must be sha256: and 64 hex digits")
	}
	return d.engine.Deploy(flow.DeployRequest{
		CommandID: id, Requester: who, Target: c.GetTargetSha(), Base: c.GetBaseSha(), Everything: c.GetEverythingReason(),
		PlanDigest: c.GetPlanDigest(), AllowOlder: c.GetAllowOlder(), AskNewer: c.GetAskNewer(), Moved: c.GetMovedSha(), Judge: c.GetJudge(),
	})
}

func (d deployService) proceed(c *landfallv1.ProceedCommand) (operation.Operation, error) {
	if by := c.GetSupersededBy(); by != "" && !commit.MatchString(by) {
		return operation.Operation{}, fault.New(fault.Invalid, "BAD_SHA", "superseded_by must be a full commit SHA in lower case, or empty")
	}
	return d.engine.Proceed(c.GetOperationId(), c.GetSupersededBy())
}

func (d deployService) rollback(who, id string, c *landfallv1.RollbackCommand) (operation.Operation, bool, error) {
	req := flow.RollbackRequest{CommandID: id, Requester: who, Operation: c.GetOperationId(), Target: c.GetTargetSha()}
	switch {
	case (req.Operation == "") == (req.Target == ""):
		return operation.Operation{}, false, fault.New(fault.Invalid, "NO_TARGET", "a rollback needs operation_id or target_sha")
	case req.Target != "" && !commit.MatchString(req.Target):
		return operation.Operation{}, false, fault.New(fault.Invalid, "BAD_SHA", "target_sha must be a full commit SHA in lower case")
	}
	return d.engine.Rollback(req)
}

// attach finds the operation to watch: the one named, else the one that runs.
func (d deployService) attach(id string) (operation.Operation, error) {
	if id == "" {
		if current := d.engine.Current(); current != nil {
			return *current, nil
		}
	}
	return d.engine.Operation(id)
}
