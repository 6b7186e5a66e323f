package flow

import (
	"context"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Forward is how the host stands to a commit of the branch.
type Forward struct {
	Comes    bool  // the stamp and the checkout come before it, or are it
	Obstacle error // why the checkout may not be moved there; nil where it may
	Plan     *pipeline.Plan
	Request  DeployRequest // that brings the host there; without command and requester
}

// Forward tells how the host stands to a commit, and what a deploy of it would do, as a coordinator would ask for it. It fetches what it
// needs, and touches nothing that runs.
func (f *Flows) Forward(ctx context.Context, target string) (Forward, error) {
	stamp, _, err := f.ports.Stamp.Stamp()
	if err != nil {
		return Forward{}, err
	}
	head, err := f.ports.Commits.Head(ctx)
	if err != nil {
		return Forward{}, err
	}
	if _, err := f.ports.Commits.IsAncestor(ctx, target, target); fault.KindOf(err) == fault.NotFound && err != nil {
		if _, err := f.ports.Commits.Fetch(ctx, target, nil); err != nil {
			return Forward{}, err
		}
	}
	for _, from := range []string{stamp, head} {
		before, err := f.ports.Commits.IsAncestor(ctx, from, target)
		if err != nil && fault.KindOf(err) != fault.NotFound { // one that the repository lost comes before nothing
			return Forward{}, err
		}
		if !before {
			return Forward{}, nil
		}
	}
	forward := Forward{Comes: true, Request: DeployRequest{Target: target, Base: stamp, Judge: true}}
	if forward.Request.Everything, forward.Request.Moved, err = f.Unsettled(ctx); err != nil {
		return Forward{}, err
	}
	r := forward.Request
	if forward.Plan, err = f.PlanAt(ctx, PlanRequest{Base: r.Base, Moved: r.Moved, Target: target, Everything: r.Everything}); err != nil {
		forward.Obstacle = err // a landfall.yaml that is wrong, say
		return forward, nil
	}
	forward.Request.PlanDigest = forward.Plan.Digest()
	forward.Obstacle = f.obstacle(ctx, forward.Plan)
	return forward, nil
}

// Obstacle is why the checkout may not be used as it is, nil where it may: edits, another branch.
func (f *Flows) Obstacle(ctx context.Context) error {
	plan, err := f.PlanNow(ctx)
	if err != nil {
		return err
	}
	return f.obstacle(ctx, plan)
}

func (f *Flows) obstacle(ctx context.Context, plan *pipeline.Plan) error {
	known, err := f.deployedHere()
	if err != nil {
		return err
	}
	tree, err := f.ports.Checkout.Look(ctx, plan.Target, plan.Prepare, known)
	if err != nil {
		return err
	}
	return tree.Refusal(plan.Branch, f.policy.Config)
}
