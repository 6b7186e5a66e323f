package cigate_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/cigate"
)

// The limit of GITHUB_TOKEN is 1,000 requests an hour for all workflows of a repository
// together. A gate of half an hour, at least one workflow under way for all of it, with a look
// for newer deploys each minute:
func TestRequestsOfHalfAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lint, test := w.lint.Start(githubtest.NewRun{SHA: head}), w.test.Start(githubtest.NewRun{SHA: head})
	w.after(40*time.Second, func() { lint.Set("in_progress"); test.Set("in_progress") })
	w.after(12*time.Minute, func() { lint.Complete("success") })
	w.after(30*time.Minute, func() { test.Complete("success") })
	w.gate.Yield = func(ctx context.Context) (string, error) {
		_, err := w.gate.Source.RunsOfWorkflow(ctx, w.deploy.ID(), 50)
		return "", err
	}
	w.must(ended{cigate.Pass, 30 * time.Minute, 30*time.Minute + 15*time.Second, ""})

	all, counted := 0, 0
	for _, r := range w.github.Requests() {
		all++
		if r.Counted {
			counted++
		}
	}
	t.Logf("half an hour: %d requests, %d count against the limit; an hour of it: %d without ETags, %d with", all, counted, 2*all, 2*counted)
	if all > 200 || counted > 20 {
		t.Errorf("%d requests, of which %d count, want at most 200 and 20", all, counted)
	}
}

// From the end of the last workflow to the verdict: nothing but the rest of the poll's
// interval, whatever its phase.
func TestTimeToVerdict(t *testing.T) {
	t.Parallel()
	var times []time.Duration
	for phase := range 60 {
		w := newWorld(t)
		w.only()
		w.expects(ci.Expected)
		lint := w.lint.Start(githubtest.NewRun{SHA: head})
		end := 2*time.Minute + time.Duration(phase)*time.Second
		w.after(end, func() { lint.Complete("success") })
		result := w.must(ended{cigate.Pass, end, end + cigate.DefaultPoll, ""})
		if took := w.clock.Now().Sub(start.Add(end)); took != result.Settled {
			t.Errorf("phase %d s: it took %s, and says %s", phase, took, result.Settled)
		}
		times = append(times, result.Settled)
	}
	slices.Sort(times)
	var sum time.Duration
	for _, d := range times {
		sum += d
	}
	t.Logf("from the end of the last workflow to the verdict, 60 phases: least %s, median %s, mean %s, most %s",
		times[0], times[len(times)/2], sum/time.Duration(len(times)), times[len(times)-1])
}
