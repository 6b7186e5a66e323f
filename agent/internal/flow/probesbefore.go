package flow

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// probesBefore bounds the one attempt at each probe before an operation: a little more than the default of a probe's own timeout, so that it is the probe
// that gives up, and says of what.
const probesBefore = 6 * time.Second

// failedBefore asks the probes by which going back to what runs now would be judged, once each and side by side. Those that fail are no measure for
// going back: it cannot make better what was bad. plan has the steps of the operation and its own probes; fallback has the landfall.yaml to use where
// that of the checkout is missing or wrong, as going back has. Containers are not asked: each service has a past of its own. What does not answer in
// time is not known, and is judged like all others.
func (f flow) failedBefore(ctx context.Context, now picture.Picture, plan *pipeline.Plan, proven *operation.Proven, fallback string) ([]picture.FailedProbe, error) {
	if len(now.Containers) == 0 {
		return nil, nil // nothing ran that could have answered, and going back is not judged
	}
	back, err := (&restoration{flow: f, target: f.Snapshot().PreDeploy, fallback: fallback}).compile(ctx)
	if err != nil {
		f.log.Warn("what the probes find before is not known: no landfall.yaml tells of them", "operation", f.ID(), "error", err)
		return nil, ctx.Err()
	}
	probes := slices.DeleteFunc(slices.Clone(back.Verify.Probes), isContainers)
	limited, cancel := context.WithTimeout(ctx, probesBefore)
	defer cancel()
	results := make([]operation.ProbeResult, len(probes))
	var group sync.WaitGroup
	for i, p := range probes {
		group.Go(func() {
			results[i] = f.ports.Prober.Probe(limited, back, p, nil)
			if limited.Err() != nil { // cut off
				results[i].Outcome = operation.ProbePassed
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var failed []picture.FailedProbe
	for i, p := range probes {
		if results[i].Outcome == operation.ProbePassed {
			continue
		}
		concerned := picture.Concerns(p, plan.Verify.Probes, plan.Steps, proven.Leaving, proven.Projects)
		failed = append(failed, picture.FailedProbe{Name: p.Name, Why: results[i].Message, Aside: !concerned})
	}
	return failed, nil
}

// probeDownBefore is the reason of the warning that a probe failed before.
const probeDownBefore = "PROBE_DOWN_BEFORE"

// tellFailed says before anything is touched which probes fail already.
func (f flow) tellFailed(failed []picture.FailedProbe) error {
	if len(failed) == 0 {
		return nil
	}
	message := "failed before: " + answers(failed) + "; going back would not be judged by it"
	if aside := picture.FailedAside(failed); len(aside) > 0 {
		var names []string
		for _, p := range aside {
			names = append(names, p.Name)
		}
		message += ", nor is what is to be done, which does not speak of what " + strings.Join(names, ", ") + " asks"
	}
	return f.Warn(probeDownBefore, message)
}

// aside are the probes by which the operation itself is not judged. One that has applied migrations is judged by all.
func (f flow) aside(proven *operation.Proven) []picture.FailedProbe {
	if migrationsOf(f.Snapshot()) != "" {
		return nil
	}
	return picture.FailedAside(proven.FailedBefore)
}

// answers tells what probes that failed before found.
func answers(failed []picture.FailedProbe) string {
	var all []string
	for _, p := range failed {
		all = append(all, p.Name+": "+p.Why)
	}
	return strings.Join(all, "; ")
}

// notJudgedBy is the end of a last word: "" where everything was judged.
func notJudgedBy(failed []picture.FailedProbe) string {
	if len(failed) == 0 {
		return ""
	}
	return "; not judged by what failed before: " + answers(failed)
}
