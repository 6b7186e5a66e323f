// Package engine runs operations, one at a time, and keeps the record of each while it is worked on.
//
// It promises that at most one operation runs, that every fact is in the journal before anyone hears of it, that an operation
// which the agent's end cut off is taken up by the next start, and that watchers see every event once and in order. What an operation
// does is not its business: a [Kind] and its [Driver] (package flow) say so. Start reading at [Engine], then run.go and drive.go.
package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

// Engine runs operations, one at a time. The work belongs to the engine, never to the
// caller: a caller that goes away changes nothing. Safe for concurrent use.
type Engine struct {
	journal ports.Journal
	records ports.Records
	orphans ports.Orphans
	kinds   map[operation.Kind]Kind
	redact  ports.Redactor // never nil
	teacher ports.Teacher  // nil teaches nothing
	listens ports.Listener // nil: nobody hears of ends
	log     hclog.Logger

	shutdown context.Context // ends when we must end; not the same as cancelling the work
	stop     context.CancelCauseFunc
	group    sync.WaitGroup

	starting sync.Mutex // held while an operation is created and launched: one at a time
	mu       sync.Mutex
	current  *Run
	broken   error              // the journal failed; nothing more is begun
	busy     context.CancelFunc // ends what is done while no operation runs; never nil
	changed  *broadcast         // one for all watchers, since one operation at a time changes anything
}

// ErrShutdown is the cause of the work's context when the agent stops.
var ErrShutdown = errors.New("the agent is stopping")

// New makes an engine for the kinds of operations that it is to know. It starts nothing; see [Engine.Start].
func New(p ports.Ports, log hclog.Logger, kinds map[operation.Kind]Kind) *Engine {
	ctx, stop := context.WithCancelCause(context.Background())
	redact := p.Redactor
	if redact == nil {
		redact = nothingSecret{}
	}
	return &Engine{
		redact: redact, teacher: p.Teacher, listens: p.Listener,
		journal: p.Journal, records: p.Records, orphans: p.Orphans, kinds: kinds, log: log.Named("engine"),
		shutdown: ctx, stop: stop,
		busy: func() {}, changed: newBroadcast(),
	}
}

// Start takes up what the agent before us left unfinished. Call it once, before serving.
func (e *Engine) Start() error { return e.recoverUnfinished() }

// Close stops the running operation's children and waits. The record stays as it is,
// for the next start: stopping the agent is not cancelling the operation.
func (e *Engine) Close() {
	e.starting.Lock() // an operation is launched before this, or not at all
	e.stop(ErrShutdown)
	e.starting.Unlock()
	e.group.Wait()
}

// Begin records an operation by its first event and drives it. A command that is known already returns its operation with repeated set.
// While another operation runs it is Refused/HOST_LOCKED.
func (e *Engine) Begin(first operation.Event, drive func(*Run) Driver) (operation.Operation, bool, error) {
	e.starting.Lock()
	defer e.starting.Unlock()
	if e.shutdown.Err() != nil {
		return operation.Operation{}, false, fault.New(fault.Unreachable, "SHUTTING_DOWN", "the agent is stopping")
	}
	if current := e.Current(); current != nil {
		return e.occupied(*current, first)
	}
	if err := e.journalFailure(); err != nil {
		return operation.Operation{}, false, err
	}
	first.Sequence, first.Time = 1, time.Now()
	op, created, err := e.journal.Create(first)
	if err != nil {
		return op, false, err
	}
	if !created {
		return op, true, sameCommand(op, first)
	}
	return e.launch(op, func(ctx context.Context, r *Run) { r.drive(ctx, drive(r)) }), false, nil
}

// occupied answers a command while an operation runs. One that is known already is
// answered all the same: whoever lost the answer and asks again must not be refused.
func (e *Engine) occupied(current operation.Operation, first operation.Event) (operation.Operation, bool, error) {
	commandID := first.Accepted.CommandID
	if current.CommandID == commandID {
		return current, true, sameCommand(current, first)
	}
	if op, known, err := e.journal.Known(commandID); err != nil {
		return op, false, err
	} else if known {
		return op, true, sameCommand(op, first)
	}
	hint := "watch it with: landfall-coordinator attach " + current.ID
	if current.State == operation.AwaitingVerify {
		hint = "it waits for its verdict: landfall-coordinator verify --operation " + current.ID
	}
	return operation.Operation{}, false, fault.New(fault.Refused, "HOST_LOCKED",
		"the host is locked by %s (%s by %s, %s)", current.ID, current.About(), current.Requester, current.State).
		WithHint("%s", hint)
}

// Knows reports whether a command began an operation already. One that cannot be looked up is not known.
func (e *Engine) Knows(commandID string) bool {
	_, known, err := e.journal.Known(commandID)
	return known && err == nil
}

// sameCommand refuses a command ID that was used for something else: answering with that
// would look like success.
func sameCommand(op operation.Operation, first operation.Event) error {
	if op.Kind == first.Accepted.Kind && op.Target == first.Accepted.Target && op.Subject == first.Accepted.Subject {
		return nil
	}
	return fault.New(fault.Invalid, "COMMAND_ID_REUSED", "command_id %s stands for %s (%s) already", op.CommandID, op.About(), op.ID).
		WithHint("choose a new command_id for a new command")
}

// journalFailure is why nothing more is begun: an operation could not be recorded to its end.
func (e *Engine) journalFailure() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken == nil {
		return nil
	}
	return fault.Wrap(e.broken, fault.Degraded, "JOURNAL_FAILED", "an operation before could not be recorded").
		WithHint("mend the disk that holds state_dir, then restart the agent: it takes the operation up")
}

// launch runs work for a recorded operation in its own goroutine.
func (e *Engine) launch(op operation.Operation, work func(context.Context, *Run)) operation.Operation {
	ctx, cancel := context.WithCancelCause(e.shutdown)
	r := newRun(e, op, cancel)
	e.mu.Lock()
	e.current = r
	e.busy()
	e.mu.Unlock()
	e.group.Add(1)
	go func() {
		defer e.group.Done()
		defer cancel(nil)
		e.log.Info("operation started", "operation", op.ID, "kind", op.Kind, "target", op.Target, "requester", op.Requester)
		work(e.orphans.Mark(ctx, op.ID), r)
		broken := r.close()
		final := r.Snapshot()
		e.leave(r, broken)
		e.log.Info("operation left", "operation", op.ID, "state", final.State, "events", final.LastSequence)
		if e.listens != nil && final.State.Terminal() {
			e.listens.Ended(final)
		}
		e.idle(final)
	}()
	return op
}

// idle does what is better done while no operation runs, until the next one begins.
func (e *Engine) idle(op operation.Operation) {
	kind, known := e.kinds[op.Kind]
	if !known || !op.State.Terminal() {
		return
	}
	ctx, cancel := context.WithCancel(e.shutdown)
	defer cancel()
	e.mu.Lock()
	free := e.current == nil
	if free {
		e.busy = cancel
	}
	e.mu.Unlock()
	if free {
		kind.Ended(ctx, op)
	}
}

// leave lets go of a run that does nothing more; broken is why its record could not be kept.
func (e *Engine) leave(r *Run, broken error) {
	e.mu.Lock()
	if e.current == r { // nothing was begun since its end
		e.current = nil
	}
	if broken != nil {
		e.broken = broken
	}
	e.mu.Unlock()
	e.changed.wake() // who watches an operation that is left unfinished must not wait for more
}

// Verify asks for the judgement of an operation that awaits it. Repeating it, or asking
// for one that is being judged or has ended, changes nothing.
func (e *Engine) Verify(id string) (operation.Operation, error) {
	op, err := e.Operation(id)
	if err != nil || op.State.Terminal() {
		return op, err
	}
	r, op, err := e.runOf(op)
	if r == nil {
		return op, err
	}
	r.requestVerify()
	return r.Snapshot(), nil
}

// Cancel ends the running operation at the next safe point; its children are ended now. What
// has touched the host is rolled back. Repeating it, or cancelling what has ended, changes nothing.
//
// An empty id is the operation that runs.
func (e *Engine) Cancel(id, who string) (operation.Operation, error) {
	if id == "" {
		current := e.Current()
		if current == nil {
			return operation.Operation{}, fault.New(fault.Refused, "NOTHING_RUNS", "no operation runs").WithHint("landfall-coordinator history lists those that have ended")
		}
		id = current.ID
	}
	op, err := e.Operation(id)
	if err != nil || op.State.Terminal() {
		return op, err
	}
	r, op, err := e.runOf(op)
	if r == nil {
		return op, err
	}
	if op = r.Snapshot(); op.State.Terminal() {
		return op, nil
	} else if op.State == operation.RollingBack {
		if op.CancelledBy != "" {
			return op, nil // asked for again
		}
		return op, fault.New(fault.Refused, "ROLLING_BACK", "%s brings the old version back; that cannot be cancelled", op.ID).
			WithHint("watch it with: landfall-coordinator attach %s", op.ID)
	}
	if op.CancelledBy == "" {
		// On disk first: a wish that was heard must outlast us.
		if err := r.recordBeforeEnd(operation.Event{Cancel: &operation.Cancel{By: who}}); err != nil {
			return op, err
		}
	}
	r.requestCancel(who)
	return r.Snapshot(), nil
}

// runOf finds the work of an operation. None, with a nil error, is that of one that has ended since it was read;
// op is then its end.
func (e *Engine) runOf(op operation.Operation) (*Run, operation.Operation, error) {
	e.mu.Lock()
	r := e.current
	e.mu.Unlock()
	if r != nil && r.id == op.ID {
		return r, op, nil
	}
	op, err := e.records.Operation(op.ID)
	if err == nil && !op.State.Terminal() {
		err = fault.New(fault.Refused, "NOT_RUNNING", "%s is %s but does not run in this agent", op.ID, op.State)
	}
	return nil, op, err
}

// Quietly calls do while no operation can begin; current is the one that runs, nil when none does.
func (e *Engine) Quietly(do func(current *operation.Operation) error) error {
	e.starting.Lock()
	defer e.starting.Unlock()
	return do(e.Current())
}

// Operation reads one operation, the running one as it stands this moment.
func (e *Engine) Operation(id string) (operation.Operation, error) {
	op, err := e.records.Operation(id)
	if err != nil {
		return op, err
	}
	if cur := e.Current(); cur != nil && cur.ID == op.ID {
		return *cur, nil
	}
	return op, nil
}

// Operations lists operations, newest first; see [ports.Records].
func (e *Engine) Operations(before uint64, limit int) ([]operation.Operation, error) {
	return e.records.Operations(before, limit)
}

// Current is the operation that runs, nil when none does. One that has ended does not lock
// the host: whoever saw the end may begin the next.
func (e *Engine) Current() *operation.Operation {
	e.mu.Lock()
	r := e.current
	e.mu.Unlock()
	if r == nil {
		return nil
	}
	op := r.Snapshot()
	if op.State.Terminal() {
		return nil
	}
	return &op
}
