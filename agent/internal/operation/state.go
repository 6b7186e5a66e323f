package operation

import (
	"fmt"
	"slices"

	"ataraxis.dev/landfall/shared/fault"
)

// State is where an operation stands. The names are those of the protocol.
type State string

// The states. Those from Succeeded on are terminal.
const (
	Pending        State = "PENDING"
	Proving        State = "PROVING"
	Pausing        State = "PAUSING"
	Cleaning       State = "CLEANING"
	Resetting      State = "RESETTING"
	Building       State = "BUILDING"
	Migrating      State = "MIGRATING"
	Applying       State = "APPLYING"
	AwaitingVerify State = "AWAITING_VERIFY"
	Verifying      State = "VERIFYING"
	RollingBack    State = "ROLLING_BACK"

	Succeeded       State = "SUCCEEDED"
	FailedUntouched State = "FAILED_UNTOUCHED"
	RolledBack      State = "ROLLED_BACK"
	RollbackFailed  State = "ROLLBACK_FAILED"
	Superseded      State = "SUPERSEDED"
	Cancelled       State = "CANCELLED"
	Failed          State = "FAILED"
)

// deployOrder is the way of a deploy that meets no trouble.
var deployOrder = []State{
	Pending, Proving, Pausing, Cleaning, Resetting, Building, Migrating, Applying, AwaitingVerify, Verifying, Succeeded,
}

// terminals lists the states that nothing follows.
var terminals = []State{Succeeded, FailedUntouched, RolledBack, RollbackFailed, Superseded, Cancelled, Failed}

// Terminal reports whether nothing follows the state.
func (s State) Terminal() bool { return slices.Contains(terminals, s) }

// Touched reports whether an operation in this state may already have changed the
// checkout or what runs. Restoring run-time files counts: it is the first write.
func (s State) Touched() bool {
	return slices.Index(deployOrder, s) >= slices.Index(deployOrder, Cleaning) || s == RollingBack
}

// Outcome is how the work of a state ended; it selects the next state.
type Outcome int

// The outcomes of a state's work.
const (
	OutcomeDone       Outcome = iota // the state's work is complete
	OutcomeFailed                    // it failed
	OutcomeSuperseded                // a newer target runs already
	OutcomeCancelled                 // a person ended it
)

// Next is the state that follows s. It is the one place that knows the order of a
// deploy. An outcome that cannot happen in s is an error of the caller.
func Next(s State, outcome Outcome) (State, error) {
	i := slices.Index(deployOrder, s)
	if i < 0 || s.Terminal() {
		return "", fmt.Errorf("no state follows %s in a deploy", s)
	}
	switch outcome {
	case OutcomeDone:
		return deployOrder[i+1], nil
	case OutcomeFailed:
		if s.Touched() {
			return Failed, nil
		}
		return FailedUntouched, nil
	case OutcomeSuperseded:
		if s.Touched() {
			return "", fmt.Errorf("a deploy cannot be superseded in %s: the host is touched", s)
		}
		return Superseded, nil
	case OutcomeCancelled:
		if s.Touched() {
			return Failed, nil
		}
		return Cancelled, nil
	}
	return "", fmt.Errorf("unknown outcome %d in %s", outcome, s)
}

// ResultOf is the error a caller sees for an operation in a terminal state, nil when
// it did what was asked; the error's kind decides the exit code.
func ResultOf(state State, failure *Failure) error {
	kind := fault.Internal
	switch state {
	case Succeeded, Superseded:
		return nil
	case FailedUntouched:
		kind = fault.Failed
		if failure != nil && (failure.Kind == fault.Refused || failure.Kind == fault.Invalid || failure.Kind == fault.NotFound) {
			kind = failure.Kind
		}
	case Cancelled:
		kind = fault.Failed
	case RolledBack:
		kind = fault.RolledBack
	case RollbackFailed, Failed:
		kind = fault.Degraded
	}
	if failure == nil {
		return fault.New(kind, string(state), "the operation ended in %s", state)
	}
	return fault.New(kind, failure.Reason, "%s", failure.Message).WithHint("%s", failure.Hint)
}
