package supersede

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/ci"
)

// Evidence is what is known about other deploys. [Judge] looks at nothing else; the order of
// its lists never matters.
type Evidence struct {
	Repository string   // owner/name
	Branch     string   // which is deployed
	Job        string   // the name of the job that deploys
	Own        ci.Run   // the run that asks
	Runs       []ci.Run // the newest runs of its workflow
	// Jobs are the jobs of the latest attempt, by run; of a run that is not in it they were not
	// read yet.
	Jobs map[int64][]ci.Job
	// Older says of a commit whether it comes before the one that we deploy; a commit that is not
	// in it was not looked at yet.
	Older map[string]bool
}

// Verdict is what the evidence comes to. With an empty By and nothing missing, no newer deploy
// counts.
type Verdict struct {
	By     ci.Run // the newer deploy; its ID is 0 when there is none
	Reason string // why By counts: a sentence's end
	// Evidence that decides next; at most one is set.
	NeedOlder string // the commit to compare
	NeedJobs  int64  // the run whose jobs to read
}

// Judge finds a newer deploy that counts. Candidates are runs of our own workflow by push or
// workflow_dispatch, for the same branch, of the repository's own commits, with a higher
// number than ours, unless their commit is older than what we deploy. Of these count:
//
//   - requested, pending: it will run;
//   - queued, waiting, in_progress, or a status that is not known: unless its jobs show that it
//     will not deploy any more (a job failed or was cancelled, or the deploy job was skipped);
//   - completed: when the run and its deploy job succeeded. That the run did says nothing alone, a run
//     all of whose jobs were skipped is a success too; nor does the deploy job, whose verify may have rolled back.
//
// What failed, was cancelled or never started does not count. Those that are yet to deploy are
// looked at before those that did, each the newest first.
func Judge(e Evidence) Verdict {
	for _, r := range e.candidates() {
		if older, known := e.Older[r.SHA]; !known && r.SHA != "" {
			return Verdict{NeedOlder: r.SHA}
		} else if older {
			continue
		}
		jobs, known := e.Jobs[r.ID]
		if !known && needsJobs(r) {
			return Verdict{NeedJobs: r.ID}
		}
		if reason := counts(r, e.Job, jobs); reason != "" {
			return Verdict{By: r, Reason: reason}
		}
	}
	return Verdict{}
}

// candidates are the newer deploys in the order in which they are looked at.
func (e *Evidence) candidates() []ci.Run {
	var list []ci.Run
	for _, r := range ci.Merge(e.Runs) {
		if r.WorkflowID == e.Own.WorkflowID && (r.Event == "push" || r.Event == "workflow_dispatch") &&
			r.Branch == e.Branch && strings.EqualFold(r.HeadRepository, e.Repository) && r.Number > e.Own.Number &&
			(r.Status != completed || r.Conclusion == success) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b ci.Run) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Number, a.Number))
	})
	return list
}

const (
	completed = "completed"
	success   = "success"
)

func rank(r ci.Run) int {
	switch {
	case !needsJobs(r):
		return 0
	case r.Status != completed:
		return 1
	}
	return 2
}

// needsJobs: a run that was requested, or whose concurrency group is busy, has no jobs yet.
func needsJobs(r ci.Run) bool { return r.Status != "requested" && r.Status != "pending" }

// counts says why a candidate counts, "" when it does not.
func counts(r ci.Run, name string, jobs []ci.Job) string {
	var deploys, deployed bool // a deploy job may still run; one succeeded
	failed, found := false, false
	for _, j := range jobs {
		switch {
		case j.Name == name:
			found = true
			deploys = deploys || j.Status != completed
			deployed = deployed || (j.Status == completed && j.Conclusion == success)
		case j.Status == completed && blocking(j.Conclusion):
			failed = true
		}
	}
	switch {
	case deployed:
		return "deployed"
	case r.Status == completed || failed || (found && !deploys):
		return ""
	}
	return fmt.Sprintf("is %s", r.Status)
}

// blocking reports whether a job's conclusion keeps those that need it from running. A job
// that was skipped may have been one that only sometimes runs.
func blocking(conclusion string) bool {
	switch conclusion {
	case success, "skipped", "neutral", "":
		return false
	}
	return true
}
