package engine

import (
	"context"
	"errors"
	"fmt"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// Kind is one kind of operations: how one that was begun is taken up, and what its end asks for.
type Kind interface {
	// Resume makes the driver of a recorded operation. An error says why nothing can go on with it.
	Resume(ctx context.Context, r *Run, facts Facts) (Driver, error)
	// Settle is called right before a terminal state is recorded. It may be called again for the same state.
	Settle(r *Run, end operation.State)
	// Ended is called after an operation has ended, for what is better done while none runs. ctx ends when the next one
	// begins.
	Ended(ctx context.Context, op operation.Operation)
}

// Driver is one operation on its way: what each of its states stands for.
type Driver interface {
	// Work does what a state stands for. It may be called again for the same state after a restart.
	Work(ctx context.Context, s operation.State) error
	// Entering fills in what the record of the next state needs, after the work of the present one.
	Entering(s operation.State) operation.StateChange
	// Observe compares the host with the record before an operation that was cut off goes on.
	Observe(ctx context.Context) error
}

// Superseded ends an operation whose target is older than what runs. It is a result.
type Superseded struct{ By string }

func (e *Superseded) Error() string { return "superseded by " + e.By }

// ErrTakenBack is the result of a rollback that found neither a container nor the database touched.
var ErrTakenBack = errors.New("nothing but the checkout was touched, and it is back")

// drive takes an operation from its present state to a terminal one. A shutdown leaves it
// where it is, for the next start.
func (r *Run) drive(ctx context.Context, d Driver) {
	for !r.State().Terminal() {
		if !r.advanceBy(ctx, d) {
			return
		}
	}
}

// advanceBy does the work of the present state and enters the next one; false when the
// operation is left as it is.
func (r *Run) advanceBy(ctx context.Context, d Driver) bool {
	s := r.State()
	work, release := ctx, func() {}
	if s != operation.RollingBack { // which nothing but a shutdown ends
		work, release = r.cancellable(ctx)
	}
	err := d.Work(work, s)
	release()
	outcome, change, leave := r.outcomeOf(ctx, s, err, d)
	if leave {
		r.engine.log.Info("left for the next start", "operation", r.id, "state", s, "because", err)
		return false
	}
	if err := r.advance(outcome, change); err != nil {
		r.engine.log.Error("the operation cannot go on", "operation", r.id, "error", err)
		return false
	}
	return true
}

// outcomeOf judges how the work of a state ended. ctx is the operation's, which ends only
// with the agent or the journal.
func (r *Run) outcomeOf(ctx context.Context, s operation.State, err error, d Driver) (outcome operation.Outcome, change operation.StateChange, leave bool) {
	if ctx.Err() != nil || errors.Is(err, ErrShutdown) {
		return 0, change, true
	}
	change = d.Entering(s)
	var superseded *Superseded
	cancelled := r.cancellation()
	switch {
	case errors.As(err, &superseded):
		change.SupersededBy = superseded.By
		return operation.OutcomeSuperseded, change, false
	case errors.Is(err, ErrTakenBack) && r.Snapshot().CancelledBy != "":
		return operation.OutcomeCancelledBack, change, false
	case errors.Is(err, ErrTakenBack):
		return operation.OutcomeTakenBack, change, false
	case cancelled != nil && s != operation.RollingBack && (err != nil || s != operation.Verifying): // a verdict that stands is not taken back
		change.Failure = cancelledFailure(cancelled, s)
		return operation.OutcomeCancelled, change, false
	case err != nil:
		change.Failure = FailureOf(err)
		return operation.OutcomeFailed, change, false
	}
	return operation.OutcomeDone, change, false
}

// ReasonCancelled is the reason of a failure that a person asked for.
const ReasonCancelled = "CANCELLED"

func cancelledFailure(c *Cancelled, s operation.State) *operation.Failure {
	return &operation.Failure{Kind: fault.Interrupted, Reason: ReasonCancelled, Message: fmt.Sprintf("%s in %s", c.Error(), s)}
}
