package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/engine"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// judgement is how strictly the result of an operation is judged.
type judgement struct {
	excused []picture.Excuse      // services that were not as they should be before, and are not to blame on the operation
	failed  []picture.FailedProbe // probes that failed before, and that are asked, told and not judged by
	soak    bool                  // containers may have been changed, so that they are watched for a while
}

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
func (f flow) probeAll(ctx context.Context, where string, plan *pipeline.Plan, verify pipeline.Verify, j judgement) error {
	if err := f.Step(ctx, where+"/probes", fmt.Sprintf("%d probes", len(verify.Probes)), func(ctx context.Context, _ ports.Output) (string, error) {
		return f.probeOnce(ctx, plan, verify, j)
	}); err != nil {
		return err
	}
	if !j.soak || verify.Soak <= 0 || !slices.ContainsFunc(verify.Probes, isContainers) {
		return nil
	}
	return f.Step(ctx, where+"/soak", "watch the containers for "+verify.Soak.String(), func(ctx context.Context, _ ports.Output) (string, error) {
		return "", f.soak(ctx, plan, verify, j.excused)
	})
}

func isContainers(p pipeline.Probe) bool { return p.Containers != nil }

// probeOnce lets every probe of verify pass once. The first final failure ends the others.
func (f flow) probeOnce(ctx context.Context, plan *pipeline.Plan, verify pipeline.Verify, j judgement) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, cancelDeadline := context.WithTimeoutCause(ctx, verify.Deadline, context.DeadlineExceeded)
	defer cancelDeadline()

	results := make([]operation.ProbeResult, len(verify.Probes))
	var group sync.WaitGroup
	for i, p := range verify.Probes {
		group.Go(func() {
			if picture.FailedNamed(j.failed, p.Name) {
				results[i] = f.probeAsBefore(ctx, plan, p, j.excused)
				return
			}
			results[i] = f.probeUntil(ctx, plan, p, j.excused)
			if results[i].Outcome == operation.ProbeFailed {
				cancel(engine.ErrSibling)
			}
		})
	}
	group.Wait()
	if engine.ShuttingDown(ctx) {
		return "", engine.ErrShutdown
	}
	if err := probeError(results, verify.Deadline); err != nil {
		return "", err
	}
	return f.passed(results)
}

// asBefore begins what is told of a probe that fails as it did before.
const asBefore = "not judged by it, because it failed before as well: "

// probeAsBefore makes one attempt at a probe that failed before. It is told, and stands in nobody's way.
func (f flow) probeAsBefore(ctx context.Context, plan *pipeline.Plan, p pipeline.Probe, excused []picture.Excuse) operation.ProbeResult {
	started := time.Now()
	result := f.ports.Prober.Probe(ctx, plan, p, excused)
	result.Name, result.Attempts, result.Elapsed = p.Name, 1, time.Since(started)
	if result.Outcome != operation.ProbePassed {
		result.Outcome, result.Message, result.OutputTail = operation.ProbePassed, asBefore+result.Message, nil
	}
	_ = f.Record(operation.Event{Probe: &result}) // a broken journal has ended ctx
	return result
}

// passed counts probes, none of which stands against the result, and warns of those that fail as before.
func (f flow) passed(results []operation.ProbeResult) (string, error) {
	var still []string
	for _, r := range results {
		if why, failed := strings.CutPrefix(r.Message, asBefore); failed {
			still = append(still, r.Name+": "+why)
		}
	}
	if len(still) == 0 {
		return fmt.Sprintf("%d passed", len(results)), nil
	}
	return fmt.Sprintf("%d passed, %d fail as before", len(results)-len(still), len(still)),
		f.Warn(probeDownBefore, "not judged by what failed before as well: "+strings.Join(still, "; "))
}

// probeUntil tries one probe until it passes, fails for good, or ctx ends.
func (f flow) probeUntil(ctx context.Context, plan *pipeline.Plan, p pipeline.Probe, excused []picture.Excuse) operation.ProbeResult {
	started, pause := time.Now(), probeFirst
	var last string
	for attempt := 1; ; attempt++ {
		result := f.ports.Prober.Probe(ctx, plan, p, excused)
		result.Name, result.Attempts, result.Elapsed = p.Name, attempt, time.Since(started)
		over := ctx.Err() != nil
		if over && result.Outcome != operation.ProbePassed && last != "" {
			result.Message = last // what it last saw says more than "context cancelled"
		}
		if result.Outcome != operation.ProbeWaiting || result.Message != last || over {
			_ = f.Record(operation.Event{Probe: &result}) // a broken journal has ended ctx
		}
		last = result.Message
		if result.Outcome != operation.ProbeWaiting || over {
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
func probeError(results []operation.ProbeResult, deadline time.Duration) error {
	var bad, lastWords []string
	final := false
	for _, r := range results {
		if r.Outcome == operation.ProbeFailed {
			final = true
		}
	}
	for _, r := range results {
		// Where one failed for good, those that were still waiting are not to blame.
		if r.Outcome == operation.ProbeFailed || (r.Outcome == operation.ProbeWaiting && !final) {
			bad = append(bad, r.Name+": "+r.Message)
			lastWords = append(lastWords, r.OutputTail...)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	if final {
		return engine.WithTail(fault.New(fault.Failed, "PROBE_FAILED", "%s", strings.Join(bad, "; ")), lastWords)
	}
	return engine.WithTail(fault.New(fault.Failed, "PROBE_DEADLINE", "not good within %s: %s", deadline, strings.Join(bad, "; ")), lastWords)
}

// soak looks at the containers again and again: a service may die right after it
// became healthy.
func (f flow) soak(ctx context.Context, plan *pipeline.Plan, verify pipeline.Verify, excused []picture.Excuse) error {
	over := time.NewTimer(verify.Soak)
	defer over.Stop()
	last := false
	for doubt := 0; ; {
		result := f.lookAtContainers(ctx, plan, verify, excused)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if result.Outcome == operation.ProbePassed {
			doubt = 0
		} else {
			doubt++
		}
		if result.Outcome == operation.ProbeFailed || doubt == soakDoubt {
			result.Outcome, result.Attempts = operation.ProbeFailed, 1
			if err := f.Record(operation.Event{Probe: &result}); err != nil {
				return err
			}
			return engine.WithTail(fault.New(fault.Failed, "SOAK_FAILED", "did not stay good for %s: %s: %s", verify.Soak, result.Name, result.Message), result.OutputTail)
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
func (f flow) lookAtContainers(ctx context.Context, plan *pipeline.Plan, verify pipeline.Verify, excused []picture.Excuse) operation.ProbeResult {
	worst := operation.ProbeResult{Outcome: operation.ProbePassed}
	for _, p := range verify.Probes {
		if !isContainers(p) {
			continue
		}
		result := f.ports.Prober.Probe(ctx, plan, p, excused)
		if result.Name = p.Name; result.Outcome.Worse(worst.Outcome) {
			worst = result
		}
	}
	return worst
}

// waitFor is the wait step: one probe until it passes.
func (f flow) waitFor(ctx context.Context, plan *pipeline.Plan, w pipeline.Wait) (string, error) {
	p, ok := plan.Probe(w.Probe)
	if !ok {
		return "", fault.New(fault.Internal, "UNKNOWN_PROBE", "the plan has no probe %q", w.Probe)
	}
	limited, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	result := f.probeUntil(limited, plan, p, nil)
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", context.Cause(ctx)
	}
	return fmt.Sprintf("passed after %d attempts", result.Attempts), probeError([]operation.ProbeResult{result}, w.Timeout)
}
