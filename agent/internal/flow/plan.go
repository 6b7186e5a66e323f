package flow

import (
	"context"
	"slices"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// PlanRequest says which plan is wanted.
type PlanRequest struct {
	Base       string // commit the change set is measured from; "" when there is none
	Moved      string // where somebody moved the checkout; the change set is then that of both, "" for none
	Target     string
	Everything string // why every flag is set, "" when the changes decide
}

// PlanAt compiles the plan that brings a host to a target, as the agent does in a deploy. It fetches nothing: all commits must be known.
func (f *Flows) PlanAt(ctx context.Context, req PlanRequest) (*pipeline.Plan, error) {
	config, err := f.ports.Trees.Pipeline(ctx, req.Target)
	if err != nil {
		return nil, err
	}
	in := pipeline.Input{Base: req.Base, Target: req.Target, Everything: req.Everything}
	if req.Everything == "" {
		if in.Changes, err = f.ports.Commits.Changes(ctx, req.Base, req.Target); err != nil {
			return nil, err
		}
		if req.Moved != "" {
			moved, err := f.ports.Commits.Changes(ctx, req.Moved, req.Target)
			if err != nil {
				return nil, err
			}
			in.Changes = pipeline.Union(in.Changes, moved)
		}
	}
	return pipeline.Compile(config, in)
}

// PlanNow is the plan of everything at the commit that is checked out: what the host
// should look like. Diagnostics read stacks, environment and probes from it.
func (f *Flows) PlanNow(ctx context.Context) (*pipeline.Plan, error) {
	head, err := f.ports.Commits.Head(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := f.PlanAt(ctx, PlanRequest{Target: head, Everything: "diagnostics look at everything"})
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

// differing lists the paths that differ between a commit and any of those that containers may have
// been started on; all of them where one is not known any more.
func (f *Flows) differing(ctx context.Context, to string, from ...string) (picture.Paths, error) {
	slices.Sort(from)
	var paths picture.Paths
	for _, sha := range slices.Compact(from) {
		if sha == "" || sha == to {
			continue
		}
		changes, err := f.ports.Commits.Changes(ctx, sha, to)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return picture.Paths{picture.AnyPath}, nil
		}
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			paths = append(paths, c.Path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// leftBehind lists the commits that operations without a good end, since the last good one, had checked out.
func leftBehind(recent []operation.Operation) []string {
	var commits []string
	for _, op := range recent {
		switch {
		case op.State == operation.Succeeded && op.Kind.Moves():
			return commits
		case op.State == operation.RollbackFailed, op.State == operation.Failed:
			commits = append(commits, op.PreDeploy, op.Target)
		}
	}
	return commits
}
