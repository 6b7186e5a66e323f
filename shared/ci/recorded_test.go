package ci_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/fault"
)

// recording makes GitHub answer the next request as it was recorded to.
func (s site) recording(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("githubtest", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	s.server.Disturb("", 1, githubtest.Respond(200, nil, string(raw)))
}

func utc(s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return at.UTC()
}

// The client reads what GitHub really answered, over the years.
func TestRecordedAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *ci.Options) { o.Repository = "hub4j-test-org/GHWorkflowRunTest" })
	const web = "https://github.com/hub4j-test-org/GHWorkflowRunTest/actions/runs/"

	s.recording(t, "runs_startup_failure.json")
	got, err := s.client.RunsOfWorkflow(t.Context(), 75497789, 2)
	want := []ci.Run{
		{
			ID: 6804432015, WorkflowID: 75497789, Number: 4, Attempt: 1, Event: "push", Branch: "main", SHA: "e8b2761bda453495d1ae25941b5b380b07deae52",
			HeadRepository: s.client.Name(), Status: "completed", Conclusion: "startup_failure", URL: web + "6804432015",
			Created: utc("2023-11-08T21:53:13Z"), Started: utc("2023-11-08T21:53:13Z"), Updated: utc("2023-11-08T21:53:29Z"),
		},
		{
			ID: 6804363049, WorkflowID: 75497789, Number: 3, Attempt: 1, Event: "push", Branch: "main", SHA: "3c712d0b18d9313f69c0d96b9d0a6fd9421203d2",
			HeadRepository: s.client.Name(), Status: "completed", Conclusion: "startup_failure", URL: web + "6804363049",
			Created: utc("2023-11-08T21:44:54Z"), Started: utc("2023-11-08T21:44:54Z"), Updated: utc("2023-11-08T21:44:54Z"),
		},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("startup failures: %v\n%s", err, d)
	}

	s.recording(t, "run_cancelled.json") // of 2021, when attempts were not told
	cancelled, err := s.client.Run(t.Context(), 686036126)
	wantRun := ci.Run{
		ID: 686036126, WorkflowID: 6820849, Number: 16, Attempt: 1, Event: "workflow_dispatch", Branch: "main", SHA: "f6a5c19a67797d64426203b8a7a05a0fd74e5037",
		HeadRepository: s.client.Name(), Status: "completed", Conclusion: "cancelled", URL: web + "686036126",
		Created: utc("2021-03-25T09:37:09Z"), Started: utc("2021-03-25T09:37:09Z"), Updated: utc("2021-03-25T09:37:43Z"),
	}
	if d := cmp.Diff(wantRun, cancelled); d != "" || err != nil {
		t.Errorf("cancelled: %v\n%s", err, d)
	}

	s.recording(t, "runs_in_progress.json")
	running, err := s.client.RunsOfCommit(t.Context(), wantRun.SHA)
	if err != nil || len(running) != 1 || running[0].Status != "in_progress" || running[0].Conclusion != "" {
		t.Errorf("in progress: %+v, %v", running, err)
	}
	s.recording(t, "runs_by_head_sha_empty.json")
	if none, err := s.client.RunsOfCommit(t.Context(), commit); err != nil || len(none) != 0 {
		t.Errorf("none: %+v, %v", none, err)
	}
	s.recording(t, "runs_by_workflow.json")
	dispatched, err := s.client.RunsOfWorkflow(t.Context(), 6817859, 100)
	if err != nil || len(dispatched) != 2 || dispatched[0].Number != 10 || dispatched[1].ID != 2313468244 || dispatched[0].Attempt != 1 {
		t.Errorf("dispatched: %+v, %v", dispatched, err)
	}
	if dispatched[0].HeadRepository != s.client.Name() { // another name of the same repository, as far as this client can know
		t.Errorf("head repository %q", dispatched[0].HeadRepository)
	}

	s.recording(t, "jobs_for_run.json")
	jobs, err := s.client.Jobs(t.Context(), 719643947)
	wantJobs := []ci.Job{
		{
			ID: 2270858576, Name: "job2", Status: "completed", Conclusion: "success", URL: "https://github.com/hub4j-test-org/GHWorkflowRunTest/runs/2270858576",
			Started: utc("2021-04-05T15:42:56Z"), Completed: utc("2021-04-05T15:42:57Z"),
		},
		{
			ID: 2270858630, Name: "job1", Status: "completed", Conclusion: "success", URL: "https://github.com/hub4j-test-org/GHWorkflowRunTest/runs/2270858630",
			Started: utc("2021-04-05T15:42:57Z"), Completed: utc("2021-04-05T15:42:59Z"),
		},
	}
	if d := cmp.Diff(wantJobs, jobs); d != "" || err != nil {
		t.Errorf("jobs: %v\n%s", err, d)
	}
	for file, state := range map[string]string{"workflow_active.json": ci.Active, "workflow_disabled_manually.json": "disabled_manually"} {
		s.recording(t, file)
		got, err := s.client.Workflow(t.Context(), "test-workflow.yml")
		if want := (ci.Workflow{ID: 6817859, File: "test-workflow.yml", Name: "test-workflow", State: state}); err != nil || got != want {
			t.Errorf("%s: %+v, %v", file, got, err)
		}
	}
}

// An answer that is well-formed and wrong is refused whole: what is left out of a list can turn a verdict.
func TestRunsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := `{"id":7,"workflow_id":3,"run_number":1,"head_sha":"` + commit + `","status":"queued","event":"push","created_at":"2026-11-23T09:00:00Z"}`
	for _, c := range [][2]string{
		{`"id":7`, `"id":-7`},
		{`"id":7,`, ``},
		{`"id":7`, `"id":null`},
		{`"workflow_id":3`, `"workflow_id":0`},
		{`"run_number":1`, `"run_number":-1`},
		{`"run_number":1`, `"run_number":1,"run_attempt":-1`},
		{commit, commit[1:]},
		{commit, "../../../../../etc/passwd/1111111111111111"},
		{`"status":"queued"`, `"status":null`},
		{`"event":"push"`, `"event":""`},
		{`"created_at":"2026-11-23T09:00:00Z"`, `"created_at":null`},
		{`"created_at":"2026-11-23T09:00:00Z"`, `"created_at":"yesterday"`},
		{`"workflow_id":3`, `"workflow_id":4`}, // of another workflow than asked for
	} {
		if !strings.Contains(good, c[0]) {
			t.Fatalf("%s is not in the good run", c[0])
		}
		bad := strings.Replace(good, c[0], c[1], 1)
		s.server.Disturb("", 1, githubtest.Respond(200, nil, `{"workflow_runs":[`+good+","+bad+`]}`))
		runs, err := s.client.RunsOfWorkflow(t.Context(), 3, 100)
		if fault.KindOf(err) != fault.Failed || fault.ReasonOf(err) != "GITHUB_ANSWER" || runs != nil {
			t.Errorf("%s: %+v, %v", c[1], runs, err)
		}
	}
	s.server.Disturb("", 1, githubtest.Respond(200, nil, good))
	if _, err := s.client.Run(t.Context(), 8); fault.ReasonOf(err) != "GITHUB_ANSWER" {
		t.Errorf("run 7 in place of run 8: %v", err)
	}
	s.server.Disturb("", 1, githubtest.Respond(200, nil, `{"id":3,"path":".github/workflows/evil.yml","state":"active"}`))
	if _, err := s.client.Workflow(t.Context(), "lint.yml"); fault.ReasonOf(err) != "GITHUB_ANSWER" {
		t.Errorf("another workflow: %v", err)
	}
	s.server.Disturb("", 1, githubtest.Respond(200, nil, `{"workflow_runs":[`+strings.NewReplacer(commit, another, `"id":7`, `"id":8`).Replace(good)+","+good+`]}`))
	if runs, err := s.client.RunsOfCommit(t.Context(), commit); err != nil || len(runs) != 1 || runs[0].SHA != commit {
		t.Errorf("the filter was not obeyed: %+v, %v", runs, err)
	}
}

// Names come from whoever may push; they reach terminals and logs.
func TestForeignTextIsHarmless(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	long := strings.Repeat("é", 1000)
	s.server.Disturb("", 1, githubtest.Respond(200, nil, `{"jobs":[
		{"id":1,"name":"a\u001b[2J\n::set-output name=x::y\u202e\u0000","status":"queued\r","html_url":"javascript:alert(1)"},
		{"id":2,"name":"`+long+`","status":"queued","html_url":"https://me:secret@github.com/"},
		{"id":3,"name":"日本 ✓","status":"queued","html_url":"https://github.com/a b"}]}`))
	jobs, err := s.client.Jobs(t.Context(), 7)
	if err != nil || len(jobs) != 3 {
		t.Fatalf("%+v, %v", jobs, err)
	}
	if got := jobs[0].Name + "|" + jobs[0].Status; got != "a?[2J?::set-output name=x::y??|queued?" {
		t.Errorf("%q", got)
	}
	if n := len([]rune(jobs[1].Name)); n != 300 {
		t.Errorf("a name of %d runes", n)
	}
	if jobs[2].Name != "日本 ✓" {
		t.Errorf("%q", jobs[2].Name)
	}
	for _, j := range jobs {
		if j.URL != "" {
			t.Errorf("the link %q is passed on", j.URL)
		}
	}
}
