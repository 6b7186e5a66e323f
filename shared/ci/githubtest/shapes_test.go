package githubtest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/ci/githubtest"
)

// recorded reads an answer of GitHub's.
func recorded(t *testing.T, file string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// first is the first element of a list in an answer.
func first(answer map[string]any, list string) map[string]any {
	return answer[list].([]any)[0].(map[string]any)
}

// shape lists the keys of an object with the types of their values, those inside included.
func shape(prefix string, v any, into map[string]string) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	for key, inner := range object {
		path := prefix + "." + key
		into[path] = fmt.Sprintf("%T", inner)
		shape(path, inner, into)
	}
}

// The fake answers what GitHub answered: the same keys, with values of the same types.
func TestAnswersHaveTheRecordedShapes(t *testing.T) {
	t.Parallel()
	s := githubtest.New(t)
	r := s.AddRepository("o/r")
	lint := r.AddWorkflow("lint.yml")
	ran := lint.Start(githubtest.NewRun{SHA: one, Conclusion: "success"})
	ran.AddJob("job").Complete("success")
	running := lint.Start(githubtest.NewRun{SHA: two, Status: "in_progress"})
	run := func(r *githubtest.Run) string { return fmt.Sprintf("/repos/o/r/actions/runs/%d", r.ID()) }

	for _, c := range []struct {
		name string
		have map[string]any
		want map[string]any
		// newer are keys that GitHub did not tell yet when it was recorded (testdata/README.md), nullable those
		// that may be null in either.
		newer, nullable []string
	}{
		{name: "workflow", have: ask(t, s, "/repos/o/r/actions/workflows/lint.yml").body, want: recorded(t, "workflow_active.json")},
		{name: "workflow list", have: first(ask(t, s, "/repos/o/r/actions/workflows").body, "workflows"), want: first(recorded(t, "workflows_list.json"), "workflows")},
		{name: "run list of 2023", have: first(ask(t, s, "/repos/o/r/actions/runs?head_sha="+one).body, "workflow_runs"), want: first(recorded(t, "runs_startup_failure.json"), "workflow_runs")},
		{
			name: "run of 2021", have: ask(t, s, run(running)).body, want: first(recorded(t, "runs_in_progress.json"), "workflow_runs"),
			newer: []string{".path", ".display_title", ".actor", ".triggering_actor", ".run_attempt", ".referenced_workflows", ".run_started_at", ".previous_attempt_url"},
		},
		{
			name: "jobs of 2021", have: first(ask(t, s, run(ran)+"/jobs").body, "jobs"), want: first(recorded(t, "jobs_for_run.json"), "jobs"),
			newer: []string{".run_attempt", ".head_branch", ".workflow_name", ".created_at"}, nullable: []string{".runner_id", ".runner_name", ".runner_group_id", ".runner_group_name"},
		},
		{
			name: "rate limit", have: ask(t, s, "/rate_limit").body["rate"].(map[string]any),
			want: recorded(t, "openapi_rate_limit.json")["rate"].(map[string]any),
		},
		{name: "empty list", have: ask(t, s, "/repos/o/r/actions/runs?head_sha="+strings.Repeat("3", 40)).body, want: recorded(t, "runs_by_head_sha_empty.json")},
	} {
		have, want := map[string]string{}, map[string]string{}
		shape("", c.have, have)
		shape("", c.want, want)
		maps.DeleteFunc(have, func(key, _ string) bool {
			return slices.ContainsFunc(c.newer, func(n string) bool { return key == n || strings.HasPrefix(key, n+".") })
		})
		for _, key := range c.nullable {
			if _, ok := want[key]; ok {
				have[key] = want[key]
			}
		}
		if d := cmp.Diff(want, have); d != "" {
			t.Errorf("%s: recorded (-), answered (+):\n%s", c.name, d)
		}
	}
}

func TestRefusalsHaveTheRecordedShapes(t *testing.T) {
	t.Parallel()
	s := githubtest.New(t)
	r := s.AddRepository("o/r")
	r.Rename("o/new")
	keys := func(v any) []string { return slices.Sorted(maps.Keys(v.(map[string]any))) }

	moved := ask(t, s, "/repos/o/r")
	if d := cmp.Diff(keys(recorded(t, "301_repository_renamed_recorded.json")["body"]), keys(moved.body)); d != "" {
		t.Errorf("301: %s", d)
	}
	s.Grant("weak", githubtest.Grant{NoActions: true})
	denied := recorded(t, "403_resource_not_accessible.constructed.json")["body"].(map[string]any)
	if a := ask(t, s, "/repos/o/new/actions/runs", "Authorization", "Bearer weak"); a.body["message"] != denied["message"] || !cmp.Equal(keys(a.body), keys(denied)) {
		t.Errorf("403: %v", a.body)
	}
	s.SetSecondary(githubtest.Secondary{Requests: 1, Status: http.StatusTooManyRequests, RetryAfter: "8"})
	slow := recorded(t, "429_secondary_rate_limit_retry_after.json")
	if a := ask(t, s, "/repos/o/new"); a.header.Get("Retry-After") != "8" || !cmp.Equal(a.body, slow["body"].(map[string]any)) {
		t.Errorf("429: %v", a.body)
	}
	s.SetLimit(githubtest.Limit{Most: 1000}, 1000)
	exceeded := recorded(t, "403_primary_rate_limit.constructed.json")
	a := ask(t, s, "/repos/o/new")
	if !cmp.Equal(a.body, exceeded["body"].(map[string]any)) {
		t.Errorf("403: %v", a.body)
	}
	for name, want := range exceeded["headers"].(map[string]any) {
		if got := a.header.Get(name); got != want && name != "X-RateLimit-Reset" {
			t.Errorf("403: %s is %q, want %q", name, got, want)
		}
	}
}

// ofBrowsers are recorded headers that say nothing to a program, or what a personal token of then could do.
var ofBrowsers = []string{
	"X-Oauth-Scopes", "X-Accepted-Oauth-Scopes", "Access-Control-Expose-Headers", "Access-Control-Allow-Origin", "Strict-Transport-Security",
	"X-Frame-Options", "X-Content-Type-Options", "X-Xss-Protection", "Referrer-Policy", "Content-Security-Policy",
}

func TestHeadersAreAsRecorded(t *testing.T) {
	t.Parallel()
	s := githubtest.New(t)
	s.AddRepository("o/r").AddWorkflow("lint.yml").Start(githubtest.NewRun{SHA: one})
	a := ask(t, s, "/repos/o/r/actions/runs?head_sha="+one)
	for name, want := range recorded(t, "runs_by_head_sha_headers.json")["response_headers"].(map[string]any) {
		name = http.CanonicalHeaderKey(name)
		got := a.header.Values(name)
		switch {
		case slices.Contains(ofBrowsers, name):
		case len(got) == 0:
			t.Errorf("%s is not sent", name)
		case slices.Contains([]string{"Cache-Control", "Content-Type", "X-Github-Media-Type", "X-Github-Api-Version-Selected", "X-Ratelimit-Resource"}, name) && got[0] != want:
			t.Errorf("%s is %q, want %q", name, got[0], want)
		case name == "Etag" && len(got[0]) != len(want.(string)):
			t.Errorf("ETag is %s, recorded was %s", got[0], want)
		case name == "Vary" && len(got) != 2:
			t.Errorf("Vary is sent %d times, recorded were 2", len(got))
		}
	}
}
