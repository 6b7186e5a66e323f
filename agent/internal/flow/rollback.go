package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/engine"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
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
func (f *Flows) Rollback(req RollbackRequest) (op operation.Operation, repeated bool, err error) {
	if known, ok, err := f.ports.Journal.Known(req.CommandID); ok || err != nil {
		if ok && known.Kind != operation.KindRollback {
			err = fault.New(fault.Invalid, "COMMAND_ID_REUSED", "command_id %s stands for %s of %s (%s) already", known.CommandID, known.Kind, short(known.Target), known.ID).
				WithHint("choose a new command_id for a new command")
		}
		return known, ok, err
	}
	source, target, err := f.sourceOf(req)
	if err != nil {
		return operation.Operation{}, false, err
	}
	first := operation.Event{Accepted: &operation.Accepted{
		Kind: operation.KindRollback, CommandID: req.CommandID, Requester: req.Requester, Target: target, Undo: source,
	}}
	return f.Begin(first, func(r *engine.Run) engine.Driver { return newWithdrawal(flow{r, f}, target, source) })
}

// sourceOf finds the operation that remembers what is wanted back, "" for a commit that no
// operation has left behind, and the commit to go back to.
func (f *Flows) sourceOf(req RollbackRequest) (source, target string, err error) {
	if req.Operation != "" {
		op, err := f.Operation(req.Operation)
		switch {
		case err != nil:
			return "", "", err
		case op.PreDeploy == "":
			return "", "", fault.New(fault.Invalid, "NOTHING_BEFORE", "%s ended before it knew what ran before it", op.ID)
		case !op.State.Terminal():
			return "", "", fault.New(fault.Refused, "STILL_RUNNING", "%s is still %s", op.ID, op.State).
				WithHint("cancel it with: landfall-coordinator cancel %s", op.ID)
		}
		return op.ID, op.PreDeploy, nil
	}
	remembered, err := f.Remembered()
	if err != nil {
		return "", "", err
	}
	for _, op := range remembered {
		if op.PreDeploy == req.Target && op.State == operation.Succeeded && op.Kind.Moves() {
			return op.ID, req.Target, nil
		}
	}
	return "", req.Target, nil
}

// rollbacks is the kind of operation that brings the host back to an earlier version because a person asks for it.
type rollbacks struct{ *Flows }

// Resume implements engine.Kind.
func (k rollbacks) Resume(_ context.Context, r *engine.Run, facts engine.Facts) (engine.Driver, error) {
	w := newWithdrawal(flow{r, k.Flows}, r.Snapshot().Target, facts.Request.Undo)
	w.here, w.proven = facts.Before, facts.Proven
	return w, nil
}

// Settle implements engine.Kind.
func (k rollbacks) Settle(r *engine.Run, end operation.State) { k.settle(r.ID(), end) }

// Ended implements engine.Kind.
func (k rollbacks) Ended(ctx context.Context, op operation.Operation) { k.pack(ctx, op) }

// withdrawal is a rollback that a person asked for.
type withdrawal struct {
	*restoration
	undo   string            // operation that remembers what ran; "" when none does
	here   *picture.Picture  // what ran when it began
	proven *operation.Proven // of the commit that it leaves
	// stoodThen is how the checkout stood then. It is told and not brought back: what is deployed next wants the branch.
	stoodThen *picture.Stand
}

func newWithdrawal(f flow, target, undo string) *withdrawal {
	return &withdrawal{restoration: &restoration{flow: f, target: target}, undo: undo}
}

// Work implements engine.Driver.
func (w *withdrawal) Work(ctx context.Context, s operation.State) error {
	switch s {
	case operation.Proving:
		return w.prove(ctx)
	case operation.Pausing:
		return w.hold(w.Run, "rollback to "+short(w.target))
	case operation.RollingBack:
		return w.goBack(ctx)
	default: // Pending has no work
		return nil
	}
}

// Entering implements engine.Driver.
func (w *withdrawal) Entering(operation.State) operation.StateChange {
	return operation.StateChange{Summary: w.summary}
}

// Observe implements engine.Driver: it begins again, or goes back whatever is there.
func (w *withdrawal) Observe(context.Context) error { return nil }

// prove checks the target before anything is touched. It asks no remote: a rollback must
// work while the network does not.
func (w *withdrawal) prove(ctx context.Context) error {
	for _, step := range []struct {
		id, title string
		do        engine.Work
	}{
		{"prove/target", "look for " + short(w.target), w.find},
		{"rollback/check", "check " + short(w.target), func(ctx context.Context, out ports.Output) (string, error) {
			return "", w.getReady(ctx, out)
		}},
		{"prove/checkout", "check the checkout for what would be lost", func(ctx context.Context, _ ports.Output) (string, error) {
			return "", w.checkTree(ctx, w.plan)
		}},
		{"prove/runs", "compare with what runs, keep its images", w.compare},
	} {
		if err := w.Step(ctx, step.id, step.title, step.do); err != nil {
			return err
		}
	}
	names, err := w.migrationsSince(w.target, w.undo)
	if err != nil || len(names) == 0 {
		return err
	}
	return w.Warn("MIGRATIONS_STAY", fmt.Sprintf("going back to the code of %s only: the database keeps the migrations applied since: %s", short(w.target), strings.Join(names, ", ")))
}

// find makes sure that the target is an earlier commit.
func (w *withdrawal) find(ctx context.Context, _ ports.Output) (string, error) {
	head, err := w.ports.Commits.Head(ctx)
	if err != nil {
		return "", err
	}
	if err := w.Record(operation.Event{PreDeploy: &operation.PreDeploy{SHA: head}}); err != nil {
		return "", err
	}
	return "from " + short(head), w.earlier(ctx, w.target, head)
}

func (f *Flows) earlier(ctx context.Context, target, head string) error {
	earlier, err := f.ports.Commits.IsAncestor(ctx, target, head)
	if err == nil && !earlier && f.policy.RequireAncestry {
		err = fault.New(fault.Refused, "NOT_EARLIER", "%s does not come before %s, which is checked out", short(target), short(head)).
			WithHint("a rollback goes back; to go forward: landfall-coordinator run --sha %s", short(target))
	}
	return err
}

// getReady reads what the undone operation remembers, then checks the target.
func (w *withdrawal) getReady(ctx context.Context, out ports.Output) error {
	if err := w.awaitEngine(ctx); err != nil {
		return err
	}
	if w.undo != "" {
		facts, err := w.Facts(w.undo)
		if err != nil {
			return err
		}
		w.before = facts.Before
		if facts.Proven != nil {
			w.failedThen, w.stoodThen = facts.Proven.FailedBefore, facts.Proven.Stood
		}
		if w.dataStay, err = w.goodSince(w.undo, w.ID()); err != nil {
			return err
		}
		if facts.Plan != nil && facts.Proven != nil {
			w.touched, w.built = reaches(facts.Plan, facts.Proven), picture.ReachOf(builds(facts.Plan.Steps), facts.Proven.Projects)
		}
	}
	return w.ready(ctx, out)
}

// compare holds the target against what runs, and records what is left.
func (w *withdrawal) compare(ctx context.Context, _ ports.Output) (string, error) {
	var steps []pipeline.Step
	for _, stack := range w.plan.Stacks {
		steps = append(steps, pipeline.Step{Up: &pipeline.Up{Stack: stack.Name}})
	}
	var back func(picture.Picture) ([]picture.Key, error)
	if w.before != nil {
		back = func(now picture.Picture) ([]picture.Key, error) {
			r, err := w.wayBack(ctx, now, w.Snapshot().PreDeploy)
			return picture.KeysOf(r.Deeds(now)), err
		}
	}
	now, findings, err := w.against(ctx, w.models, steps, back)
	if err != nil {
		return "", err
	}
	if err := w.judgePolicy(w.models, now); err != nil {
		return "", err
	}
	if err := findings.Err(); err != nil {
		return "", err
	}
	w.here = &now
	if w.before != nil {
		r := picture.Restore{Before: *w.before, Began: now, Models: w.models, DataStay: w.dataStay}
		findings.Warnings = append(findings.Warnings, r.Told(now)...)
	}
	w.proven = &operation.Proven{Projects: projectsOf(w.models), Services: picture.Keys(w.headModels(ctx)), Leaving: findings.Leaving}
	does := *w.plan
	if w.before != nil { // what is down now is what the rollback is for
		w.proven.Excused = picture.Excused(w.models, *w.before, nil)
	} else {
		difference, err := w.PlanAt(ctx, PlanRequest{Base: w.Snapshot().PreDeploy, Target: w.target})
		if err != nil {
			return "", err
		}
		w.proven.Excused = picture.Excused(w.models, now, reaches(difference, w.proven))
		does.Steps = difference.Steps
	}
	if w.proven.FailedBefore, err = w.failedBefore(ctx, now, &does, w.proven, w.target); err != nil {
		return "", err
	}
	if err := w.tell(findings.Warnings, w.proven.Excused, w.measure()); err != nil {
		return "", err
	}
	summary, err := w.keepImages(ctx, now, w.proven)
	if err != nil {
		return "", err
	}
	return summary, errors.Join(w.tellStand(w.proven.Stood, w.plan, false), w.tellStand(w.stoodThen, w.plan, true))
}

// measure are the probes that it is not judged by: those that failed then. Where nobody remembers it is a deploy of the difference, and judged like one.
func (w *withdrawal) measure() []picture.FailedProbe {
	if w.before == nil {
		return w.aside(w.proven)
	}
	return w.failedThen
}

// goBack does the work; it can be entered again after a restart, so it makes itself ready.
func (w *withdrawal) goBack(ctx context.Context) error {
	if w.plan == nil {
		err := w.persist(ctx, func(ctx context.Context) error {
			return w.Step(ctx, "rollback/check", "check "+short(w.target), func(ctx context.Context, out ports.Output) (string, error) {
				return "", w.getReady(ctx, out)
			})
		})
		if err != nil {
			return w.failed(ctx, nil, operation.Operation{ID: w.ID()}, err)
		}
	}
	op := w.Snapshot()
	w.left = op.PreDeploy
	w.leftServices, w.excused, w.failedThen = w.proven.Services, w.proven.Excused, w.measure()
	var err error
	if w.before != nil {
		err = w.all(ctx, false)
	} else {
		err = w.makeAgain(ctx)
	}
	if err != nil {
		return w.failed(ctx, nil, operation.Operation{ID: w.ID()}, err)
	}
	w.tidyAfter(ctx)
	return w.Step(ctx, operation.StampStep, "write the stamp, block what was left", func(context.Context, ports.Output) (string, error) {
		if err := w.stamp(w.target); err != nil || op.PreDeploy == w.target {
			return "", err
		}
		return fmt.Sprintf("%s is blocked", short(op.PreDeploy)), w.block(op.PreDeploy, op.ID, "rolled back by "+op.Requester)
	})
}

func (w *withdrawal) tidyAfter(ctx context.Context) {
	if err := w.unpin(ctx); err != nil {
		w.log.Warn("images stay that nobody goes back to", "operation", w.ID(), "error", err)
	}
}

// makeAgain goes back to a commit of which nothing remembers what ran: its images are built, and the steps of the difference are done.
func (w *withdrawal) makeAgain(ctx context.Context) error {
	plan, err := w.PlanAt(ctx, PlanRequest{Base: w.left, Target: w.target, Everything: ""})
	if err != nil {
		return err
	}
	if err := w.rest(ctx, "rollback/rest"); err != nil {
		return err
	}
	if err := w.reset(ctx); err != nil {
		return err
	}
	if err := w.judgeCheckout(ctx, plan, projectsOf(w.models), picture.Keys(w.models)); err != nil {
		return err
	}
	if err := w.steps(ctx, plan, pipeline.PhaseBuild, ports.Ground{}); err != nil {
		return err
	}
	if err := w.Step(ctx, "build/complete", "look for images that are missing", func(ctx context.Context, out ports.Output) (string, error) {
		return w.ports.Runtime.Complete(ctx, plan, out)
	}); err != nil {
		return err
	}
	if err := w.removeLeaving(ctx, plan, w.proven.Leaving); err != nil {
		return err
	}
	if err := w.steps(ctx, plan, pipeline.PhaseApply, ports.Ground{Past: w.here, Changed: w.changed(ctx)}); err != nil {
		return err
	}
	touched := len(plan.StepsIn(pipeline.PhaseApply))+len(w.proven.Leaving) > 0
	if err := w.probeAll(ctx, "rollback", w.plan, w.plan.Verify, judgement{excused: w.excused, failed: w.failedThen, soak: touched}); err != nil {
		return err
	}
	w.tellStrays(ctx, w.here)
	w.summary = w.runs(ctx, w.plan, w.here, w.excused) + notJudgedBy(w.failedThen)
	return nil
}

// migrationsSince names what does not go back: the migrations that were applied since the target ran, oldest first.
func (f *Flows) migrationsSince(target, undo string) ([]string, error) {
	recent, err := f.ports.Records.Operations(0, lookBack)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, op := range recent {
		if op.State == operation.Succeeded && op.Kind.Moves() && op.Target == target {
			break
		}
		names = append(slices.Clone(op.Migrations), names...)
		if op.ID == undo {
			break
		}
	}
	return names, nil
}
