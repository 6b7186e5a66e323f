package flow

import (
	"context"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/pipeline"
)

// rest waits until the engine has done what steps that were cut off, or failed, had asked of it. A child that is ended leaves the
// daemon working: a container that is being stopped looks like one that runs until its time is over.
func (f flow) rest(ctx context.Context, id string) error {
	facts, err := f.Facts(f.ID())
	if err != nil || facts.Proven == nil {
		return err
	}
	plan := facts.Plan
	if plan == nil { // a rollback by hand records none
		plan = &pipeline.Plan{}
	}
	cut := cutOff(f.Snapshot(), plan, facts.Proven)
	if cut.Began.IsZero() {
		return nil
	}
	cut.Reaches = append(cut.Reaches, f.sharersOf(plan)...)
	return f.Step(ctx, id, "wait until the engine is at rest", func(ctx context.Context, out ports.Output) (string, error) {
		if err := f.awaitEngine(ctx); err != nil {
			return "", err
		}
		return "", f.ports.Restorer.Rest(ctx, cut, out)
	})
}

// sharersOf are the services that lived in namespaces of others when steps began: they may be on their way with those.
func (f flow) sharersOf(plan *pipeline.Plan) (reaches []picture.Reach) {
	for _, s := range plan.Steps {
		before, err := f.Before(s.ID, func() (picture.Picture, error) { return picture.Picture{}, nil })
		if err != nil {
			continue // it cannot fail: nothing is looked at
		}
		for _, c := range before.Containers {
			if len(c.Shares) > 0 {
				reaches = append(reaches, picture.Reach{Project: c.Project, Patterns: []string{c.Service}})
			}
		}
	}
	return reaches
}

// cutOff is what steps that did not end well may have left on its way; its Began is zero where there is none. A step that
// ended well when it was entered again has seen to what it left before.
func cutOff(op operation.Operation, plan *pipeline.Plan, proven *operation.Proven) ports.Cut {
	done := map[string]bool{}
	for _, s := range op.Steps {
		if s.Outcome == operation.StepDone {
			done[s.ID] = true
		}
	}
	var cut ports.Cut
	for _, s := range op.Steps {
		if (s.Outcome != operation.StepFailed && s.Outcome != operation.StepInterrupted) || done[s.ID] {
			continue
		}
		reaches, left := reachOfStep(s, plan, proven)
		if len(reaches) == 0 && !left {
			continue
		}
		cut.Reaches, cut.Left = append(cut.Reaches, reaches...), cut.Left || left
		if cut.Began.IsZero() || s.Started.Before(cut.Began) {
			cut.Began = s.Started
		}
	}
	for _, project := range proven.Projects {
		cut.Projects = append(cut.Projects, project)
	}
	for _, k := range proven.Leaving {
		cut.Projects = append(cut.Projects, k.Project)
	}
	slices.Sort(cut.Projects)
	cut.Projects = slices.Compact(cut.Projects)
	return cut
}

// reachOfStep is what a step may have left on its way: services that it changes, and commands inside containers.
func reachOfStep(s operation.StepRecord, plan *pipeline.Plan, proven *operation.Proven) (reaches []picture.Reach, left bool) {
	switch s.ID {
	case "apply/remove":
		for _, k := range proven.Leaving {
			reaches = append(reaches, picture.Reach{Project: k.Project, Patterns: []string{k.Service}})
		}
		return reaches, false
	case restoreStep:
		for _, project := range proven.Projects {
			reaches = append(reaches, picture.Reach{Project: project})
		}
		return reaches, false
	}
	for _, step := range plan.Steps {
		if step.ID != s.ID {
			continue
		}
		switch {
		case step.Exec != nil, step.Script != nil, step.Migrate != nil:
			return nil, true
		case step.Recreate != nil, step.Restart != nil:
			return picture.ReachOf([]pipeline.Step{step}, proven.Projects), false
		case step.Up != nil: // with what they depend on
			return []picture.Reach{{Project: proven.Projects[step.Stack()]}}, false
		}
	}
	if len(plan.Steps) == 0 && (s.State == operation.RollingBack) && ofPlan(s.ID) { // of a plan that is not recorded
		for _, project := range proven.Projects {
			reaches = append(reaches, picture.Reach{Project: project})
		}
		return reaches, true
	}
	return nil, false
}

// ofPlan reports whether a step's ID is one of a plan, PHASE/ACTION/INDEX, that may change containers or run commands.
func ofPlan(id string) bool {
	return strings.HasPrefix(id, string(pipeline.PhaseApply)+"/") || strings.HasPrefix(id, string(pipeline.PhaseMigrate)+"/")
}
