package flow

import (
	"context"
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

// upkeeps are the kinds of operations that leave the commit as it is: what runs of it is repaired, updated or restarted, or its migrations are
// applied alone. They go one way: proven, done by steps of a plan of their own, judged like a deploy, and taken back where they come to no good.
type upkeeps struct{ *Flows }

// beginUpkeep records an upkeep of the commit that is checked out, and starts it.
func (f *Flows) beginUpkeep(ctx context.Context, first operation.Accepted) (op operation.Operation, repeated bool, err error) {
	known, repeats, err := f.ports.Journal.Known(first.CommandID)
	if err != nil {
		return operation.Operation{}, false, err
	}
	if first.Target = known.Target; !repeats { // else the checkout may have moved since
		if first.Target, err = f.ports.Commits.Head(ctx); err != nil {
			return operation.Operation{}, false, err
		}
	}
	return f.Begin(operation.Event{Accepted: &first}, func(r *engine.Run) engine.Driver { return &upkeep{flow: flow{r, f}, req: first} })
}

// Resume implements engine.Kind.
func (k upkeeps) Resume(_ context.Context, r *engine.Run, facts engine.Facts) (engine.Driver, error) {
	if r.State().Touched() && (facts.Plan == nil || facts.Before == nil || facts.Proven == nil) {
		return nil, fmt.Errorf("its record does not tell what ran before, so that it can neither go on nor go back")
	}
	return &upkeep{flow: flow{r, k.Flows}, req: facts.Request, plan: facts.Plan, before: facts.Before, proven: facts.Proven}, nil
}

// Settle implements engine.Kind: the pause of one that went back well is over.
func (k upkeeps) Settle(r *engine.Run, end operation.State) {
	if end == operation.RolledBack {
		k.release(r.ID(), true)
	}
	k.settle(r.ID(), end)
}

// Ended implements engine.Kind.
func (k upkeeps) Ended(context.Context, operation.Operation) {}

// upkeep is one on its way.
type upkeep struct {
	flow
	summarised
	req    operation.Accepted
	plan   *pipeline.Plan    // nil until proven
	before *picture.Picture  // what ran before; nil until proven
	proven *operation.Proven // nil until proven
	models []picture.Model   // of the checkout; nil until proven, and after a restart
}

// Work implements engine.Driver.
func (u *upkeep) Work(ctx context.Context, s operation.State) error {
	switch s {
	case operation.Proving:
		return u.prove(ctx)
	case operation.Building:
		return u.fetchImages(ctx)
	case operation.Migrating:
		return u.migrateWithin(ctx)
	case operation.Applying:
		return u.steps(ctx, u.plan, pipeline.PhaseApply, ports.Ground{})
	case operation.Verifying:
		return u.judge(ctx)
	case operation.RollingBack:
		return u.undo(ctx)
	default: // Pending has no work
		return nil
	}
}

// Entering implements engine.Driver.
func (u *upkeep) Entering(operation.State) operation.StateChange {
	return operation.StateChange{Summary: u.summary}
}

// Observe implements engine.Driver.
func (u *upkeep) Observe(ctx context.Context) error {
	op := u.Snapshot()
	if !op.State.Touched() || op.State == operation.RollingBack {
		return nil
	}
	if err := u.awaitEngine(ctx); err != nil {
		return err
	}
	if err := u.atTarget(ctx); err != nil {
		return err
	}
	return u.rest(ctx, "rest") // what the dead agent's children had asked the engine for
}

// atTarget makes sure that nobody moved the checkout since the operation was asked for.
func (u *upkeep) atTarget(ctx context.Context) error {
	head, err := u.ports.Commits.Head(ctx)
	if err == nil && head != u.req.Target {
		err = fault.New(fault.Refused, "HEAD_MOVED", "the checkout is at %s, and was at %s when this was asked for", short(head), short(u.req.Target))
	}
	return err
}

// prove checks everything that can be checked before anything is touched.
func (u *upkeep) prove(ctx context.Context) error {
	for _, step := range []struct {
		id, title string
		only      []operation.Kind // none stands for all
		do        engine.Work
	}{
		{"prove/checkout", "look at the checkout", nil, u.lookAtCheckout},
		{"prove/clean", "check the checkout for edits", replacing, u.checkClean},
		{"prove/compose", "read the compose files, compile the plan", nil, u.compile},
		{"prove/host", "check disk and memory", append(slices.Clone(replacing), operation.KindMigrate), func(ctx context.Context, _ ports.Output) (string, error) {
			return "", u.ports.Gauge.Check(ctx)
		}},
		{"prove/runs", "look at what runs, keep its images", nil, u.compare},
	} {
		if len(step.only) > 0 && !slices.Contains(step.only, u.req.Kind) {
			continue
		}
		if err := u.Step(ctx, step.id, step.title, step.do); err != nil {
			return err
		}
	}
	return nil
}

// replacing are the kinds that make containers from the checkout: what is in it must be what was deployed.
var replacing = []operation.Kind{operation.KindRepair, operation.KindUpdate}

func (u *upkeep) lookAtCheckout(ctx context.Context, _ ports.Output) (string, error) {
	if err := u.atTarget(ctx); err != nil {
		return "", err
	}
	return "at " + short(u.req.Target), u.Record(operation.Event{PreDeploy: &operation.PreDeploy{SHA: u.req.Target}})
}

// checkClean refuses a checkout that is not what the last deploy left: nobody repairs by the edits of somebody who works on the host.
func (u *upkeep) checkClean(ctx context.Context, _ ports.Output) (string, error) {
	stamp, _, err := u.ports.Stamp.Stamp()
	if err != nil {
		return "", err
	}
	if stamp != u.req.Target {
		return "", fault.New(fault.Refused, "CHECKOUT_MOVED", "the checkout is at %s, the last deploy is %s", short(u.req.Target), short(stamp)).
			WithHint("deploy the branch, or move the checkout back")
	}
	plan, err := u.PlanNow(ctx)
	if err != nil {
		return "", err
	}
	return "", u.checkTree(ctx, plan)
}

// compile makes the plan: that of everything at the commit, with the steps of this operation alone.
func (u *upkeep) compile(ctx context.Context, _ ports.Output) (string, error) {
	plan, err := u.PlanNow(ctx)
	if err != nil {
		return "", err
	}
	if u.models, err = u.ports.Runtime.Models(ctx, plan); err != nil {
		return "", err
	}
	steps, err := u.stepsOf(ctx, plan)
	if err != nil {
		return "", err
	}
	u.plan = stepsOnly(plan, steps)
	return fmt.Sprintf("%d steps", len(steps)), u.Record(operation.Event{Plan: u.plan})
}

// stepsOnly is a plan of a commit with other steps, which no change asks for.
func stepsOnly(plan *pipeline.Plan, steps []pipeline.Step) *pipeline.Plan {
	of := *plan
	of.Steps, of.Everything, of.Flags, of.Unclaimed, of.UnclaimedCount, of.Base = steps, "", nil, nil, 0, plan.Target
	return &of
}

// stepsOf are the steps of an operation of its kind.
func (u *upkeep) stepsOf(ctx context.Context, plan *pipeline.Plan) ([]pipeline.Step, error) {
	switch u.req.Kind {
	case operation.KindRestart:
		return u.restarts(ctx, plan)
	case operation.KindMigrate:
		return migrations(plan)
	default:
		return picture.MendingSteps(u.models, u.req.Deeds)
	}
}

// compare looks at what runs, and records what is gone back to.
func (u *upkeep) compare(ctx context.Context, _ ports.Output) (string, error) {
	now, findings, err := u.against(ctx, u.models, u.plan.Steps, nil)
	if err != nil {
		return "", err
	}
	if slices.Contains(replacing, u.req.Kind) {
		if err := u.judgePolicy(u.models, now); err != nil {
			return "", err
		}
	} else { // the same containers go on: what else stands against making them anew is no reason
		findings.Refusals = slices.DeleteFunc(findings.Refusals, func(f picture.Finding) bool { return f.Reason != picture.NamespaceInUse })
	}
	if err := findings.Err(); err != nil {
		return "", err
	}
	u.before = &now
	u.proven = &operation.Proven{Projects: projectsOf(u.models), Services: picture.Keys(u.models)}
	u.proven.Excused = picture.Excused(u.models, now, reaches(u.plan, u.proven))
	if u.proven.FailedBefore, err = u.failedBefore(ctx, now, u.plan, u.proven, ""); err != nil {
		return "", err
	}
	told := slices.DeleteFunc(findings.Warnings, func(w picture.Finding) bool {
		return w.Reason != picture.PausedRuns && w.Reason != picture.NetworkByHand
	}) // the commit is as it was
	if err := u.tell(told, u.proven.Excused, u.proven.FailedBefore); err != nil {
		return "", err
	}
	return u.keepImages(ctx, now, u.proven)
}

// fetchImages has the images that the steps need, before any container is touched: of an update, those that the registry has now.
func (u *upkeep) fetchImages(ctx context.Context) error {
	if u.req.Kind == operation.KindUpdate {
		if err := u.Step(ctx, "build/pull", "pull "+u.req.Image.Ref, func(ctx context.Context, out ports.Output) (string, error) {
			return "", u.ports.Restorer.Rebuild(ctx, u.plan, keysOfDeeds(u.req.Deeds), out)
		}); err != nil {
			return err
		}
	}
	return u.Step(ctx, "build/complete", "look for images that are missing", func(ctx context.Context, out ports.Output) (string, error) {
		return u.ports.Runtime.Complete(ctx, u.plan, out)
	})
}

// judge runs the probes, and watches the containers where some may have been changed.
func (u *upkeep) judge(ctx context.Context) error {
	touches := len(changing(u.plan.Steps)) > 0
	if err := u.probeAll(ctx, "verify", u.plan, u.plan.Verify, judgement{excused: u.proven.Excused, failed: u.aside(u.proven), soak: touches}); err != nil {
		return err
	}
	u.summary = u.runs(ctx, u.plan, u.before, u.proven.Excused) + notJudgedBy(u.aside(u.proven))
	if names := migrationsOf(u.Snapshot()); names != "" {
		u.summary = strings.TrimPrefix(u.summary+"; applied: "+names, "; ")
	}
	return nil
}

// undo takes an upkeep back to what ran before it. The digest of an image that came to no good is blocked, as a commit is.
func (u *upkeep) undo(ctx context.Context) error {
	op := u.Snapshot()
	reach := picture.ReachOf(changing(started(op, u.plan)), u.proven.Projects)
	b := &restoration{
		flow: u.flow, target: op.PreDeploy, left: op.PreDeploy, before: u.before, excused: u.proven.Excused, failedThen: u.proven.FailedBefore, stood: u.proven.Stood,
		leftServices: u.proven.Services, touched: reach, built: u.pulled(),
	}
	held := u.hold(u.Run, "undoing the "+op.About()) // until what ran runs again
	reached := op.Reached()
	var err error
	if reached {
		err = u.tellMigrations(op)
		if err == nil {
			err = b.all(ctx, len(changing(u.plan.Steps)) > 0)
		}
	} else {
		err = b.takeBack(ctx)
	}
	if err == nil {
		err = held
	}
	if image := u.req.Image; err == nil && reached && image != nil && op.CancelledBy == "" {
		err = u.blockImage(*image, op.ID, reasonOf(op))
	}
	u.summary = b.summary
	switch {
	case err != nil:
		return b.failed(ctx, u.plan, op, err)
	case !reached:
		return engine.ErrTakenBack
	}
	return nil
}

// pulled is what may have been given another image under the same name.
func (u *upkeep) pulled() []picture.Reach {
	if u.req.Kind != operation.KindUpdate {
		return nil
	}
	return picture.ReachOf(changing(u.plan.Steps), u.proven.Projects)
}

func keysOfDeeds(deeds []picture.Deed) []picture.Key {
	var keys []picture.Key
	for _, d := range deeds {
		keys = append(keys, d.Key)
	}
	return keys
}
