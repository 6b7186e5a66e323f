package flow

import (
	"context"
	"fmt"
	"slices"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/pipeline"
)

// The policy of the host is asked three times: of the commit in a side tree, before anything else is done; of what the engine has under the
// names that the commit uses; and of what lies in the checkout once it has moved, because that is what runs. Links that only the host has,
// and paths that lead out of the tree, are only there what they will be.

// judgePolicy refuses models that the policy of this host refuses, and tells what it warns of, once.
func (f flow) judgePolicy(models []picture.Model, now picture.Picture) error {
	refusals, warnings := f.policy.Services.Check(models, f.ports.Trees.Dirs(), now)
	if err := (picture.Findings{Refusals: refusals}).Err(); err != nil {
		return err
	}
	told := f.Snapshot().Warnings
	warnings = slices.DeleteFunc(warnings, func(w picture.Finding) bool { return slices.Contains(told, warningText(w)) })
	return f.tell(warnings, nil, nil)
}

// judgeCheckout holds the compose files, as they lie in the checkout, to what was proven of them, and asks the policy again.
func (f flow) judgeCheckout(ctx context.Context, plan *pipeline.Plan, projects map[string]string, services []picture.Key) error {
	return f.Step(ctx, "policy", "check the compose files where they will run", func(ctx context.Context, _ ports.Output) (string, error) {
		models, err := f.ports.Runtime.Models(ctx, plan)
		if err != nil {
			return "", err
		}
		if err := (picture.Findings{Refusals: picture.Diverged(projects, services, models)}).Err(); err != nil {
			return "", err
		}
		now, err := f.ports.Restorer.Look(ctx, nil, nil, true)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d services", len(picture.Keys(models))), f.judgePolicy(models, now)
	})
}

// PolicyAt renders the compose files of a plan's target as a proof does, and says what the policy of this host finds in them, a line each. The
// commit must be known here.
func (f *Flows) PolicyAt(ctx context.Context, plan *pipeline.Plan) ([]string, error) {
	f.planning.Lock()
	defer f.planning.Unlock()
	tree, err := f.ports.Trees.SideTree(ctx, plan.Target, ports.ForPlan)
	if err != nil {
		return nil, err
	}
	models, err := f.ports.Runtime.Prove(ctx, plan, tree, func(operation.Stream, string, bool) {})
	if err != nil {
		return nil, err
	}
	now, err := f.ports.Restorer.Look(ctx, nil, nil, true)
	if err != nil {
		return nil, err
	}
	refusals, warnings := f.policy.Services.Check(models, f.ports.Trees.Dirs(), now)
	var lines []string
	for _, r := range refusals {
		lines = append(lines, "refused by this host: "+warningText(r))
	}
	for _, w := range warnings {
		lines = append(lines, "warned of by this host: "+warningText(w))
	}
	return lines, nil
}
