package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// errSibling is the cause of a step's context when another step of the same phase failed.
var errSibling = errors.New("another step failed")

// steps runs the steps of one phase as a graph: each after those it waits for,
// independent ones side by side within the policy's parallelism. After a failure no new
// step starts; running builds are stopped, while running changes of containers are
// left to end by themselves, because a half-made recreate is worse than a finished one.
//
// A step that is recorded as done, before the agent was restarted, is not done again.
func (r *run) steps(ctx context.Context, plan *pipeline.Plan, phase pipeline.Phase, ground Ground) error {
	done := r.doneSteps()
	waiting := slices.DeleteFunc(plan.StepsIn(phase), func(s pipeline.Step) bool { return done[s.ID] })
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	type result struct {
		id  string
		err error
	}
	results := make(chan result)
	running := 0
	var failed error
	for {
		for failed == nil && running < max(1, r.engine.policy.Parallelism) {
			i := slices.IndexFunc(waiting, func(s pipeline.Step) bool {
				return !slices.ContainsFunc(s.After, func(id string) bool { return !done[id] })
			})
			if i < 0 {
				break
			}
			s := waiting[i]
			waiting = slices.Delete(waiting, i, i+1)
			running++
			go func() { results <- result{s.ID, r.do(work, plan, s, ground)} }()
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
				stop(errSibling)
			}
		}
	}
	if failed == nil && len(waiting) > 0 {
		return fault.New(fault.Internal, "PLAN_CYCLE", "%d steps of phase %s wait for one another", len(waiting), phase)
	}
	return failed
}

// doneSteps are the steps that are recorded as done.
func (r *run) doneSteps() map[string]bool {
	done := map[string]bool{}
	for _, s := range r.snapshot().Steps {
		if s.Outcome == StepDone {
			done[s.ID] = true
		}
	}
	return done
}

// do runs one step of the plan.
func (r *run) do(ctx context.Context, plan *pipeline.Plan, s pipeline.Step, ground Ground) error {
	start, work := StepStarted{ID: s.ID, Title: s.Title()}, Work{Step: s, Ground: ground}
	work.Warn = func(reason, message string) { _ = r.warn(reason, message) } // a broken journal has ended ctx
	if s.Recreate != nil || s.Restart != nil || s.Up != nil {
		before, err := r.before(ctx, s.ID, plan, []string{s.Stack()})
		if err != nil {
			return err
		}
		start.Before, work.Before = &before, before
	}
	return r.stepFrom(ctx, start, func(ctx context.Context, out Output) (string, error) {
		ports := r.engine.ports
		switch {
		case s.Script != nil:
			return "", ports.Scripts.RunScript(ctx, plan, *s.Script, out)
		case s.Migrate != nil:
			return r.migrate(ctx, plan, *s.Migrate, out)
		case s.Wait != nil:
			return r.waitFor(ctx, plan, *s.Wait)
		default:
			return ports.Runtime.Run(ctx, plan, work, out)
		}
	})
}

// before is what ran when a step began for the first time: as recorded then, else what runs now.
func (r *run) before(ctx context.Context, id string, plan *pipeline.Plan, stacks []string) (Snapshot, error) {
	for _, s := range r.snapshot().Steps {
		if s.ID == id && s.Before != nil {
			return *s.Before, nil
		}
	}
	return r.engine.ports.Reverter.Snapshot(ctx, plan, stacks)
}

func (r *run) migrate(ctx context.Context, plan *pipeline.Plan, m pipeline.Migrate, out Output) (string, error) {
	n := 0
	err := r.engine.ports.Scripts.Migrate(ctx, plan, m, out, func(name string) {
		n++
		_ = r.record(Event{Migration: &Migration{Name: name}}) // a broken journal has ended ctx
	})
	if n == 0 {
		return "nothing to migrate", err
	}
	return fmt.Sprintf("%d applied", n), err
}
