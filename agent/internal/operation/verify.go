package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

const (
	// probeFirst and probeMost bound the pause between two attempts of a probe. A fast
	// start is seen quickly, a slow one is not hammered.
	probeFirst = 100 * time.Millisecond
	probeMost  = 2 * time.Second
	// soakEvery is how often containers are looked at during the soak; soakDoubt is how many looks
	// in a row may be inconclusive, because the engine is busy, before that counts as a failure.
	soakEvery = time.Second
	soakDoubt = 3
)

// probeAll runs the probes side by side, as steps named after where they belong, until all have passed, then watches the
// containers for the soak. The error names every probe that did not pass.
func (r *run) probeAll(ctx context.Context, where string, plan *pipeline.Plan, verify pipeline.Verify) error {
	if err := r.step(ctx, where+"/probes", fmt.Sprintf("%d probes", len(verify.Probes)), func(ctx context.Context, _ Output) (string, error) {
		return r.probeOnce(ctx, plan, verify)
	}); err != nil {
		return err
	}
	if verify.Soak <= 0 || !slices.ContainsFunc(verify.Probes, isContainers) {
		return nil
	}
	return r.step(ctx, where+"/soak", "watch the containers for "+verify.Soak.String(), func(ctx context.Context, _ Output) (string, error) {
		return "", r.soak(ctx, plan, verify)
	})
}

func isContainers(p pipeline.Probe) bool { return p.Containers != nil }

// probeOnce lets every probe of verify pass once. The first final failure ends the others.
func (r *run) probeOnce(ctx context.Context, plan *pipeline.Plan, verify pipeline.Verify) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, cancelDeadline := context.WithTimeoutCause(ctx, verify.Deadline, context.DeadlineExceeded)
	defer cancelDeadline()

	results := make([]ProbeResult, len(verify.Probes))
	var group sync.WaitGroup
	for i, p := range verify.Probes {
		group.Go(func() {
			results[i] = r.probeUntil(ctx, plan, p)
			if results[i].Outcome == ProbeFailed {
				cancel(errSibling)
			}
		})
	}
	group.Wait()
	if shuttingDown(ctx) {
		return "", errShutdown
	}
	if err := probeError(results, verify.Deadline); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d passed", len(results)), nil
}

// probeUntil tries one probe until it passes, fails for good, or ctx ends.
func (r *run) probeUntil(ctx context.Context, plan *pipeline.Plan, p pipeline.Probe) ProbeResult {
	started, pause := time.Now(), probeFirst
	var last string
	for attempt := 1; ; attempt++ {
		result := r.engine.ports.Prober.Probe(ctx, plan, p)
		result.Name, result.Attempts, result.Elapsed = p.Name, attempt, time.Since(started)
		over := ctx.Err() != nil
		if over && result.Outcome != ProbePassed && last != "" {
			result.Message = last // what it last saw says more than "context cancelled"
		}
		if result.Outcome != ProbeWaiting || result.Message != last || over {
			_ = r.record(Event{Probe: &result}) // a broken journal has ended ctx
		}
		last = result.Message
		if result.Outcome != ProbeWaiting || over {
			return result
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, probeMost)
	}
}

// probeError is nil when every probe passed. It carries the last words of what failed.
func probeError(results []ProbeResult, deadline time.Duration) error {
	var bad, lastWords []string
	final := false
	for _, r := range results {
		if r.Outcome == ProbeFailed {
			final = true
		}
	}
	for _, r := range results {
		// Where one failed for good, those that were still waiting are not to blame.
		if r.Outcome == ProbeFailed || (r.Outcome == ProbeWaiting && !final) {
			bad = append(bad, r.Name+": "+r.Message)
			lastWords = append(lastWords, r.OutputTail...)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	if final {
		return withTail(fault.New(fault.Failed, "PROBE_FAILED", "%s", strings.Join(bad, "; ")), lastWords)
	}
	return withTail(fault.New(fault.Failed, "PROBE_DEADLINE", "not good within %s: %s", deadline, strings.Join(bad, "; ")), lastWords)
}

// soak looks at the containers again and again: a service may die right after it
// became healthy.
func (r *run) soak(ctx context.Context, plan *pipeline.Plan, verify pipeline.Verify) error {
	over := time.NewTimer(verify.Soak)
	defer over.Stop()
	last := false
	for doubt := 0; ; {
		result := r.lookAtContainers(ctx, plan, verify)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if result.Outcome == ProbePassed {
			doubt = 0
		} else {
			doubt++
		}
		if result.Outcome == ProbeFailed || doubt == soakDoubt {
			result.Outcome, result.Attempts = ProbeFailed, 1
			if err := r.record(Event{Probe: &result}); err != nil {
				return err
			}
			return withTail(fault.New(fault.Failed, "SOAK_FAILED", "did not stay good for %s: %s: %s", verify.Soak, result.Name, result.Message), result.OutputTail)
		}
		if last && doubt == 0 {
			return nil // the soak ends with a look that found everything good
		}
		select {
		case <-over.C:
			last = true
		case <-time.After(soakEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lookAtContainers makes one attempt at every containers probe; the worst is the result.
func (r *run) lookAtContainers(ctx context.Context, plan *pipeline.Plan, verify pipeline.Verify) ProbeResult {
	worst := ProbeResult{Outcome: ProbePassed}
	for _, p := range verify.Probes {
		if !isContainers(p) {
			continue
		}
		result := r.engine.ports.Prober.Probe(ctx, plan, p)
		if result.Name = p.Name; worse(result.Outcome, worst.Outcome) {
			worst = result
		}
	}
	return worst
}

// waitFor is the wait step: one probe until it passes.
func (r *run) waitFor(ctx context.Context, plan *pipeline.Plan, w pipeline.Wait) (string, error) {
	p, ok := plan.Probe(w.Probe)
	if !ok {
		return "", fault.New(fault.Internal, "UNKNOWN_PROBE", "the plan has no probe %q", w.Probe)
	}
	limited, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	result := r.probeUntil(limited, plan, p)
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", context.Cause(ctx)
	}
	return fmt.Sprintf("passed after %d attempts", result.Attempts), probeError([]ProbeResult{result}, w.Timeout)
}
