package flow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ataraxis.dev/landfall/agent/internal/engine"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// DeployRequest asks for a commit to be deployed.
type DeployRequest struct {
	CommandID  string
	Requester  string
	Target     string
	Base       string // "" when there is none
	Moved      string // where somebody moved the checkout, "" when it stands at the base
	Everything string // why every flag is set, "" when the changes decide
	PlanDigest string
	AllowOlder bool
	AskNewer   bool   // wait for [engine.Engine.Proceed] when everything is proven
	Judge      bool   // judge as soon as everything is applied: nobody comes to verify
	Signature  string // of what the agent asks for by itself; "" for others
}

// Deploy records a deploy and starts it. A command that is known already returns its
// operation with repeated set. While another operation runs it is Refused/HOST_LOCKED.
func (f *Flows) Deploy(req DeployRequest) (op operation.Operation, repeated bool, err error) {
	first := operation.Event{Accepted: &operation.Accepted{
		Kind: operation.KindDeploy, CommandID: req.CommandID, Requester: req.Requester, Target: req.Target, Base: req.Base, Moved: req.Moved,
		Everything: req.Everything, PlanDigest: req.PlanDigest, AllowOlder: req.AllowOlder, AskNewer: req.AskNewer, Judge: req.Judge, Signature: req.Signature,
	}}
	return f.Begin(first, func(r *engine.Run) engine.Driver {
		return &deployment{flow: flow{r, f}, req: *first.Accepted}
	})
}

// deploys is the kind of operation that brings the host to a commit.
type deploys struct{ *Flows }

// Resume implements engine.Kind.
func (k deploys) Resume(ctx context.Context, r *engine.Run, facts engine.Facts) (engine.Driver, error) {
	if r.State().Touched() && (facts.Plan == nil || facts.Before == nil || facts.Proven == nil) {
		// The record of an older agent, or one that somebody mended.
		plan, err := k.PlanNow(ctx)
		if err != nil {
			k.log.Warn("what runs is not known", "operation", r.ID(), "error", err)
		}
		return nil, fmt.Errorf("its record does not tell what ran before, so that it can neither go on nor go back; %s", k.whatRuns(ctx, plan))
	}
	return &deployment{flow: flow{r, k.Flows}, req: facts.Request, plan: facts.Plan, before: facts.Before, proven: facts.Proven}, nil
}

// Settle implements engine.Kind.
func (k deploys) Settle(r *engine.Run, end operation.State) { k.settle(r.ID(), end) }

// Ended implements engine.Kind.
func (k deploys) Ended(ctx context.Context, op operation.Operation) { k.pack(ctx, op) }

// deployment is a deploy on its way: what was asked, what was proven.
type deployment struct {
	flow
	summarised
	req    operation.Accepted
	plan   *pipeline.Plan    // nil until proven
	before *picture.Picture  // what ran before; nil until proven
	proven *operation.Proven // nil until proven
	models []picture.Model   // of the target; nil until proven, and after a restart
}

// Work implements engine.Driver.
func (d *deployment) Work(ctx context.Context, s operation.State) error {
	switch s {
	case operation.Proving:
		return d.prove(ctx)
	case operation.Pausing:
		return d.hold(d.Run, "deploy of "+short(d.plan.Target))
	case operation.Cleaning:
		return d.Step(ctx, "clean", "restore files that change at run time", func(ctx context.Context, out ports.Output) (string, error) {
			return d.ports.Checkout.Restore(ctx, d.plan.Prepare, out)
		})
	case operation.Resetting:
		return d.reset(ctx)
	case operation.Building:
		return d.build(ctx)
	case operation.Migrating:
		return d.steps(ctx, d.plan, pipeline.PhaseMigrate, ports.Ground{})
	case operation.Applying:
		return d.apply(ctx)
	case operation.AwaitingVerify:
		return d.awaitVerify(ctx)
	case operation.Verifying:
		return d.judge(ctx)
	case operation.RollingBack:
		return d.undo(ctx)
	default: // Pending has no work
		return nil
	}
}

// Entering implements engine.Driver.
func (d *deployment) Entering(s operation.State) operation.StateChange {
	change := operation.StateChange{Summary: d.summary}
	if s == operation.Applying {
		change.VerifyBy = d.Now().Add(d.policy.VerifyWithin)
	}
	return change
}

// Observe implements engine.Driver.
func (d *deployment) Observe(ctx context.Context) error {
	op := d.Snapshot()
	if op.VerdictStands() || !op.State.Touched() || op.State == operation.RollingBack {
		return nil // nothing to compare: it stands, begins again, or goes back whatever is there
	}
	if err := d.awaitEngine(ctx); err != nil {
		return err
	}
	head, err := d.ports.Commits.Head(ctx)
	if err != nil {
		return err
	}
	if op.State == operation.Cleaning || op.State == operation.Resetting {
		if head != op.PreDeploy && head != op.Target {
			return fault.New(fault.Failed, "HEAD_MOVED", "the checkout is at %s, neither where the deploy began nor at its target", short(head))
		}
		return nil
	}
	if head != op.Target {
		return fault.New(fault.Failed, "HEAD_MOVED", "the checkout is at %s, the record says %s", short(head), short(op.Target))
	}
	return d.rest(ctx, "rest") // what the dead agent's children had asked the engine for
}

// reset moves the checkout to the target. What somebody changed since the proof stands against it; what an earlier attempt
// left half way does not.
func (d *deployment) reset(ctx context.Context) error {
	cutOff := slices.ContainsFunc(d.Snapshot().Steps, func(s operation.StepRecord) bool { return s.ID == "reset" })
	known, err := d.deployedHere()
	if err != nil {
		return err
	}
	move := picture.Move{Target: d.plan.Target, Operation: d.ID(), Prepare: d.plan.Prepare, Known: known, GoOn: cutOff}
	return d.Step(ctx, "reset", "move the checkout to "+short(d.plan.Target), func(ctx context.Context, out ports.Output) (string, error) {
		return d.move(ctx, move, out)
	})
}

// build makes every image that the deploy needs, before any container is touched.
func (d *deployment) build(ctx context.Context) error {
	if err := d.judgeCheckout(ctx, d.plan, d.proven.Projects, d.proven.Services); err != nil {
		return err
	}
	if err := d.steps(ctx, d.plan, pipeline.PhaseBuild, ports.Ground{}); err != nil {
		return err
	}
	return d.Step(ctx, "build/complete", "look for images that are missing", func(ctx context.Context, out ports.Output) (string, error) {
		return d.ports.Runtime.Complete(ctx, d.plan, out)
	})
}

// apply changes the containers: what leaves goes first, because it may hold names and ports that others take over.
func (d *deployment) apply(ctx context.Context) error {
	ground, err := d.ground(ctx)
	if err != nil {
		return err
	}
	if err := d.removeLeaving(ctx, d.plan, d.proven.Leaving); err != nil {
		return err
	}
	return d.steps(ctx, d.plan, pipeline.PhaseApply, ground)
}

// ground is how the deploy moved the checkout: from where it stood, from what the stamp says, and from
// what degraded operations since may have left running.
func (d *deployment) ground(ctx context.Context) (ports.Ground, error) {
	op := d.Snapshot()
	recent, err := d.ports.Records.Operations(0, unsettledLook)
	if err != nil {
		return ports.Ground{}, err
	}
	changed, err := d.differing(ctx, op.Target, append(leftBehind(recent), op.PreDeploy, op.Base)...)
	return ports.Ground{Past: d.before, Changed: changed}, err
}

// touches reports whether the deploy has a step that may change containers.
func (d *deployment) touches() bool {
	return len(d.plan.StepsIn(pipeline.PhaseApply)) > 0 || len(d.proven.Leaving) > 0 || slices.ContainsFunc(d.plan.StepsIn(pipeline.PhaseMigrate), func(s pipeline.Step) bool { return s.Up != nil })
}

// awaitVerify waits for the Verify command. A coordinator that never comes back does not
// leave an unjudged host: after the time the agent judges by itself.
func (d *deployment) awaitVerify(ctx context.Context) error {
	if d.req.Judge {
		return nil
	}
	// The wall clock may have been set while the agent was away: a host that starts with a clock
	// from the past must not wait for hours.
	timer := time.NewTimer(min(d.Snapshot().VerifyBy.Sub(d.Now()), d.policy.VerifyWithin))
	defer timer.Stop()
	select {
	case <-d.VerifyAsked():
		return nil
	case <-timer.C:
		return d.Record(operation.Event{Alone: &operation.Alone{Waited: d.policy.VerifyWithin}})
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// judge runs the probes and writes the stamp.
func (d *deployment) judge(ctx context.Context) error {
	if op := d.Snapshot(); !op.VerdictStands() {
		if err := d.probeAll(ctx, "verify", d.plan, d.plan.Verify, judgement{excused: d.proven.Excused, failed: d.aside(d.proven), soak: d.touches()}); err != nil {
			return err
		}
	}
	d.tellStrays(ctx, d.before)
	if err := d.Step(ctx, operation.StampStep, "write the stamp", func(context.Context, ports.Output) (string, error) {
		return short(d.plan.Target), d.stamp(d.plan.Target)
	}); err != nil {
		return err
	}
	d.summary = d.runs(ctx, d.plan, d.before, d.proven.Excused) + notJudgedBy(d.aside(d.proven))
	d.tidy(ctx, d.plan.Target)
	return nil
}

// undo takes a deploy back to what ran before it. Where it has touched neither a container nor the database, nothing is blocked.
func (d *deployment) undo(ctx context.Context) error {
	op := d.Snapshot()
	b := &restoration{
		flow: d.flow, target: op.PreDeploy, left: op.Target, fallback: op.Target,
		before: d.before, excused: d.proven.Excused, failedThen: d.proven.FailedBefore, stood: d.proven.Stood,
		leftServices: slices.Concat(d.proven.Services, d.proven.Leaving), touched: reachOf(op, d.plan, d.proven), built: picture.ReachOf(builds(started(op, d.plan)), d.proven.Projects),
	}
	held := d.hold(d.Run, "rolling back "+short(op.Target)) // whatever comes of it, the old version has to run again
	reached := op.Reached()
	var err error
	if reached {
		err = d.tellMigrations(op)
		if err == nil {
			err = b.all(ctx, d.touches())
		}
	} else {
		err = b.takeBack(ctx)
	}
	if err == nil {
		err = held
	}
	if err == nil && reached && op.CancelledBy == "" { // a commit that was cancelled is no worse than it was
		err = d.block(op.Target, op.ID, reasonOf(op))
	}
	d.summary = b.summary
	switch {
	case err != nil:
		return b.failed(ctx, d.plan, op, err)
	case !reached:
		return engine.ErrTakenBack
	}
	return nil
}

// reachOf is what the steps that a deploy began may have touched.
func reachOf(op operation.Operation, plan *pipeline.Plan, proven *operation.Proven) []picture.Reach {
	reaches := picture.ReachOf(changing(started(op, plan)), proven.Projects)
	for _, k := range proven.Leaving {
		reaches = append(reaches, picture.Reach{Project: k.Project, Patterns: []string{k.Service}})
	}
	return reaches
}

// changing are the steps that may change containers, and builds those that give names of images to others.
func changing(steps []pipeline.Step) []pipeline.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s pipeline.Step) bool { return s.Up == nil && s.Recreate == nil && s.Restart == nil })
}

func builds(steps []pipeline.Step) []pipeline.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s pipeline.Step) bool { return s.Build == nil })
}

// started are the steps of a plan that an operation began.
func started(op operation.Operation, plan *pipeline.Plan) []pipeline.Step {
	var steps []pipeline.Step
	for _, s := range plan.Steps {
		if slices.ContainsFunc(op.Steps, func(r operation.StepRecord) bool { return r.ID == s.ID }) {
			steps = append(steps, s)
		}
	}
	return steps
}

func reasonOf(op operation.Operation) string {
	if op.Failure != nil {
		return op.Failure.Message
	}
	return "rolled back"
}
