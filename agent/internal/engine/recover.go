package engine

import (
	"context"
	"fmt"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// reasonRestarted is the failure of an operation that nothing takes up.
const reasonRestarted = "AGENT_RESTARTED"

// maxRestarts is how often an operation is taken up in the hope that it comes further: one whose work takes the agent
// down each time is rolled back.
const maxRestarts = 3

// recoverUnfinished takes up what the agent before us left: its children are ended, the host
// is looked at, the recorded state is entered again. Never guessed: where the host is not as the
// record says, what was touched is rolled back.
func (e *Engine) recoverUnfinished() error {
	left, err := e.records.Unfinished()
	if err != nil {
		return err
	}
	for i, op := range left {
		e.log.Warn("unfinished operation found", "operation", op.ID, "state", op.State)
		ended, err := e.orphans.End(e.shutdown, op.ID)
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

// endLeft gives an operation that cannot be taken up a state that names what it is.
func (e *Engine) endLeft(op operation.Operation, why string) error {
	r := newRun(e, op, func(error) {})
	err := r.endLeft(why)
	if closed := r.close(); err == nil {
		err = closed
	}
	return err
}

// endLeft ends an operation that nothing goes on with; why tells what keeps it from going on.
func (r *Run) endLeft(why string) error {
	if err := r.interrupt(); err != nil {
		return err
	}
	op := r.Snapshot()
	change := operation.StateChange{State: operation.FailedUntouched, Failure: &operation.Failure{
		Kind: fault.Failed, Reason: reasonRestarted,
		Message: fmt.Sprintf("the agent ended in %s, before anything was touched", op.State), Hint: "run it again",
	}}
	if op.State.Touched() {
		change = operation.StateChange{State: operation.Failed, Failure: &operation.Failure{
			Kind: fault.Degraded, Reason: reasonRestarted,
			Message: fmt.Sprintf("the agent ended in %s, and %s", op.State, why),
			Hint:    fmt.Sprintf("a person is needed: landfall-coordinator show %s, landfall-coordinator status; the next deploy does everything", op.ID),
		}}
	}
	return r.enter(change)
}

// takeUp goes on with an operation where the record says it stood.
func (e *Engine) takeUp(op operation.Operation, ended int) error {
	facts, err := e.Facts(op.ID)
	if err != nil {
		return err
	}
	found, err := e.found(op.ID)
	if err != nil {
		return err
	}
	kind, known := e.kinds[op.Kind]
	if !known {
		return e.endLeft(op, fmt.Sprintf("this version knows no operation of kind %q", op.Kind))
	}
	e.launch(op, func(ctx context.Context, r *Run) {
		r.found = found // nobody else looks there yet
		e.learn(ctx, facts.Plan)
		if err := r.noteRestart(ended); err != nil {
			return
		}
		if op.CancelledBy != "" {
			r.requestCancel(op.CancelledBy)
		}
		d, err := kind.Resume(ctx, r, facts)
		if err != nil {
			if ctx.Err() == nil {
				_ = r.endLeft(err.Error()) // a broken journal has ended ctx
			}
			return
		}
		if err := r.observe(ctx, op, d); err != nil {
			outcome, change, leave := r.outcomeOf(ctx, op.State, err, d)
			if leave || r.advance(outcome, change) != nil {
				return
			}
		}
		r.drive(ctx, d)
	})
	return nil
}

// learn has the redactor know again what the agent before us knew of a plan, before anything is printed. What it cannot learn, the steps
// that would print it refuse.
func (e *Engine) learn(ctx context.Context, plan *pipeline.Plan) {
	if e.teacher == nil || plan == nil {
		return
	}
	if err := e.teacher.Learn(ctx, plan); err != nil {
		e.log.Warn("secrets of the operation that is taken up", "error", err)
	}
}

// interrupt closes the steps that the agent's end cut off.
func (r *Run) interrupt() error {
	for _, s := range r.Snapshot().Steps {
		if s.Outcome == "" {
			if err := r.Record(operation.Event{StepFinished: &operation.StepFinished{
				ID: s.ID, Outcome: operation.StepInterrupted, Duration: max(0, r.Now().Sub(s.Started)), Summary: "the agent ended",
			}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteRestart tells of the restart, and closes the steps that it cut off.
func (r *Run) noteRestart(ended int) error {
	if err := r.interrupt(); err != nil {
		return err
	}
	return r.Record(operation.Event{TakenUp: &operation.TakenUp{State: r.State(), Ended: ended}})
}

// observe compares the host with the record before an operation goes on.
func (r *Run) observe(ctx context.Context, op operation.Operation, d Driver) error {
	most := maxRestarts
	if op.State == operation.RollingBack {
		most = 2 * maxRestarts // going back is worth more attempts; after that a person must look
	}
	if op.Restarts >= most && !op.VerdictStands() {
		return fault.New(fault.Failed, "RESTART_LOOP", "the agent ended %d times during this operation, the last time in %s", op.Restarts+1, op.State).
			WithHint("read the agent's log: journalctl -u landfall-agent")
	}
	return d.Observe(ctx)
}

// Facts are what an operation recorded: what was asked, and what it found before it touched anything.
type Facts struct {
	Request operation.Accepted
	Plan    *pipeline.Plan   // nil when it ended before it had one
	Before  *picture.Picture // nil when it ended before it looked
	Proven  *operation.Proven
}

// Facts reads them from the journal; they precede the state after the proof.
func (e *Engine) Facts(id string) (f Facts, err error) {
	err = e.read(id, func(ev operation.Event) (more bool) {
		switch {
		case ev.Accepted != nil:
			f.Request = *ev.Accepted
		case ev.Plan != nil:
			f.Plan = ev.Plan
		case ev.PreDeploy != nil && ev.PreDeploy.Before != nil:
			f.Before, f.Proven = ev.PreDeploy.Before, ev.PreDeploy.Proven
		case ev.State != nil && ev.State.State == operation.Pausing:
			return false
		}
		return true
	})
	return f, err
}

// found reads what there was when the steps of an operation began for the first time.
func (e *Engine) found(id string) (map[string]*picture.Picture, error) {
	found := map[string]*picture.Picture{}
	return found, e.read(id, func(ev operation.Event) bool {
		if s := ev.StepStarted; s != nil && s.Before != nil && found[s.ID] == nil {
			found[s.ID] = s.Before
		}
		return true
	})
}

// read calls take with the events of an operation, until it wants no more.
func (e *Engine) read(id string, take func(operation.Event) (more bool)) error {
	for after := uint64(0); ; {
		events, err := e.journal.Events(id, after, watchPage)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, ev := range events {
			if !take(ev) {
				return nil
			}
		}
		after = events[len(events)-1].Sequence
	}
}

// Plan is the plan that an operation recorded, nil when it ended before it had one.
func (e *Engine) Plan(id string) (*pipeline.Plan, error) {
	f, err := e.Facts(id)
	return f.Plan, err
}
