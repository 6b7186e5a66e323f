// Package fault is the one vocabulary of errors that both programs speak:
// a kind that decides the exit code, a reason that machines match on, a message for the person.
//
// Every error that reaches a user passes through here. Wrap freely with %w on the
// way up; [KindOf], [ReasonOf] and [ExitCode] find the first *Error in the chain.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kind says what an error means for the host and for the person who waits.
type Kind int

// The kinds. Each has one exit code ([ExitCode]) and one gRPC code (package rpcerr).
const (
	// Internal is a fault of Landfall itself or one nobody classified: exit 1.
	Internal Kind = iota
	// Invalid is a usage or configuration error; nothing was tried: exit 2.
	Invalid
	// NotFound names something that does not exist, an operation say: exit 2.
	NotFound
	// Gate is a CI gate that blocked or gave no verdict in time: exit 3.
	Gate
	// Failed is work that failed while the host stayed as it was: exit 1.
	Failed
	// RolledBack is a deployment that failed and was undone; the old version runs: exit 4.
	RolledBack
	// Degraded is a host in a state that needs a person: exit 5.
	Degraded
	// Unreachable is an agent that does not answer: exit 6. Safe to try again.
	Unreachable
	// Unauthenticated is an identity that was missing or not accepted: exit 6.
	Unauthenticated
	// Denied is an accepted identity whose role may not do this: exit 6.
	Denied
	// Refused is a precondition the host insists on: locked, paused, blocked SHA,
	// not on the branch, other plan digest: exit 7.
	Refused
	// Deadline is work that ran out of time while the host stayed as it was: exit 1.
	Deadline
	// Interrupted is a person's Ctrl-C; the operation goes on: exit 130.
	Interrupted
	// Unimplemented is a method that this version does not serve yet: exit 1.
	Unimplemented
)

var kindNames = [...]string{
	Internal: "internal", Invalid: "invalid", NotFound: "not found", Gate: "gate", Failed: "failed",
	RolledBack: "rolled back", Degraded: "degraded", Unreachable: "unreachable",
	Unauthenticated: "unauthenticated", Denied: "denied", Refused: "refused",
	Deadline: "deadline", Interrupted: "interrupted", Unimplemented: "unimplemented",
}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", int(k))
	}
	return kindNames[k]
}

// Kinds lists every kind, for tables and tests.
func Kinds() []Kind {
	ks := make([]Kind, len(kindNames))
	for i := range ks {
		ks[i] = Kind(i)
	}
	return ks
}

// Error is a classified error. Message is lower case without a full stop and says
// what failed and why; Hint, when set, says what to do about it.
type Error struct {
	Kind    Kind
	Reason  string // UPPER_SNAKE_CASE, stable, matched by scripts: "PLAN_DIGEST_MISMATCH"
	Message string
	Hint    string
	Err     error // the cause; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Err != nil {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(e.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString(" (")
		b.WriteString(e.Hint)
		b.WriteString(")")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind with a stable reason and a formatted message.
func New(kind Kind, reason, format string, args ...any) *Error {
	return &Error{Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Wrap is New around a cause; the cause's text follows the message.
func Wrap(err error, kind Kind, reason, format string, args ...any) *Error {
	return &Error{Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...), Err: err}
}

// WithHint returns a copy that also says what to do.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// KindOf finds the kind of the first *Error in the chain. A bare context
// deadline is Deadline, a bare cancellation Interrupted, anything else Internal.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline
	case errors.Is(err, context.Canceled):
		return Interrupted
	default:
		return Internal
	}
}

// ReasonOf returns the reason of the first *Error in the chain, or "".
func ReasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// ExitCode is the process exit code for err; nil is 0. The numbers are the contract
// with workflows and scripts and never change.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	switch KindOf(err) {
	case Invalid, NotFound:
		return 2
	case Gate:
		return 3
	case RolledBack:
		return 4
	case Degraded:
		return 5
	case Unreachable, Unauthenticated, Denied:
		return 6
	case Refused:
		return 7
	case Interrupted:
		return 130
	case Internal, Failed, Deadline, Unimplemented:
		return 1
	}
	return 1
}
