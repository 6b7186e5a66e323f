// Package runner executes the run steps of a workflow file, job by job, as a runner of GitHub Actions would.
//
// It promises the parts of the runner that a command can see: variables, contexts and expressions,
// conditions, the files GITHUB_OUTPUT, GITHUB_ENV, GITHUB_PATH and GITHUB_STEP_SUMMARY, outputs of
// steps and jobs, the shells' own options. Actions (`uses:`) are not executed but for checkout, which
// the caller does. The file is parsed by actionlint. Start reading at [Run].
package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/rhysd/actionlint"
)

// Run is one run of a workflow.
type Run struct {
	File       string // of the workflow
	Work       string // folder for workspaces and the runner's own files
	Event      string // push, workflow_dispatch
	Payload    map[string]any
	Repository string // owner/name
	Ref        string // refs/heads/main
	SHA        string
	ID         int64
	Number     int
	Attempt    int
	APIURL     string
	Token      string
	Inputs     map[string]any    // of workflow_dispatch
	Vars       map[string]string // of the repository
	Secrets    map[string]string // of the repository
	// Environ is what the shell of a step starts from (PATH, HOME) on a github-hosted or a self-hosted runner.
	Environ func(runner string) []string
	// Checkout does what actions/checkout would, in the job's workspace.
	Checkout func(ctx context.Context, workspace string, with map[string]string) error
	// Before is called before each job that runs; it may be nil.
	Before func(job string)
}

// Result is how a run ended.
type Result struct {
	Jobs  map[string]Job
	Order []string // jobs that were looked at, in that order
}

// Job is how a job ended.
type Job struct {
	Result  string // success, failure or skipped
	Outputs map[string]string
	Steps   []Step
	Labels  []string // what it runs on
}

// Step is how a step ended.
type Step struct {
	ID, Name string
	Uses     string // of an action, which is not executed
	Outcome  string // success, failure or skipped
	Outputs  map[string]string
	Log      string // stdout and stderr, as they came
	Summary  string // Markdown
}

// Execute runs the workflow's jobs one after another, each after those that it needs. The error is one
// of the workflow file or of the machine; a step that fails is a result.
func Execute(ctx context.Context, r Run) (Result, error) {
	raw, err := os.ReadFile(r.File)
	if err != nil {
		return Result{}, err
	}
	workflow, problems := actionlint.Parse(raw)
	if len(problems) > 0 {
		return Result{}, fmt.Errorf("%s: %w", r.File, problems[0])
	}
	result := Result{Jobs: map[string]Job{}}
	for len(result.Jobs) < len(workflow.Jobs) {
		id := next(workflow, result)
		if id == "" {
			return result, errors.New("the jobs need one another in a circle")
		}
		j := jobRun{run: &r, workflow: workflow, job: workflow.Jobs[id], done: result}
		ended, err := j.execute(ctx)
		if err != nil {
			return result, fmt.Errorf("job %s: %w", id, err)
		}
		result.Jobs[id] = ended
		result.Order = append(result.Order, id)
	}
	return result, nil
}

// next is the first job by name whose needs have all ended.
func next(workflow *actionlint.Workflow, done Result) string {
	ready := ""
	for id, job := range workflow.Jobs {
		if _, ended := done.Jobs[id]; ended || (ready != "" && id > ready) {
			continue
		}
		if !slices.ContainsFunc(job.Needs, func(need *actionlint.String) bool { _, ok := done.Jobs[need.Value]; return !ok }) {
			ready = id
		}
	}
	return ready
}

// github is the context of that name, which is also what the variables are made of.
func (r *Run) github(job, workspace string) map[string]any {
	return map[string]any{
		"event_name": r.Event, "event": r.Payload, "repository": r.Repository, "ref": r.Ref, "sha": r.SHA, "token": r.Token,
		"ref_name": filepath.Base(r.Ref), "run_id": strconv.FormatInt(r.ID, 10), "run_number": strconv.Itoa(r.Number), "run_attempt": strconv.Itoa(r.Attempt),
		"server_url": "https://github.com", "api_url": r.APIURL, "workspace": workspace, "job": job, "actor": "ada",
		"workflow":     filepath.Base(r.File),
		"workflow_ref": r.Repository + "/.github/workflows/" + filepath.Base(r.File) + "@" + r.Ref,
	}
}

func texts(values map[string]string) map[string]any {
	out := map[string]any{}
	for name, value := range values {
		out[name] = value
	}
	return out
}
