package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

func TestConverge(t *testing.T) {
	t.Parallel()
	trail := &memoryTrail{}
	b := newBench(t, func(c *Config) { c.Trail = trail })
	g := b.gitops()
	tick := func(req *landfallv1.ConvergeRequest) *landfallv1.ConvergeResponse {
		t.Helper()
		resp, err := g.Converge(b.context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if got := tick(&landfallv1.ConvergeRequest{}).GetTick(); got.GetReason() != "NOTHING_DEPLOYED" || got.GetRequester() != "operator/test" {
		t.Errorf("%v", got)
	}
	if _, err := b.Deployed(b.Push(map[string]string{"docs/a.md": "one"})); err != nil {
		t.Fatal(err)
	}
	if got := tick(&landfallv1.ConvergeRequest{}); got.GetTick().GetOutcome() != landfallv1.TickOutcome_TICK_OUTCOME_NOTHING || got.GetOperation() != nil {
		t.Errorf("%v", got)
	}
	target := b.Push(map[string]string{"app/main.go": "two"})
	dry := tick(&landfallv1.ConvergeRequest{DryRun: true})
	if dry.GetTick().GetOutcome() != landfallv1.TickOutcome_TICK_OUTCOME_DEPLOY || dry.GetTick().GetPlan().GetTargetSha() != target || dry.GetOperation() != nil || b.Head() == target {
		t.Errorf("%v", dry)
	}
	if lines := trail.lines(); len(lines) > 0 {
		t.Errorf("ticks that began nothing are in the trail: %v", lines)
	}
	made := tick(&landfallv1.ConvergeRequest{CommandId: "the-tick"})
	if lines := strings.Join(trail.lines(), "\n"); strings.Count(lines, "Converge") != 2 || !strings.Contains(lines, "begun") || !strings.Contains(lines, made.GetOperation().GetId()) {
		t.Errorf("the trail of a tick that deploys: %s", lines)
	}
	if made.GetOperation().GetTargetSha() != target || made.GetTick().GetOperationId() != made.GetOperation().GetId() {
		t.Errorf("%v", made)
	}
	c := b.converse(b.dial(identity.RoleOperator))
	c.attach("watch", made.GetOperation().GetId(), 0)
	c.accepted("watch")
	c.until(succeeded)
	status, err := g.GetGitOps(b.context(), &landfallv1.GetGitOpsRequest{})
	if err != nil || status.GetStatus().GetLastTick().GetOperationId() != made.GetOperation().GetId() || status.GetStatus().GetLastTick().GetPlan() != nil ||
		status.GetStatus().GetNextTickTime().AsTime().Before(time.Now()) || status.GetStatus().GetOverdue() {
		t.Errorf("%v, %v", status, err)
	}
	_, err = g.Converge(b.context(), &landfallv1.ConvergeRequest{CommandId: "no spaces"})
	requireStatus(t, err, codes.InvalidArgument, "BAD_COMMAND_ID")
}

func TestDriftIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.Deployed(b.Head()); err != nil {
		t.Fatal(err)
	}
	ask := func(stacks ...string) *landfallv1.GetDriftResponse {
		t.Helper()
		resp, err := b.diagnostics().GetDrift(b.context(), &landfallv1.GetDriftRequest{Stacks: stacks})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if got := ask(); len(got.GetDrift()) > 0 || got.GetServices() != 4 {
		t.Errorf("%v", got)
	}
	b.ChangeContainer("core", "app", nil)
	got := ask()
	if len(got.GetDrift()) != 1 {
		t.Fatalf("%v", got)
	}
	d := got.GetDrift()[0]
	if d.GetService() != "app" || d.GetKind() != landfallv1.DriftKind_DRIFT_KIND_MISSING || d.GetAnswer() != landfallv1.DriftAnswer_DRIFT_ANSWER_REPAIR || d.GetConfirmed() {
		t.Errorf("%v", d)
	}
	if other := ask("extra"); len(other.GetDrift()) > 0 {
		t.Errorf("%v", other)
	}
	_, err := b.diagnostics().GetDrift(b.context(), &landfallv1.GetDriftRequest{Stacks: []string{"cor"}})
	requireStatus(t, err, codes.InvalidArgument, "UNKNOWN_STACK")
}

// The commands that leave the commit as it is, each to its end.
func TestUpkeepCommands(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.Deployed(b.Head()); err != nil {
		t.Fatal(err)
	}
	conn := b.dial(identity.RoleOperator)
	run := func(id string, req *landfallv1.ExecuteRequest) *landfallv1.Operation {
		t.Helper()
		req.CommandId = id
		c := b.converse(conn)
		c.send(req)
		op := c.accepted(id).GetOperation()
		c.until(succeeded)
		return op
	}
	op := run("restart", &landfallv1.ExecuteRequest{Command: &landfallv1.ExecuteRequest_Restart{Restart: &landfallv1.RestartCommand{Stack: "core", Services: []string{"a*"}}}})
	if op.GetKind() != landfallv1.OperationKind_OPERATION_KIND_RESTART || op.GetSubject() != "core: a*" {
		t.Errorf("%v", op)
	}
	op = run("migrate", &landfallv1.ExecuteRequest{Command: &landfallv1.ExecuteRequest_Migrate{Migrate: &landfallv1.MigrateCommand{Timeout: durationpb.New(time.Minute)}}})
	if op.GetKind() != landfallv1.OperationKind_OPERATION_KIND_MIGRATE {
		t.Errorf("%v", op)
	}
	target := b.Push(map[string]string{"app/main.go": "two"})
	op = run("converge", &landfallv1.ExecuteRequest{Command: &landfallv1.ExecuteRequest_Converge{Converge: &landfallv1.ConvergeCommand{}}})
	if op.GetTargetSha() != target || op.GetRequester() != "agent/converge" {
		t.Errorf("%v", op)
	}
	for reason, req := range map[string]*landfallv1.ExecuteRequest{
		"IN_STEP":     {Command: &landfallv1.ExecuteRequest_Converge{Converge: &landfallv1.ConvergeCommand{}}},
		"BAD_SERVICE": {Command: &landfallv1.ExecuteRequest_Restart{Restart: &landfallv1.RestartCommand{Services: []string{"--all"}, Stack: strings.Repeat("x", 300)}}},
		"BAD_TIMEOUT": {Command: &landfallv1.ExecuteRequest_Migrate{Migrate: &landfallv1.MigrateCommand{Timeout: durationpb.New(-1)}}},
	} {
		req.CommandId = strings.ToLower(reason)
		c := b.converse(conn)
		c.send(req)
		code := codes.InvalidArgument
		if reason == "IN_STEP" {
			code = codes.FailedPrecondition
		}
		requireStatus(t, c.end(), code, reason)
	}
}
