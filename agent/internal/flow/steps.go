package flow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"ataraxis.dev/landfall/agent/internal/engine"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// steps runs the steps of one phase as a graph: each after those it waits for,
// independent ones side by side within the policy's parallelism. After a failure no new
// step starts; running builds are stopped, while running changes of containers are
// left to end by themselves, because a half-made recreate is worse than a finished one.
//
// A step that is recorded as done, before the agent was restarted, is not done again.
func (f flow) steps(ctx context.Context, plan *pipeline.Plan, phase pipeline.Phase, ground ports.Ground) error {
	done := f.Done()
	waiting := slices.DeleteFunc(plan.StepsIn(phase), func(s pipeline.Step) bool { return done[s.ID] })
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	projects := sync.OnceValues(func() (map[string]string, error) { return f.projects(ctx, plan) })
	type result struct {
		id  string
		err error
	}
	results := make(chan result)
	running := 0
	var failed error
	for {
		for failed == nil && running < max(1, f.policy.Parallelism) {
			i := slices.IndexFunc(waiting, func(s pipeline.Step) bool {
				return !slices.ContainsFunc(s.After, func(id string) bool { return !done[id] })
			})
			if i < 0 {
				break
			}
			s := waiting[i]
			waiting = slices.Delete(waiting, i, i+1)
			running++
			go func() { results <- result{s.ID, f.do(work, plan, s, ground, projects)} }()
		}
		if running == 0 {
			break
		}
		ended := <-results
		running--
		done[ended.id] = ended.err == nil
		if ended.err != nil && failed == nil {
			failed = ended.err
			if phase == pipeline.PhaseBuild {
				stop(engine.ErrSibling)
			}
		}
	}
	if failed == nil && len(waiting) > 0 {
		return fault.New(fault.Internal, "PLAN_CYCLE", "%d steps of phase %s wait for one another", len(waiting), phase)
	}
	return failed
}

// do runs one step of the plan.
func (f flow) do(ctx context.Context, plan *pipeline.Plan, s pipeline.Step, ground ports.Ground, projects func() (map[string]string, error)) error {
	start, work := operation.StepStarted{ID: s.ID, Title: s.Title()}, ports.Work{Step: s, Ground: ground}
	work.Warn = func(reason, message string) { _ = f.Warn(reason, message) } // a broken journal has ended ctx
	if s.Recreate != nil || s.Restart != nil || s.Up != nil {
		known, err := projects()
		if err != nil {
			return err
		}
		before, err := f.beforeStep(ctx, s.ID, known[s.Stack()], slices.Sorted(maps.Values(known)))
		if err != nil {
			return err
		}
		start.Before, work.Before = before, before
	}
	return f.StepFrom(ctx, start, func(ctx context.Context, out ports.Output) (string, error) {
		if err := f.learn(ctx, plan); err != nil { // a script before may have written new ones
			return "", err
		}
		switch {
		case s.Script != nil:
			return "", f.ports.Scripts.RunScript(ctx, plan, *s.Script, out)
		case s.Migrate != nil:
			return f.migrate(ctx, plan, *s.Migrate, out)
		case s.Wait != nil:
			return f.waitFor(ctx, plan, *s.Wait)
		default:
			summary, err := f.ports.Runtime.Run(ctx, plan, work, out)
			if err != nil || (s.Up == nil && s.Recreate == nil) {
				return summary, err
			}
			again, err := f.nameAgain(ctx, plan, s, *work.Before, out)
			return summary + again, err
		}
	})
}

// learn has the redactor know what children of a plan may print.
func (f flow) learn(ctx context.Context, plan *pipeline.Plan) error {
	if f.ports.Teacher == nil {
		return nil
	}
	return f.ports.Teacher.Learn(ctx, plan)
}

// nameAgain replaces what a step has left without its names in a network that was made anew; see [picture.Model.Nameless].
func (f flow) nameAgain(ctx context.Context, plan *pipeline.Plan, s pipeline.Step, before picture.Picture, out ports.Output) (string, error) {
	now, err := f.ports.Restorer.Look(ctx, before.Projects, nil, false)
	if err != nil || !before.Displaced(now) {
		return "", err
	}
	models, err := f.ports.Runtime.Models(ctx, plan)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(models, func(m picture.Model) bool { return m.Stack == s.Stack() })
	if i < 0 {
		return "", nil
	}
	var nameless []picture.Key
	for _, name := range models[i].Nameless(before, now) {
		nameless = append(nameless, models[i].Key(name))
	}
	if len(nameless) == 0 {
		return "", nil
	}
	r := picture.Restore{Before: now, Models: models}
	deeds := r.Anew(nameless, "it lost its names in a network that was made anew, or lives with one that did")
	for _, d := range deeds {
		out(operation.Stdout, d.String(), false)
	}
	for _, batch := range r.Batches(deeds) {
		if err := f.ports.Restorer.Carry(ctx, plan, batch, out); err != nil {
			return "", err
		}
	}
	return "; a network was made anew, so with it: " + keysOf(deeds), nil
}

// beforeStep is what ran in a stack, and in those whose containers share namespaces, when a step began for the first time: as recorded then, else
// what runs now.
func (f flow) beforeStep(ctx context.Context, id, project string, projects []string) (*picture.Picture, error) {
	return f.Before(id, func() (picture.Picture, error) {
		now, err := f.ports.Restorer.Look(ctx, slices.Compact(projects), nil, false)
		return now.Around(project), err
	})
}

// projects maps stacks to their compose projects, as the proof found them.
func (f flow) projects(ctx context.Context, plan *pipeline.Plan) (map[string]string, error) {
	facts, err := f.Facts(f.ID())
	if err == nil && facts.Proven != nil && !slices.ContainsFunc(plan.Stacks, func(s pipeline.Stack) bool { return facts.Proven.Projects[s.Name] == "" }) {
		return facts.Proven.Projects, nil
	}
	models, err := f.ports.Runtime.Models(ctx, plan)
	if err != nil {
		return nil, err
	}
	return projectsOf(models), nil
}

func (f flow) migrate(ctx context.Context, plan *pipeline.Plan, m pipeline.Migrate, out ports.Output) (string, error) {
	n := 0
	err := f.ports.Scripts.Migrate(ctx, plan, m, out, func(name string) {
		n++
		_ = f.Record(operation.Event{Migration: &operation.Migration{Name: name}}) // a broken journal has ended ctx
	})
	if n == 0 {
		return "nothing to migrate", err
	}
	return fmt.Sprintf("%d applied", n), err
}
