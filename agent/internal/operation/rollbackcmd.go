package operation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// RollbackRequest asks for an earlier version: what ran before an operation, or a commit.
type RollbackRequest struct {
	CommandID string
	Requester string
	Operation string // to undo; "" when Target is given
	Target    string // commit; "" when Operation is given
}

// Rollback records a rollback and starts it. Repeating the command returns its operation.
func (e *Engine) Rollback(req RollbackRequest) (op Operation, repeated bool, err error) {
	if known, ok, err := e.ports.Journal.Known(req.CommandID); ok || err != nil {
		if ok && known.Kind != KindRollback {
			err = sameCommand(known, Event{Accepted: &Accepted{Kind: KindRollback, Target: known.Target}})
		}
		return known, ok, err
	}
	source, err := e.sourceOf(req)
	if err != nil {
		return Operation{}, false, err
	}
	target := req.Target
	if target == "" {
		target = source.PreDeploy
	}
	first := Event{Accepted: &Accepted{
		Kind: KindRollback, CommandID: req.CommandID, Requester: req.Requester, Target: target, Undo: source.ID,
	}}
	return e.begin(first, func(ctx context.Context, r *run) {
		r.drive(ctx, &withdrawal{retreat: retreat{run: r, target: target}, undo: source.ID})
	})
}

// sourceOf finds the operation that remembers what is wanted back; none for a commit that no
// operation has left behind.
func (e *Engine) sourceOf(req RollbackRequest) (Operation, error) {
	if req.Operation != "" {
		op, err := e.Operation(req.Operation)
		switch {
		case err != nil:
			return op, err
		case op.PreDeploy == "":
			return op, fault.New(fault.Invalid, "NOTHING_BEFORE", "%s ended before it knew what ran before it", op.ID)
		case !op.State.Terminal():
			return op, fault.New(fault.Refused, "STILL_RUNNING", "%s is still %s", op.ID, op.State).
				WithHint("cancel it with: landfall-coordinator cancel %s", op.ID)
		}
		return op, nil
	}
	recent, err := e.remembered()
	if err != nil {
		return Operation{}, err
	}
	for _, op := range recent {
		if op.PreDeploy == req.Target && op.State == Succeeded {
			return op, nil
		}
	}
	return Operation{}, nil
}

// withdrawal is a rollback that a person asked for.
type withdrawal struct {
	retreat
	undo string // operation that remembers what ran; "" when none does
}

// work implements driver.
func (w *withdrawal) work(ctx context.Context, s State) error {
	switch s {
	case Proving:
		return w.prove(ctx)
	case Pausing:
		return w.hold("rollback to " + short(w.target))
	case RollingBack:
		return w.goBack(ctx)
	default: // Pending has no work
		return nil
	}
}

// entering implements driver.
func (w *withdrawal) entering() StateChange { return StateChange{} }

// prove checks the target before anything is touched. It asks no remote: a rollback must
// work while the network does not.
func (w *withdrawal) prove(ctx context.Context) error {
	ports := w.engine.ports
	if err := w.step(ctx, "prove/target", "look for "+short(w.target), func(ctx context.Context, _ Output) (string, error) {
		head, err := ports.Commits.Head(ctx)
		if err != nil {
			return "", err
		}
		if err := w.record(Event{PreDeploy: &PreDeploy{SHA: head}}); err != nil {
			return "", err
		}
		earlier, err := ports.Commits.IsAncestor(ctx, w.target, head)
		if err == nil && !earlier && w.engine.policy.RequireAncestry {
			err = fault.New(fault.Refused, "NOT_EARLIER", "%s does not come before %s, which is checked out", short(w.target), short(head)).
				WithHint("a rollback goes back; to go forward: landfall-coordinator run --sha %s", short(w.target))
		}
		return "from " + short(head), err
	}); err != nil {
		return err
	}
	if err := w.ready(ctx); err != nil {
		return err
	}
	if err := w.step(ctx, "prove/checkout", "check the checkout for edits", func(ctx context.Context, _ Output) (string, error) {
		return "", ports.Checkout.Check(ctx, w.plan.Prepare)
	}); err != nil {
		return err
	}
	here, err := w.pin(ctx, w.plan)
	if err != nil {
		return err
	}
	w.here = here
	return w.tellMigrations()
}

// tellMigrations warns of what does not go back: the migrations that were applied since the target ran.
func (w *withdrawal) tellMigrations() error {
	recent, err := w.engine.ports.Records.Operations(0, lookBack)
	if err != nil {
		return err
	}
	var names []string // oldest first
	for _, op := range recent {
		if op.State == Succeeded && op.Target == w.target {
			break
		}
		names = append(slices.Clone(op.Migrations), names...)
		if op.ID == w.undo {
			break
		}
	}
	if len(names) == 0 {
		return nil
	}
	return w.warn("MIGRATIONS_STAY", fmt.Sprintf("going back to the code of %s only: the database keeps the migrations applied since: %s", short(w.target), strings.Join(names, ", ")))
}

// goBack does the work; it can be entered again after a restart, so it makes itself ready.
func (w *withdrawal) goBack(ctx context.Context) error {
	if err := w.persist(ctx, w.ready); err != nil {
		return err
	}
	w.left = w.snapshot().PreDeploy
	if err := w.back(ctx); err != nil {
		if shuttingDown(ctx) {
			return errShutdown
		}
		f := *failureOf(err)
		f.Kind = fault.Degraded
		f.Message += "; " + w.engine.whatRuns(ctx, w.plan)
		return &stepError{failure: &f, cause: err}
	}
	op := w.snapshot()
	return w.step(ctx, stampStep, "write the stamp, block what was left", func(context.Context, Output) (string, error) {
		if err := w.stamp(w.target); err != nil || op.PreDeploy == w.target {
			return "", err
		}
		return fmt.Sprintf("%s is blocked", short(op.PreDeploy)), w.block(Operation{ID: op.ID, Target: op.PreDeploy})
	})
}

// ready reads what the undone operation remembers, then checks the target.
func (w *withdrawal) ready(ctx context.Context) error {
	if w.plan != nil {
		return nil
	}
	if w.undo != "" {
		facts, err := w.engine.facts(w.undo)
		if err != nil {
			return err
		}
		if facts.past != nil {
			w.past = *facts.past
		}
		if facts.plan != nil {
			w.touched = facts.plan.StepsIn(pipeline.PhaseApply)
		}
	}
	return w.check(ctx)
}
