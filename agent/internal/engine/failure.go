package engine

import (
	"errors"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// stepError is an error that knows its step.
type stepError struct {
	failure *operation.Failure
	cause   error
}

func (e *stepError) Error() string { return e.cause.Error() }
func (e *stepError) Unwrap() error { return e.cause }

// tailError is an error that brings output of its own: the last words of a container.
type tailError struct {
	error
	tail []string
}

func (e *tailError) Unwrap() error { return e.error }

// WithTail gives an error lines that are told with it.
func WithTail(err error, lines []string) error {
	return &tailError{err, lines[max(0, len(lines)-operation.TailLines):]}
}

// Fail is an error that is recorded as a failure that its maker words.
func Fail(failure operation.Failure, cause error) error {
	return &stepError{failure: &failure, cause: cause}
}

// FailureOf turns an error into a record of it.
func FailureOf(err error) *operation.Failure {
	var s *stepError
	if errors.As(err, &s) {
		return s.failure
	}
	f := &operation.Failure{Kind: fault.KindOf(err), Reason: fault.ReasonOf(err), Message: err.Error(), Hint: hintOf(err)}
	if f.Hint != "" {
		f.Message = strings.TrimSuffix(f.Message, " ("+f.Hint+")") // it would be told twice
	}
	if f.Reason == "" {
		f.Reason = "INTERNAL"
	}
	return f
}

// hintOf is the outermost hint in the chain, "" when nobody gave one.
func hintOf(err error) string {
	var f *fault.Error
	for errors.As(err, &f) {
		if f.Hint != "" {
			return f.Hint
		}
		err = f.Err
	}
	return ""
}

// tail keeps the last lines of a child's output.
type tail struct {
	ring [operation.TailLines]string
	n    int
}

func (t *tail) add(line string) {
	t.ring[t.n%operation.TailLines] = line
	t.n++
}

func (t *tail) replaceLast(line string) {
	if t.n > 0 {
		t.ring[(t.n-1)%operation.TailLines] = line
	}
}

func (t *tail) lines() []string {
	if t.n <= operation.TailLines {
		return append([]string(nil), t.ring[:t.n]...)
	}
	at := t.n % operation.TailLines
	return append(append([]string(nil), t.ring[at:]...), t.ring[:at]...)
}
