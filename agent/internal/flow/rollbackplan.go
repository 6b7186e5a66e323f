package flow

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"ataraxis.dev/landfall/agent/internal/engine"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
)

// RollbackPlan is what a rollback would do now.
type RollbackPlan struct {
	From, Target string // commits
	Deeds        []picture.Deed
	Gone         []picture.Key // services whose image is gone, so that it is built or pulled again
	Kept         int           // services that are left as they are
	Migrations   []string      // applied since the target ran, oldest first; the database keeps them
	Warnings     []string
}

// PlanRollback tells what a rollback would do now. It changes nothing, and asks no remote. While an operation runs it is
// Refused/HOST_LOCKED: what it would be compared with is on its way.
func (f *Flows) PlanRollback(ctx context.Context, req RollbackRequest) (plan RollbackPlan, err error) {
	source, target, err := f.sourceOf(req)
	if err != nil {
		return plan, err
	}
	err = f.Quietly(func(current *operation.Operation) error {
		if current != nil {
			return fault.New(fault.Refused, "HOST_LOCKED", "%s runs; what a rollback would do is not known before its end", current.ID).
				WithHint("watch it with: landfall-coordinator attach %s", current.ID)
		}
		plan, err = f.planRollback(ctx, source, target)
		return err
	})
	return plan, err
}

func (f *Flows) planRollback(ctx context.Context, source, target string) (RollbackPlan, error) {
	plan := RollbackPlan{Target: target}
	head, err := f.ports.Commits.Head(ctx)
	if err != nil {
		return plan, err
	}
	plan.From = head
	if err := f.earlier(ctx, target, head); err != nil {
		return plan, err
	}
	if plan.Migrations, err = f.migrationsSince(target, source); err != nil {
		return plan, err
	}
	facts := engine.Facts{}
	if source != "" {
		if facts, err = f.Facts(source); err != nil {
			return plan, err
		}
	}
	if facts.Before == nil || facts.Proven == nil {
		return f.planOfTheDifference(ctx, plan)
	}
	if failed := facts.Proven.FailedBefore; len(failed) > 0 {
		plan.Warnings = append(plan.Warnings, "not judged by what failed before: "+answers(failed))
	}
	b := &restoration{flow: flow{Flows: f}, target: target, left: head, before: facts.Before, touched: reaches(facts.Plan, facts.Proven)}
	if err := b.ready(ctx, func(operation.Stream, string, bool) {}); err != nil {
		return plan, err
	}
	if b.dataStay, err = f.goodSince(source, ""); err != nil {
		return plan, err
	}
	b.leftServices = picture.Keys(f.headModels(ctx))
	now, err := b.look(ctx)
	if err != nil {
		return plan, err
	}
	r, err := b.wayBack(ctx, now, head)
	if err != nil {
		return plan, err
	}
	for _, told := range r.Told(now) {
		plan.Warnings = append(plan.Warnings, warningText(told))
	}
	plan.Deeds = r.Deeds(now)
	proof := picture.Proof{Now: now, Present: b.headModels(ctx), Target: b.models, Back: picture.KeysOf(plan.Deeds)}
	plan.Warnings = append(plan.Warnings, cutsOff(proof.Find())...)
	touched := map[picture.Key]bool{}
	for _, d := range plan.Deeds {
		touched[d.Key] = true
		if (d.Verb == picture.Recreate || d.Verb == picture.Create) && d.Image == "" {
			plan.Gone = append(plan.Gone, d.Key)
		}
	}
	for _, k := range b.before.Keys() {
		if !touched[k] {
			plan.Kept++
		}
	}
	return plan, nil
}

// cutsOff tells what would be cut off from its namespaces: a rollback is refused for it.
func cutsOff(found picture.Findings) (told []string) {
	for _, f := range slices.Concat(found.Refusals, found.Warnings) {
		if f.Reason == picture.NamespaceInUse {
			told = append(told, f.Reason+": "+warningText(f))
		}
	}
	return told
}

// wayBack is what going back from a commit would be decided from, were it begun now.
func (b *restoration) wayBack(ctx context.Context, now picture.Picture, head string) (r picture.Restore, err error) {
	left := b.leftServices
	if left == nil {
		left = picture.Keys(b.headModels(ctx))
	}
	r = picture.Restore{Before: *b.before, Began: now, Models: b.models, Left: left, Touched: b.touched, DataStay: b.dataStay}
	if r.Changed, err = b.differing(ctx, b.target, head); err != nil {
		return r, err
	}
	r.Gone, err = b.ports.Restorer.Gone(ctx, b.before.Images())
	return r, err
}

// planOfTheDifference is the plan of a rollback to a commit of which nothing remembers what ran.
func (f *Flows) planOfTheDifference(ctx context.Context, plan RollbackPlan) (RollbackPlan, error) {
	steps, err := f.PlanAt(ctx, PlanRequest{Base: plan.From, Target: plan.Target})
	if err != nil {
		return plan, err
	}
	plan.Warnings = append(plan.Warnings, fmt.Sprintf("no operation remembers what ran with %s: its images are built again, and %d steps are done, those that a deploy of the difference would do", short(plan.Target), len(steps.Steps)))
	touched := map[picture.Key]string{}
	models, err := f.rendered(ctx)
	if err != nil {
		f.log.Warn("the compose files that are checked out do not render as a whole", "error", err)
	}
	for _, m := range models {
		for _, s := range steps.Steps {
			if s.Stack() != m.Stack || (s.Up == nil && s.Recreate == nil && s.Restart == nil) {
				continue
			}
			for _, name := range m.Matching(s.Services()) {
				touched[m.Key(name)] = s.Kind()
			}
		}
		plan.Kept += len(m.Services)
	}
	for _, k := range slices.SortedFunc(maps.Keys(touched), picture.CompareKeys) {
		verb := picture.Recreate
		if touched[k] == "restart" {
			verb = picture.Restart
		}
		plan.Deeds = append(plan.Deeds, picture.Deed{Key: k, Verb: verb, Why: touched[k] + " of the difference"})
	}
	plan.Kept -= len(plan.Deeds)
	return plan, nil
}

// ImagesGone lists services whose image the newest successful operation's rollback would need and that is gone: somebody pruned it. It is
// told before anybody needs it.
func (f *Flows) ImagesGone(ctx context.Context) (op operation.Operation, services []picture.Key, err error) {
	recent, err := f.Remembered()
	if err != nil {
		return op, nil, err
	}
	for _, op := range recent {
		if op.State != operation.Succeeded || op.Kind != operation.KindDeploy {
			continue
		}
		facts, err := f.Facts(op.ID)
		if err != nil || facts.Before == nil {
			return op, nil, err
		}
		gone, err := f.ports.Restorer.Gone(ctx, facts.Before.Images())
		if err != nil {
			return op, nil, err
		}
		for _, c := range facts.Before.Containers {
			if slices.Contains(gone, c.ImageID) && !slices.Contains(services, c.Key()) {
				services = append(services, c.Key())
			}
		}
		return op, services, nil
	}
	return op, nil, nil
}
