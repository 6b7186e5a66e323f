package ci_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/fault"
)

// How long each form of refusal asks to wait.
func TestRetryAt(t *testing.T) {
	t.Parallel()
	inSeconds := func(n int64) string { return strconv.FormatInt(morning.Unix()+n, 10) }
	primary := `{"message":"API rate limit exceeded for installation ID 1."}`
	secondary := `{"message":"You have exceeded a secondary rate limit."}`
	for _, c := range []struct {
		name   string
		status int
		header http.Header
		body   string
		want   time.Duration
	}{
		{"reset, 403", 403, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", inSeconds(1800)), primary, 30 * time.Minute},
		{"reset, 429", 429, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", inSeconds(1800)), primary, 30 * time.Minute},
		{"reset that is over", 403, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", inSeconds(-5)), primary, time.Second},
		{"reset beyond the window", 403, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", inSeconds(1e6)), primary, time.Hour},
		{"reset in milliseconds", 403, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", inSeconds(0)+"000"), primary, time.Minute},
		{"reset that is no number", 403, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "soon"), primary, time.Minute},
		{"reset by a wrong clock here", 403, headers("Date", morning.Add(-24*time.Hour).Format(http.TimeFormat), "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", inSeconds(-24*3600+60)), primary, time.Minute},
		{"retry-after before reset", 403, headers("Retry-After", "8", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", inSeconds(1800)), secondary, 8 * time.Second},
		{"retry-after without more", 429, headers("Retry-After", "8"), "", 8 * time.Second},
		{"retry-after in a message without the word", 403, headers("Retry-After", "8", "X-RateLimit-Remaining", "21"), `{"message":"Please wait."}`, 8 * time.Second},
		{"retry-after 0", 429, headers("Retry-After", "0"), secondary, time.Second},
		{"retry-after as a date", 403, headers("Retry-After", morning.Add(90*time.Second).Format(http.TimeFormat)), secondary, 90 * time.Second},
		{"retry-after for ever", 403, headers("Retry-After", "1000000"), secondary, time.Hour},
		{"retry-after below zero", 403, headers("Retry-After", "-1"), secondary, time.Minute},
		{"retry-after as nonsense", 403, headers("Retry-After", "later"), secondary, time.Minute},
		{"nothing", 403, headers("X-RateLimit-Remaining", "21"), secondary, time.Minute},
		{"nothing at all", 429, nil, "", time.Minute},
	} {
		s := newSite(t)
		s.server.Disturb("", 1, githubtest.Respond(c.status, c.header, c.body))
		_, err := s.client.RunsOfCommit(t.Context(), commit)
		at, ok := ci.RetryAt(err)
		if !ok || at.Sub(morning) != c.want || fault.ReasonOf(err) != "GITHUB_RATE_LIMITED" {
			t.Errorf("%s: in %v (%v), want %v: %v", c.name, at.Sub(morning), ok, c.want, err)
		}
	}
	if _, ok := ci.RetryAt(fault.New(fault.Failed, "GITHUB_RATE_LIMITED", "of another make")); ok {
		t.Error("a fault that knows no time has one")
	}
}

// While a limit is in force nothing is sent, and what is told stays the same; afterwards all is as before.
func TestALimitIsHeld(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.repo.AddWorkflow("lint.yml")
	s.server.SetLimit(githubtest.Limit{Most: 1000}, 999)
	if _, err := s.client.Workflow(t.Context(), "lint.yml"); err != nil {
		t.Fatalf("the last request of the window: %v", err) // go-github would answer the next one itself
	}
	if st := s.client.Stats(); st.Limit != 1000 || st.Remaining != 0 || !st.Reset.Equal(morning.Add(time.Hour)) {
		t.Errorf("%+v", st)
	}
	s.clock.Advance(10 * time.Minute)
	for range 3 {
		_, err := s.client.RunsOfCommit(t.Context(), commit)
		if at, ok := ci.RetryAt(err); !ok || !at.Equal(morning.Add(time.Hour)) {
			t.Errorf("until %v: %v", at, err)
		}
	}
	if n := len(s.server.Requests()); n != 2 {
		t.Errorf("%d requests, want 2: the limit was asked into", n)
	}
	s.clock.Advance(50 * time.Minute)
	if _, err := s.client.RunsOfCommit(t.Context(), commit); err != nil {
		t.Errorf("after the reset: %v", err)
	}
}

// Version 60 of go-github alone would be silent for a day here.
func TestAClockThatJumpsDoesNotBlock(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		s := newSite(t)
		s.server.SetSecondary(githubtest.Secondary{Requests: 1, RetryAfter: "600", Documentation: true})
		if _, err := s.client.RunsOfCommit(t.Context(), commit); fault.ReasonOf(err) != "GITHUB_RATE_LIMITED" {
			t.Fatal(err)
		}
		s.clock.Set(morning.Add(jump))
		if _, err := s.client.RunsOfCommit(t.Context(), commit); err != nil {
			t.Errorf("clock set by %v: %v", jump, err)
		}
	}
}

func TestSecondaryLimitsInARowWaitLonger(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.server.SetSecondary(githubtest.Secondary{Requests: 4, Documentation: true})
	ask := func() time.Duration {
		_, err := s.client.RunsOfCommit(t.Context(), commit)
		if err == nil {
			return 0
		}
		at, _ := ci.RetryAt(err)
		wait := at.Sub(s.clock.Now())
		s.clock.Set(at)
		return wait
	}
	for i, minutes := range []int{1, 2, 4, 8, 0} {
		want := time.Duration(minutes) * time.Minute
		if wait := ask(); wait != want {
			t.Errorf("refusal %d: wait %v, want %v", i+1, wait, want)
		}
	}
	s.server.SetSecondary(githubtest.Secondary{Requests: 1, Status: http.StatusTooManyRequests})
	if wait := ask(); wait != time.Minute {
		t.Errorf("after an answer: wait %v, want a minute again", wait)
	}
}
