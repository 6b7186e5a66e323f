package operation

import (
	"context"
	"errors"
	"time"
)

// driver is one kind of operation: what each of its states stands for.
type driver interface {
	// work does what a state stands for. It may be called again for the same state after a restart.
	work(ctx context.Context, s State) error
	// entering fills in what the record of the next state needs.
	entering() StateChange
}

// drive takes an operation from its present state to a terminal one. A shutdown leaves it
// where it is, for the next start.
func (r *run) drive(ctx context.Context, d driver) {
	for !r.state().Terminal() {
		if !r.advanceBy(ctx, d) {
			return
		}
	}
}

// advanceBy does the work of the present state and enters the next one; false when the
// operation is left as it is.
func (r *run) advanceBy(ctx context.Context, d driver) bool {
	s := r.state()
	work, release := ctx, func() {}
	if s != RollingBack { // which nothing but a shutdown ends
		work, release = r.cancellable(ctx)
	}
	err := d.work(work, s)
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
func (r *run) outcomeOf(ctx context.Context, s State, err error, d driver) (outcome Outcome, change StateChange, leave bool) {
	if ctx.Err() != nil || errors.Is(err, errShutdown) {
		return 0, StateChange{}, true
	}
	var superseded *errSuperseded
	cancelled := r.cancellation()
	switch {
	case errors.As(err, &superseded):
		return OutcomeSuperseded, StateChange{SupersededBy: superseded.by}, false
	case cancelled != nil && s != RollingBack && (err != nil || s != Verifying): // a verdict that stands is not taken back
		return OutcomeCancelled, StateChange{Failure: cancelledFailure(cancelled, s)}, false
	case err != nil:
		return OutcomeFailed, StateChange{Failure: failureOf(err)}, false
	}
	return OutcomeDone, d.entering(), false
}

// settle takes back the pause of an operation that ends in a state without having touched
// anything. It comes before the record of that state: whatever happens in between, the operation is taken up
// and settled again.
func (r *run) settle(end State) {
	switch end {
	case FailedUntouched, Superseded, Cancelled:
	default:
		return
	}
	r.release(true)
}

// release ends the pause that this operation made, if it still holds; giveBack puts the one before it
// in force again.
func (r *run) release(giveBack bool) {
	sentinels := r.engine.ports.Sentinels
	pause, err := sentinels.Pause()
	if err == nil && pause != nil && pause.Operation == r.id {
		var next *Pause
		if giveBack && pause.Before != nil && pause.Before.Expires.After(time.Now()) {
			next = pause.Before
		}
		err = sentinels.SetPause(next)
	}
	if err != nil {
		r.engine.log.Warn("the pause of the operation stays until it expires", "operation", r.id, "error", err)
	}
}
