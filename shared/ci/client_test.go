package ci_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	name     = "octo/fleet"
	commit   = "1111111111111111111111111111111111111111"
	another  = "2222222222222222222222222222222222222222"
	runsPath = "/repos/octo/fleet/actions/runs"
)

var morning = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// site is a GitHub with one repository, and a client that asks it; both live by clock.
type site struct {
	clock  *githubtest.Clock
	server *githubtest.Server
	repo   *githubtest.Repository
	client *ci.Client
}

func newSite(t *testing.T, change ...func(*ci.Options)) site {
	t.Helper()
	clock := githubtest.NewClock(morning)
	server := githubtest.New(t, githubtest.WithClock(clock.Now))
	s := site{clock: clock, server: server, repo: server.AddRepository(name)}
	s.client = s.connect(t, change...)
	return s
}

// connect makes another client of the same GitHub.
func (s site) connect(t *testing.T, change ...func(*ci.Options)) *ci.Client {
	t.Helper()
	o := ci.Options{
		Repository: name, Token: githubtest.Token, BaseURL: s.server.URL(), Now: s.clock.Now, Sleep: s.clock.Sleep,
		Jitter: func() float64 { return 0.5 },
	}
	for _, c := range change {
		c(&o)
	}
	client, err := ci.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func ids(runs []ci.Run) []int64 {
	ids := make([]int64, len(runs))
	for i, r := range runs {
		ids[i] = r.ID
	}
	return ids
}

func TestWorkflow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lint := s.repo.AddWorkflow("lint.yml")
	lint.SetName("Lint, of everything")
	odd := s.repo.AddWorkflow("a b#c?d%e.yaml")
	odd.SetState("disabled_manually")
	for _, want := range []ci.Workflow{
		{ID: lint.ID(), File: "lint.yml", Name: "Lint, of everything", State: ci.Active},
		{ID: odd.ID(), File: "a b#c?d%e.yaml", Name: "a b#c?d%e", State: "disabled_manually"},
	} {
		got, err := s.client.Workflow(t.Context(), want.File)
		if err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestAWorkflowWhoseFileIsGone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lint := s.repo.AddWorkflow("lint.yml")
	run := lint.Start(githubtest.NewRun{SHA: commit})
	lint.Unregister()
	_, err := s.client.Workflow(t.Context(), "lint.yml")
	if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "NO_SUCH_WORKFLOW" || !strings.Contains(err.Error(), name+" has no workflow lint.yml") {
		t.Errorf("%v", err)
	}
	if runs, err := s.client.RunsOfCommit(t.Context(), commit); err != nil || len(runs) != 1 || runs[0].Number != run.Number() {
		t.Errorf("its run: %+v, %v", runs, err)
	}
}

// An Enterprise server has its API below a path.
func TestABaseWithAPath(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.repo.AddWorkflow("lint.yml")
	for _, base := range []string{"/api/v3", "/api/v3/"} {
		c := s.connect(t, func(o *ci.Options) { o.BaseURL = s.server.URL() + base })
		if _, err := c.Workflow(t.Context(), "lint.yml"); err != nil {
			t.Error(err)
		}
	}
	for _, r := range s.server.Requests() {
		if r.Path != "/api/v3/repos/octo/fleet/actions/workflows/lint.yml" {
			t.Errorf("asked for %s", r.Path)
		}
	}
}

func TestFilesThatAreNoWorkflow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, file := range []string{"", "lint", ".github/workflows/lint.yml", "../../runs?a=.yml", `a\b.yml`, "..yml", "lint.yml\n", "lint\x1b.yml", strings.Repeat("a", 300) + ".yml"} {
		_, err := s.client.Workflow(t.Context(), file)
		if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "NO_SUCH_WORKFLOW" {
			t.Errorf("%q: %v", file, err)
		}
	}
	if n := len(s.server.Requests()); n != 0 {
		t.Errorf("%d requests for names that cannot be", n)
	}
}

func TestRunsOfCommit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lint, deploy := s.repo.AddWorkflow("lint.yml"), s.repo.AddWorkflow("deploy.yml")
	pushed := s.repo.Push(commit, lint, deploy)
	pushed[0].Complete("success")
	s.clock.Advance(time.Minute)
	lint.Start(githubtest.NewRun{SHA: another})
	fork := lint.Start(githubtest.NewRun{SHA: commit, Event: "pull_request", HeadRepository: "stranger/fleet"})
	s.clock.Advance(time.Minute)
	orphan := lint.Start(githubtest.NewRun{SHA: commit, NoBranch: true, HeadRepositoryDeleted: true})
	orphan.Complete("failure")
	s.clock.Advance(time.Minute)
	orphan.Rerun()

	got, err := s.client.RunsOfCommit(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	url := func(r *githubtest.Run) string {
		return fmt.Sprintf("https://github.com/%s/actions/runs/%d", name, r.ID())
	}
	at := func(minutes int) time.Time { return morning.Add(time.Duration(minutes) * time.Minute) }
	want := []ci.Run{
		{
			ID: orphan.ID(), WorkflowID: lint.ID(), Number: 4, Attempt: 2, Event: "push", SHA: commit, Status: "queued", URL: url(orphan),
			Created: at(2), Started: at(3), Updated: at(3),
		},
		{
			ID: fork.ID(), WorkflowID: lint.ID(), Number: 3, Attempt: 1, Event: "pull_request", Branch: "main", SHA: commit, HeadRepository: "stranger/fleet",
			Status: "queued", URL: url(fork), Created: at(1), Started: at(1), Updated: at(1),
		},
		{
			ID: pushed[1].ID(), WorkflowID: deploy.ID(), Number: 1, Attempt: 1, Event: "push", Branch: "main", SHA: commit, HeadRepository: name,
			Status: "queued", URL: url(pushed[1]), Created: at(0), Started: at(0), Updated: at(0),
		},
		{
			ID: pushed[0].ID(), WorkflowID: lint.ID(), Number: 1, Attempt: 1, Event: "push", Branch: "main", SHA: commit, HeadRepository: name,
			Status: "completed", Conclusion: "success", URL: url(pushed[0]), Created: at(0), Started: at(0), Updated: at(0),
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	query := s.server.Requests()[0].Query
	if query != "exclude_pull_requests=true&head_sha="+commit+"&page=1&per_page=100" {
		t.Errorf("asked for %s", query)
	}
	if _, err := s.client.RunsOfCommit(t.Context(), "main"); fault.ReasonOf(err) != "INVALID_SHA" {
		t.Errorf("a branch in place of a commit: %v", err)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ runs, want, requests int }{{0, 0, 1}, {100, 100, 1}, {101, 101, 2}, {999, 999, 10}, {1200, 1000, 10}} {
		t.Run(fmt.Sprint(c.runs), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			lint := s.repo.AddWorkflow("lint.yml")
			for range c.runs {
				lint.Start(githubtest.NewRun{SHA: commit})
			}
			got, err := s.client.RunsOfCommit(t.Context(), commit)
			if err != nil || len(got) != c.want || len(s.server.Requests()) != c.requests {
				t.Errorf("%d runs by %d requests, %v; want %d by %d", len(got), len(s.server.Requests()), err, c.want, c.requests)
			}
		})
	}
}

// A run that begins while the pages are read moves the last of a page to the next one.
func TestWhatComesTwiceIsTakenOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	job := func(id int, status string) string { return fmt.Sprintf(`{"id":%d,"name":"j","status":%q}`, id, status) }
	next := http.Header{"Link": {`<https://api.github.com/repositories/1/x?page=2>; rel="next"`}}
	s.server.Disturb("/jobs", 1, githubtest.Respond(200, next, `{"total_count":2,"jobs":[`+job(1, "queued")+","+job(2, "queued")+"]}"))
	s.server.Disturb("/jobs", 1, githubtest.Respond(200, nil, `{"total_count":2,"jobs":[`+job(2, "in_progress")+","+job(3, "queued")+"]}"))
	got, err := s.client.Jobs(t.Context(), 7)
	if err != nil || len(got) != 3 || got[1].Status != "in_progress" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A link that leads nowhere must not be followed for ever.
func TestLinksThatGoInCircles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	next := http.Header{"Link": {`<https://api.github.com/repositories/1/x?page=1>; rel="next"`}}
	s.server.Disturb("/jobs", 100, githubtest.Respond(200, next, `{"total_count":0,"jobs":[]}`))
	if _, err := s.client.Jobs(t.Context(), 7); err != nil || len(s.server.Requests()) != 1 {
		t.Errorf("%d requests, %v", len(s.server.Requests()), err)
	}
}

func TestRunsOfWorkflowAreNewestFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.server.SetIndex(githubtest.Index{Empty: true}) // it is not asked
	lint, other := s.repo.AddWorkflow("lint.yml"), s.repo.AddWorkflow("other.yml")
	var want []int64
	for range 12 { // in the same second, which GitHub does not order
		want = append([]int64{lint.Start(githubtest.NewRun{SHA: commit}).ID()}, want...)
		other.Start(githubtest.NewRun{SHA: commit})
	}
	got, err := s.client.RunsOfWorkflow(t.Context(), lint.ID(), 20)
	if d := cmp.Diff(want, ids(got)); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	s.clock.Advance(time.Second)
	newest := lint.Start(githubtest.NewRun{SHA: another})
	if got, err := s.client.RunsOfWorkflow(t.Context(), lint.ID(), 1); err != nil || len(got) != 1 || got[0].ID != newest.ID() {
		t.Errorf("%v, %v", ids(got), err)
	}
	_, err = s.client.RunsOfWorkflow(t.Context(), lint.ID()+1000, 1)
	if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "NO_SUCH_WORKFLOW" {
		t.Errorf("a workflow that is not: %v", err)
	}
}

func TestRunAndJobs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	run := s.repo.AddWorkflow("deploy.yml").Start(githubtest.NewRun{SHA: commit, Event: "workflow_dispatch"})
	run.AddJob("before").Complete("failure")
	run.Rerun()
	gate, deploy := run.AddJob("ci-gate"), run.AddJob("deploy")
	s.clock.Advance(time.Minute)
	gate.Set("in_progress")
	s.clock.Advance(time.Minute)
	gate.Complete("success")
	deploy.Set("waiting")

	got, err := s.client.Run(t.Context(), run.ID())
	if err != nil || got.ID != run.ID() || got.Attempt != 2 || got.Event != "workflow_dispatch" || !got.Created.Equal(morning) {
		t.Errorf("%+v, %v", got, err)
	}
	jobs, err := s.client.Jobs(t.Context(), run.ID())
	if err != nil || len(jobs) != 2 {
		t.Fatalf("%+v, %v", jobs, err)
	}
	if j := jobs[0]; j.Name != "ci-gate" || j.Conclusion != "success" || j.Completed.Sub(j.Started) != time.Minute || !strings.HasPrefix(j.URL, "https://github.com/") {
		t.Errorf("%+v", j)
	}
	if j := jobs[1]; j.Status != "waiting" || j.Conclusion != "" || !j.Started.IsZero() || !j.Completed.IsZero() {
		t.Errorf("%+v has begun", j)
	}
	for _, err := range []error{
		func() error { _, err := s.client.Run(t.Context(), 5); return err }(),
		func() error { _, err := s.client.Jobs(t.Context(), 5); return err }(),
	} {
		if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "NO_SUCH_RUN" {
			t.Errorf("a run that is not: %v", err)
		}
	}
}

func TestARenamedRepositoryIsFollowed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lint := s.repo.AddWorkflow("lint.yml")
	run := lint.Start(githubtest.NewRun{SHA: commit})
	s.repo.Rename("octo/navy")
	got, err := s.client.RunsOfCommit(t.Context(), commit)
	if err != nil || len(got) != 1 || got[0].ID != run.ID() || got[0].HeadRepository != name {
		t.Errorf("%+v, %v: the repository's own run, by the name it was asked with", got, err)
	}
	for _, r := range s.server.Requests() {
		if r.Token != githubtest.Token {
			t.Errorf("%s was asked without the token", r.Path)
		}
	}
	if r, err := s.client.Repository(t.Context()); err != nil || r.Name != "octo/navy" || r.DefaultBranch != "main" {
		t.Errorf("%+v, %v", r, err)
	}
}

// GitHub asks for serial requests; the fake fails the test when two are in work.
func TestRequestsAreSerial(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.repo.AddWorkflow("lint.yml")
	released := make(chan struct{})
	s.server.Disturb("", 1, githubtest.Delay(released))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := s.client.Workflow(t.Context(), "lint.yml"); err != nil {
				t.Error(err)
			}
		})
	}
	for len(s.server.Requests()) == 0 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // who waits for a turn can leave
	defer cancel()
	if _, err := s.client.Workflow(ctx, "lint.yml"); fault.KindOf(err) != fault.Deadline {
		t.Errorf("waiting for a turn: %v", err)
	}
	close(released)
	all.Wait()
	if n := len(s.server.Requests()); n != 8 {
		t.Errorf("%d requests, want 8", n)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*ci.Options)
		reason string
	}{
		{func(o *ci.Options) { o.Repository = "" }, "NO_SUCH_REPOSITORY"},
		{func(o *ci.Options) { o.Repository = "fleet" }, "NO_SUCH_REPOSITORY"},
		{func(o *ci.Options) { o.Repository = "octo/.." }, "NO_SUCH_REPOSITORY"},
		{func(o *ci.Options) { o.Repository = "octo/fleet/actions" }, "NO_SUCH_REPOSITORY"},
		{func(o *ci.Options) { o.Repository = "octo/fl%2feet" }, "NO_SUCH_REPOSITORY"},
		{func(o *ci.Options) { o.Token = "one two" }, "GITHUB_TOKEN"},
		{func(o *ci.Options) { o.Token = "one\ntwo" }, "GITHUB_TOKEN"},
		{func(o *ci.Options) { o.BaseURL = "http://api.github.com" }, "GITHUB_API_URL"},
		{func(o *ci.Options) { o.BaseURL = "http://localhost.example.com" }, "GITHUB_API_URL"},
		{func(o *ci.Options) { o.BaseURL = "https://me:secret@ghe.example.com" }, "GITHUB_API_URL"},
		{func(o *ci.Options) { o.BaseURL = "ftp://ghe.example.com" }, "GITHUB_API_URL"},
		{func(o *ci.Options) { o.BaseURL = "https://ghe.example.com/?a=b" }, "GITHUB_API_URL"},
		{func(o *ci.Options) { o.BaseURL = "ghe.example.com" }, "GITHUB_API_URL"},
		{func(o *ci.Options) { o.BaseURL = "https://ghe\x7f" }, "GITHUB_API_URL"},
	} {
		o := ci.Options{Repository: name, Token: "abc"}
		c.change(&o)
		_, err := ci.NewClient(o)
		if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != c.reason {
			t.Errorf("%+v: %v, want %s", o, err, c.reason)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "two\"") {
			t.Errorf("%v tells a secret", err)
		}
	}
	for _, o := range []ci.Options{
		{Repository: name},
		{Repository: "o-1/.github", Token: "abc\n"},
		{Repository: name, BaseURL: "https://ghe.example.com/api/v3"},
		{Repository: name, BaseURL: "http://[::1]:8080"},
		{Repository: name, BaseURL: "http://localhost:8080/"},
	} {
		c, err := ci.NewClient(o)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
			continue
		}
		c.Close()
	}
}
