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
func (d *deployment) steps(ctx context.Context, phase pipeline.Phase) error {
	waiting := d.plan.StepsIn(phase)
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	type result struct {
		id  string
		err error
	}
	results := make(chan result)
	done := map[string]bool{}
	running := 0
	var failed error
	for {
		for failed == nil && running < max(1, d.engine.policy.Parallelism) {
			i := slices.IndexFunc(waiting, func(s pipeline.Step) bool {
				return !slices.ContainsFunc(s.After, func(id string) bool { return !done[id] })
			})
			if i < 0 {
				break
			}
			s := waiting[i]
			waiting = slices.Delete(waiting, i, i+1)
			running++
			go func() { results <- result{s.ID, d.do(work, s)} }()
		}
		if running == 0 {
			break
		}
		r := <-results
		running--
		done[r.id] = r.err == nil
		if r.err != nil && failed == nil {
			failed = r.err
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

// do runs one step of the plan.
func (d *deployment) do(ctx context.Context, s pipeline.Step) error {
	return d.step(ctx, s.ID, s.Title(), func(ctx context.Context, out Output) (string, error) {
		ports := d.engine.ports
		switch {
		case s.Script != nil:
			return "", ports.Scripts.RunScript(ctx, d.plan, *s.Script, out)
		case s.Migrate != nil:
			return d.migrate(ctx, *s.Migrate, out)
		case s.Wait != nil:
			return d.waitFor(ctx, *s.Wait)
		default:
			return ports.Runtime.Run(ctx, d.plan, s, out)
		}
	})
}

func (d *deployment) migrate(ctx context.Context, m pipeline.Migrate, out Output) (string, error) {
	n := 0
	err := d.engine.ports.Scripts.Migrate(ctx, d.plan, m, out, func(name string) {
		n++
		_ = d.record(Event{Migration: &Migration{Name: name}}) // a broken journal has ended ctx
	})
	if n == 0 {
		return "nothing to migrate", err
	}
	return fmt.Sprintf("%d applied", n), err
}
