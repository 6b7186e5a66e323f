package server

import (
	"context"

	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/tick"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/pipeline/planpb"
)

// Converger makes ticks of convergence; package tick has the one.
type Converger interface {
	Tick(ctx context.Context, req tick.Request) (tick.Tick, *operation.Operation, error)
	Status() tick.Status
}

// Converge makes a tick. What it begins is asked for by the agent; who asked for the tick is in the audit trail, and nothing is where it
// begins nothing: the timer asks 96 times a day.
func (g gitopsService) Converge(ctx context.Context, req *landfallv1.ConvergeRequest) (*landfallv1.ConvergeResponse, error) {
	if id := req.GetCommandId(); id != "" && !commandID.MatchString(id) {
		return nil, fault.New(fault.Invalid, "BAD_COMMAND_ID", "command_id must be 1 to 128 characters of A-Z a-z 0-9 . _ : -, or empty")
	}
	who := principalFrom(ctx).String()
	made, op, err := g.converger.Tick(ctx, tick.Request{
		CommandID: req.GetCommandId(), Requester: who, DryRun: req.GetDryRun(),
		Begins: func(what string) (func(string, error), error) {
			return g.audit.begin(ctx, who, landfallv1.GitOpsService_Converge_FullMethodName, what)
		},
	})
	if err != nil {
		return nil, err
	}
	wire, err := tickOf(made)
	if err != nil {
		return nil, err
	}
	resp := &landfallv1.ConvergeResponse{Tick: wire}
	if op != nil {
		resp.Operation = operationOf(*op)
	}
	return resp, nil
}

// converge makes a tick for whoever wants to watch what it begins. One that begins nothing is refused with its reason.
func (d deployService) converge(ctx context.Context, who, id string) (operation.Operation, error) {
	made, op, err := d.converger.Tick(ctx, tick.Request{CommandID: id, Requester: who})
	switch {
	case err != nil:
		return operation.Operation{}, err
	case op == nil:
		return operation.Operation{}, fault.New(fault.Refused, made.Reason, "%s", made.Message).WithHint("GitOpsService.Converge tells the whole tick")
	}
	return *op, nil
}

// GetDrift holds what runs against what the checkout says, for whoever looks.
func (d diagnosticsService) GetDrift(ctx context.Context, req *landfallv1.GetDriftRequest) (*landfallv1.GetDriftResponse, error) {
	return ask(ctx, d.desk, named("GetDrift", req), func(ctx context.Context) (*landfallv1.GetDriftResponse, error) { return d.drift(ctx, req) })
}

func (d diagnosticsService) drift(ctx context.Context, req *landfallv1.GetDriftRequest) (*landfallv1.GetDriftResponse, error) {
	if current := d.engine.Current(); current != nil {
		return nil, fault.New(fault.Refused, "HOST_LOCKED", "%s changes the host now (%s); what differs is known when it has ended", current.ID, current.About())
	}
	plan, err := d.engine.PlanNow(ctx)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, name := range req.GetStacks() {
		if _, ok := plan.Stack(name); !ok {
			return nil, fault.New(fault.Invalid, "UNKNOWN_STACK", "there is no stack %q", name)
		}
		wanted[name] = true
	}
	drifted, err := d.engine.Drift(ctx)
	if err != nil {
		return nil, err
	}
	resp := &landfallv1.GetDriftResponse{Unknown: drifted.Unknown, Services: uint32(drifted.Services)}
	for _, j := range converge.Judge(converge.Host{Drift: drifted.Drift, Before: d.lastDrift(), Config: drifted.Config}) {
		if len(wanted) == 0 || wanted[j.Stack] {
			resp.Drift = append(resp.Drift, driftOf(j))
		}
	}
	return resp, nil
}

// lastDrift is what the last tick found.
func (s *Server) lastDrift() []picture.Drift {
	var before []picture.Drift
	if last := s.converger.Status().Last; last != nil {
		for _, j := range last.Drift {
			before = append(before, j.Drift)
		}
	}
	return before
}

var (
	tickOutcomes = map[converge.Outcome]landfallv1.TickOutcome{
		converge.Skipped: landfallv1.TickOutcome_TICK_OUTCOME_SKIPPED,
		converge.Nothing: landfallv1.TickOutcome_TICK_OUTCOME_NOTHING,
		converge.Deploy:  landfallv1.TickOutcome_TICK_OUTCOME_DEPLOY,
		converge.Repair:  landfallv1.TickOutcome_TICK_OUTCOME_REPAIR,
		converge.Update:  landfallv1.TickOutcome_TICK_OUTCOME_UPDATE,
	}
	driftKinds = map[picture.DriftKind]landfallv1.DriftKind{
		picture.DriftMissing:   landfallv1.DriftKind_DRIFT_KIND_MISSING,
		picture.DriftExited:    landfallv1.DriftKind_DRIFT_KIND_EXITED,
		picture.DriftUnhealthy: landfallv1.DriftKind_DRIFT_KIND_UNHEALTHY,
		picture.DriftConfig:    landfallv1.DriftKind_DRIFT_KIND_CONFIG,
		picture.DriftFiles:     landfallv1.DriftKind_DRIFT_KIND_FILES,
		picture.DriftImage:     landfallv1.DriftKind_DRIFT_KIND_IMAGE,
		picture.DriftOrphan:    landfallv1.DriftKind_DRIFT_KIND_ORPHAN,
	}
	driftAnswers = map[pipeline.DriftAnswer]landfallv1.DriftAnswer{
		pipeline.DriftRepair: landfallv1.DriftAnswer_DRIFT_ANSWER_REPAIR,
		pipeline.DriftReport: landfallv1.DriftAnswer_DRIFT_ANSWER_REPORT,
	}
)

func tickOf(t tick.Tick) (*landfallv1.Tick, error) {
	out := &landfallv1.Tick{
		Outcome: tickOutcomes[t.Outcome], Reason: t.Reason, Message: t.Message, StartTime: at(t.Began), EndTime: at(t.Ended), Requester: t.Requester,
		BranchHeadSha: t.Head, OperationId: t.Operation, DryRun: t.DryRun, RetryTime: at(t.Retry),
	}
	for _, j := range t.Drift {
		out.Drift = append(out.Drift, driftOf(j))
	}
	if t.Plan == nil || t.Outcome == converge.Skipped || t.Outcome == converge.Nothing {
		return out, nil
	}
	var err error
	out.Plan, err = planpb.FromPlan(t.Plan)
	return out, err
}

func driftOf(j converge.Judged) *landfallv1.Drift {
	return &landfallv1.Drift{
		Stack: j.Stack, Project: j.Project, Service: j.Service, Kind: driftKinds[j.Kind], Message: j.Why, Answer: driftAnswers[j.Answer], Confirmed: j.Confirmed,
	}
}
