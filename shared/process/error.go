package process

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Cause says why a child counts as failed.
type Cause string

// The causes.
const (
	CauseExit       Cause = "exit"        // non-zero exit code or a signal that was not ours
	CauseDeadline   Cause = "deadline"    // Cmd.Deadline passed
	CauseNoProgress Cause = "no_progress" // silent for Cmd.NoProgress
	CauseCancelled  Cause = "cancelled"   // the context ended
	CauseOutput     Cause = "output"      // Cmd.CaptureLimit passed, or Cmd.Stdout failed
	CauseStart      Cause = "start"       // it never ran
)

// Error is how a child ended when it did not end well.
type Error struct {
	Path     string
	Args     []string // redacted by Cmd.Redact
	ExitCode int      // -1 when it did not exit by itself
	Signal   syscall.Signal
	Cause    Cause
	Tail     []string // the last TailLines lines, oldest first, redacted by Cmd.Redact
	Duration time.Duration
	Err      error // what start, the context or Cmd.Stdout said; may be nil

	lastError string // last non-empty line of stderr, for the message
}

func (e *Error) Error() string {
	var b strings.Builder
	switch e.Cause {
	case CauseStart, CauseOutput:
		if e.Err != nil {
			b.WriteString(e.Err.Error())
		}
		return b.String()
	case CauseDeadline:
		fmt.Fprintf(&b, "stopped at its deadline after %s", round(e.Duration))
	case CauseNoProgress:
		fmt.Fprintf(&b, "stopped after %s because it printed nothing for too long", round(e.Duration))
	case CauseCancelled:
		b.WriteString("cancelled")
		if e.Err != nil {
			b.WriteString(": " + e.Err.Error())
		}
		return b.String()
	case CauseExit:
		if e.Signal != 0 {
			fmt.Fprintf(&b, "killed by signal %d (%s)", int(e.Signal), e.Signal)
		} else {
			fmt.Fprintf(&b, "exit code %d", e.ExitCode)
		}
	}
	if e.lastError != "" {
		b.WriteString(": " + e.lastError)
	}
	return b.String()
}

// Unwrap returns the underlying error, so that errors.Is finds a context's cause.
func (e *Error) Unwrap() error { return e.Err }

func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Second)
}

func (c Cmd) label() string {
	if c.Label != "" {
		return c.Label
	}
	return filepath.Base(c.Path)
}

// failed completes e from the command and wraps it in the fault that Run documents.
func failed(ctx context.Context, cmd Cmd, e *Error) error {
	e.Path, e.Args = cmd.Path, append([]string(nil), cmd.Args...)
	if cmd.Redact != nil {
		for i := range e.Args {
			e.Args[i] = cmd.Redact(e.Args[i])
		}
		e.lastError = cmd.Redact(e.lastError)
	}
	message := cmd.label() + " failed"
	switch e.Cause {
	case CauseDeadline:
		return fault.Wrap(e, fault.Deadline, "CHILD_DEADLINE", "%s", message)
	case CauseNoProgress:
		return fault.Wrap(e, fault.Deadline, "CHILD_NO_PROGRESS", "%s", message)
	case CauseCancelled:
		e.Err = context.Cause(ctx)
		return fault.Wrap(e, cancelledKind(e.Err), "CHILD_CANCELLED", "%s", message)
	case CauseOutput:
		return fault.Wrap(e, fault.Failed, "CHILD_OUTPUT", "%s", message)
	default:
		return fault.Wrap(e, fault.Failed, "CHILD_FAILED", "%s", message)
	}
}

// cancelledKind keeps the kind of a classified cause; an unclassified one says
// only that the work did not get done.
func cancelledKind(cause error) fault.Kind {
	var f *fault.Error
	if errors.As(cause, &f) || errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		return fault.KindOf(cause)
	}
	return fault.Failed
}
