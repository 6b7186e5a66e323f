package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/engine"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// prove checks everything that can be checked before anything running is touched.
func (d *deployment) prove(ctx context.Context) error {
	for _, step := range []struct {
		id, title string
		do        engine.Work
	}{
		{"prove/fetch", "fetch " + short(d.req.Target), d.fetch},
		{"prove/signed", "verify who signed " + short(d.req.Target), d.verifySigned},
		{"prove/plan", "compile the plan", d.compile},
		{"prove/checkout", "check the checkout for what would be lost", func(ctx context.Context, _ ports.Output) (string, error) {
			return "", d.checkTree(ctx, d.plan)
		}},
		{"prove/compose", "check the compose files of the target", d.render},
		{"prove/host", "check disk and memory", func(ctx context.Context, _ ports.Output) (string, error) {
			return "", d.ports.Gauge.Check(ctx)
		}},
		{"prove/runs", "compare with what runs, keep its images", d.compare},
	} {
		if step.id == "prove/signed" && d.ports.Signatures == nil {
			continue
		}
		if err := d.Step(ctx, step.id, step.title, step.do); err != nil {
			return err
		}
	}
	if !d.req.AskNewer {
		return nil
	}
	return d.Step(ctx, askStep, "ask whether a newer deploy is under way", d.askNewer)
}

// fetch brings the target here and checks that it may be deployed.
func (d *deployment) fetch(ctx context.Context, out ports.Output) (string, error) {
	head, err := d.ports.Commits.Head(ctx)
	if err != nil {
		return "", err
	}
	if err := d.Record(operation.Event{PreDeploy: &operation.PreDeploy{SHA: head}}); err != nil {
		return "", err
	}
	branchHead, err := d.ports.Commits.Fetch(ctx, d.req.Target, out)
	if err != nil {
		return "", err
	}
	if err := d.checkBranch(ctx, branchHead); err != nil {
		return "", err
	}
	blocks, err := d.ports.Sentinels.Blocked()
	if err != nil {
		return "", err
	}
	for _, b := range blocks {
		if b.SHA == d.req.Target {
			return "", fault.New(fault.Refused, "SHA_BLOCKED", "%s is blocked since %s: %s", short(b.SHA), b.Created.UTC().Format(time.RFC3339), b.Reason).
				WithHint("push a fix, or lift the block with: landfall-coordinator unblock %s", short(b.SHA))
		}
	}
	return fmt.Sprintf("branch is at %s, checkout at %s", short(branchHead), short(head)), d.checkBase(ctx)
}

// verifySigned makes sure that whoever made the target may.
func (d *deployment) verifySigned(ctx context.Context, _ ports.Output) (string, error) {
	stamp, _, err := d.ports.Stamp.Stamp()
	if err != nil {
		return "", err
	}
	return d.ports.Signatures.Verify(ctx, stamp, d.req.Target)
}

func (d *deployment) checkBranch(ctx context.Context, branchHead string) error {
	if !d.policy.RequireAncestry {
		return nil
	}
	on, err := d.ports.Commits.IsAncestor(ctx, d.req.Target, branchHead)
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
	stamp, _, err := d.ports.Stamp.Stamp()
	if err != nil {
		return err
	}
	if stamp != "" && stamp != d.req.Target && !d.req.AllowOlder {
		older, err := d.ports.Commits.IsAncestor(ctx, d.req.Target, stamp)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err // a stamp that the repository lost, after a force-push say, is no successor of anything
		}
		if older {
			return &engine.Superseded{By: stamp}
		}
	}
	if d.req.Everything != "" {
		return nil
	}
	unsettled, moved, err := d.Unsettled(ctx)
	if err != nil {
		return err
	}
	if unsettled != "" {
		return fault.New(fault.Refused, "UNSETTLED", "a change set is not enough: %s", unsettled).
			WithHint("run the command again: the coordinator then does everything")
	}
	if d.req.Base == stamp && d.req.Moved == moved {
		return nil
	}
	if d.req.Base == stamp {
		at := stamp
		if moved != "" {
			at = moved
		}
		return fault.New(fault.Refused, "CHECKOUT_MOVED", "the checkout is at %s, but the change set is measured from %q", short(at), short(d.req.Moved)).
			WithHint("somebody moved it; run the command again")
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
func (d *deployment) compile(ctx context.Context, _ ports.Output) (string, error) {
	plan, err := d.PlanAt(ctx, PlanRequest{Base: d.req.Base, Moved: d.req.Moved, Target: d.req.Target, Everything: d.req.Everything})
	if err != nil {
		return "", err
	}
	if err := d.Record(operation.Event{Plan: plan}); err != nil {
		return "", err
	}
	if digest := plan.Digest(); digest != d.req.PlanDigest {
		return "", fault.New(fault.Refused, "PLAN_DIGEST_MISMATCH", "the agent compiled plan %s, the caller sent %s", digest, d.req.PlanDigest).
			WithHint("compare: landfall-coordinator show %s, landfall-coordinator plan --sha %s; both sides need the same version", d.ID(), short(d.req.Target))
	}
	d.plan = plan
	return fmt.Sprintf("%d steps, %s", len(plan.Steps), plan.Digest()), nil
}

// render renders the target's compose files in a side tree.
func (d *deployment) render(ctx context.Context, out ports.Output) (string, error) {
	tree, err := d.ports.Trees.SideTree(ctx, d.plan.Target, ports.ForProof)
	if err != nil {
		return "", err
	}
	if d.models, err = d.ports.Runtime.Prove(ctx, d.plan, tree, out); err != nil {
		return "", err
	}
	if err := picture.Leaving(d.models); err != nil {
		return "", err
	}
	if err := d.judgePolicy(d.models, picture.Picture{}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d stacks, %d services", len(d.models), len(picture.Keys(d.models))), err
}

// compare holds the target against what runs, and records what a rollback goes back to.
func (d *deployment) compare(ctx context.Context, out ports.Output) (string, error) {
	now, findings, err := d.against(ctx, d.models, d.plan.Steps, nil)
	if err != nil {
		return "", err
	}
	if err := d.judgePolicy(d.models, now); err != nil {
		return "", err
	}
	if err := findings.Err(); err != nil {
		return "", err
	}
	d.before = &now
	d.proven = &operation.Proven{Projects: projectsOf(d.models), Services: picture.Keys(d.models), Leaving: findings.Leaving}
	d.proven.Excused = picture.Excused(d.models, now, reaches(d.plan, d.proven))
	if d.proven.FailedBefore, err = d.failedBefore(ctx, now, d.plan, d.proven, d.plan.Target); err != nil {
		return "", err
	}
	if err := d.tell(findings.Warnings, d.proven.Excused, d.proven.FailedBefore); err != nil {
		return "", err
	}
	for _, k := range findings.Leaving {
		out(operation.Stdout, k.String()+" is in no compose file any more: it will be stopped and removed, its volumes stay", false)
	}
	summary, err := d.keepImages(ctx, now, d.proven)
	if err != nil {
		return "", err
	}
	return summary, d.tellStand(d.proven.Stood, d.plan, false)
}

// against looks at everything that runs, and at what a commit would do to it. steps are those that the operation would do; back tells for what there is
// now which services going back would touch, nil where the steps tell.
func (f flow) against(ctx context.Context, target []picture.Model, steps []pipeline.Step, back func(picture.Picture) ([]picture.Key, error)) (now picture.Picture, findings picture.Findings, err error) {
	present, unread := f.present(ctx) // fewer where some do not render, which the target may mend
	all := slices.Concat(target, present)
	now, err = f.ports.Restorer.Look(ctx, picture.Projects(all), picture.Refs(all), true)
	if err != nil {
		return now, findings, err
	}
	proof := picture.Proof{Now: now, Present: present, Unread: unread, Target: target, Steps: steps, Dirs: f.ports.Trees.Dirs()}
	if back != nil {
		if proof.Back, err = back(now); err != nil {
			return now, findings, err
		}
	}
	return now, proof.Find(), nil
}

// tellStand warns before a move of the checkout of what it gives up besides the commit.
func (f flow) tellStand(stood *picture.Stand, plan *pipeline.Plan, back bool) error {
	if stood == nil {
		return nil
	}
	if told := stood.Leaves(plan.Branch, back); told != "" {
		return f.Warn("BRANCH_NOT_CHECKED_OUT", told)
	}
	return nil
}

// keepImages records what runs and how the checkout stands, and keeps its images from being pruned.
func (f flow) keepImages(ctx context.Context, now picture.Picture, proven *operation.Proven) (string, error) {
	if err := f.ports.Restorer.Pin(ctx, now.Images()); err != nil {
		return "", err
	}
	stood, err := f.ports.Checkout.Stand(ctx)
	if err != nil {
		return "", err
	}
	proven.Stood = &stood
	head := f.Snapshot().PreDeploy
	return fmt.Sprintf("%d containers, %d images", len(now.Containers), len(now.Images())),
		f.Record(operation.Event{PreDeploy: &operation.PreDeploy{SHA: head, Before: &now, Proven: proven}})
}

// tell records what a person should know and what stops nothing.
func (f flow) tell(warnings []picture.Finding, excused []picture.Excuse, failed []picture.FailedProbe) error {
	var errs []error
	for _, w := range warnings {
		errs = append(errs, f.Warn(w.Reason, warningText(w)))
	}
	if len(excused) > 0 {
		errs = append(errs, f.Warn("DOWN_BEFORE", "was not as it should be before, and is not judged: "+strings.Join(reasons(excused), "; ")))
	}
	return errors.Join(append(errs, f.tellFailed(failed))...)
}

func warningText(w picture.Finding) string { return w.Message + " (" + w.Hint + ")" }

func reasons(excused []picture.Excuse) []string {
	var all []string
	for _, e := range excused {
		all = append(all, e.Project+"/"+e.Why)
	}
	return all
}

// checkTree refuses a checkout in which something would be lost.
func (f flow) checkTree(ctx context.Context, plan *pipeline.Plan) error {
	known, err := f.deployedHere()
	if err != nil {
		return err
	}
	tree, err := f.ports.Checkout.Look(ctx, plan.Target, plan.Prepare, known)
	if err != nil {
		return err
	}
	if len(tree.Noted) > 0 {
		if err := f.Warn("FLAGGED_FILES", fmt.Sprintf("%d files are flagged assume-unchanged or skip-worktree and keep what this host has: %s", len(tree.Noted), strings.Join(tree.Noted[:min(5, len(tree.Noted))], ", "))); err != nil {
			return err
		}
	}
	return tree.Refusal(plan.Branch, f.policy.Config)
}

// deployedHere lists the commits that operations and the stamp know: they are not lost where no branch has them any more.
func (f *Flows) deployedHere() ([]string, error) {
	stamp, _, err := f.ports.Stamp.Stamp()
	if err != nil {
		return nil, err
	}
	recent, err := f.ports.Records.Operations(0, lookBack)
	if err != nil {
		return nil, err
	}
	var known []string
	if stamp != "" {
		known = append(known, stamp)
	}
	for _, op := range recent {
		if op.State == operation.Succeeded || op.State == operation.RolledBack {
			known = append(known, op.Target)
		}
	}
	slices.Sort(known)
	return slices.Compact(known), nil
}

// move brings the checkout to a commit and says what was in its way.
func (f flow) move(ctx context.Context, m picture.Move, out ports.Output) (string, error) {
	moved, err := f.ports.Checkout.Move(ctx, m, out)
	if err != nil {
		return "", err
	}
	var parts []string
	if moved.Saved != "" {
		parts = append(parts, "edits are kept in "+moved.Saved)
	}
	if len(moved.Aside) > 0 {
		parts = append(parts, "moved aside: "+strings.Join(moved.Aside, ", "))
	}
	summary := strings.Join(parts, "; ")
	if summary == "" {
		return "", nil
	}
	return summary, f.Warn("KEPT_ASIDE", summary)
}

// projectsOf maps stacks to their compose projects.
func projectsOf(models []picture.Model) map[string]string {
	projects := map[string]string{}
	for _, m := range models {
		projects[m.Stack] = m.Project
	}
	return projects
}

// reaches is what all steps of a plan may touch.
func reaches(plan *pipeline.Plan, proven *operation.Proven) []picture.Reach {
	return picture.ReachOf(changing(plan.Steps), proven.Projects)
}

// removeLeaving stops and removes what no compose file names any more.
func (f flow) removeLeaving(ctx context.Context, plan *pipeline.Plan, leaving []picture.Key) error {
	const id = "apply/remove"
	if len(leaving) == 0 || f.Done()[id] {
		return nil
	}
	var names []string
	projects := map[string]bool{}
	for _, k := range leaving {
		names, projects[k.Project] = append(names, k.String()), true
	}
	return f.Step(ctx, id, "remove what left the compose files: "+strings.Join(names, ", "), func(ctx context.Context, out ports.Output) (string, error) {
		now, err := f.ports.Restorer.Look(ctx, slices.Sorted(maps.Keys(projects)), nil, false)
		if err != nil {
			return "", err
		}
		batch := picture.Batch{Verb: picture.Remove}
		for _, k := range leaving {
			if list := now.Of(k); len(list) > 0 {
				d := picture.Deed{Key: k, Verb: picture.Remove, Why: "no compose file names it any more"}
				for _, c := range list {
					d.Containers = append(d.Containers, c.ID)
				}
				batch.Deeds = append(batch.Deeds, d)
			}
		}
		if len(batch.Deeds) == 0 {
			return doneBefore, nil
		}
		return "removed " + strings.Join(names, ", "), f.ports.Restorer.Carry(ctx, plan, batch, out)
	})
}

// doneBefore is the summary of a step that had been done when it was entered again.
const doneBefore = "had been done before the agent ended"
