package githubtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ataraxis.dev/landfall/shared/ci/githubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	one = "1111111111111111111111111111111111111111"
	two = "2222222222222222222222222222222222222222"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// asked is an answer with its body read as JSON.
type asked struct {
	status int
	header http.Header
	body   map[string]any
}

// ask sends a well-behaved request; headers come in pairs and replace its own.
func ask(t *testing.T, s *githubtest.Server, path string, headers ...string) asked {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "a test")
	r.Header.Set("Accept", "application/vnd.github+json")
	r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	r.Header.Set("Authorization", "Bearer "+githubtest.Token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := asked{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode != http.StatusNotModified {
		if err := json.NewDecoder(resp.Body).Decode(&a.body); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return a
}

// ids are those of a list, in its order.
func (a asked) ids(list string) []int64 {
	ids := []int64{}
	for _, x := range a.body[list].([]any) {
		ids = append(ids, int64(x.(map[string]any)["id"].(float64)))
	}
	return ids
}

func (a asked) total() int { return int(a.body["total_count"].(float64)) }

// hears records complaints instead of failing.
type hears struct {
	testing.TB
	mu         sync.Mutex
	complaints []string
}

func (h *hears) Errorf(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.complaints = append(h.complaints, fmt.Sprintf(format, args...))
}

func TestBadMannersFailTheTest(t *testing.T) {
	t.Parallel()
	h := &hears{TB: t}
	s := githubtest.New(h)
	s.AddRepository("o/r")
	for _, c := range []struct {
		path    string
		headers []string
		want    string
	}{
		{"/repos/o/r", []string{"User-Agent", ""}, "no User-Agent"},
		{"/repos/o/r", []string{"Accept", "text/html"}, "accepts"},
		{"/repos/o/r", []string{"X-GitHub-Api-Version", ""}, "API version"},
		{"/repos/o/r/commits/main/status", nil, "no such endpoint"},
		{"/repos/o/r/actions/runs?actor=me", nil, "parameter actor"},
		{"/repos/o/r/actions/runs?status=startup_failure", nil, "no status to filter by"},
	} {
		h.complaints = nil
		ask(t, s, c.path, c.headers...)
		if len(h.complaints) == 0 || !strings.Contains(strings.Join(h.complaints, "\n"), c.want) {
			t.Errorf("%s %q: complaints %q, want %q", c.path, c.headers, h.complaints, c.want)
		}
	}
}

func (h *hears) heard() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.complaints...)
}

func TestParallelRequestsFailTheTest(t *testing.T) {
	t.Parallel()
	h := &hears{TB: t}
	s := githubtest.New(h)
	s.AddRepository("o/r")
	released := make(chan struct{})
	s.Disturb("", 1, githubtest.Delay(released))
	var first sync.WaitGroup
	first.Go(func() { ask(t, s, "/repos/o/r") })
	for len(s.Requests()) == 0 {
		runtime.Gosched()
	}
	if a := ask(t, s, "/repos/o/r"); a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
	close(released)
	first.Wait()
	if heard := h.heard(); len(heard) != 1 || !strings.Contains(heard[0], "serial") {
		t.Errorf("complaints %q", heard)
	}
	ask(t, s, "/repos/o/r")
	if len(h.heard()) != 1 {
		t.Error("a request that came alone is complained about")
	}

	// Where it is allowed, nobody complains.
	allowing := githubtest.New(t, githubtest.WithConcurrency(2))
	allowing.AddRepository("o/r")
	released = make(chan struct{})
	allowing.Disturb("", 1, githubtest.Delay(released))
	first.Go(func() { ask(t, allowing, "/repos/o/r") })
	for len(allowing.Requests()) == 0 {
		runtime.Gosched()
	}
	ask(t, allowing, "/repos/o/r")
	close(released)
	first.Wait()
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	s := githubtest.New(t)
	lint := s.AddRepository("o/r").AddWorkflow("lint.yml")
	for range 1050 {
		lint.Start(githubtest.NewRun{SHA: one})
	}
	for _, c := range []struct {
		query string
		len   int
		links []string
	}{
		{"", 30, []string{`page=2>; rel="next"`, `page=35>; rel="last"`}},
		{"?per_page=100", 100, []string{`page=2&per_page=100>; rel="next"`}},
		{"?per_page=1000", 100, []string{`rel="next"`}},
		{"?per_page=100&page=11", 50, []string{`page=10&per_page=100>; rel="prev"`, `page=1&per_page=100>; rel="first"`}},
		{"?per_page=100&page=12", 0, nil},
		{"?per_page=100&page=10&head_sha=" + one, 100, []string{`page=9`}}, // the last that a search shows
		{"?per_page=100&page=11&head_sha=" + one, 0, nil},
	} {
		a := ask(t, s, "/repos/o/r/actions/runs"+c.query)
		link := a.header.Get("Link")
		if got := len(a.ids("workflow_runs")); got != c.len || a.total() != 1050 {
			t.Errorf("%q: %d of %d runs, want %d", c.query, got, a.total(), c.len)
		}
		for _, want := range c.links {
			if !strings.Contains(link, want) || !strings.Contains(link, "/repositories/") {
				t.Errorf("%q: Link %q lacks %q", c.query, link, want)
			}
		}
		if strings.Contains(c.query, "page=10&head") && strings.Contains(link, `rel="next"`) {
			t.Errorf("%q: Link %q leads beyond 1,000 results", c.query, link)
		}
	}
	if a := ask(t, s, "/repos/o/r/actions/runs?per_page=100&page=401"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("page 401: status %d", a.status)
	}
}

func TestTheIndex(t *testing.T) {
	t.Parallel()
	clock := githubtest.NewClock(start)
	s := githubtest.New(t, githubtest.WithClock(clock.Now))
	r := s.AddRepository("o/r")
	lint, test := r.AddWorkflow("lint.yml"), r.AddWorkflow("test.yml")
	old := lint.Start(githubtest.NewRun{SHA: one})
	clock.Advance(time.Minute)
	old.Complete("success")
	hidden := test.Start(githubtest.NewRun{SHA: one})
	hidden.Hide(true)
	test.Start(githubtest.NewRun{SHA: two, Branch: "other", Event: "pull_request"})

	show := func(query string) string {
		var b strings.Builder
		for _, x := range ask(t, s, "/repos/o/r/actions/runs?"+query).body["workflow_runs"].([]any) {
			run := x.(map[string]any)
			fmt.Fprintf(&b, "%v:%v/%v ", run["name"], run["status"], run["conclusion"])
		}
		return strings.TrimSpace(b.String())
	}
	for _, c := range []struct {
		name  string
		index githubtest.Index
		query string
		want  string
	}{
		{"knows what is not hidden", githubtest.Index{}, "head_sha=" + one, "lint:completed/success"},
		{"by branch", githubtest.Index{}, "branch=other", "test:queued/<nil>"},
		{"by event", githubtest.Index{}, "event=pull_request", "test:queued/<nil>"},
		{"by status", githubtest.Index{}, "status=success", "lint:completed/success"},
		{"lags in what a run is", githubtest.Index{Lag: 30 * time.Second}, "head_sha=" + one, "lint:queued/<nil>"},
		{"lags in which runs there are", githubtest.Index{Lag: 2 * time.Minute}, "head_sha=" + one, ""},
		{"frozen", githubtest.Index{Frozen: start}, "head_sha=" + one, "lint:queued/<nil>"},
		{"empty", githubtest.Index{Empty: true}, "head_sha=" + one, ""},
		{"is not asked by other lists", githubtest.Index{Empty: true}, "per_page=3", "test:queued/<nil> test:queued/<nil> lint:completed/success"},
	} {
		s.SetIndex(c.index)
		if got := show(c.query); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	s.SetIndex(githubtest.Index{Flicker: 2})
	if a, b := show("head_sha="+one), show("head_sha="+one); (a == "") == (b == "") {
		t.Errorf("no flicker: %q, %q", a, b)
	}
}

func TestRunsOfOneSecondComeInNoOrder(t *testing.T) {
	t.Parallel()
	s := githubtest.New(t, githubtest.WithClock(func() time.Time { return start }))
	lint := s.AddRepository("o/r").AddWorkflow("lint.yml")
	for range 10 {
		lint.Start(githubtest.NewRun{SHA: one})
	}
	ids := ask(t, s, "/repos/o/r/actions/runs").ids("workflow_runs")
	if slices.IsSorted(ids) || slices.IsSortedFunc(ids, func(a, b int64) int { return int(b - a) }) {
		t.Errorf("%v: a client could rely on that order", ids)
	}
}

func TestARerunKeepsItsNumber(t *testing.T) {
	t.Parallel()
	clock := githubtest.NewClock(start)
	s := githubtest.New(t, githubtest.WithClock(clock.Now))
	run := s.AddRepository("o/r").AddWorkflow("deploy.yml").Start(githubtest.NewRun{SHA: one})
	run.AddJob("first").Complete("failure")
	run.Complete("failure")
	clock.Advance(time.Hour)
	run.Rerun()
	run.AddJob("second")

	path := fmt.Sprintf("/repos/o/r/actions/runs/%d", run.ID())
	got := ask(t, s, path).body
	for key, want := range map[string]any{
		"run_attempt": 2.0, "run_number": 1.0, "status": "queued", "conclusion": nil,
		"created_at": "2026-11-23T09:00:00Z", "run_started_at": "2026-11-23T10:00:00Z",
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if first := ask(t, s, path+"/attempts/1").body; first["conclusion"] != "failure" {
		t.Errorf("attempt 1: %v", first["conclusion"])
	}
	if third := ask(t, s, path+"/attempts/3"); third.status != http.StatusNotFound {
		t.Errorf("attempt 3: %d", third.status)
	}
	if latest, all := ask(t, s, path+"/jobs?filter=latest").total(), ask(t, s, path+"/jobs?filter=all").total(); latest != 1 || all != 2 {
		t.Errorf("%d latest and %d jobs, want 1 and 2", latest, all)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	clock := githubtest.NewClock(start)
	s := githubtest.New(t, githubtest.WithClock(clock.Now))
	s.AddRepository("o/r").AddWorkflow("lint.yml")
	s.SetLimit(githubtest.Limit{Most: 100, Status: http.StatusTooManyRequests}, 98)
	const path = "/repos/o/r/actions/workflows"
	first := ask(t, s, path)
	if first.header.Get("X-RateLimit-Remaining") != "1" || !strings.HasPrefix(first.header.Get("ETag"), `W/"`) {
		t.Fatalf("headers %v", first.header)
	}
	same := []string{"If-None-Match", first.header.Get("ETag")}
	if a := ask(t, s, path, same...); a.status != http.StatusNotModified || a.header.Get("X-RateLimit-Remaining") != "1" {
		t.Errorf("unchanged: %d, %s remaining", a.status, a.header.Get("X-RateLimit-Remaining"))
	}
	if a := ask(t, s, path, append(same, "Accept", "application/vnd.github.v3+json")...); a.status != http.StatusOK {
		t.Errorf("an ETag is good for another Accept: %d", a.status)
	}
	if a := ask(t, s, path); a.status != http.StatusTooManyRequests || a.header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("over the limit: %d", a.status)
	}
	if a := ask(t, s, "/rate_limit"); a.status != http.StatusOK {
		t.Errorf("the limit may not be asked for: %d", a.status)
	}
	s.Grant("another", githubtest.Grant{})
	if a := ask(t, s, path, append(same, "Authorization", "Bearer another")...); a.status != http.StatusOK {
		t.Errorf("an ETag is good for another token, or its limit: %d", a.status)
	}
	clock.Advance(time.Hour)
	if a := ask(t, s, path); a.status != http.StatusOK {
		t.Errorf("after the reset: %d", a.status)
	}
	counted := 0
	for _, r := range s.Requests() {
		if r.Counted {
			counted++
		}
	}
	if counted != 4 {
		t.Errorf("%d requests counted, want 4", counted)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	s := githubtest.New(t)
	r := s.AddRepository("o/secret")
	r.SetPrivate(true)
	r.AddWorkflow("lint.yml")
	s.AddRepository("o/public")
	s.Grant("stranger", githubtest.Grant{Repositories: []string{}})
	s.Grant("contents", githubtest.Grant{NoActions: true})
	for _, c := range []struct {
		token, path string
		want        int
	}{
		{githubtest.Token, "/repos/o/secret", 200},
		{"nobody", "/repos/o/secret", 401},
		{"stranger", "/repos/o/secret", 404},
		{"stranger", "/repos/o/public", 200},
		{"contents", "/repos/o/secret", 200},
		{"contents", "/repos/o/secret/actions/runs", 403},
		{githubtest.Token, "/repos/o/secret/actions/workflows/test.yml", 404},
	} {
		if got := ask(t, s, c.path, "Authorization", "Bearer "+c.token).status; got != c.want {
			t.Errorf("%s as %s: %d, want %d", c.path, c.token, got, c.want)
		}
	}
	s.Revoke("stranger")
	if got := ask(t, s, "/repos/o/public", "Authorization", "Bearer stranger").status; got != http.StatusUnauthorized {
		t.Errorf("a revoked token: %d", got)
	}
	r.Rename("o/renamed")
	a := ask(t, s, "/repos/o/secret/actions/runs?per_page=1")
	if a.status != http.StatusMovedPermanently || !strings.Contains(a.header.Get("Location"), "/repositories/") {
		t.Fatalf("renamed: %d to %q", a.status, a.header.Get("Location"))
	}
	if b := ask(t, s, strings.TrimPrefix(a.header.Get("Location"), s.URL())); b.status != http.StatusOK {
		t.Errorf("where it moved to: %d", b.status)
	}
}

func TestTheClock(t *testing.T) {
	t.Parallel()
	clock := githubtest.NewClock(start)
	var seen []string
	note := func(name string) func() {
		return func() { seen = append(seen, name+" "+clock.Now().Sub(start).String()) }
	}
	clock.After(20*time.Second, note("b"))
	clock.After(10*time.Second, func() {
		note("a")()
		clock.After(5*time.Second, note("planned by a"))
	})
	clock.After(time.Minute, note("later"))
	if err := clock.Sleep(t.Context(), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	want := "a 10s, planned by a 15s, b 20s"
	if got := strings.Join(seen, ", "); got != want || clock.Now() != start.Add(30*time.Second) {
		t.Errorf("%q at %v, want %q", got, clock.Now(), want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	clock.After(10*time.Second, cancel)
	if err := clock.Sleep(ctx, 20*time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("slept through the end: %v", err)
	}
}
