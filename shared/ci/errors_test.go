package ci_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/fault"
)

// answered is a recorded refusal: status, headers and body.
func answered(t *testing.T, file string) githubtest.Disturbance {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("githubtest", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Status   int
		Headers  map[string]any
		Body     json.RawMessage
		Response *struct {
			Status  int
			Headers map[string]any
			Body    string
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if v.Response != nil {
		v.Status, v.Headers, v.Body = v.Response.Status, v.Response.Headers, json.RawMessage(v.Response.Body)
	}
	header := http.Header{}
	for name, value := range v.Headers {
		if !strings.EqualFold(name, "content-length") && !strings.EqualFold(name, "connection") {
			header.Set(name, fmt.Sprint(value))
		}
	}
	return githubtest.Respond(v.Status, header, string(v.Body))
}

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

const always = 1000

// Every way in which GitHub, or what is between, can fail to answer.
func TestFaults(t *testing.T) {
	t.Parallel()
	message := func(m string) string { return `{"message":"` + m + `"}` }
	denied := message("Resource not accessible by integration")
	for _, c := range []struct {
		name    string
		disturb githubtest.Disturbance
		kind    fault.Kind
		reason  string
		says    string // part of the message
		tries   int
	}{
		{"401", githubtest.Respond(401, nil, message("Bad credentials")), fault.Invalid, "GITHUB_TOKEN", "Bad credentials, request id D15B:0:0:0:0", 1},
		{"401 second factor", githubtest.Respond(401, headers("X-GitHub-OTP", "required; app"), message("Must specify two-factor authentication OTP code.")), fault.Invalid, "GITHUB_TOKEN", "two-factor", 1},
		{"403 permission, recorded", answered(t, "403_resource_not_accessible.constructed.json"), fault.Invalid, "GITHUB_PERMISSION", "permissions: actions: read", 1},
		{"403 permission, by the last request", githubtest.Respond(403, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1795425600"), denied), fault.Invalid, "GITHUB_PERMISSION", "not accessible", 1},
		{"403 personal token", githubtest.Respond(403, nil, message("Resource not accessible by personal access token")), fault.Invalid, "GITHUB_PERMISSION", "Actions: read for octo/fleet", 1},
		{"403 single sign-on", githubtest.Respond(403, headers("X-GitHub-SSO", "required; url=https://github.com/orgs/o/sso"), message("Resource protected by organization SAML enforcement.")), fault.Invalid, "GITHUB_PERMISSION", "single sign-on", 1},
		{"403 primary limit, recorded", answered(t, "403_primary_rate_limit.constructed.json"), fault.Failed, "GITHUB_RATE_LIMITED", "of 1000 requests is used up", 1},
		{"429 primary limit", githubtest.Respond(429, headers("X-RateLimit-Remaining", "0"), message("API rate limit exceeded")), fault.Failed, "GITHUB_RATE_LIMITED", "used up", 1},
		{"403 secondary limit", githubtest.Respond(403, headers("X-RateLimit-Remaining", "21"), message("You have exceeded a secondary rate limit.")), fault.Failed, "GITHUB_RATE_LIMITED", "slow down", 1},
		{"403 secondary limit, documented", githubtest.Respond(403, nil, `{"message":"a limit","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`), fault.Failed, "GITHUB_RATE_LIMITED", "slow down", 1},
		{"429 secondary limit, recorded", answered(t, "429_secondary_rate_limit_retry_after.json"), fault.Failed, "GITHUB_RATE_LIMITED", "until 09:00:08 UTC", 1},
		{"403 abuse", githubtest.Respond(403, nil, message("You have triggered an abuse detection mechanism.")), fault.Failed, "GITHUB_RATE_LIMITED", "slow down", 1},
		{"429 HTML", githubtest.HTML(429), fault.Failed, "GITHUB_RATE_LIMITED", "slow down", 1},
		{"404, recorded", answered(t, "404_not_found_recorded.json"), fault.Invalid, "NO_SUCH_REPOSITORY", "contents: read", 2},
		{"410", githubtest.Respond(410, nil, message("gone")), fault.Invalid, "NO_SUCH_REPOSITORY", "may not see it", 2},
		{"422, recorded", answered(t, "422_validation_recorded.json"), fault.Failed, "GITHUB_ANSWER", "422 Unprocessable Entity: Validation Failed", 1},
		{"304 unasked", githubtest.Respond(304, nil, ""), fault.Failed, "GITHUB_ANSWER", "304", 1},
		{"400", githubtest.Respond(400, nil, ""), fault.Failed, "GITHUB_ANSWER", "400 Bad Request", 1},
		{"451", githubtest.Respond(451, nil, message("Repository access blocked")), fault.Failed, "GITHUB_ANSWER", "blocked", 1},
		{"500", githubtest.Respond(500, nil, ""), fault.Failed, "GITHUB_UNAVAILABLE", "500 Internal Server Error, request id", 4},
		{"502 HTML", githubtest.HTML(502), fault.Failed, "GITHUB_UNAVAILABLE", "502 Bad Gateway", 4},
		{"503", githubtest.Respond(503, nil, message("No server is currently available")), fault.Failed, "GITHUB_UNAVAILABLE", "No server", 4},
		{"200 HTML", githubtest.HTML(200), fault.Failed, "GITHUB_UNAVAILABLE", "is not JSON", 4},
		{"200 empty", githubtest.Respond(200, nil, ""), fault.Failed, "GITHUB_UNAVAILABLE", "of 0 bytes", 4},
		{"200 cut", githubtest.Respond(200, nil, `{"total_count":1,"workflow_runs":[{"id":`), fault.Failed, "GITHUB_UNAVAILABLE", "is not JSON", 4},
		{"202", githubtest.Respond(202, nil, "{}"), fault.Failed, "GITHUB_UNAVAILABLE", "202", 4},
		{"204", githubtest.Respond(204, nil, ""), fault.Failed, "GITHUB_UNAVAILABLE", "204", 4},
		{"truncated", githubtest.Truncate(), fault.Failed, "GITHUB_UNAVAILABLE", "broke off after", 4},
		{"reset", githubtest.Reset(), fault.Failed, "GITHUB_UNAVAILABLE", "no answer from 127.0.0.1", 4},
		{"hang", githubtest.Hang(), fault.Failed, "GITHUB_UNAVAILABLE", "no answer within 100ms", 4},
		{"too large", githubtest.Respond(200, nil, `{"a":"`+strings.Repeat("a", 16<<20)+`"}`), fault.Failed, "GITHUB_ANSWER", "larger than 16 MiB", 1},
		{"null", githubtest.Respond(200, nil, "null"), fault.Failed, "GITHUB_ANSWER", "no list", 1},
		{"no list", githubtest.Respond(200, nil, `{"total_count":0}`), fault.Failed, "GITHUB_ANSWER", "no list", 1},
		{"a list of null", githubtest.Respond(200, nil, `{"workflow_runs":[null]}`), fault.Failed, "GITHUB_ANSWER", "a run without id", 1},
		{"wrong type", githubtest.Respond(200, nil, `{"workflow_runs":[{"id":"7"}]}`), fault.Failed, "GITHUB_ANSWER", "string", 1},
		{"a number too large", githubtest.Respond(200, nil, `{"workflow_runs":[{"id":1e30}]}`), fault.Failed, "GITHUB_ANSWER", "not what GitHub documents", 1},
		{"an array", githubtest.Respond(200, nil, `[]`), fault.Failed, "GITHUB_ANSWER", "array", 1},
		{"message with control characters", githubtest.Respond(500, headers("X-GitHub-Request-Id", "a b"), `{"message":"\u001b[31m\n::error::`+githubtest.Token+` \u202e"}`), fault.Failed, "GITHUB_UNAVAILABLE", "?[31m?::error::*** ?", 4},
		{"redirect without target", githubtest.Respond(302, nil, ""), fault.Failed, "GITHUB_ANSWER", "302", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(o *ci.Options) { o.Timeout = 100 * time.Millisecond })
			if c.name == "too large" {
				s.client = s.connect(t) // takes its time
			}
			s.server.Disturb("", always, c.disturb)
			runs, err := s.client.RunsOfCommit(t.Context(), commit)
			if runs != nil || fault.KindOf(err) != c.kind || fault.ReasonOf(err) != c.reason || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v, %v %s %v\nwant %v %s %q", runs, fault.KindOf(err), fault.ReasonOf(err), err, c.kind, c.reason, c.says)
			}
			if n := len(s.server.Requests()); n != c.tries {
				t.Errorf("asked %d times, want %d", n, c.tries)
			}
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, githubtest.Token) {
				t.Errorf("the token is told: %s", text)
			} else if strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q cannot be printed", err)
			}
		})
	}
}

// What a 404 means depends on what else can be seen.
func TestTheThreeMeaningsOf404(t *testing.T) {
	t.Parallel()
	look := func(t *testing.T, s site, token string) (workflow, runs error) {
		t.Helper()
		c := s.connect(t, func(o *ci.Options) { o.Token = token })
		_, workflow = c.Workflow(t.Context(), "lint.yml")
		_, runs = c.RunsOfCommit(t.Context(), commit)
		return workflow, runs
	}
	s := newSite(t)
	s.repo.SetPrivate(true)
	s.server.Grant("stranger", githubtest.Grant{Repositories: []string{}})

	workflow, runs := look(t, s, githubtest.Token)
	if fault.ReasonOf(workflow) != "NO_SUCH_WORKFLOW" || runs != nil {
		t.Errorf("not registered: %v, %v", workflow, runs)
	}
	for _, token := range []string{"stranger", ""} {
		workflow, runs = look(t, s, token)
		if fault.ReasonOf(workflow) != "NO_SUCH_REPOSITORY" || fault.ReasonOf(runs) != "NO_SUCH_REPOSITORY" {
			t.Errorf("%q may not see it: %v, %v", token, workflow, runs)
		}
	}
	if !strings.Contains(runs.Error(), "set GITHUB_TOKEN") {
		t.Errorf("without token: %v", runs)
	}
	s.server.Disturb("/actions/runs", 1, githubtest.Respond(404, nil, `{"message":"Not Found"}`))
	if _, runs = look(t, s, githubtest.Token); fault.ReasonOf(runs) != "GITHUB_PERMISSION" || fault.KindOf(runs) != fault.Invalid {
		t.Errorf("its Actions are hidden: %v", runs)
	}
	// What the repository answers decides, also when it is no answer.
	s.server.Disturb("", 1, githubtest.Respond(404, nil, `{"message":"Not Found"}`))
	s.server.Disturb("", 4, githubtest.HTML(502))
	if workflow, _ = look(t, s, githubtest.Token); fault.ReasonOf(workflow) != "GITHUB_UNAVAILABLE" {
		t.Errorf("not known: %v", workflow)
	}
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.repo.AddWorkflow("lint.yml").Start(githubtest.NewRun{SHA: commit})
	s.server.Disturb("", 1, githubtest.Reset()) // first: on a connection used before, net/http tries again by itself
	s.server.Disturb("", 1, githubtest.HTML(502))
	s.server.Disturb("", 1, githubtest.Truncate())
	runs, err := s.client.RunsOfCommit(t.Context(), commit)
	if err != nil || len(runs) != 1 {
		t.Errorf("%v, %v", runs, err)
	}
	if waited := s.clock.Now().Sub(morning); waited != 7*time.Second {
		t.Errorf("waited %v, want 1 + 2 + 4 s", waited)
	}
}

func TestJitterSpreadsRetries(t *testing.T) {
	t.Parallel()
	for jitter, want := range map[float64]time.Duration{0: 3500 * time.Millisecond, 0.99: 10430 * time.Millisecond} {
		s := newSite(t, func(o *ci.Options) { o.Jitter = func() float64 { return jitter } })
		s.server.Disturb("", always, githubtest.HTML(502))
		if _, err := s.client.RunsOfCommit(t.Context(), commit); fault.ReasonOf(err) != "GITHUB_UNAVAILABLE" {
			t.Error(err)
		}
		if waited := s.clock.Now().Sub(morning); waited != want {
			t.Errorf("jitter %v: waited %v, want %v", jitter, waited, want)
		}
	}
}

func TestTheCallersEndIsNoFault(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.server.Disturb("", 1, githubtest.Hang())
	go func() {
		for len(s.server.Requests()) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := s.client.RunsOfCommit(ctx, commit)
	if !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Interrupted {
		t.Errorf("cancelled while it waits: %v", err)
	}
	if _, err = s.client.RunsOfCommit(ctx, commit); fault.KindOf(err) != fault.Interrupted || len(s.server.Requests()) != 1 {
		t.Errorf("cancelled before: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	s.clock.After(500*time.Millisecond, cancel) // in the first pause
	s.server.Disturb("", always, githubtest.HTML(502))
	if _, err = s.client.RunsOfCommit(ctx, commit); fault.KindOf(err) != fault.Interrupted || len(s.server.Requests()) != 2 {
		t.Errorf("cancelled in a pause: %v", err)
	}
}

// A redirect may lead to another place of GitHub's API, and never the token elsewhere.
func TestRedirects(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.repo.AddWorkflow("lint.yml")
	thief := githubtest.New(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s.server.Disturb("", 1, githubtest.Redirect(status, thief.URL()))
		_, err := s.client.Workflow(t.Context(), "lint.yml")
		if fault.KindOf(err) != fault.Failed || fault.ReasonOf(err) != "GITHUB_ANSWER" || !strings.Contains(err.Error(), "another host: 127.0.0.1") {
			t.Errorf("%d: %v", status, err)
		}
	}
	s.server.Disturb("", 1, githubtest.Redirect(307, strings.Replace(s.server.URL(), "http:", "https:", 1)))
	if _, err := s.client.Workflow(t.Context(), "lint.yml"); fault.ReasonOf(err) != "GITHUB_ANSWER" {
		t.Errorf("another scheme: %v", err)
	}
	if n := len(thief.Requests()); n != 0 {
		t.Errorf("%d requests went to another host", n)
	}
	s.server.Disturb("", 1, githubtest.Redirect(307, s.server.URL()))
	if _, err := s.client.Workflow(t.Context(), "lint.yml"); err != nil {
		t.Errorf("the same host: %v", err)
	}
	s.server.Disturb("", always, githubtest.Redirect(307, s.server.URL()))
	s.server.ForgetRequests()
	if _, err := s.client.Workflow(t.Context(), "lint.yml"); fault.ReasonOf(err) != "GITHUB_ANSWER" || len(s.server.Requests()) != 4 {
		t.Errorf("in circles: %v after %d requests", err, len(s.server.Requests()))
	}
}
