package operation

import (
	"context"
	"fmt"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// recoverUnfinished gives every operation that the agent before us left a truthful
// state. One that had touched nothing ends untouched; one that was applied is judged
// again; any other ends in FAILED, naming where it stood.
func (e *Engine) recoverUnfinished() error {
	left, err := e.ports.Records.Unfinished()
	if err != nil {
		return err
	}
	for i, op := range left {
		e.log.Warn("unfinished operation found", "operation", op.ID, "state", op.State)
		// Only the newest says what runs; an older one is there when its end could not be recorded.
		if newest := i == len(left)-1; newest && (op.State == AwaitingVerify || op.State == Verifying) {
			plan, err := e.Plan(op.ID)
			if err != nil {
				return err
			}
			if plan != nil {
				e.launch(op, func(ctx context.Context, r *run) { (&deployment{run: r, plan: plan}).drive(ctx) })
				continue
			}
		}
		if err := e.endLeft(op); err != nil {
			return err
		}
	}
	return nil
}

// endLeft ends an operation whose work cannot be taken up.
func (e *Engine) endLeft(op Operation) error {
	r := newRun(e, op, func(error) {})
	defer r.close()
	next, err := Next(op.State, OutcomeFailed)
	if err != nil {
		next = Failed
	}
	failure := &Failure{
		Kind: fault.Failed, Reason: "AGENT_RESTARTED",
		Message: fmt.Sprintf("the agent ended in %s, before anything was touched", op.State), Hint: "run the deploy again",
	}
	if next == Failed {
		failure.Kind = fault.Degraded
		failure.Message = fmt.Sprintf("the agent ended in %s; the checkout and the containers may be half changed", op.State)
		failure.Hint = fmt.Sprintf("look at: landfall-coordinator show %s, landfall-coordinator status; then deploy again", op.ID)
	}
	return r.enter(StateChange{State: next, Failure: failure})
}

// Plan is the plan that an operation recorded, nil when it ended before it had one.
func (e *Engine) Plan(id string) (*pipeline.Plan, error) {
	for after := uint64(0); ; {
		events, err := e.ports.Journal.Events(id, after, watchPage)
		if err != nil || len(events) == 0 {
			return nil, err
		}
		for _, ev := range events {
			// The plan precedes the first change of state after the proof.
			if ev.Plan != nil {
				return ev.Plan, nil
			}
			if ev.State != nil && ev.State.State == Pausing {
				return nil, nil
			}
		}
		after = events[len(events)-1].Sequence
	}
}
