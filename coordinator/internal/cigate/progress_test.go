package cigate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/coordinator/internal/cigate"
	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
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
