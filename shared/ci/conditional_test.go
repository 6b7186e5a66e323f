package ci_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/fault"
)

// A gate of half an hour that looks every 15 s: what it costs of the 1,000 requests an hour that
// all workflows of a repository share.
func TestUnchangedAnswersAreFree(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lint := s.repo.AddWorkflow("lint.yml").Start(githubtest.NewRun{SHA: commit})
	s.clock.After(5*time.Minute+time.Second, func() { lint.Set("in_progress") })
	s.clock.After(29*time.Minute, func() { lint.Complete("success") })
	var seen []string
	for range 120 {
		runs, err := s.client.RunsOfCommit(t.Context(), commit)
		if err != nil || len(runs) != 1 {
			t.Fatalf("%v, %v", runs, err)
		}
		if state := runs[0].Status + runs[0].Conclusion; len(seen) == 0 || seen[len(seen)-1] != state {
			seen = append(seen, state)
		}
		s.clock.Advance(15 * time.Second)
	}
	if got := strings.Join(seen, " "); got != "queued in_progress completedsuccess" {
		t.Errorf("seen %s", got)
	}
	got := s.client.Stats()
	if got.Requests != 120 || got.NotModified != 117 || got.Counted != 3 || got.Limit-got.Remaining != 3 {
		t.Errorf("%+v, want 120 requests of which 3 count", got)
	}
	for i, r := range s.server.Requests() {
		if r.Conditional != (i > 0) {
			t.Errorf("request %d: conditional is %v", i+1, r.Conditional)
		}
	}
}

// GitHub marks every answer fresh for a minute. Who believes it sees nothing new for a minute.
func TestFreshnessIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	run := s.repo.AddWorkflow("lint.yml").Start(githubtest.NewRun{SHA: commit})
	for _, want := range []string{"queued", "in_progress"} {
		got, err := s.client.Run(t.Context(), run.ID())
		if err != nil || got.Status != want {
			t.Errorf("%+v, %v: want %s", got, err, want)
		}
		run.Set("in_progress") // in the same second
	}
}

func TestPagesAreKeptWithTheirLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lint := s.repo.AddWorkflow("lint.yml")
	for range 250 {
		lint.Start(githubtest.NewRun{SHA: commit})
	}
	for range 2 {
		if runs, err := s.client.RunsOfCommit(t.Context(), commit); err != nil || len(runs) != 250 {
			t.Fatalf("%d runs, %v", len(runs), err)
		}
	}
	if got := s.client.Stats(); got.Requests != 6 || got.NotModified != 3 {
		t.Errorf("%+v", got)
	}
}

// What one token may see is not shown for another, and what was seen is forgotten with the right to.
func TestAnswersAreOfWhoAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.repo.SetPrivate(true)
	s.repo.AddWorkflow("lint.yml")
	look := func(c *ci.Client) string {
		_, err := c.Workflow(t.Context(), "lint.yml")
		return fault.ReasonOf(err)
	}
	if got := look(s.client); got != "" {
		t.Fatal(got)
	}
	s.server.Grant("another", githubtest.Grant{})
	look(s.connect(t, func(o *ci.Options) { o.Token = "another" }))
	requests := s.server.Requests()
	if last := requests[len(requests)-1]; last.Conditional || last.Status != http.StatusOK {
		t.Errorf("another token: %+v", last)
	}
	s.server.Grant(githubtest.Token, githubtest.Grant{Repositories: []string{}})
	if got := look(s.client); got != "NO_SUCH_REPOSITORY" {
		t.Errorf("after the right was taken: %q", got)
	}
	s.server.Grant(githubtest.Token, githubtest.Grant{})
	s.server.ForgetRequests()
	look(s.client)
	if first := s.server.Requests()[0]; first.Conditional {
		t.Error("what the token could not see any more was kept")
	}
}

// A limit or an outage says nothing about what is kept; an answer that is none is never kept.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.repo.AddWorkflow("lint.yml").Start(githubtest.NewRun{SHA: commit})
	tag := http.Header{"Etag": {`W/"same"`}}
	s.server.Disturb("", 4, githubtest.Respond(200, tag, `{"workflow_runs":[`)) // all tries
	if _, err := s.client.RunsOfCommit(t.Context(), commit); fault.ReasonOf(err) != "GITHUB_UNAVAILABLE" {
		t.Fatal(err)
	}
	s.server.ForgetRequests()
	for range 2 {
		if _, err := s.client.RunsOfCommit(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
		s.server.Disturb("", 1, githubtest.HTML(502)) // before the second
	}
	got := ""
	for _, r := range s.server.Requests() {
		got += fmt.Sprintf("%d/%v ", r.Status, r.Conditional)
	}
	if want := "200/false 502/true 304/true "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The memory is bounded: what was used last stays.
func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lint := s.repo.AddWorkflow("lint.yml")
	var runs []*githubtest.Run
	for range 100 {
		runs = append(runs, lint.Start(githubtest.NewRun{SHA: commit}))
	}
	look := func(r *githubtest.Run) {
		if _, err := s.client.Run(t.Context(), r.ID()); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range runs {
		look(r)
		look(runs[0])
	}
	before := s.client.Stats().NotModified
	for _, r := range []*githubtest.Run{runs[0], runs[99], runs[40], runs[1]} {
		look(r)
	}
	if got := s.client.Stats().NotModified - before; got != 3 {
		t.Errorf("%d of 4 were kept, want the three used among the last 64", got)
	}
}
