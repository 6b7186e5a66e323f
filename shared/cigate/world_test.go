package cigate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/cigate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	repository = "owner/name"
	head       = "c0ffee0000000000000000000000000000000001" // what is deployed
	elsewhere  = "c0ffee0000000000000000000000000000000002" // another commit
)

// start is when the commit is pushed. The gate begins 20 s later, when its job runs.
var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// world is a GitHub with one repository and a gate that asks about head, in fake time.
type world struct {
	t      *testing.T
	clock  *githubtest.Clock
	github *githubtest.Server
	repo   *githubtest.Repository

	deploy, lint, test *githubtest.Workflow
	own                *githubtest.Run // of deploy.yml, for head, by the push

	expect   map[string]ci.Expectation
	gate     cigate.Gate
	question cigate.Question
	reports  []cigate.Report
}

// newWorld has three workflows with a past. The push has happened; only its run of
// deploy.yml is there.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: githubtest.NewClock(start.Add(-time.Hour)), expect: map[string]ci.Expectation{}}
	w.github = githubtest.New(t, githubtest.WithClock(w.clock.Now))
	w.repo = w.github.AddRepository(repository)
	w.deploy, w.lint, w.test = w.repo.AddWorkflow("deploy.yml"), w.repo.AddWorkflow("lint.yml"), w.repo.AddWorkflow("test.yml")
	for _, r := range w.repo.Push(elsewhere, w.deploy, w.lint, w.test) {
		r.Complete("success")
	}
	w.clock.Advance(time.Hour)
	w.own = w.repo.Push(head, w.deploy)[0]
	w.own.Set("in_progress")

	client, err := ci.NewClient(ci.Options{
		Repository: repository, Token: githubtest.Token, BaseURL: w.github.URL(),
		Now: w.clock.Now, Sleep: w.clock.Sleep, Jitter: func() float64 { return 0.5 },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w.gate = cigate.Gate{
		Source: client, Clock: w.clock,
		Expect:   func(_ context.Context, file string) ci.Expectation { return w.expect[file] },
		Progress: func(r cigate.Report) { w.reports = append(w.reports, r) },
	}
	w.question = cigate.Question{
		Repository: repository, Branch: "main", SHA: head, Workflows: []string{"lint.yml", "test.yml"}, OwnRun: w.own.ID(),
	}
	return w
}

// pushes makes runs of lint.yml and test.yml by the push. The second passes after a minute.
func (w *world) pushes() (lint, test *githubtest.Run) {
	lint, test = w.lint.Start(githubtest.NewRun{SHA: head}), w.test.Start(githubtest.NewRun{SHA: head})
	test.Set("in_progress")
	w.after(time.Minute, func() { test.Complete("success") })
	return lint, test
}

// only makes lint.yml the only required workflow.
func (w *world) only() { w.question.Workflows = []string{"lint.yml"} }

// after lets something happen so long after the push.
func (w *world) after(d time.Duration, do func()) { w.clock.After(d, do) }

// expects sets what the files of both workflows say.
func (w *world) expects(e ci.Expect) {
	for _, file := range w.question.Workflows {
		w.expect[file] = ci.Expectation{Expect: e, Reason: "the file says so"}
	}
}

func (w *world) wait(ctx context.Context) (cigate.Result, error) {
	w.clock.Advance(20 * time.Second)
	return w.gate.Wait(ctx, w.question)
}

// ended is how a wait must end: with an outcome, so long after the push, for a reason.
type ended struct {
	outcome string
	from    time.Duration // after the push
	to      time.Duration
	reason  string // a part of it
}

// must waits and compares.
func (w *world) must(want ended) cigate.Result {
	w.t.Helper()
	got, err := w.wait(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	at := w.clock.Now().Sub(start)
	if got.Outcome != want.outcome || at < want.from || at > want.to || !strings.Contains(got.Reason, want.reason) {
		w.t.Errorf("got %s after %s: %s\nwant %s after %s to %s: %s", got.Outcome, at, got.Reason, want.outcome, want.from, want.to, want.reason)
	}
	if (got.Outcome == cigate.Blocked || got.Outcome == cigate.Timeout) && got.Hint == "" {
		w.t.Errorf("%s, and nothing says what to do", got.Outcome)
	}
	return got
}

// story is what was reported, a line each.
func (w *world) story() string {
	var b strings.Builder
	for _, r := range w.reports {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

// told checks that the reports say something.
func (w *world) told(part string) {
	w.t.Helper()
	if !strings.Contains(w.story(), part) {
		w.t.Errorf("no report says %q:\n%s", part, w.story())
	}
}
