package operation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// errSuperseded ends a deploy whose target is older than what runs. It is a result.
type errSuperseded struct{ by string }

func (e *errSuperseded) Error() string { return "superseded by " + e.by }

// deployment is a deploy on its way: the run, what was asked, what was proven.
type deployment struct {
	*run
	req  DeployRequest
	plan *pipeline.Plan // nil until proven
	past Snapshot       // what ran before; empty until proven
}

// work implements driver.
func (d *deployment) work(ctx context.Context, s State) error {
	switch s {
	case Proving:
		return d.prove(ctx)
	case Pausing:
		return d.pause(ctx)
	case Cleaning:
		return d.step(ctx, "clean", "restore files that change at run time", func(ctx context.Context, out Output) (string, error) {
			return d.engine.ports.Checkout.Restore(ctx, d.plan.Prepare, out)
		})
	case Resetting:
		return d.step(ctx, "reset", "git reset --hard "+short(d.plan.Target), func(ctx context.Context, out Output) (string, error) {
			return "", d.engine.ports.Checkout.Reset(ctx, d.plan.Target, out)
		})
	case Building:
		return d.build(ctx)
	case Migrating:
		return d.steps(ctx, d.plan, pipeline.PhaseMigrate, Ground{})
	case Applying:
		return d.apply(ctx)
	case AwaitingVerify:
		return d.awaitVerify(ctx)
	case Verifying:
		return d.judge(ctx)
	case RollingBack:
		return d.undo(ctx)
	default: // Pending has no work
		return nil
	}
}

// entering implements driver.
func (d *deployment) entering() StateChange {
	if d.state() == Applying {
		return StateChange{VerifyBy: d.now().Add(d.engine.policy.VerifyWithin)}
	}
	return StateChange{}
}

// build makes every image that the deploy needs, before any container is touched.
func (d *deployment) build(ctx context.Context) error {
	if err := d.steps(ctx, d.plan, pipeline.PhaseBuild, Ground{}); err != nil {
		return err
	}
	return d.step(ctx, "build/complete", "look for images that are missing", func(ctx context.Context, out Output) (string, error) {
		return d.engine.ports.Runtime.Complete(ctx, d.plan, out)
	})
}

// apply changes the containers.
func (d *deployment) apply(ctx context.Context) error {
	ground, err := d.ground(ctx)
	if err != nil {
		return err
	}
	return d.steps(ctx, d.plan, pipeline.PhaseApply, ground)
}

// prove checks everything that can be checked before anything running is touched.
func (d *deployment) prove(ctx context.Context) error {
	if err := d.step(ctx, "prove/fetch", "fetch "+short(d.req.Target), d.fetch); err != nil {
		return err
	}
	if err := d.step(ctx, "prove/plan", "compile the plan", d.compile); err != nil {
		return err
	}
	if err := d.step(ctx, "prove/checkout", "check the checkout for edits", func(ctx context.Context, _ Output) (string, error) {
		return "", d.engine.ports.Checkout.Check(ctx, d.plan.Prepare)
	}); err != nil {
		return err
	}
	if err := d.step(ctx, "prove/compose", "check the compose files of the target", func(ctx context.Context, out Output) (string, error) {
		tree, err := d.engine.ports.Trees.SideTree(ctx, d.plan.Target)
		if err != nil {
			return "", err
		}
		return "", d.engine.ports.Runtime.Prove(ctx, d.plan, tree, out)
	}); err != nil {
		return err
	}
	if err := d.step(ctx, "prove/host", "check disk and memory", func(ctx context.Context, _ Output) (string, error) {
		return "", d.engine.ports.Gauge.Check(ctx)
	}); err != nil {
		return err
	}
	past, err := d.pin(ctx, d.plan)
	d.past = past
	if err != nil || !d.req.AskNewer {
		return err
	}
	return d.step(ctx, askStep, "ask whether a newer deploy is under way", d.askNewer)
}

// fetch brings the target here and checks that it may be deployed.
func (d *deployment) fetch(ctx context.Context, out Output) (string, error) {
	ports := d.engine.ports
	head, err := ports.Commits.Head(ctx)
	if err != nil {
		return "", err
	}
	if err := d.record(Event{PreDeploy: &PreDeploy{SHA: head}}); err != nil {
		return "", err
	}
	branchHead, err := ports.Commits.Fetch(ctx, d.req.Target, out)
	if err != nil {
		return "", err
	}
	if err := d.checkBranch(ctx, branchHead); err != nil {
		return "", err
	}
	blocked, err := ports.Sentinels.Blocked()
	if err != nil {
		return "", err
	}
	if blocked != nil && blocked.SHA == d.req.Target {
		return "", fault.New(fault.Refused, "SHA_BLOCKED", "%s is blocked since %s: %s", short(d.req.Target), blocked.Created.UTC().Format(time.RFC3339), blocked.Reason).
			WithHint("push a fix, or lift the block with: landfall-coordinator unblock")
	}
	return fmt.Sprintf("branch is at %s, checkout at %s", short(branchHead), short(head)), d.checkBase(ctx)
}

func (d *deployment) checkBranch(ctx context.Context, branchHead string) error {
	if !d.engine.policy.RequireAncestry {
		return nil
	}
	on, err := d.engine.ports.Commits.IsAncestor(ctx, d.req.Target, branchHead)
	if err != nil {
		return err
	}
	if !on {
		return fault.New(fault.Refused, "NOT_ON_BRANCH", "%s is not on the branch, whose head is %s", short(d.req.Target), short(branchHead)).
			WithHint("push it to the branch first; only what is on the branch is deployed")
	}
	return nil
}

// checkBase holds the caller to the commit that runs: a change set measured from
// another one could leave out a service.
func (d *deployment) checkBase(ctx context.Context) error {
	stamp, _, err := d.engine.ports.Stamp.Stamp()
	if err != nil {
		return err
	}
	if stamp != "" && stamp != d.req.Target && !d.req.AllowOlder {
		older, err := d.engine.ports.Commits.IsAncestor(ctx, d.req.Target, stamp)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err // a stamp that the repository lost, after a force-push say, is no successor of anything
		}
		if older {
			return &errSuperseded{by: stamp}
		}
	}
	if d.req.Everything != "" {
		return nil
	}
	unsettled, err := d.engine.Unsettled(ctx)
	if err != nil {
		return err
	}
	if unsettled != "" {
		return fault.New(fault.Refused, "UNSETTLED", "a change set is not enough: %s", unsettled).
			WithHint("run the command again: the coordinator then does everything")
	}
	if d.req.Base == stamp {
		return nil
	}
	runs := short(stamp) + " runs here"
	if stamp == "" {
		runs = "nothing was deployed here yet"
	}
	return fault.New(fault.Refused, "BASE_NOT_STAMP", "%s, but the change set is measured from %q", runs, short(d.req.Base)).
		WithHint("another deploy came between, or --base was given; run the command again without it")
}

// compile makes the plan from the target's own landfall.yaml and holds the caller to it:
// the wire carries no commands, so a stolen key can deploy only what the branch declares.
func (d *deployment) compile(ctx context.Context, _ Output) (string, error) {
	plan, err := d.engine.PlanAt(ctx, d.req.Base, d.req.Target, d.req.Everything)
	if err != nil {
		return "", err
	}
	if err := d.record(Event{Plan: plan}); err != nil {
		return "", err
	}
	if digest := plan.Digest(); digest != d.req.PlanDigest {
		return "", fault.New(fault.Refused, "PLAN_DIGEST_MISMATCH", "the agent compiled plan %s, the caller sent %s", digest, d.req.PlanDigest).
			WithHint("compare: landfall-coordinator show %s, landfall-coordinator plan --sha %s; both sides need the same version", d.id, short(d.req.Target))
	}
	d.plan = plan
	return fmt.Sprintf("%d steps, %s", len(plan.Steps), plan.Digest()), nil
}

// pause keeps convergence away before the first change.
func (d *deployment) pause(context.Context) error { return d.hold("deploy of " + short(d.plan.Target)) }

// reasonAlone is the warning of a deploy that the agent judges by itself.
const reasonAlone = "VERIFY_BY_AGENT"

// awaitVerify waits for the Verify command. A coordinator that never comes back does not
// leave an unjudged host: after the time the agent judges by itself.
func (d *deployment) awaitVerify(ctx context.Context) error {
	// The wall clock may have been set while the agent was away: a host that starts with a clock
	// from the past must not wait for hours.
	timer := time.NewTimer(min(d.snapshot().VerifyBy.Sub(d.now()), d.engine.policy.VerifyWithin))
	defer timer.Stop()
	select {
	case <-d.verify:
		return nil
	case <-timer.C:
		return d.warn(reasonAlone, fmt.Sprintf("no verify command came within %s; the agent verifies by itself", d.engine.policy.VerifyWithin))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stampStep is begun when the verdict is good, and by nothing else.
const stampStep = "stamp"

// verdictStands reports whether a deploy was found good before the agent ended. It is not judged
// again: the stamp may be written already, and must not name what a rollback took away.
func verdictStands(op Operation) bool {
	return op.State == Verifying && slices.ContainsFunc(op.Steps, func(s StepRecord) bool { return s.ID == stampStep })
}

// stamp writes the stamp. One that can be read back is written, whatever the write said: to roll
// back under it would leave it naming what does not run.
func (r *run) stamp(sha string) error {
	err := r.engine.ports.Stamp.SetStamp(sha)
	if err == nil {
		return nil
	}
	if now, _, readErr := r.engine.ports.Stamp.Stamp(); readErr == nil && now == sha {
		r.engine.log.Warn("the stamp is written, but may not survive a power cut", "operation", r.id, "error", err)
		return nil
	}
	return err
}

// judge runs the probes and writes the stamp.
func (d *deployment) judge(ctx context.Context) error {
	if !verdictStands(d.snapshot()) {
		if err := d.probeAll(ctx, "verify", d.plan, d.plan.Verify); err != nil {
			return err
		}
	}
	if err := d.step(ctx, stampStep, "write the stamp", func(context.Context, Output) (string, error) {
		return short(d.plan.Target), d.stamp(d.plan.Target)
	}); err != nil {
		return err
	}
	d.tidy(ctx)
	return nil
}

const (
	// keepPins is how many successful operations keep the images to go back to; those that
	// failed in between keep theirs, too.
	keepPins = 3
	// lookBack bounds the search for them.
	lookBack = 50
)

// remembered lists the operations whose images are kept, newest first.
func (e *Engine) remembered() ([]Operation, error) {
	recent, err := e.ports.Records.Operations(0, lookBack)
	if err != nil {
		return nil, err
	}
	successful := 0
	for i, op := range recent {
		if op.State == Succeeded {
			successful++
		}
		if successful == keepPins {
			return recent[:i+1], nil
		}
	}
	return recent, nil
}

// tidy drops what a successful deploy leaves behind it: a block that the branch has moved
// past, and pins of images nobody goes back to. It fails without consequence.
func (d *deployment) tidy(ctx context.Context) {
	ports := d.engine.ports
	if d.snapshot().Alone {
		d.release(false)
	}
	blocked, err := ports.Sentinels.Blocked()
	if err == nil && blocked != nil {
		var past bool
		if past, err = ports.Commits.IsAncestor(ctx, blocked.SHA, d.plan.Target); err == nil && past {
			err = ports.Sentinels.SetBlocked(nil)
		}
	}
	if err != nil {
		d.engine.log.Warn("the block stays", "operation", d.id, "error", err)
	}
	recent, err := d.engine.remembered()
	if err == nil {
		var keep []string
		for _, op := range recent {
			keep = append(keep, op.ID)
		}
		err = ports.Reverter.Unpin(ctx, keep)
	}
	if err != nil {
		d.engine.log.Warn("old pins stay", "operation", d.id, "error", err)
	}
}
