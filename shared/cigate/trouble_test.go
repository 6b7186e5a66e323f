package cigate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/cigate"
	"ataraxis.dev/landfall/shared/fault"
)

// What GitHub answers in place of an answer is waited out, and never taken for "no runs":
// every file here says that none is expected, so a gate that did so would pass.
func TestTroubleIsWaitedOut(t *testing.T) {
	t.Parallel()
	always := 1 << 20
	const late = 20*time.Second + cigate.DefaultTimeout
	for name, c := range map[string]struct {
		play func(w *world)
		want ended
		told string
	}{
		"502 with a page, then 500 for ever": {func(w *world) {
			w.github.Disturb("/actions/runs", 20, githubtest.HTML(http.StatusBadGateway))
			w.github.Disturb("/actions/runs", always, githubtest.Respond(http.StatusInternalServerError, nil, "{}"))
		}, ended{cigate.Timeout, late, late + time.Minute, "500"}, "502"},
		"502 with a page, then it recovers": {func(w *world) {
			w.github.Disturb("/actions", 30, githubtest.HTML(http.StatusBadGateway))
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success"})
		}, ended{cigate.Pass, time.Minute, 5 * time.Minute, "lint.yml (success)"}, "502"},
		"answers that break off": {func(w *world) {
			w.github.Disturb("/actions", 10, githubtest.Truncate())
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "failure"})
		}, ended{cigate.Blocked, 20 * time.Second, 3 * time.Minute, "failed"}, ""},
		"connections that break": {func(w *world) {
			w.github.Disturb("/actions", 10, githubtest.Reset())
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "failure"})
		}, ended{cigate.Blocked, 20 * time.Second, 3 * time.Minute, "failed"}, ""},
		"JSON that is no list": {func(w *world) {
			w.github.Disturb("/actions/runs", always, githubtest.Respond(http.StatusOK, nil, `{"message":"odd"}`))
		}, ended{cigate.Timeout, late, late, ""}, ""},
		"our own run is not known yet": {func(w *world) {
			w.github.Disturb("/actions/runs/", 4, githubtest.Respond(http.StatusNotFound, nil, `{"message":"Not Found"}`))
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success"})
		}, ended{cigate.Pass, 50 * time.Second, 2 * time.Minute, "success"}, "read the run we are in"},
		"secondary limit, 429, Retry-After": {func(w *world) {
			w.github.SetSecondary(githubtest.Secondary{Requests: 1, Status: http.StatusTooManyRequests, RetryAfter: "120"})
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success"})
		}, ended{cigate.Pass, 140 * time.Second, 141 * time.Second, "success"}, "until 09:02:20 UTC"},
		"secondary limit, 403, without a header": {func(w *world) {
			w.github.SetSecondary(githubtest.Secondary{Requests: 2})
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success"})
		}, ended{cigate.Pass, 3 * time.Minute, 4 * time.Minute, "success"}, "slow down"},
		"primary limit used up": {func(w *world) {
			w.github.SetLimit(githubtest.Limit{Most: 1000, Window: 20 * time.Minute}, 1000)
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success"})
		}, ended{cigate.Pass, 20 * time.Minute, 21 * time.Minute, "success"}, "rate limit of 1000 requests is used up"},
		"primary limit used up, 429": {func(w *world) {
			w.github.SetLimit(githubtest.Limit{Most: 1000, Window: 20 * time.Minute, Status: http.StatusTooManyRequests}, 1000)
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success"})
		}, ended{cigate.Pass, 20 * time.Minute, 21 * time.Minute, "success"}, "is used up"},
		"the limit outlasts the gate: nothing is gained by waiting": {func(w *world) {
			w.gate.Timeout = 10 * time.Minute
			w.github.SetLimit(githubtest.Limit{Most: 1000}, 1000)
		}, ended{cigate.Timeout, 20 * time.Second, 20 * time.Second, "rate limit of 1000 requests is used up"}, ""},
		"a verdict that cannot be confirmed is none": {func(w *world) {
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success"})
			w.github.Disturb(fmt.Sprintf("/workflows/%d/runs", w.lint.ID()), always, githubtest.HTML(http.StatusBadGateway))
		}, ended{cigate.Timeout, late, late + time.Minute, "not confirmed yet"}, "502"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.only()
			w.expects(ci.NotExpected)
			c.play(w)
			w.must(c.want)
			w.told(c.told)
		})
	}
}

// What waiting does not cure ends the wait at the first answer.
func TestRefusalsEndTheWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		play   func(w *world)
		reason string
		within time.Duration
	}{
		"401":                           {func(w *world) { w.github.Revoke(githubtest.Token) }, "GITHUB_TOKEN", 0},
		"401 while we wait":             {func(w *world) { w.after(3*time.Minute, func() { w.github.Revoke(githubtest.Token) }) }, "GITHUB_TOKEN", 3 * time.Minute},
		"403: actions: read is missing": {func(w *world) { w.github.Grant(githubtest.Token, githubtest.Grant{NoActions: true}) }, "GITHUB_PERMISSION", 0},
		"404: the token sees no such": {func(w *world) {
			w.repo.SetPrivate(true)
			w.github.Grant(githubtest.Token, githubtest.Grant{Repositories: []string{}})
		}, "NO_SUCH_REPOSITORY", 0},
		"404: our own run does not come": {func(w *world) { w.question.OwnRun = 4711 }, "NO_SUCH_RUN", 3 * time.Minute},
		"no workflow is required":        {func(w *world) { w.question.Workflows = nil }, "NO_WORKFLOWS", 0},
		"no commit":                      {func(w *world) { w.question.SHA = "" }, "GATE_INCOMPLETE", 0},
		"a newer deploy may not be looked for": {func(w *world) {
			w.gate.Yield = func(context.Context) (string, error) { return "", fault.New(fault.Invalid, "GITHUB_PERMISSION", "no") }
		}, "GITHUB_PERMISSION", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.expects(ci.Expected)
			c.play(w)
			_, err := w.wait(t.Context())
			if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != c.reason {
				t.Errorf("got %v %q: %v, want %q", fault.KindOf(err), fault.ReasonOf(err), err, c.reason)
			}
			if at := w.clock.Now().Sub(start) - 20*time.Second; at > c.within {
				t.Errorf("it took %s, want at most %s", at, c.within)
			}
		})
	}
}

func TestInterruptEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pushes()
	ctx, cancel := context.WithCancel(t.Context())
	w.after(5*time.Minute, cancel)
	_, err := w.wait(ctx)
	if fault.KindOf(err) != fault.Interrupted {
		t.Errorf("got %v, want interrupted", err)
	}
	if requests := w.github.Requests(); requests[len(requests)-1].At.After(start.Add(5 * time.Minute)) {
		t.Error("it asked once more after the interrupt")
	}
}

// hanging is a source whose lists never answer.
type hanging struct{ ci.Source }

func (hanging) Workflow(context.Context, string) (ci.Workflow, error) {
	return ci.Workflow{ID: 1, State: ci.Active}, nil
}

func (hanging) RunsOfCommit(ctx context.Context, _ string) ([]ci.Run, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// By the machine's clock, as the tests' standard library fakes it.
func TestRequestsThatHang(t *testing.T) {
	t.Parallel()
	q := cigate.Question{Repository: repository, Branch: "main", SHA: head, Workflows: []string{"lint.yml"}}
	t.Run("end with the wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			got, err := cigate.Gate{Source: hanging{}, Timeout: 7 * time.Minute}.Wait(t.Context(), q)
			if err != nil || got.Outcome != cigate.Timeout || time.Since(began) != 7*time.Minute {
				t.Errorf("got %+v, %v after %s", got, err, time.Since(began))
			}
		})
	})
	t.Run("end with an interrupt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("ctrl-c"))
			defer cancel()
			_, err := cigate.Gate{Source: hanging{}}.Wait(ctx, q)
			if fault.KindOf(err) != fault.Interrupted || time.Since(began) != time.Minute {
				t.Errorf("got %v after %s", err, time.Since(began))
			}
		})
	})
}
