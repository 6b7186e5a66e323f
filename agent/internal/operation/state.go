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

// orders is the way of an operation that meets no trouble, by kind.
var orders = map[Kind][]State{
	KindDeploy:   {Pending, Proving, Pausing, Cleaning, Resetting, Building, Migrating, Applying, AwaitingVerify, Verifying, Succeeded},
	KindRollback: {Pending, Proving, Pausing, RollingBack, Succeeded},
	KindRepair:   {Pending, Proving, Building, Applying, Verifying, Succeeded},
	KindUpdate:   {Pending, Proving, Building, Applying, Verifying, Succeeded},
	KindRestart:  {Pending, Proving, Applying, Verifying, Succeeded},
	KindMigrate:  {Pending, Proving, Migrating, Verifying, Succeeded},
}

// terminals lists the states that nothing follows.
var terminals = []State{Succeeded, FailedUntouched, RolledBack, RollbackFailed, Superseded, Cancelled, Failed}

// untouched lists the states in which an operation has changed neither checkout nor containers.
var untouched = []State{Pending, Proving, Pausing}

// Terminal reports whether nothing follows the state.
func (s State) Terminal() bool { return slices.Contains(terminals, s) }

// Touched reports whether an operation in this state may already have changed the
// checkout or what runs. Restoring run-time files counts: it is the first write.
func (s State) Touched() bool { return !s.Terminal() && !slices.Contains(untouched, s) }

// reaching lists the states in which containers or the database may be changed.
var reaching = []State{Migrating, Applying, AwaitingVerify, Verifying}

// Reached reports whether an operation has come so far that it may have changed containers or the database.
func (o *Operation) Reached() bool {
	return slices.ContainsFunc(o.States, func(s StateRecord) bool { return slices.Contains(reaching, s.State) })
}

// StampStep is begun when the verdict is good, and by nothing else.
const StampStep = "stamp"

// VerdictStands reports whether a deploy was found good before the agent ended. It is not judged
// again: the stamp may be written already, and must not name what a rollback took away.
func (o *Operation) VerdictStands() bool {
	return o.State == Verifying && slices.ContainsFunc(o.Steps, func(s StepRecord) bool { return s.ID == StampStep })
}

// Outcome is how the work of a state ended; it selects the next state.
type Outcome int

// The outcomes of a state's work.
const (
	OutcomeDone       Outcome = iota // the state's work is complete
	OutcomeFailed                    // it failed
	OutcomeSuperseded                // a newer target runs already
	OutcomeCancelled                 // a person ended it
	// OutcomeTakenBack ends a rollback that had nothing to do but to give the checkout back: neither a container nor the
	// database was touched. OutcomeCancelledBack is the same of an operation that a person ended.
	OutcomeTakenBack
	OutcomeCancelledBack
)

// Next is the state that follows s in an operation of a kind. It is the one place that
// knows the order of states: what has touched the host and does not succeed is rolled back;
// a rollback that fails has nothing behind it. An outcome that cannot happen in s is an error of the caller.
func Next(kind Kind, s State, outcome Outcome) (State, error) {
	order, known := orders[kind]
	if !known || s.Terminal() {
		return "", fmt.Errorf("no state follows %s in a %s", s, kind)
	}
	if s == RollingBack {
		return afterRollingBack(kind, outcome)
	}
	i := slices.Index(order, s)
	if i < 0 {
		return "", fmt.Errorf("a %s is never in %s", kind, s)
	}
	switch {
	case outcome == OutcomeDone:
		return order[i+1], nil
	case s.Touched() && (outcome == OutcomeFailed || outcome == OutcomeCancelled):
		return RollingBack, nil
	case outcome == OutcomeFailed:
		return FailedUntouched, nil
	case outcome == OutcomeCancelled:
		return Cancelled, nil
	case outcome == OutcomeSuperseded && !s.Touched():
		return Superseded, nil
	case outcome == OutcomeSuperseded:
		return "", fmt.Errorf("a %s cannot be superseded in %s: the host is touched", kind, s)
	}
	return "", fmt.Errorf("unknown outcome %d in %s", outcome, s)
}

// afterRollingBack is Next for the state in which the old version is brought back: for a
// rollback that was asked for it is the work itself, for any other operation its undoing.
func afterRollingBack(kind Kind, outcome Outcome) (State, error) {
	switch {
	case outcome == OutcomeFailed:
		return RollbackFailed, nil
	case outcome == OutcomeDone && kind == KindRollback:
		return Succeeded, nil
	case outcome == OutcomeDone:
		return RolledBack, nil
	case outcome == OutcomeTakenBack && kind != KindRollback:
		return FailedUntouched, nil
	case outcome == OutcomeCancelledBack && kind != KindRollback:
		return Cancelled, nil
	}
	return "", fmt.Errorf("a %s can only be done or failed in %s", kind, RollingBack)
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
