package operation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

const (
	// batchLines and batchEvery bound how long output lines wait for the disk. Everything
	// else is on disk before it is published or acted on.
	batchLines = 512
	batchEvery = 100 * time.Millisecond
	// maxOutput bounds what the children of one operation may write into the journal, in bytes:
	// a runaway build must not fill the disk. The last lines of a step are told all the same.
	maxOutput = 128 << 20
)

// run is one operation while it is worked on. Its recorder assigns sequence numbers,
// batches output lines, writes to the journal, then wakes the watchers: in that order.
type run struct {
	engine *Engine
	id     string
	cancel context.CancelCauseFunc

	verify     chan struct{} // capacity 1: a verify request that waits needs no second one
	proceed    chan string   // capacity 1: the answer to a deploy that asks; see [Engine.Proceed]
	cancelled  context.Context
	cancelWork context.CancelCauseFunc // ends the work, not the rollback that follows

	began time.Time // when this agent took the operation up, by the clock that does not jump
	from  time.Time // what the events' times are counted from

	mu      sync.Mutex
	op      Operation
	pending []Event // output lines not yet on disk
	printed int     // bytes of output so far
	tails   map[string]*tail
	broken  error // the journal failed; nothing may be recorded or done any more
	ticker  *time.Timer
}

func newRun(e *Engine, op Operation, cancel context.CancelCauseFunc) *run {
	r := &run{engine: e, id: op.ID, cancel: cancel, op: op, verify: make(chan struct{}, 1), proceed: make(chan string, 1), tails: map[string]*tail{}}
	r.began = time.Now()
	r.from = r.began
	if last := op.lastTime(); last.After(r.from) { // the clock was set back meanwhile
		r.from = last
	}
	r.cancelled, r.cancelWork = context.WithCancelCause(context.Background())
	r.ticker = time.AfterFunc(batchEvery, r.flushLater)
	r.ticker.Stop()
	return r
}

func (r *run) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticker.Stop()
	_ = r.commit() // see output
	r.cancelWork(nil)
}

// errCancelled is the cause of the work's context when a person cancels.
type errCancelled struct{ who string }

// cancelWords begin every text that tells of a cancellation.
const cancelWords = "cancelled by "

func (e *errCancelled) Error() string { return cancelWords + e.who }

func (r *run) requestCancel(who string) { r.cancelWork(&errCancelled{who}) }

// cancellable returns a context that a cancellation ends, too. The caller releases it.
func (r *run) cancellable(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.cancelled, func() { cancel(context.Cause(r.cancelled)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// cancellation is the person's wish to end the operation, nil when there is none.
func (r *run) cancellation() *errCancelled {
	var c *errCancelled
	errors.As(context.Cause(r.cancelled), &c)
	return c
}

func (r *run) snapshot() Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.op.Clone()
}

func (r *run) state() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.op.State
}

func (r *run) requestVerify() {
	select {
	case r.verify <- struct{}{}:
	default:
	}
}

// record puts a fact on disk and then tells the watchers. When the journal fails the
// work's context ends: nothing may happen that is not recorded.
func (r *run) record(e Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stage(e)
	return r.commit()
}

// output takes one line of a child. It returns when the line is buffered, or, when the
// buffer is full, on disk: that is the child's back-pressure.
func (r *run) output(stepID string, stream Stream, text string, truncated bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tails[stepID]
	if t == nil {
		t = &tail{}
		r.tails[stepID] = t
	}
	t.add(text)
	if r.printed > maxOutput {
		return
	}
	if r.printed += len(text) + 1; r.printed > maxOutput {
		r.stage(Event{Warning: &Warning{Reason: "OUTPUT_DROPPED", Message: fmt.Sprintf(
			"more than %d MiB of output: the rest is dropped, but for the last lines of a step that fails", maxOutput>>20)}})
		_ = r.commit() // a broken journal has ended the work's context
		return
	}
	if len(r.pending) == 0 {
		r.ticker.Reset(batchEvery)
	}
	r.stage(Event{Output: &OutputLine{StepID: stepID, Stream: stream, Text: text, Truncated: truncated}})
	if len(r.pending) >= batchLines {
		_ = r.commit() // a broken journal has ended the work's context; the child is being killed
	}
}

// outputTo is the Output of one step.
func (r *run) outputTo(stepID string) Output {
	return func(stream Stream, text string, truncated bool) { r.output(stepID, stream, text, truncated) }
}

// takeTail returns the last lines of a step's output and forgets them.
func (r *run) takeTail(stepID string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tails[stepID]
	delete(r.tails, stepID)
	if t == nil {
		return nil
	}
	return t.lines()
}

func (r *run) flushLater() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.commit() // see output
}

// now is the time of an event. A wall clock that is set in the middle of an operation does not
// show in its times: what took two seconds says so, and no event is older than the one before it.
func (r *run) now() time.Time { return r.from.Add(time.Since(r.began)) }

// stage numbers an event; r.mu is held.
func (r *run) stage(e Event) {
	e.Sequence = r.op.LastSequence + uint64(len(r.pending)) + 1
	e.Time = r.now()
	r.pending = append(r.pending, e)
}

// commit writes what is staged, folds it, wakes the watchers; r.mu is held.
func (r *run) commit() error {
	if r.broken != nil {
		r.pending = nil
		return r.broken
	}
	if len(r.pending) == 0 {
		return nil
	}
	batch := r.pending
	r.pending = nil
	if err := r.engine.ports.Journal.Append(r.id, batch); err != nil {
		r.broken = fault.Wrap(err, fault.Degraded, "JOURNAL_FAILED", "record what happened")
		r.engine.log.Error("journal failed, the operation stops here", "operation", r.id, "error", err)
		r.cancel(r.broken)
		return r.broken
	}
	for _, e := range batch {
		r.op.Apply(e)
	}
	r.engine.changed.wake()
	return nil
}

// enter records a state.
func (r *run) enter(change StateChange) error {
	r.settle(change.State)
	return r.record(Event{State: &change})
}

// advance enters the state that follows the present one after an outcome.
func (r *run) advance(outcome Outcome, change StateChange) error {
	op := r.snapshot()
	next, err := Next(op.Kind, op.State, outcome)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "BAD_TRANSITION", "choose the next state")
	}
	change.State = next
	return r.enter(change)
}

func (r *run) warn(reason, message string) error {
	return r.record(Event{Warning: &Warning{Reason: reason, Message: message}})
}

// warnBeforeEnd is warn for those who do not work on the operation: nothing follows its end.
func (r *run) warnBeforeEnd(reason, message string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.op.State.Terminal() {
		return nil
	}
	r.stage(Event{Warning: &Warning{Reason: reason, Message: message}})
	return r.commit()
}

// step records the start and the end of one piece of work around do. The error it
// returns names the step and carries the last lines of its output.
func (r *run) step(ctx context.Context, id, title string, do func(context.Context, Output) (summary string, err error)) error {
	return r.stepFrom(ctx, StepStarted{ID: id, Title: title}, do)
}

// stepFrom is step with everything that is recorded of the start.
func (r *run) stepFrom(ctx context.Context, start StepStarted, do func(context.Context, Output) (summary string, err error)) error {
	id := start.ID
	if err := r.record(Event{StepStarted: &start}); err != nil {
		return err
	}
	started := time.Now()
	summary, err := do(ctx, r.outputTo(id))
	end := StepFinished{ID: id, Outcome: StepDone, Duration: time.Since(started), Summary: summary}
	if shuttingDown(ctx) {
		// The record stays open: whether the step's work is done is for recovery to find out.
		return errShutdown
	}
	lines := r.takeTail(id)
	if err != nil {
		end.Summary = "" // it tells what was done
		failure := failureOf(err)
		failure.StepID = id
		var own *tailError
		if errors.As(err, &own) {
			lines = append(lines, own.tail...)
		}
		failure.OutputTail = lines[max(0, len(lines)-tailLines):]
		end.Outcome, end.Failure = StepFailed, failure
		var cancelled *errCancelled
		if errors.Is(context.Cause(ctx), errSibling) || errors.As(context.Cause(ctx), &cancelled) {
			end.Outcome, end.Failure = StepInterrupted, nil
		}
		err = &stepError{failure: failure, cause: err}
	}
	if recordErr := r.record(Event{StepFinished: &end}); recordErr != nil {
		return recordErr
	}
	return err
}

// stepError is an error that knows its step.
type stepError struct {
	failure *Failure
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

func withTail(err error, lines []string) error {
	return &tailError{err, lines[max(0, len(lines)-tailLines):]}
}

// failureOf turns an error into a record of it.
func failureOf(err error) *Failure {
	var s *stepError
	if errors.As(err, &s) {
		return s.failure
	}
	f := &Failure{Kind: fault.KindOf(err), Reason: fault.ReasonOf(err), Message: err.Error(), Hint: hintOf(err)}
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

func shuttingDown(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errShutdown) }

// tail keeps the last lines of a child's output.
type tail struct {
	ring [tailLines]string
	n    int
}

func (t *tail) add(line string) {
	t.ring[t.n%tailLines] = line
	t.n++
}

func (t *tail) lines() []string {
	if t.n <= tailLines {
		return append([]string(nil), t.ring[:t.n]...)
	}
	at := t.n % tailLines
	return append(append([]string(nil), t.ring[at:]...), t.ring[:at]...)
}
