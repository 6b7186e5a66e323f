package operation

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Ports is everything the engine needs from the outside. All are required.
type Ports struct {
	Commits   Commits
	Trees     Trees
	Checkout  Checkout
	Runtime   Runtime
	Reverter  Reverter
	Orphans   Orphans
	Inspector Inspector
	Scripts   Scripts
	Prober    Prober
	Gauge     Gauge
	Journal   Journal
	Records   Records
	Stamp     Stamp
	Sentinels Sentinels
}

// Policy is what this host insists on.
type Policy struct {
	RequireAncestry bool          // the target must be on the branch
	VerifyWithin    time.Duration // an applied deploy that nobody judges is judged after this
	PauseTTL        time.Duration // how long a deploy's pause lasts when nobody resumes
	Parallelism     int           // steps side by side, at least 1
	AskWithin       time.Duration // how long a deploy that asks waits for its answer; 0 is [DefaultAskWithin]
}

// Engine runs operations, one at a time. The work belongs to the engine, never to the
// caller: a caller that goes away changes nothing. Safe for concurrent use.
type Engine struct {
	ports  Ports
	policy Policy
	log    hclog.Logger

	shutdown context.Context // ends when we must end; not the same as cancelling the work
	stop     context.CancelCauseFunc
	group    sync.WaitGroup

	starting sync.Mutex // held while an operation is created and launched: one at a time
	mu       sync.Mutex
	current  *run
	broken   error      // the journal failed; nothing more is begun
	changed  *broadcast // one for all watchers, since one operation at a time changes anything
}

// errShutdown is the cause of the work's context when the agent stops.
var errShutdown = errors.New("the agent is stopping")

// New makes an engine. It starts nothing; see [Engine.Start].
func New(ports Ports, policy Policy, log hclog.Logger) *Engine {
	ctx, stop := context.WithCancelCause(context.Background())
	return &Engine{
		ports: ports, policy: policy, log: log.Named("engine"),
		shutdown: ctx, stop: stop,
		changed: newBroadcast(),
	}
}

// Start takes up what the agent before us left unfinished. Call it once, before serving.
func (e *Engine) Start() error { return e.recoverUnfinished() }

// Close stops the running operation's children and waits. The record stays as it is,
// for the next start: stopping the agent is not cancelling the operation.
func (e *Engine) Close() {
	e.starting.Lock() // an operation is launched before this, or not at all
	e.stop(errShutdown)
	e.starting.Unlock()
	e.group.Wait()
}

// DeployRequest asks for a commit to be deployed.
type DeployRequest struct {
	CommandID  string
	Requester  string
	Target     string
	Base       string // "" when there is none
	Everything string // why every flag is set, "" when the changes decide
	PlanDigest string
	AllowOlder bool
	AskNewer   bool // wait for [Engine.Proceed] when everything is proven
}

// Deploy records a deploy and starts it. A command that is known already returns its
// operation with repeated set. While another operation runs it is Refused/HOST_LOCKED.
func (e *Engine) Deploy(req DeployRequest) (op Operation, repeated bool, err error) {
	first := Event{Accepted: &Accepted{
		Kind: KindDeploy, CommandID: req.CommandID, Requester: req.Requester, Target: req.Target, Base: req.Base,
		Everything: req.Everything, PlanDigest: req.PlanDigest, AllowOlder: req.AllowOlder, AskNewer: req.AskNewer,
	}}
	return e.begin(first, func(ctx context.Context, r *run) {
		r.drive(ctx, &deployment{run: r, req: req})
	})
}

// begin records an operation by its first event and runs work for it.
func (e *Engine) begin(first Event, work func(context.Context, *run)) (Operation, bool, error) {
	e.starting.Lock()
	defer e.starting.Unlock()
	if e.shutdown.Err() != nil {
		return Operation{}, false, fault.New(fault.Unreachable, "SHUTTING_DOWN", "the agent is stopping")
	}
	if current := e.Current(); current != nil {
		return e.occupied(*current, first)
	}
	if err := e.journalFailure(); err != nil {
		return Operation{}, false, err
	}
	first.Sequence, first.Time = 1, time.Now()
	op, created, err := e.ports.Journal.Create(first)
	if err != nil {
		return op, false, err
	}
	if !created {
		return op, true, sameCommand(op, first)
	}
	return e.launch(op, work), false, nil
}

// occupied answers a command while an operation runs. One that is known already is
// answered all the same: whoever lost the answer and asks again must not be refused.
func (e *Engine) occupied(current Operation, first Event) (Operation, bool, error) {
	commandID := first.Accepted.CommandID
	if current.CommandID == commandID {
		return current, true, sameCommand(current, first)
	}
	if op, known, err := e.ports.Journal.Known(commandID); err != nil {
		return op, false, err
	} else if known {
		return op, true, sameCommand(op, first)
	}
	hint := "watch it with: landfall-coordinator attach " + current.ID
	if current.State == AwaitingVerify {
		hint = "it waits for its verdict: landfall-coordinator verify --operation " + current.ID
	}
	return Operation{}, false, fault.New(fault.Refused, "HOST_LOCKED",
		"the host is locked by %s (%s of %s by %s, %s)", current.ID, current.Kind, short(current.Target), current.Requester, current.State).
		WithHint("%s", hint)
}

// sameCommand refuses a command ID that was used for something else: answering with that
// would look like success.
func sameCommand(op Operation, first Event) error {
	if op.Kind == first.Accepted.Kind && op.Target == first.Accepted.Target {
		return nil
	}
	return fault.New(fault.Invalid, "COMMAND_ID_REUSED", "command_id %s stands for %s of %s (%s) already", op.CommandID, op.Kind, short(op.Target), op.ID).
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
func (e *Engine) launch(op Operation, work func(context.Context, *run)) Operation {
	ctx, cancel := context.WithCancelCause(e.shutdown)
	r := newRun(e, op, cancel)
	e.mu.Lock()
	e.current = r
	e.mu.Unlock()
	e.group.Add(1)
	go func() {
		defer e.group.Done()
		defer cancel(nil)
		e.log.Info("operation started", "operation", op.ID, "kind", op.Kind, "target", op.Target, "requester", op.Requester)
		work(e.ports.Orphans.Mark(ctx, op.ID), r)
		r.close()
		final := r.snapshot()
		e.mu.Lock()
		if e.current == r { // nothing was begun since its end
			e.current = nil
		}
		if r.broken != nil {
			e.broken = r.broken
		}
		e.mu.Unlock()
		e.changed.wake() // who watches an operation that is left unfinished must not wait for more
		e.log.Info("operation left", "operation", op.ID, "state", final.State, "events", final.LastSequence)
	}()
	return op
}

// Verify asks for the judgement of an operation that awaits it. Repeating it, or asking
// for one that is being judged or has ended, changes nothing.
func (e *Engine) Verify(id string) (Operation, error) {
	op, err := e.Operation(id)
	if err != nil || op.State.Terminal() {
		return op, err
	}
	r, op, err := e.runOf(op)
	if r == nil {
		return op, err
	}
	r.requestVerify()
	return r.snapshot(), nil
}

// Cancel ends the running operation at the next safe point; its children are ended now. What
// has touched the host is rolled back. Repeating it, or cancelling what has ended, changes nothing.
func (e *Engine) Cancel(id, who string) (Operation, error) {
	op, err := e.Operation(id)
	if err != nil || op.State.Terminal() {
		return op, err
	}
	r, op, err := e.runOf(op)
	if r == nil {
		return op, err
	}
	if op = r.snapshot(); op.State.Terminal() {
		return op, nil
	} else if op.State == RollingBack {
		if op.Failure != nil && op.Failure.Reason == reasonCancelled {
			return op, nil // asked for again
		}
		return op, fault.New(fault.Refused, "ROLLING_BACK", "%s brings the old version back; that cannot be cancelled", op.ID).
			WithHint("watch it with: landfall-coordinator attach %s", op.ID)
	}
	if op.CancelledBy == "" {
		// On disk first: a wish that was heard must outlast us.
		if err := r.warnBeforeEnd(reasonCancel, cancelWords+who); err != nil {
			return op, err
		}
	}
	r.requestCancel(who)
	return r.snapshot(), nil
}

// runOf finds the work of an operation. None, with a nil error, is that of one that has ended since it was read;
// op is then its end.
func (e *Engine) runOf(op Operation) (*run, Operation, error) {
	e.mu.Lock()
	r := e.current
	e.mu.Unlock()
	if r != nil && r.id == op.ID {
		return r, op, nil
	}
	op, err := e.ports.Records.Operation(op.ID)
	if err == nil && !op.State.Terminal() {
		err = fault.New(fault.Refused, "NOT_RUNNING", "%s is %s but does not run in this agent", op.ID, op.State)
	}
	return nil, op, err
}

// Finish ends a successful deploy: the pause it made is removed and convergence resumes.
func (e *Engine) Finish(id string) (Operation, error) {
	e.starting.Lock() // no deploy may make its own pause between our look and our removal
	defer e.starting.Unlock()
	op, err := e.Operation(id)
	if err != nil {
		return op, err
	}
	if op.State != Succeeded {
		return op, fault.New(fault.Refused, "NOT_SUCCEEDED", "%s is %s: convergence stays paused", op.ID, op.State).
			WithHint("look at it with: landfall-coordinator show %s", op.ID)
	}
	pause, err := e.ports.Sentinels.Pause()
	if err != nil {
		return op, err
	}
	if pause != nil && pause.Operation == op.ID {
		return op, e.ports.Sentinels.SetPause(nil)
	}
	return op, nil
}

// Resume removes the pause, whoever made it; refused while an operation runs that needs it.
func (e *Engine) Resume() (was *Pause, err error) {
	e.starting.Lock()
	defer e.starting.Unlock()
	if current := e.Current(); current != nil {
		return nil, fault.New(fault.Refused, "HOST_LOCKED", "%s runs and needs the pause", current.ID).WithHint("wait for its end")
	}
	if was, err = e.ports.Sentinels.Pause(); err != nil {
		return nil, err
	}
	return was, e.ports.Sentinels.SetPause(nil)
}

// Operation reads one operation, the running one as it stands this moment.
func (e *Engine) Operation(id string) (Operation, error) {
	op, err := e.ports.Records.Operation(id)
	if err != nil {
		return op, err
	}
	if cur := e.Current(); cur != nil && cur.ID == op.ID {
		return *cur, nil
	}
	return op, nil
}

// Operations lists operations, newest first; see [Records].
func (e *Engine) Operations(before uint64, limit int) ([]Operation, error) {
	return e.ports.Records.Operations(before, limit)
}

// Current is the operation that runs, nil when none does. One that has ended does not lock
// the host: whoever saw the end may begin the next.
func (e *Engine) Current() *Operation {
	e.mu.Lock()
	r := e.current
	e.mu.Unlock()
	if r == nil {
		return nil
	}
	op := r.snapshot()
	if op.State.Terminal() {
		return nil
	}
	return &op
}

// PlanAt compiles the plan that brings a host from base to target, as the agent does in
// a deploy. It fetches nothing: both commits must be known.
func (e *Engine) PlanAt(ctx context.Context, base, target, everything string) (*pipeline.Plan, error) {
	config, err := e.ports.Trees.Pipeline(ctx, target)
	if err != nil {
		return nil, err
	}
	in := pipeline.Input{Base: base, Target: target, Everything: everything}
	if everything == "" {
		if in.Changes, err = e.ports.Commits.Changes(ctx, base, target); err != nil {
			return nil, err
		}
	}
	return pipeline.Compile(config, in)
}

// PlanNow is the plan of everything at the commit that is checked out: what the host
// should look like. Diagnostics read stacks, environment and probes from it.
func (e *Engine) PlanNow(ctx context.Context) (*pipeline.Plan, error) {
	head, err := e.ports.Commits.Head(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := e.PlanAt(ctx, "", head, "diagnostics look at everything")
	if err != nil {
		return nil, err
	}
	return withoutConditions(plan), nil
}

// withoutConditions drops the probes that speak of what one deploy built.
func withoutConditions(plan *pipeline.Plan) *pipeline.Plan {
	plan.Verify.Probes = slices.DeleteFunc(plan.Verify.Probes, func(p pipeline.Probe) bool { return len(p.When) > 0 })
	return plan
}

func short(sha string) string {
	if len(sha) > 12 {
		return sha[:12]
	}
	return sha
}
