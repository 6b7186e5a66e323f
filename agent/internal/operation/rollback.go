package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

const (
	// enginePatience is how long a rollback, or an operation that is taken up, waits for an
	// engine that restarts; engineLook is how often it looks.
	enginePatience = 2 * time.Minute
	engineLook     = time.Second
	// engineTries is how often a part of a rollback is tried that fails for a reason which may
	// pass: an engine that is about to end still answers, and what it was asked last is lost.
	engineTries = 3
)

// pin records what runs before anything is touched, and keeps its images from being pruned.
func (r *run) pin(ctx context.Context, plan *pipeline.Plan) (Snapshot, error) {
	var past Snapshot
	err := r.step(ctx, "prove/pin", "pin the images that run", func(ctx context.Context, _ Output) (summary string, err error) {
		reverter := r.engine.ports.Reverter
		if past, err = reverter.Snapshot(ctx, plan, nil); err != nil {
			return "", err
		}
		if err := reverter.Pin(ctx, r.id, past); err != nil {
			return "", err
		}
		head := r.snapshot().PreDeploy
		return fmt.Sprintf("%d containers, %d images", len(past.Containers), len(past.Images())),
			r.record(Event{PreDeploy: &PreDeploy{SHA: head, Containers: &past}})
	})
	return past, err
}

// hold pauses convergence for this operation. A pause that a person made and that lasts is left alone.
func (r *run) hold(reason string) error {
	sentinels := r.engine.ports.Sentinels
	now := time.Now()
	old, err := sentinels.Pause()
	if err != nil {
		return err
	}
	if old != nil && old.Operation == "" && old.Expires.After(now) {
		return nil
	}
	pause := &Pause{
		Reason: reason, Owner: r.snapshot().Requester, Operation: r.id, Created: now, Expires: now.Add(r.engine.policy.PauseTTL),
	}
	switch {
	case old == nil:
	case old.Operation == r.id: // set before a crash
		pause.Before = old.Before
	case old.Expires.After(now): // of an operation that failed
		before := *old
		before.Before = nil
		pause.Before = &before
	}
	return sentinels.SetPause(pause)
}

// retreat is the way back to a commit and to what ran with it.
type retreat struct {
	*run
	target  string          // commit to go back to
	left    string          // commit to go back from
	here    Snapshot        // what runs there; Projects is nil when nobody looked
	past    Snapshot        // what ran then; Projects is nil when nobody knows
	touched []pipeline.Step // steps that may have touched services since
	// fallback has the landfall.yaml to use where the target's own is missing or wrong; "" for none.
	fallback string
	plan     *pipeline.Plan // of the target; nil until checked
}

// check makes sure of the target before anything is stopped.
func (b *retreat) check(ctx context.Context) error {
	return b.step(ctx, "rollback/check", "check "+short(b.target), func(ctx context.Context, out Output) (string, error) {
		if err := b.engine.awaitEngine(ctx); err != nil {
			return "", err
		}
		if err := b.compile(ctx); err != nil {
			return "", err
		}
		tree, err := b.engine.ports.Trees.SideTree(ctx, b.target)
		if err != nil {
			return "", err
		}
		return "", b.engine.ports.Runtime.Prove(ctx, b.plan, tree, out)
	})
}

// compile makes the plan of the target: stacks, environment, probes.
func (b *retreat) compile(ctx context.Context) error {
	const why = "a rollback looks at everything"
	plan, err := b.engine.PlanAt(ctx, "", b.target, why)
	if err != nil && fault.KindOf(err) == fault.Invalid && b.fallback != "" {
		config, readErr := b.engine.ports.Trees.Pipeline(ctx, b.fallback)
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		plan, err = pipeline.Compile(config, pipeline.Input{Target: b.target, Everything: why})
	}
	if err != nil {
		return err
	}
	b.plan = withoutConditions(plan)
	b.plan.Verify.Probes = slices.DeleteFunc(b.plan.Verify.Probes, func(p pipeline.Probe) bool {
		return !slices.Contains(b.plan.Rollback.Probes, p.Name)
	})
	if b.past.Projects != nil {
		b.plan.Steps = nil // what is remembered is brought back; a step that is wrong today must not be in the way
	}
	return nil
}

// back moves checkout, images and containers, and has the probes judge the result.
func (b *retreat) back(ctx context.Context) error {
	if err := b.step(ctx, "rollback/reset", "git reset --hard "+short(b.target), func(ctx context.Context, out Output) (string, error) {
		return "", b.engine.ports.Checkout.Reset(ctx, b.target, out)
	}); err != nil {
		return err
	}
	if err := b.revert(ctx); err != nil {
		return err
	}
	if b.past.Projects != nil && len(b.past.Containers) == 0 {
		return nil // nothing ran, so nothing is there to judge
	}
	return b.probeAll(ctx, "rollback", b.plan, pipeline.Verify{Deadline: b.plan.Verify.Deadline, Probes: b.plan.Verify.Probes})
}

// revert brings services back: by what is remembered of them, else by building them again.
func (b *retreat) revert(ctx context.Context) error {
	changed := b.changed(ctx)
	if b.past.Projects == nil {
		for _, phase := range []pipeline.Phase{pipeline.PhaseBuild, pipeline.PhaseApply} {
			if err := b.steps(ctx, b.plan, phase, Ground{Past: b.here, Changed: changed}); err != nil {
				return err
			}
		}
		return nil
	}
	const id = "rollback/revert"
	if b.doneSteps()[id] {
		return nil
	}
	return b.persist(ctx, func(ctx context.Context) error {
		now, err := b.before(ctx, id, b.plan, nil)
		if err != nil {
			return err
		}
		return b.stepFrom(ctx, StepStarted{ID: id, Title: "bring back what ran", Before: &now}, func(ctx context.Context, out Output) (string, error) {
			return b.engine.ports.Reverter.Revert(ctx, Reversal{Plan: b.plan, Past: b.past, Now: now, Steps: b.touched, Changed: changed}, out)
		})
	})
}

// changed lists the paths that a rollback changes. One that cannot be told is no reason not to go back.
func (b *retreat) changed(ctx context.Context) Paths {
	changed, err := b.engine.differing(ctx, b.target, b.left)
	if err != nil {
		b.engine.log.Warn("the rollback takes every file for changed", "operation", b.id, "error", err)
		return Paths{AnyPath}
	}
	return changed
}

// persist tries a part of a rollback again when it fails for a reason that may pass, once the
// engine answers. What it does may be repeated.
func (b *retreat) persist(ctx context.Context, do func(context.Context) error) error {
	began := time.Now()
	for try := 1; ; try++ {
		err := do(ctx)
		if err == nil || try == engineTries || !mayPass(err) || time.Since(began) >= enginePatience {
			return err
		}
		select {
		case <-time.After(engineLook):
		case <-ctx.Done():
			return err
		}
		if b.engine.awaitEngine(ctx) != nil {
			return err
		}
	}
}

// mayPass tells failures that are worth another try: not those of the configuration, and not one
// that took all the time there was.
func mayPass(err error) bool {
	switch fault.KindOf(err) {
	case fault.Failed, fault.Degraded, fault.Unreachable:
		return true
	default:
		return false
	}
}

// undo rolls a deploy back to what ran before it.
func (d *deployment) undo(ctx context.Context) error {
	op := d.snapshot()
	if names := migrationsOf(op); names != "" {
		if err := d.warn("MIGRATIONS_STAY", "rolling back the code only: the database keeps the migrations of this deploy: "+names); err != nil {
			return err
		}
	}
	held := d.hold("rolling back " + short(op.Target)) // whatever comes of it, the old version has to run again
	b := &retreat{run: d.run, target: op.PreDeploy, left: op.Target, past: d.past, touched: started(op, d.plan), fallback: op.Target}
	err := b.persist(ctx, b.check)
	if err == nil {
		err = b.back(ctx)
	}
	if err == nil {
		err = held
	}
	if err == nil && (op.Failure == nil || op.Failure.Reason != reasonCancelled) { // which is no worse than it was
		err = d.block(op)
	}
	if err != nil {
		return d.unreverted(ctx, b, op, err)
	}
	return nil
}

// migrationsOf names the migrations of an operation, "" when there were none. One that was being
// applied when the agent ended may not have been told.
func migrationsOf(op Operation) string {
	names := strings.Join(op.Migrations, ", ")
	cutOff := slices.ContainsFunc(op.Steps, func(s StepRecord) bool { return s.State == Migrating && s.Outcome == StepInterrupted })
	switch {
	case cutOff && names == "":
		return "perhaps some, a migration step was cut off"
	case cutOff:
		return names + ", and perhaps more, because a migration step was cut off"
	}
	return names
}

// started are the steps of a plan that an operation began.
func started(op Operation, plan *pipeline.Plan) []pipeline.Step {
	var steps []pipeline.Step
	for _, s := range plan.Steps {
		if slices.ContainsFunc(op.Steps, func(r StepRecord) bool { return r.ID == s.ID }) {
			steps = append(steps, s)
		}
	}
	return steps
}

// block keeps convergence from bringing a bad commit back.
func (r *run) block(op Operation) error {
	reason := "rolled back"
	if op.Failure != nil {
		reason = op.Failure.Message
	}
	return r.engine.ports.Sentinels.SetBlocked(&Blocked{SHA: op.Target, Operation: op.ID, Reason: reason, Created: time.Now()})
}

// unreverted is the error of a rollback that failed: why, why it began, what runs and what does not.
func (d *deployment) unreverted(ctx context.Context, b *retreat, op Operation, err error) error {
	if shuttingDown(ctx) {
		return errShutdown
	}
	f := *failureOf(err)
	f.Kind = fault.Degraded
	began := ""
	if op.Failure != nil {
		began = "; it began because " + op.Failure.Message
	}
	plan := b.plan
	if plan == nil {
		plan = d.plan // the checkout has not moved
	}
	f.Message = fmt.Sprintf("the rollback failed: %s%s; %s", f.Message, began, d.engine.whatRuns(ctx, plan))
	f.Hint = fmt.Sprintf("a person is needed: landfall-coordinator show %s, landfall-coordinator status", op.ID)
	return &stepError{failure: &f, cause: err}
}

// whatRuns tells in one line which services are as they should be and which are not.
func (e *Engine) whatRuns(ctx context.Context, plan *pipeline.Plan) string {
	if plan == nil {
		return "what runs is not known"
	}
	services, err := e.ports.Inspector.Services(ctx, plan, nil)
	if err != nil {
		return "what runs is not known: " + err.Error()
	}
	var good, bad []string
	for _, s := range services {
		if outcome, message, _ := s.Verdict(); outcome == ProbePassed {
			good = append(good, s.Stack+"/"+s.Name)
		} else {
			bad = append(bad, s.Stack+"/"+message)
		}
	}
	return fmt.Sprintf("running: %s; not running: %s", listOr(good, "nothing"), listOr(bad, "nothing"))
}

func listOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, ", ")
}

// awaitEngine waits for an engine that restarts.
func (e *Engine) awaitEngine(ctx context.Context) error {
	deadline := time.NewTimer(enginePatience)
	defer deadline.Stop()
	for {
		err := e.ports.Runtime.Ready(ctx)
		if fault.ReasonOf(err) != "ENGINE_DOWN" {
			return err
		}
		select {
		case <-time.After(engineLook):
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
