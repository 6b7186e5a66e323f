package notify

import (
	"fmt"
	"slices"
	"strings"
)

// State is what the end of a deploy is worth.
type State string

// The states, as output `notification` tells them.
const (
	Failure   State = "FAILURE"   // failed, or nobody knows that it did not
	Full      State = "FULL"      // green, and worth reading
	Condensed State = "CONDENSED" // green, routine
	Suppress  State = "SUPPRESS"  // nothing is sent
)

// Decide says what a deploy's end is worth telling, with the reason in half a sentence. A failure outranks
// everything; an end that is not known counts as one, because silence would read as success. A
// recovery, a rollback by hand, applied migrations and a flag of Policy.FullWhen outrank
// Policy.SuppressWhenOnly. Nothing is told of a deploy that was superseded (the newer one
// tells), had nothing to deploy, or was cancelled by a person before anything was touched (that person knows);
// one cancelled later ends rolled back, and is told.
func Decide(in Input) (State, string) {
	op := in.Operation
	if in.FailedJob != "" {
		return Failure, "job " + in.FailedJob + " failed"
	}
	switch {
	case op.State == Succeeded:
		return decideGreen(in)
	case op.State.failed():
		return Failure, fmt.Sprintf("the %s ended %s", op.kind(), op.State)
	case op.State == Superseded:
		return Suppress, "a newer deploy took its place"
	case op.State == NothingToDeploy:
		return Suppress, "there was nothing to deploy"
	case op.State == Cancelled:
		return Suppress, "a person cancelled it before anything was touched"
	case op.State != "":
		return Failure, fmt.Sprintf("the %s has not ended, it is %s", op.kind(), op.State)
	case op.ID != "" && in.Problem != nil:
		return Failure, "nobody knows how " + op.ID + " ended"
	case in.Problem != nil:
		return Failure, "the deploy failed before an operation began"
	}
	return Failure, "nothing is known of the deploy"
}

func decideGreen(in Input) (State, string) {
	op := in.Operation
	if why := significance(in); why != "" {
		return Full, why
	}
	flags := in.Change.Flags
	quiet := func(flag string) bool { return slices.Contains(in.Policy.SuppressWhenOnly, flag) }
	switch {
	case op.kind() != deployKind:
		return Condensed, "a " + op.kind() + " went well"
	case len(in.Change.Unclaimed) > 0:
		return Condensed, fmt.Sprintf("%s claimed by no flag", count(len(in.Change.Unclaimed), "changed path"))
	case len(flags) > 0 && !slices.ContainsFunc(flags, func(f string) bool { return !quiet(f) }):
		return Suppress, "only " + strings.Join(flags, ", ") + " changed"
	}
	return Condensed, "a routine deploy"
}

// significance is what makes a green end worth a full message, "" when nothing does.
func significance(in Input) string {
	op := in.Operation
	full := slices.DeleteFunc(slices.Clone(in.Change.Flags), func(f string) bool { return !slices.Contains(in.Policy.FullWhen, f) })
	before, recovered := Recovers(in.Past)
	switch {
	case op.kind() == rollbackKind:
		return "a rollback was asked for"
	case recovered && op.kind() == deployKind:
		return fmt.Sprintf("recovery: the deploy before had ended %s", before)
	case len(op.Migrations) > 0:
		return count(len(op.Migrations), "migration") + " applied"
	case len(full) > 0:
		return strings.Join(full, ", ") + " changed"
	}
	return ""
}

// Recovers reports whether a deploy that succeeds after past (newest first) is a recovery,
// with the state it recovers from. The last deploy or convergence that came to a verdict decides. One
// that was superseded or cancelled came to none, and a rollback by hand, a restart or a
// migration repairs nothing that a deploy broke; unless the rollback itself failed.
func Recovers(past []Past) (OperationState, bool) {
	for _, p := range past {
		switch {
		case p.Kind == rollbackKind && p.State.failed():
			return p.State, true
		case p.Kind != deployKind && p.Kind != convergeKind && p.Kind != "":
		case p.State == Succeeded:
			return "", false
		case p.State.failed():
			return p.State, true
		}
	}
	return "", false
}

// The kinds of operations that matter here, by the agent's names.
const (
	deployKind   = "deploy"
	rollbackKind = "rollback"
	convergeKind = "converge"
)

func (op Operation) kind() string {
	if op.Kind == "" {
		return deployKind
	}
	return op.Kind
}

// count is "1 file", "2 files".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
