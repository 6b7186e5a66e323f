package operation

import (
	"context"
	"fmt"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

const (
	// reasonRestarted is the warning of an operation that was taken up.
	reasonRestarted = "AGENT_RESTARTED"
	reasonCancelled = "CANCELLED"
	// reasonCancel is the warning that keeps a person's wish to cancel over a restart.
	reasonCancel = "CANCEL_REQUESTED"
	// maxRestarts is how often an operation is taken up in the hope that it comes further:
	// one whose work takes the agent down each time is rolled back.
	maxRestarts = 3
)

// recoverUnfinished takes up what the agent before us left: its children are ended, the host
// is looked at, the recorded state is entered again. Never guessed: where the host is not as the
// record says, what was touched is rolled back.
func (e *Engine) recoverUnfinished() error {
	left, err := e.ports.Records.Unfinished()
	if err != nil {
		return err
	}
	for i, op := range left {
		e.log.Warn("unfinished operation found", "operation", op.ID, "state", op.State)
		ended, err := e.ports.Orphans.End(e.shutdown, op.ID)
		if err != nil {
			return err
		}
		// Only the newest says what runs; an older one is there when its end could not be recorded.
		if i < len(left)-1 {
			if err := e.endLeft(op, left[i+1].ID+" came after it, so that nothing takes it up; what it left may be half changed"); err != nil {
				return err
			}
			continue
		}
		if err := e.takeUp(op, ended); err != nil {
			return err
		}
	}
	return nil
}

// endLeft gives an operation that cannot be taken up a state that names what it is; why tells what keeps
// it from going on.
func (e *Engine) endLeft(op Operation, why string) error {
	r := newRun(e, op, func(error) {})
	defer r.close()
	if err := r.interrupt(); err != nil {
		return err
	}
	change := StateChange{State: FailedUntouched, Failure: &Failure{
		Kind: fault.Failed, Reason: reasonRestarted,
		Message: fmt.Sprintf("the agent ended in %s, before anything was touched", op.State), Hint: "run the deploy again",
	}}
	if op.State.Touched() {
		change = StateChange{State: Failed, Failure: &Failure{
			Kind: fault.Degraded, Reason: reasonRestarted,
			Message: fmt.Sprintf("the agent ended in %s, and %s", op.State, why),
			Hint:    fmt.Sprintf("a person is needed: landfall-coordinator show %s, landfall-coordinator status; the next deploy does everything", op.ID),
		}}
	}
	return r.enter(change)
}

// takeUp goes on with an operation where the record says it stood.
func (e *Engine) takeUp(op Operation, ended int) error {
	facts, err := e.facts(op.ID)
	if err != nil {
		return err
	}
	if op.State.Touched() && op.Kind == KindDeploy && (facts.plan == nil || facts.past == nil) {
		// The record of an older agent, or one that somebody mended.
		plan, err := e.PlanNow(e.shutdown)
		if err != nil {
			e.log.Warn("what runs is not known", "operation", op.ID, "error", err)
		}
		return e.endLeft(op, "its record does not tell what ran before, so that it can neither go on nor go back; "+e.whatRuns(e.shutdown, plan))
	}
	e.launch(op, func(ctx context.Context, r *run) {
		if err := r.noteRestart(ended); err != nil {
			return
		}
		if op.CancelledBy != "" {
			r.requestCancel(op.CancelledBy)
		}
		d := r.driverFor(op, facts)
		if err := r.observe(ctx, op); err != nil {
			outcome, change, leave := r.outcomeOf(ctx, op.State, err, d)
			if leave || r.advance(outcome, change) != nil {
				return
			}
		}
		r.drive(ctx, d)
	})
	return nil
}

// interrupt closes the steps that the agent's end cut off.
func (r *run) interrupt() error {
	for _, s := range r.snapshot().Steps {
		if s.Outcome == "" {
			if err := r.record(Event{StepFinished: &StepFinished{
				ID: s.ID, Outcome: StepInterrupted, Duration: max(0, r.now().Sub(s.Started)), Summary: "the agent ended",
			}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteRestart tells of the restart, and closes the steps that it cut off.
func (r *run) noteRestart(ended int) error {
	if err := r.interrupt(); err != nil {
		return err
	}
	message := fmt.Sprintf("the agent was restarted in %s and goes on", r.state())
	if ended > 0 {
		message += fmt.Sprintf("; %d processes of its predecessor were ended", ended)
	}
	return r.warn(reasonRestarted, message)
}

// driverFor is the driver of a recorded operation.
func (r *run) driverFor(op Operation, f facts) driver {
	if op.Kind == KindRollback {
		w := &withdrawal{retreat: retreat{run: r, target: op.Target}, undo: f.request.Undo}
		if f.past != nil {
			w.here = *f.past
		}
		return w
	}
	d := &deployment{run: r, plan: f.plan, req: DeployRequest{
		CommandID: op.CommandID, Requester: op.Requester, Target: op.Target, Base: op.Base,
		Everything: f.request.Everything, PlanDigest: f.request.PlanDigest, AllowOlder: f.request.AllowOlder, AskNewer: f.request.AskNewer,
	}}
	if f.past != nil {
		d.past = *f.past
	}
	return d
}

// observe compares the host with the record before an operation goes on.
func (r *run) observe(ctx context.Context, op Operation) error {
	if verdictStands(op) {
		return nil
	}
	most := maxRestarts
	if op.State == RollingBack {
		most = 2 * maxRestarts // going back is worth more attempts; after that a person must look
	}
	if op.Restarts >= most {
		return fault.New(fault.Failed, "RESTART_LOOP", "the agent ended %d times during this operation, the last time in %s", op.Restarts+1, op.State).
			WithHint("read the agent's log: journalctl -u landfall-agent")
	}
	if !op.State.Touched() || op.State == RollingBack {
		return nil // nothing to compare: it begins again, or goes back whatever is there
	}
	if err := r.engine.awaitEngine(ctx); err != nil {
		return err
	}
	head, err := r.engine.ports.Commits.Head(ctx)
	if err != nil {
		return err
	}
	if op.State == Cleaning || op.State == Resetting {
		if head != op.PreDeploy && head != op.Target {
			return fault.New(fault.Failed, "HEAD_MOVED", "the checkout is at %s, neither where the deploy began nor at its target", short(head))
		}
		return nil
	}
	if head != op.Target {
		return fault.New(fault.Failed, "HEAD_MOVED", "the checkout is at %s, the record says %s", short(head), short(op.Target))
	}
	return nil
}

// facts are what an operation recorded before it touched anything.
type facts struct {
	request Accepted
	plan    *pipeline.Plan // nil when it ended before it had one
	past    *Snapshot      // nil when it ended before it looked
}

// facts reads them from the journal; they precede the state after the proof.
func (e *Engine) facts(id string) (facts, error) {
	var f facts
	for after := uint64(0); ; {
		events, err := e.ports.Journal.Events(id, after, watchPage)
		if err != nil || len(events) == 0 {
			return f, err
		}
		for _, ev := range events {
			switch {
			case ev.Accepted != nil:
				f.request = *ev.Accepted
			case ev.Plan != nil:
				f.plan = ev.Plan
			case ev.PreDeploy != nil && ev.PreDeploy.Containers != nil:
				f.past = ev.PreDeploy.Containers
			case ev.State != nil && ev.State.State == Pausing:
				return f, nil
			}
		}
		after = events[len(events)-1].Sequence
	}
}

// Plan is the plan that an operation recorded, nil when it ended before it had one.
func (e *Engine) Plan(id string) (*pipeline.Plan, error) {
	f, err := e.facts(id)
	return f.plan, err
}

func cancelledFailure(c *errCancelled, s State) *Failure {
	return &Failure{Kind: fault.Interrupted, Reason: reasonCancelled, Message: fmt.Sprintf("%s in %s", c.Error(), s)}
}
