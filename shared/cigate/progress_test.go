package cigate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/cigate"
)

// A change is told at once; otherwise a sign of life comes about every minute.
func TestProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.expect["test.yml"] = ci.Expectation{Expect: ci.NotExpected}
	lint := w.lint.Start(githubtest.NewRun{SHA: head})
	w.after(40*time.Second, func() { lint.Set("in_progress") })
	w.after(170*time.Second, func() { lint.Complete("success") })
	result := w.must(ended{cigate.Pass, 170 * time.Second, 185 * time.Second, "lint.yml (success), test.yml (not triggered)"})

	want := "" +
		"lint.yml queued for 20s, test.yml no run for 0s (0s of 45m0s)\n" +
		"lint.yml in_progress for 50s, test.yml no run for 30s (30s of 45m0s)\n" +
		"lint.yml in_progress for 1m35s, test.yml not triggered (1m15s of 45m0s)\n" +
		"lint.yml in_progress for 2m35s, test.yml not triggered (2m15s of 45m0s)\n"
	if diff := cmp.Diff(want, w.story()); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	if result.Polls == 0 || result.Waited != w.clock.Now().Sub(start)-20*time.Second || result.Settled != w.clock.Now().Sub(start.Add(170*time.Second)) {
		t.Errorf("polls %d, waited %s, settled %s", result.Polls, result.Waited, result.Settled)
	}
}

func TestSignOfLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lint, _ := w.pushes()
	w.after(10*time.Minute, func() { lint.Complete("success") })
	w.must(ended{cigate.Pass, 10 * time.Minute, 10*time.Minute + 15*time.Second, ""})
	if n := len(w.reports); n < 9 || n > 13 {
		t.Errorf("%d reports in ten minutes:\n%s", n, w.story())
	}
}

func TestYield(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pushes()
	var asked []time.Duration
	w.gate.Yield = func(context.Context) (string, error) {
		asked = append(asked, w.clock.Now().Sub(start).Round(time.Second))
		if w.clock.Now().After(start.Add(2 * time.Minute)) {
			return "a newer deploy, run 3, is queued", nil
		}
		return "", nil
	}
	w.must(ended{cigate.Superseded, 2 * time.Minute, 3*time.Minute + 15*time.Second, "run 3"})
	if diff := cmp.Diff([]time.Duration{20 * time.Second, 80 * time.Second, 140 * time.Second}, asked); diff != "" {
		t.Errorf("looked for a newer deploy at (-want +got):\n%s", diff)
	}
}

// Before it passes the gate looks again: what comes next deploys. An error there is tried again.
func TestYieldBeforePass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.only()
	w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success"})
	failures := 2
	w.gate.Yield = func(context.Context) (string, error) {
		if failures--; failures >= 0 {
			return "", errors.New("unavailable")
		}
		return "", nil
	}
	w.must(ended{cigate.Pass, 50 * time.Second, 50 * time.Second, ""})
	w.told("unavailable")
}

func TestYieldBetweenTwoLooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.only()
	lint, _ := w.pushes()
	w.after(40*time.Second, func() { lint.Complete("success") })
	asked := 0
	w.gate.Yield = func(context.Context) (string, error) {
		if asked++; asked == 2 {
			return "a newer deploy, run 3, is queued", nil
		}
		return "", nil
	}
	w.must(ended{cigate.Superseded, 50 * time.Second, 50 * time.Second, "run 3"})
}

// While GitHub's limit holds nothing is asked, and a sign of life comes all the same.
func TestNothingIsAskedIntoALimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.only()
	w.github.SetLimit(githubtest.Limit{Most: 1000, Window: 20 * time.Minute}, 1000)
	w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success"})
	source := &counting{Source: w.gate.Source}
	w.gate.Source = source
	w.must(ended{cigate.Pass, 20 * time.Minute, 20*time.Minute + 15*time.Second, ""})
	if source.runs != 2 {
		t.Errorf("asked %d times for our own run, want 2: before the limit was known and after it", source.runs)
	}
	if n := len(w.reports); n < 18 || n > 22 {
		t.Errorf("%d reports in twenty minutes:\n%s", n, w.story())
	}
}

// counting counts the questions for our own run.
type counting struct {
	ci.Source
	runs int
}

func (c *counting) Run(ctx context.Context, id int64) (ci.Run, error) {
	c.runs++
	return c.Source.Run(ctx, id)
}

// What a file says is found out when a run is missing, and only until it is known.
func TestFilesAreReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := map[string]int{}
	w.gate.Expect = func(_ context.Context, file string) ci.Expectation {
		if asked[file]++; file == "lint.yml" && asked[file] < 3 {
			return ci.Expectation{Reason: "the remote does not answer"}
		}
		return ci.Expectation{Expect: ci.NotExpected}
	}
	w.must(ended{cigate.Pass, 2 * time.Minute, 3 * time.Minute, "not triggered"})
	if diff := cmp.Diff(map[string]int{"lint.yml": 3, "test.yml": 1}, asked); diff != "" {
		t.Errorf("files read (-want +got):\n%s", diff)
	}
}

// At a prompt there is no run of our own. Another workflow's run bears witness, or the
// gate waits longer.
func TestAtAPrompt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		workflow string
		want     ended
	}{
		"with a witness": {"deploy.yml", ended{cigate.Pass, 90 * time.Second, 105 * time.Second, "not triggered"}},
		"without":        {"", ended{cigate.Pass, 20*time.Second + ci.MinimumAge, 35*time.Second + ci.MinimumAge, "not triggered"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.expects(ci.NotExpected)
			w.question.OwnRun, w.question.OwnWorkflow = 0, c.workflow
			w.must(c.want)
		})
	}
}
