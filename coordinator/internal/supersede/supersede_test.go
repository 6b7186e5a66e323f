package supersede_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ataraxis.dev/landfall/coordinator/internal/supersede"
	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a GitHub on which our deploy, run 2, is under way.
type world struct {
	t        *testing.T
	clock    *githubtest.Clock
	github   *githubtest.Server
	repo     *githubtest.Repository
	deploy   *githubtest.Workflow
	own      *githubtest.Run
	source   ci.Source
	question supersede.Question
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: githubtest.NewClock(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC))}
	w.github = githubtest.New(t, githubtest.WithClock(w.clock.Now))
	w.repo = w.github.AddRepository(repository)
	w.deploy = w.repo.AddWorkflow("deploy.yml")
	w.start(older, "completed/success", "deploy completed/success")
	w.own = w.start(ours, "in_progress", "deploy in_progress")
	w.clock.Advance(time.Second)
	client, err := ci.NewClient(ci.Options{
		Repository: repository, Token: githubtest.Token, BaseURL: w.github.URL(),
		Now: w.clock.Now, Sleep: w.clock.Sleep, Jitter: func() float64 { return 0.5 },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w.source = client
	w.question = supersede.Question{
		Repository: repository, Branch: "main", SHA: ours, Run: w.own.ID(), Sleep: w.clock.Sleep,
		Older: func(_ context.Context, sha string) (bool, error) { return sha == older, nil },
	}
	return w
}

// start makes a push run in a state ("queued", "completed/success"), with jobs ("deploy queued").
func (w *world) start(sha, state string, jobs ...string) *githubtest.Run {
	status, conclusion, _ := strings.Cut(state, "/")
	r := w.deploy.Start(githubtest.NewRun{SHA: sha, Status: status, Conclusion: conclusion})
	for _, text := range jobs {
		name, state, _ := strings.Cut(text, " ")
		job := r.AddJob(name)
		if status, conclusion, completed := strings.Cut(state, "/"); completed {
			job.Complete(conclusion)
		} else {
			job.Set(status)
		}
	}
	return r
}

func (w *world) check() supersede.Result {
	w.t.Helper()
	got, err := supersede.Check(w.t.Context(), w.source, w.question)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		play   func(w *world)
		by     int
		reason string
	}{
		"nothing newer": {func(*world) {}, 0, "no newer deploy is under way or done"},
		"a newer deploy is pending behind our concurrency group": {func(w *world) { w.start(newer, "pending") }, 3, "a newer deploy, run 3 of c0ffee000000, is pending"},
		"a newer deploy is done": {func(w *world) {
			w.start(newer, "completed/success", "ci-gate completed/success", "deploy completed/success")
		}, 3, "deployed"},
		"a newer run is green, its deploy job was skipped": {func(w *world) { w.start(newer, "completed/success", "deploy completed/skipped") }, 0, "no newer"},
		"a newer run failed":                      {func(w *world) { w.start(newer, "completed/failure", "deploy completed/failure") }, 0, "no newer"},
		"a newer run was cancelled while pending": {func(w *world) { w.start(newer, "completed/cancelled") }, 0, "no newer"},
		"a newer run whose gate failed already":   {func(w *world) { w.start(newer, "in_progress", "ci-gate completed/failure", "notify queued") }, 0, "no newer"},
		"a newer run in its gate":                 {func(w *world) { w.start(newer, "in_progress", "ci-gate in_progress") }, 3, "is in_progress"},
		"a newer run that is run again counts by its newest attempt": {func(w *world) {
			w.start(newer, "completed/failure", "deploy completed/failure").Rerun()
		}, 3, "is queued"},
		"a rollback of somebody else: an older commit with a higher number": {func(w *world) { w.start(older, "queued") }, 0, "no newer"},
		"a finished run of ten hours ago": {func(w *world) {
			w.clock.Advance(10 * time.Hour)
		}, 0, "no newer"},
		"two runs within a second: the number decides": {func(w *world) {
			w.deploy.Start(githubtest.NewRun{SHA: newer, ID: 5}) // an id lower than ours
		}, 3, "is queued"},
		"the index finds nothing": {func(w *world) {
			w.github.SetIndex(githubtest.Index{Empty: true})
			w.start(newer, "queued")
		}, 3, "is queued"},
		"a fork's main is queued": {func(w *world) {
			w.deploy.Start(githubtest.NewRun{SHA: newer, HeadRepository: "stranger/name"})
		}, 0, "no newer"},
		"a branch that begins as ours is queued": {func(w *world) {
			w.deploy.Start(githubtest.NewRun{SHA: newer, Branch: "main-2"})
		}, 0, "no newer"},
		"run again by a person, newer runs count all the same": {func(w *world) {
			w.own.Rerun()
			w.start(newer, "completed/success", "deploy completed/success")
		}, 3, "(this is attempt 2 of run 2)"},
		"the job that deploys has another name": {func(w *world) {
			w.question.Job = "production"
			w.start(newer, "completed/success", "deploy completed/success", "production completed/skipped")
		}, 0, "no newer"},
		"many that skipped": {func(w *world) {
			for range 20 {
				w.start(newer, "completed/success", "deploy completed/skipped")
			}
		}, 0, "no newer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.play(w)
			got := w.check()
			if got.Superseded != (c.by != 0) || got.By.Number != c.by || !strings.Contains(got.Reason, c.reason) || len(got.Warnings) != 0 {
				t.Errorf("got %+v, want run %d, %q", got, c.by, c.reason)
			}
			if got.Superseded && (got.By.URL == "" || got.By.SHA != newer) {
				t.Errorf("the newer run is not named: %+v", got.By)
			}
			if got.Rerun != strings.Contains(name, "run again by") {
				t.Errorf("re-run %t", got.Rerun)
			}
		})
	}
}

// A deploy that asks again spares the request for its own run.
func TestCheckAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.question.Own = w.check().Own
	w.github.ForgetRequests()
	w.check()
	if n := len(w.github.Requests()); n != 1 {
		t.Errorf("%d requests, want the list alone", n)
	}
}

// Of two deploys that begin in the same moment only the first can miss the other; the second
// look, before the first change, sees it.
func TestBothBegin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if w.check().Superseded {
		t.Fatal("nobody else is there yet")
	}
	second := w.start(newer, "queued")
	if got := w.check(); !got.Superseded {
		t.Errorf("got %+v", got)
	}
	w.question.Run, w.question.SHA = second.ID(), newer
	if got := w.check(); got.Superseded {
		t.Errorf("the newest is superseded: %+v", got)
	}
}

func TestOwnRunIsNotListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 60 { // more than the first list shows; a longer one does
		w.start(newer, "completed/failure")
	}
	if got := w.check(); got.Superseded || len(got.Warnings) != 0 {
		t.Errorf("got %+v", got)
	}
	for range 60 { // more than any list shows
		w.start(newer, "completed/failure")
	}
	before := w.clock.Now()
	got := w.check()
	if got.Superseded || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "lack our own, run 2") {
		t.Errorf("got %+v", got)
	}
	if passed := w.clock.Now().Sub(before); passed != 4*time.Second {
		t.Errorf("it looked for %s", passed)
	}
	w.start(newer, "pending")
	if got := w.check(); got.By.Number != 123 {
		t.Errorf("got %+v", got)
	}
}

func TestOlderCannotBeTold(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(context.Context, string) (bool, error){
		"nobody to ask": nil,
		"an error":      func(context.Context, string) (bool, error) { return false, errors.New("shallow clone") },
	} {
		w := newWorld(t)
		w.question.Older = f
		w.start(older, "queued")
		if got := w.check(); !got.Superseded || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "taken for newer") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// Ancestry by git, as the command line asks.
func TestOlderByGit(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	first := work.Commit("first", nil)
	second := work.Commit("second", nil)
	third := work.Commit("third", nil)
	repo := git.Repo{Dir: work.Dir, Options: git.Options{NoUserConfig: true}}
	w := newWorld(t)
	w.question.SHA = second
	w.question.Older = func(ctx context.Context, sha string) (bool, error) { return repo.IsAncestor(ctx, sha, second) }
	w.start(first, "queued")
	if got := w.check(); got.Superseded {
		t.Errorf("an older commit supersedes: %+v", got)
	}
	w.start(second, "queued") // the very same one: run 4
	if got := w.check(); got.By.Number != 4 {
		t.Errorf("got %+v", got)
	}
	w.start(third, "queued")
	if got := w.check(); got.By.SHA != third {
		t.Errorf("got %+v", got)
	}
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		play   func(w *world)
		reason string
	}{
		"401":        {func(w *world) { w.github.Revoke(githubtest.Token) }, "GITHUB_TOKEN"},
		"403":        {func(w *world) { w.github.Grant(githubtest.Token, githubtest.Grant{NoActions: true}) }, "GITHUB_PERMISSION"},
		"no such":    {func(w *world) { w.question.Run = 4711 }, "NO_SUCH_RUN"},
		"limit":      {func(w *world) { w.github.SetLimit(githubtest.Limit{Most: 1000}, 1000) }, "GITHUB_RATE_LIMITED"},
		"502":        {func(w *world) { w.github.Disturb("", 1000, githubtest.HTML(http.StatusBadGateway)) }, "GITHUB_UNAVAILABLE"},
		"502, jobs":  {func(w *world) { w.github.Disturb("/jobs", 1000, githubtest.HTML(http.StatusBadGateway)) }, "GITHUB_UNAVAILABLE"},
		"502, lists": {func(w *world) { w.github.Disturb("/workflows/", 1000, githubtest.HTML(http.StatusBadGateway)) }, "GITHUB_UNAVAILABLE"},
	} {
		w := newWorld(t)
		w.start(newer, "completed/success", "deploy completed/success")
		c.play(w)
		got, err := supersede.Check(t.Context(), w.source, w.question)
		if fault.ReasonOf(err) != c.reason || got.Superseded {
			t.Errorf("%s: got %+v, %v, want %s", name, got, err, c.reason)
		}
	}
}

// A newer run whose jobs are gone by the time they are looked at did not deploy as far as anyone
// can tell.
func TestJobsAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(newer, "completed/success", "deploy completed/success")
	w.github.Disturb(fmt.Sprintf("/runs/%d/jobs", r.ID()), 1, githubtest.Respond(http.StatusNotFound, nil, `{"message":"Not Found"}`))
	if got := w.check(); got.Superseded || len(got.Warnings) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := supersede.Check(ctx, w.source, w.question)
	if fault.KindOf(err) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
}
