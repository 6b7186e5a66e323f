package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

const (
	// batchLines and batchEvery bound how long output lines wait for the disk. Everything
	// else is on disk before it is published or acted on.
	batchLines = 512
	batchEvery = 100 * time.Millisecond
	// maxOutput bounds what the children of one operation may write into the journal, in bytes as they are stored, over all
	// restarts: a runaway build must not fill the disk. The last lines of a step are told all the same.
	maxOutput = 128 << 20
	// maxMigrations bounds the migrations that are told of one operation: each is a commit of its own.
	maxMigrations = 1000
)

// Run is one operation while it is worked on. Its recorder assigns sequence numbers,
// batches output lines, writes to the journal, then wakes the watchers: in that order.
type Run struct {
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
	op      operation.Operation
	pending []operation.Event // output lines not yet on disk
	printed int64             // bytes of output so far
	tails   map[string]*tail
	lines   map[source]*line // the last line of each stream, which the next may go on
	broken  error            // the journal failed; nothing may be recorded or done any more
	// found is what there was when steps began for the first time; see [Run.Before].
	found  map[string]*picture.Picture
	ticker *time.Timer
}

func newRun(e *Engine, op operation.Operation, cancel context.CancelCauseFunc) *Run {
	r := &Run{engine: e, id: op.ID, cancel: cancel, op: op, verify: make(chan struct{}, 1), proceed: make(chan string, 1), tails: map[string]*tail{}, lines: map[source]*line{}, found: map[string]*picture.Picture{}, printed: op.OutputBytes}
	r.began = time.Now()
	r.from = r.began
	if last := op.LastTime(); last.After(r.from) { // the clock was set back meanwhile
		r.from = last
	}
	r.cancelled, r.cancelWork = context.WithCancelCause(context.Background())
	r.ticker = time.AfterFunc(batchEvery, r.flushLater)
	r.ticker.Stop()
	return r
}

// close records what is left of the output; its error is why the record could not be kept.
func (r *Run) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticker.Stop()
	_ = r.commit() // its error is r.broken
	r.cancelWork(nil)
	return r.broken
}

// ID names the operation.
func (r *Run) ID() string { return r.id }

// VerifyAsked receives a value when somebody asks for the verdict.
func (r *Run) VerifyAsked() <-chan struct{} { return r.verify }

// Answered receives the answer to a deploy that asks; see [Engine.Proceed].
func (r *Run) Answered() <-chan string { return r.proceed }

// Cancelled is the cause of the work's context when a person cancels.
type Cancelled struct{ operation.Cancel }

func (e *Cancelled) Error() string { return e.String() }

func (r *Run) requestCancel(who string) { r.cancelWork(&Cancelled{operation.Cancel{By: who}}) }

// cancellable returns a context that a cancellation ends, too. The caller releases it.
func (r *Run) cancellable(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.cancelled, func() { cancel(context.Cause(r.cancelled)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// cancellation is the person's wish to end the operation, nil when there is none.
func (r *Run) cancellation() *Cancelled {
	var c *Cancelled
	errors.As(context.Cause(r.cancelled), &c)
	return c
}

// Snapshot is the operation as it stands.
func (r *Run) Snapshot() operation.Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.op.Clone()
}

// State is where the operation stands.
func (r *Run) State() operation.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.op.State
}

func (r *Run) requestVerify() {
	select {
	case r.verify <- struct{}{}:
	default:
	}
}

// Record puts a fact on disk and then tells the watchers. When the journal fails the
// work's context ends: nothing may happen that is not recorded.
func (r *Run) Record(e operation.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Migration != nil && len(r.op.Migrations) >= maxMigrations {
		return nil
	}
	r.stage(e)
	return r.commit()
}

// output takes one line of a child. It returns when the line is buffered, or, when the
// buffer is full, on disk: that is the child's back-pressure.
func (r *Run) output(stepID string, stream operation.Stream, text string, truncated bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tails[stepID]
	if t == nil {
		t = &tail{}
		r.tails[stepID] = t
	}
	from := source{stepID, stream}
	text = r.redacted(from, text, t)
	t.add(text)
	if r.printed > maxOutput {
		return
	}
	out := operation.OutputLine{StepID: stepID, Stream: stream, Text: text, Truncated: truncated}
	if r.printed += out.Size(); r.printed > maxOutput {
		r.stage(operation.Event{Warning: &operation.Warning{Reason: "OUTPUT_DROPPED", Message: fmt.Sprintf(
			"more than %d MiB of output: the rest is dropped, but for the last lines of a step that fails", maxOutput>>20)}})
		_ = r.commit() // a broken journal has ended the work's context
		return
	}
	if len(r.pending) == 0 {
		r.ticker.Reset(batchEvery)
	}
	r.lines[from].pending = &out
	r.stage(operation.Event{Output: &out})
	if len(r.pending) >= batchLines {
		_ = r.commit() // a broken journal has ended the work's context; the child is being killed
	}
}

// outputTo is the Output of one step.
func (r *Run) outputTo(stepID string) ports.Output {
	return func(stream operation.Stream, text string, truncated bool) { r.output(stepID, stream, text, truncated) }
}

// takeTail returns the last lines of a step's output and forgets them.
func (r *Run) takeTail(stepID string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tails[stepID]
	delete(r.tails, stepID)
	if t == nil {
		return nil
	}
	return t.lines()
}

func (r *Run) flushLater() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.commit() // see output
}

// Now is the time of an event. A wall clock that is set in the middle of an operation does not
// show in its times: what took two seconds says so, and no event is older than the one before it.
func (r *Run) Now() time.Time { return r.from.Add(time.Since(r.began)) }

// stage numbers an event; r.mu is held.
func (r *Run) stage(e operation.Event) {
	e = redactEvent(e, r.engine.redact.Text)
	e.Sequence = r.op.LastSequence + uint64(len(r.pending)) + 1
	e.Time = r.Now()
	r.pending = append(r.pending, e)
}

// commit writes what is staged, folds it, wakes the watchers; r.mu is held.
func (r *Run) commit() error {
	if r.broken != nil {
		r.pending = nil
		return r.broken
	}
	if len(r.pending) == 0 {
		return nil
	}
	batch := r.pending
	r.pending = nil
	for _, l := range r.lines {
		l.pending = nil // what is on disk is not changed any more
	}
	if err := r.engine.journal.Append(r.id, batch); err != nil {
		r.broken = fault.Wrap(err, fault.Degraded, "JOURNAL_FAILED", "record what happened")
		r.engine.log.Error("journal failed, the operation stops here", "operation", r.id, "error", err)
		r.cancel(r.broken)
		return r.broken
	}
	for _, e := range batch {
		r.op.Apply(e)
		r.remember(e)
	}
	r.engine.changed.wake()
	return nil
}

// remember keeps what there was when a step began for the first time; r.mu is held, or r is not shared yet.
func (r *Run) remember(e operation.Event) {
	if s := e.StepStarted; s != nil && s.Before != nil && r.found[s.ID] == nil {
		r.found[s.ID] = s.Before
	}
}

// enter records a state.
func (r *Run) enter(change operation.StateChange) error {
	if change.State.Terminal() {
		// Before the record: whatever happens in between, the operation is taken up and settled again.
		r.engine.kinds[r.Snapshot().Kind].Settle(r, change.State)
	}
	return r.Record(operation.Event{State: &change})
}

// advance enters the state that follows the present one after an outcome.
func (r *Run) advance(outcome operation.Outcome, change operation.StateChange) error {
	op := r.Snapshot()
	next, err := operation.Next(op.Kind, op.State, outcome)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "BAD_TRANSITION", "choose the next state")
	}
	change.State = next
	return r.enter(change)
}

// Warn records something that a person should know.
func (r *Run) Warn(reason, message string) error {
	return r.Record(operation.Event{Warning: &operation.Warning{Reason: reason, Message: message}})
}

// recordBeforeEnd is Record for those who do not work on the operation: nothing follows its end.
func (r *Run) recordBeforeEnd(e operation.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.op.State.Terminal() {
		return nil
	}
	r.stage(e)
	return r.commit()
}

// Work is what a step does. It returns one line that says what it did.
type Work func(ctx context.Context, out ports.Output) (summary string, err error)

// Step records the start and the end of one piece of work around do. The error it
// returns names the step and carries the last lines of its output.
func (r *Run) Step(ctx context.Context, id, title string, do Work) error {
	return r.StepFrom(ctx, operation.StepStarted{ID: id, Title: title}, do)
}

// StepFrom is Step with everything that is recorded of the start.
func (r *Run) StepFrom(ctx context.Context, start operation.StepStarted, do Work) error {
	id := start.ID
	if err := r.Record(operation.Event{StepStarted: &start}); err != nil {
		return err
	}
	started := time.Now()
	summary, err := do(ctx, r.outputTo(id))
	end := operation.StepFinished{ID: id, Outcome: operation.StepDone, Duration: time.Since(started), Summary: summary}
	if err != nil && ShuttingDown(ctx) {
		// The record stays open: whether the step's work is done is for recovery to find out.
		return ErrShutdown
	}
	lines := r.takeTail(id)
	if err != nil {
		end.Summary = "" // it tells what was done
		failure := FailureOf(err)
		failure.StepID = id
		var own *tailError
		if errors.As(err, &own) {
			lines = append(lines, own.tail...)
		}
		failure.OutputTail = lines[max(0, len(lines)-operation.TailLines):]
		end.Outcome, end.Failure = operation.StepFailed, failure
		var cancelled *Cancelled
		if errors.Is(context.Cause(ctx), ErrSibling) || errors.As(context.Cause(ctx), &cancelled) {
			end.Outcome, end.Failure = operation.StepInterrupted, nil
		}
		err = &stepError{failure: failure, cause: err}
	}
	if recordErr := r.Record(operation.Event{StepFinished: &end}); recordErr != nil {
		return recordErr
	}
	if ShuttingDown(ctx) {
		return ErrShutdown // what is done is recorded as done; what follows is for the next start
	}
	return err
}

// ErrSibling is the cause of a step's context when another step of the same phase failed.
var ErrSibling = errors.New("another step failed")

// Done are the steps that are recorded as done.
func (r *Run) Done() map[string]bool {
	done := map[string]bool{}
	for _, s := range r.Snapshot().Steps {
		if s.Outcome == operation.StepDone {
			done[s.ID] = true
		}
	}
	return done
}

// Before is what there was when a step began for the first time: as recorded then, else as look finds it now.
func (r *Run) Before(id string, look func() (picture.Picture, error)) (*picture.Picture, error) {
	r.mu.Lock()
	found := r.found[id]
	r.mu.Unlock()
	if found != nil {
		return found, nil
	}
	now, err := look()
	if err != nil {
		return nil, err
	}
	brief := now.Brief()
	return &brief, nil
}

// ShuttingDown reports whether the work ends because the agent does.
func ShuttingDown(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrShutdown) }
