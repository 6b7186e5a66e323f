// Package ci judges whether a commit passed the workflows that it needs.
//
// It promises that only what GitHub shows to have passed passes: [Judge] is a pure
// function over a [Snapshot], "not triggered" needs proof, what is unknown waits. [Client]
// takes the snapshots' facts from GitHub, within its rate limits. Start reading at
// [Judge]; the types below are what GitHub says, without what nobody here asks for.
package ci

import (
	"context"
	"time"
)

// Workflow is a workflow file that GitHub has registered.
type Workflow struct {
	ID    int64
	File  string // base name: lint.yml
	Name  string
	State string // active, disabled_manually, disabled_inactivity, disabled_fork, deleted
}

// Active is the state of a workflow that events start.
const Active = "active"

// Run is one run of a workflow, in its latest attempt.
type Run struct {
	ID             int64
	WorkflowID     int64  // the workflow's identity; a run's name may be anything
	Number         int    // counts the runs of the workflow; an attempt keeps it
	Attempt        int    // from 1
	Event          string // push, workflow_dispatch, ...
	Branch         string // a fork's branch may have the same name
	SHA            string // of a pull request: its head, though the merge is what was tested
	HeadRepository string // owner/name the commit came from; "" when it was deleted
	Status         string // see [Judge]
	Conclusion     string // "" until the run is completed
	URL            string // for a browser
	Created        time.Time
	Started        time.Time // of the latest attempt
	Updated        time.Time
}

// Job is one job of a run's latest attempt.
type Job struct {
	ID         int64
	Name       string // job's name: or its key
	Status     string
	Conclusion string // "" until it is completed
	URL        string
	Started    time.Time // zero before it starts
	Completed  time.Time // zero before it ends
}

// Source answers questions about one repository's workflows. [Client] is the real one.
//
// Its faults: Invalid NO_SUCH_WORKFLOW (or NO_SUCH_RUN, NO_SUCH_REPOSITORY), Invalid
// GITHUB_TOKEN (not accepted), Invalid GITHUB_PERMISSION (accepted, may not read this),
// Failed GITHUB_RATE_LIMITED (see [RetryAt]), Failed GITHUB_UNAVAILABLE (worth another try),
// Failed GITHUB_ANSWER (GitHub said what it does not document; another try says the same).
type Source interface {
	// Workflow finds a workflow by the base name of its file.
	Workflow(ctx context.Context, file string) (Workflow, error)
	// RunsOfCommit lists every run whose head is sha, over all workflows. It comes from a
	// search index that may lag: what it lacks may exist.
	RunsOfCommit(ctx context.Context, sha string) ([]Run, error)
	// RunsOfWorkflow lists the newest runs of one workflow, newest first, at most most of
	// them (1 to 100). It does not come from the index.
	RunsOfWorkflow(ctx context.Context, workflowID int64, most int) ([]Run, error)
	// Run is one run.
	Run(ctx context.Context, id int64) (Run, error)
	// Jobs lists the jobs of a run's latest attempt.
	Jobs(ctx context.Context, runID int64) ([]Job, error)
}
