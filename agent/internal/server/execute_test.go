package server

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

const (
	awaiting  = landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY
	succeeded = landfallv1.OperationState_OPERATION_STATE_SUCCEEDED
)

func TestDeployAndVerifyOnOneStream(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	target := b.next(1)
	c := b.converse(b.dial(identity.RoleDeployer))
	c.deploy("one", b.deploying(target))
	a := c.accepted("one")
	op := a.GetOperation()
	if a.GetRepeatedCommand() || op.GetTargetSha() != target || op.GetRequester() != "deployer/test" || op.GetCommandId() != "one" ||
		op.GetKind() != landfallv1.OperationKind_OPERATION_KIND_DEPLOY {
		t.Errorf("accepted: %v", a)
	}
	c.until(awaiting)
	c.verify("two", op.GetId())
	if got := c.accepted("two"); got.GetOperation().GetId() != op.GetId() {
		t.Errorf("verify belongs to %s", got.GetOperation().GetId())
	}
	if err := c.end(); err != nil {
		t.Errorf("the stream of a terminal operation ends with %v", err)
	}
	c.checkEvents(0)
	if last := c.events[len(c.events)-1]; last.GetStateChanged().GetState() != succeeded {
		t.Errorf("the last event is %v", last)
	}
	if stamp, _, err := b.Ports().Stamp.Stamp(); stamp != target || err != nil {
		t.Errorf("stamp %q, %v", stamp, err)
	}

	f := b.converse(b.dial(identity.RoleDeployer))
	f.send(&landfallv1.ExecuteRequest{CommandId: "three", Command: &landfallv1.ExecuteRequest_Finish{Finish: &landfallv1.FinishCommand{OperationId: op.GetId()}}})
	f.accepted("three")
	if err := f.end(); err != nil || len(f.events) != 0 {
		t.Errorf("finish brings %d old events and ends with %v", len(f.events), err)
	}
	if pause, err := b.Ports().Sentinels.Pause(); pause != nil || err != nil {
		t.Errorf("after finish: %+v, %v", pause, err)
	}
}

func TestVerifyOnANewStream(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn := b.dial(identity.RoleDeployer)
	first := b.converse(conn)
	first.deploy("one", b.deploying(b.next(1)))
	id := first.accepted("one").GetOperation().GetId()
	first.until(awaiting)
	first.leave()

	known := first.events[len(first.events)-1].GetSequence()
	second := b.converse(conn)
	second.attach("two", id, known)
	if got := second.accepted("two").GetOperation().GetState(); got != awaiting {
		t.Errorf("attached in %s", got)
	}
	second.verify("three", id)
	second.accepted("three")
	if err := second.end(); err != nil {
		t.Error(err)
	}
	second.checkEvents(known)

	all := b.converse(conn)
	all.attach("four", "", 0)
	if got := all.accepted("four").GetOperation(); got.GetId() != id || got.GetState() != succeeded {
		t.Errorf("attached to %s in %s, want the newest", got.GetId(), got.GetState())
	}
	if err := all.end(); err != nil {
		t.Error(err)
	}
	all.checkEvents(0)
	if got, want := len(all.events), len(first.events)+len(second.events); got != want {
		t.Errorf("%d events at once, %d in two parts", got, want)
	}
}

// An operation may end before the acknowledgement of the command that ended it is on its
// way: the stream must not end without it.
func TestTheLastAcknowledgementIsOwed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn := b.dial(identity.RoleDeployer)
	for n := range 50 {
		b.verifyingDeploy(conn, b.next(n)) // fails without an acknowledgement of verify
	}
}

func TestRepeatedCommandIsTheSameOperation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn := b.dial(identity.RoleDeployer)
	d := b.deploying(b.next(1))
	first := b.converse(conn)
	first.deploy("same", d)
	id := first.accepted("same").GetOperation().GetId()
	first.until(awaiting)

	second := b.converse(conn)
	second.deploy("same", d)
	if a := second.accepted("same"); !a.GetRepeatedCommand() || a.GetOperation().GetId() != id {
		t.Errorf("sent again: %v", a)
	}
	other := b.converse(conn)
	other.deploy("other", d)
	requireStatus(t, other.end(), codes.FailedPrecondition, "HOST_LOCKED")

	second.verify("v", id)
	second.accepted("v")
	if err := second.end(); err != nil {
		t.Error(err)
	}
	second.checkEvents(0)
	if err := first.end(); err != nil {
		t.Error(err)
	}
	first.checkEvents(0)

	third := b.converse(conn)
	third.deploy("same", d)
	if a := third.accepted("same"); !a.GetRepeatedCommand() || a.GetOperation().GetState() != succeeded {
		t.Errorf("sent again after the end: %v", a)
	}
	if err := third.end(); err != nil {
		t.Error(err)
	}
}

func TestBadCommands(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn := b.dial(identity.RoleOperator)
	sha, digest := strings.Repeat("a", 40), "sha256:"+strings.Repeat("b", 64)
	deploy := func(change func(*landfallv1.DeployCommand)) *landfallv1.ExecuteRequest {
		d := &landfallv1.DeployCommand{TargetSha: sha, BaseSha: sha, PlanDigest: digest}
		change(d)
		return &landfallv1.ExecuteRequest{CommandId: "x", Command: &landfallv1.ExecuteRequest_Deploy{Deploy: d}}
	}
	named := func(id string) *landfallv1.ExecuteRequest {
		r := deploy(func(*landfallv1.DeployCommand) {})
		r.CommandId = id
		return r
	}
	tests := map[string]struct {
		req    *landfallv1.ExecuteRequest
		reason string
	}{
		"no command id":          {named(""), "BAD_COMMAND_ID"},
		"long command id":        {named(strings.Repeat("a", 129)), "BAD_COMMAND_ID"},
		"line in command id":     {named("a\nb"), "BAD_COMMAND_ID"},
		"line after command id":  {named("a\n"), "BAD_COMMAND_ID"},
		"space in command id":    {named("a b"), "BAD_COMMAND_ID"},
		"command id not ASCII":   {named("ä"), "BAD_COMMAND_ID"},
		"path as command id":     {named("../x"), "BAD_COMMAND_ID"},
		"no target":              {deploy(func(d *landfallv1.DeployCommand) { d.TargetSha = "" }), "BAD_SHA"},
		"short target":           {deploy(func(d *landfallv1.DeployCommand) { d.TargetSha = sha[:39] }), "BAD_SHA"},
		"target in capitals":     {deploy(func(d *landfallv1.DeployCommand) { d.TargetSha = strings.ToUpper(sha) }), "BAD_SHA"},
		"branch as target":       {deploy(func(d *landfallv1.DeployCommand) { d.TargetSha = "main" }), "BAD_SHA"},
		"option as target":       {deploy(func(d *landfallv1.DeployCommand) { d.TargetSha = "--upload-pack=x" }), "BAD_SHA"},
		"target of 41 digits":    {deploy(func(d *landfallv1.DeployCommand) { d.TargetSha = sha + "a" }), "BAD_SHA"},
		"line after target":      {deploy(func(d *landfallv1.DeployCommand) { d.TargetSha = sha + "\n" }), "BAD_SHA"},
		"bad base":               {deploy(func(d *landfallv1.DeployCommand) { d.BaseSha = "HEAD~1" }), "BAD_SHA"},
		"no base and no reason":  {deploy(func(d *landfallv1.DeployCommand) { d.BaseSha = "" }), "NO_BASE"},
		"long reason":            {deploy(func(d *landfallv1.DeployCommand) { d.EverythingReason = strings.Repeat("a", 1025) }), "BAD_REASON"},
		"no digest":              {deploy(func(d *landfallv1.DeployCommand) { d.PlanDigest = "" }), "BAD_DIGEST"},
		"digest of another kind": {deploy(func(d *landfallv1.DeployCommand) { d.PlanDigest = "md5:" + strings.Repeat("b", 32) }), "BAD_DIGEST"},
		"short digest":           {deploy(func(d *landfallv1.DeployCommand) { d.PlanDigest = digest[:len(digest)-1] }), "BAD_DIGEST"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := b.converse(conn)
			c.send(tt.req)
			requireStatus(t, c.end(), codes.InvalidArgument, tt.reason)
		})
	}
	proceed := b.converse(conn)
	proceed.send(&landfallv1.ExecuteRequest{CommandId: "x", Command: &landfallv1.ExecuteRequest_Proceed{Proceed: &landfallv1.ProceedCommand{OperationId: "op-1", SupersededBy: "main"}}})
	requireStatus(t, proceed.end(), codes.InvalidArgument, "BAD_SHA")

	rollback := func(c *landfallv1.RollbackCommand) *landfallv1.ExecuteRequest {
		return &landfallv1.ExecuteRequest{CommandId: "x", Command: &landfallv1.ExecuteRequest_Rollback{Rollback: c}}
	}
	for name, tt := range map[string]struct {
		target *landfallv1.RollbackCommand
		reason string
	}{
		"rollback to nothing":      {&landfallv1.RollbackCommand{}, "NO_TARGET"},
		"rollback to no operation": {&landfallv1.RollbackCommand{Target: &landfallv1.RollbackCommand_OperationId{}}, "NO_TARGET"},
		"rollback to a branch":     {&landfallv1.RollbackCommand{Target: &landfallv1.RollbackCommand_TargetSha{TargetSha: "main"}}, "BAD_SHA"},
		"rollback to a short SHA":  {&landfallv1.RollbackCommand{Target: &landfallv1.RollbackCommand_TargetSha{TargetSha: sha[:12]}}, "BAD_SHA"},
	} {
		c := b.converse(conn)
		c.send(rollback(tt.target))
		t.Run(name, func(t *testing.T) { requireStatus(t, c.end(), codes.InvalidArgument, tt.reason) })
	}
	for _, command := range []string{"verify", "finish", "attach", "cancel"} {
		c := b.converse(conn)
		req := commands()[command]
		req.CommandId = command
		c.send(req)
		if command == "cancel" { // of the one that runs
			requireStatus(t, c.end(), codes.FailedPrecondition, "NOTHING_RUNS")
			continue
		}
		requireStatus(t, c.end(), codes.NotFound, "NO_OPERATION")
	}
	if calls := b.Calls("Journal.Create"); len(calls) > 0 {
		t.Errorf("a bad command was recorded: %q", calls)
	}
}

// A command that is refused ends the stream with its reason, and nothing else.
func TestRefusalOnAStreamThatWatches(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn := b.dial(identity.RoleDeployer)
	c := b.converse(conn)
	c.deploy("one", b.deploying(b.next(1)))
	id := c.accepted("one").GetOperation().GetId()
	c.until(awaiting)
	c.verify("not an id", id)
	requireStatus(t, c.end(), codes.InvalidArgument, "BAD_COMMAND_ID")

	again := b.converse(conn)
	again.attach("two", id, 0)
	if got := again.accepted("two").GetOperation().GetState(); got != awaiting {
		t.Errorf("the refusal moved the operation to %s", got)
	}
}

func TestStreamWithoutCommand(t *testing.T) {
	t.Parallel()
	c := newBench(t).converse(newBench(t).dial(identity.RoleDeployer))
	if err := c.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	requireStatus(t, c.end(), codes.InvalidArgument, "NO_COMMAND")
}

// A caller that has closed its side can send no verify: its stream ends when nothing else
// is to come, whether it closed before that or after.
func TestHalfClosedStreamEndsWhereAVerifyIsAwaited(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]bool{"closed at once": false, "closed while it waits": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			c := b.converse(b.dial(identity.RoleDeployer))
			c.deploy("one", b.deploying(b.next(1)))
			c.accepted("one")
			if late {
				c.until(awaiting)
			}
			if err := c.stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if err := c.end(); err != nil {
				t.Fatalf("the stream ends with %v", err)
			}
			c.checkEvents(0)
			if last := c.events[len(c.events)-1]; last.GetStateChanged().GetState() != awaiting {
				t.Errorf("the last event is %v", last)
			}
			if current := b.engine.Current(); current == nil {
				t.Error("the operation ended with the stream")
			}
		})
	}
}

// A caller that has closed its side still hears of everything until the operation ends.
func TestHalfClosedStreamHearsTheEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn := b.dial(identity.RoleDeployer)
	first := b.converse(conn)
	first.deploy("one", b.deploying(b.next(1)))
	id := first.accepted("one").GetOperation().GetId()
	first.until(awaiting)
	reached, release := b.HoldAt("Prober.Probe web")
	first.verify("two", id)
	<-reached
	second := b.converse(conn)
	second.attach("three", id, 0)
	second.accepted("three")
	if err := second.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	second.until(landfallv1.OperationState_OPERATION_STATE_VERIFYING)
	release()
	if err := second.end(); err != nil {
		t.Error(err)
	}
	second.checkEvents(0)
	if last := second.events[len(second.events)-1]; last.GetStateChanged().GetState() != succeeded {
		t.Errorf("the last event is %v", last)
	}
}

func TestTheWorkOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn := b.dial(identity.RoleDeployer)
	reached, release := b.HoldAt("Commits.Fetch")
	c := b.converse(conn)
	c.deploy("one", b.deploying(b.next(1)))
	id := c.accepted("one").GetOperation().GetId()
	<-reached
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err == nil {
		t.Error("the stream survived its connection")
	}
	release()
	again := b.converse(b.dial(identity.RoleDeployer))
	again.attach("two", id, 0)
	again.accepted("two")
	again.until(awaiting)
	again.checkEvents(0)
}

// Rollback and cancellation over the wire: what they do is the domain's to test.
func TestRollbackAndCancelOverTheWire(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn := b.dial(identity.RoleDeployer)
	b.verifyingDeploy(conn, b.next(1))
	id := b.verifyingDeploy(conn, b.next(2))
	for _, again := range []bool{false, true} {
		c := b.converse(conn)
		c.send(&landfallv1.ExecuteRequest{CommandId: "back", Command: &landfallv1.ExecuteRequest_Rollback{
			Rollback: &landfallv1.RollbackCommand{Target: &landfallv1.RollbackCommand_OperationId{OperationId: id}},
		}})
		a := c.accepted("back")
		if a.GetRepeatedCommand() != again || a.GetOperation().GetKind() != landfallv1.OperationKind_OPERATION_KIND_ROLLBACK || a.GetOperation().GetRequester() != "deployer/test" {
			t.Errorf("again %v: %v", again, a)
		}
		if err := c.end(); err != nil {
			t.Fatal(err)
		}
		c.checkEvents(0)
	}

	reached, release := b.HoldAt("Commits.Fetch")
	defer release()
	c := b.converse(conn)
	c.deploy("held", b.deploying(b.next(3)))
	held := c.accepted("held").GetOperation().GetId()
	<-reached
	c.send(&landfallv1.ExecuteRequest{CommandId: "stop", Command: &landfallv1.ExecuteRequest_Cancel{Cancel: &landfallv1.CancelCommand{OperationId: held}}})
	c.accepted("stop")
	if err := c.end(); err != nil {
		t.Error(err)
	}
	c.checkEvents(0)
	if last := c.events[len(c.events)-1].GetStateChanged().GetState(); last != landfallv1.OperationState_OPERATION_STATE_CANCELLED {
		t.Errorf("cancelled before anything was touched, it ends in %s", last)
	}
}

func TestStopTellsWatchersToComeBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.converse(b.dial(identity.RoleDeployer))
	c.deploy("one", b.deploying(b.next(1)))
	c.accepted("one")
	c.until(awaiting)
	b.engine.Close()
	requireStatus(t, c.end(), codes.Unavailable, "SHUTTING_DOWN")
}
