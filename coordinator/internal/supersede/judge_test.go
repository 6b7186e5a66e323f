package supersede_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"ataraxis.dev/landfall/coordinator/internal/supersede"
	"ataraxis.dev/landfall/shared/ci"
)

const (
	repository = "owner/name"
	ours       = "c0ffee0000000000000000000000000000000001"
	newer      = "c0ffee0000000000000000000000000000000002"
	older      = "c0ffee0000000000000000000000000000000003"
	deployID   = 103
)

// candidate is a newer push run of deploy.yml; with changes it.
func candidate(number int, status, conclusion string, with ...func(*ci.Run)) ci.Run {
	r := ci.Run{
		ID: int64(1000 + number), WorkflowID: deployID, Number: number, Attempt: 1, Event: "push", Branch: "main", SHA: newer,
		HeadRepository: repository, Status: status, Conclusion: conclusion,
	}
	for _, change := range with {
		change(&r)
	}
	return r
}

func job(name, status, conclusion string) ci.Job {
	return ci.Job{Name: name, Status: status, Conclusion: conclusion}
}

// asking is run 10, which asks about runs whose jobs and commits are all known.
func asking(jobs []ci.Job, runs ...ci.Run) supersede.Evidence {
	e := supersede.Evidence{
		Repository: repository, Branch: "main", Job: "deploy", Own: candidate(10, "in_progress", ""),
		Runs: append(runs, candidate(10, "in_progress", "")), Jobs: map[int64][]ci.Job{},
		Older: map[string]bool{ours: false, newer: false, older: true},
	}
	for _, r := range runs {
		e.Jobs[r.ID] = jobs
	}
	return e
}

func TestJudge(t *testing.T) {
	t.Parallel()
	var (
		gate     = job("ci-gate", "completed", "success")
		deployed = job("deploy", "completed", "success")
		skipped  = job("deploy", "completed", "skipped")
		queued   = job("deploy", "queued", "")
	)
	for name, c := range map[string]struct {
		evidence supersede.Evidence
		by       int // number of the run that supersedes; 0 is none
	}{
		"requested":                       {asking(nil, candidate(11, "requested", "")), 11},
		"queued":                          {asking(nil, candidate(11, "queued", "")), 11},
		"pending":                         {asking(nil, candidate(11, "pending", "")), 11},
		"waiting":                         {asking(nil, candidate(11, "waiting", "")), 11},
		"in_progress":                     {asking([]ci.Job{gate, queued}, candidate(11, "in_progress", "")), 11},
		"a status that is not known":      {asking(nil, candidate(11, "paused", "")), 11},
		"in its gate":                     {asking([]ci.Job{job("ci-gate", "in_progress", "")}, candidate(11, "in_progress", "")), 11},
		"its gate failed":                 {asking([]ci.Job{job("ci-gate", "completed", "failure"), job("notify", "queued", "")}, candidate(11, "in_progress", "")), 0},
		"its gate failed, notify queued":  {asking([]ci.Job{job("ci-gate", "completed", "failure"), job("notify", "queued", "")}, candidate(11, "queued", "")), 0},
		"its gate was cancelled":          {asking([]ci.Job{job("ci-gate", "completed", "cancelled")}, candidate(11, "in_progress", "")), 0},
		"its deploy job was skipped":      {asking([]ci.Job{gate, skipped, job("notify", "in_progress", "")}, candidate(11, "in_progress", "")), 0},
		"its deploy job failed":           {asking([]ci.Job{gate, job("deploy", "completed", "failure")}, candidate(11, "in_progress", "")), 0},
		"it deployed, notify runs":        {asking([]ci.Job{gate, deployed, job("notify", "in_progress", "")}, candidate(11, "in_progress", "")), 11},
		"it deployed, notify failed":      {asking([]ci.Job{gate, deployed, job("notify", "completed", "failure"), job("x", "queued", "")}, candidate(11, "in_progress", "")), 11},
		"a job was skipped, deploy comes": {asking([]ci.Job{job("verify-extra", "completed", "skipped"), queued}, candidate(11, "in_progress", "")), 11},

		"success, and it deployed":                  {asking([]ci.Job{gate, deployed}, candidate(11, "completed", "success")), 11},
		"success, and its deploy job was skipped":   {asking([]ci.Job{gate, skipped}, candidate(11, "completed", "success")), 0},
		"success without such a job":                {asking([]ci.Job{gate, job("deploy-site", "completed", "success")}, candidate(11, "completed", "success")), 0},
		"success without jobs":                      {asking(nil, candidate(11, "completed", "success")), 0},
		"failure":                                   {asking([]ci.Job{deployed}, candidate(11, "completed", "failure")), 0},
		"cancelled":                                 {asking([]ci.Job{deployed}, candidate(11, "completed", "cancelled")), 0},
		"skipped":                                   {asking([]ci.Job{skipped}, candidate(11, "completed", "skipped")), 0},
		"timed_out":                                 {asking([]ci.Job{deployed}, candidate(11, "completed", "timed_out")), 0},
		"action_required":                           {asking(nil, candidate(11, "completed", "action_required")), 0},
		"startup_failure":                           {asking(nil, candidate(11, "completed", "startup_failure")), 0},
		"completed without a conclusion":            {asking([]ci.Job{deployed}, candidate(11, "completed", "")), 0},
		"a failed one does not hide an earlier one": {asking([]ci.Job{deployed}, candidate(12, "completed", "failure"), candidate(11, "completed", "success")), 11},
		"one to come is named before one that did":  {asking([]ci.Job{deployed}, candidate(12, "completed", "success"), candidate(11, "pending", "")), 11},
		"the newest is named":                       {asking(nil, candidate(11, "queued", ""), candidate(13, "queued", ""), candidate(12, "queued", "")), 13},

		"nobody":                       {asking(nil), 0},
		"an earlier run":               {asking(nil, candidate(9, "queued", "")), 0},
		"an earlier run, run again":    {asking(nil, candidate(9, "queued", "", func(r *ci.Run) { r.Attempt = 2 })), 0},
		"dispatched by hand":           {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.Event = "workflow_dispatch" })), 11},
		"a schedule does not deploy":   {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.Event = "schedule" })), 0},
		"a pull request":               {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.Event = "pull_request" })), 0},
		"a branch that begins as ours": {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.Branch = "main-2" })), 0},
		"a fork's main":                {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.HeadRepository = "stranger/name" })), 0},
		"a deleted fork's main":        {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.HeadRepository = "" })), 0},
		"the repository in capitals":   {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.HeadRepository = "OWNER/Name" })), 11},
		"another workflow":             {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.WorkflowID = 1 })), 0},
		"an older commit, dispatched":  {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.SHA = older })), 0},
		"the same commit":              {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.SHA = ours })), 11},
		"a commit without a name":      {asking(nil, candidate(11, "queued", "", func(r *ci.Run) { r.SHA = "" })), 11},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 3 { // in any order
				rand.Shuffle(len(c.evidence.Runs), func(i, j int) {
					c.evidence.Runs[i], c.evidence.Runs[j] = c.evidence.Runs[j], c.evidence.Runs[i]
				})
				v := supersede.Judge(c.evidence)
				if v.By.Number != c.by || (v.Reason != "") != (c.by != 0) || v.NeedJobs != 0 || v.NeedOlder != "" {
					t.Errorf("got %+v, want run %d", v, c.by)
				}
			}
		})
	}
}

// What is not needed is not asked for: every question is a request.
func TestJudgeNeeds(t *testing.T) {
	t.Parallel()
	e := asking(nil, candidate(11, "completed", "success"), candidate(12, "completed", "failure"), candidate(13, "in_progress", ""))
	e.Jobs, e.Older = nil, nil
	if v := supersede.Judge(e); v.NeedOlder != newer || v.NeedJobs != 0 {
		t.Errorf("first the commit, got %+v", v)
	}
	e.Older = map[string]bool{newer: false}
	if v := supersede.Judge(e); v.NeedJobs != 1013 {
		t.Errorf("then the jobs of the run under way, got %+v", v)
	}
	e.Jobs = map[int64][]ci.Job{1013: {job("ci-gate", "completed", "failure")}}
	if v := supersede.Judge(e); v.NeedJobs != 1011 {
		t.Errorf("then those of the one that succeeded, got %+v", v)
	}
	e.Runs = slices.Concat(e.Runs, []ci.Run{candidate(14, "pending", "")})
	if v := supersede.Judge(e); v.By.Number != 14 {
		t.Errorf("a pending run needs no jobs, got %+v", v)
	}
}
