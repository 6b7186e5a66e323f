package ci

import (
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
)

func (r Run) identity() int64 { return r.ID }

func (j Job) identity() int64 { return j.ID }

// nonsense is an answer whose types are right and whose content is not. Nothing of it is used: a
// run that is left out of a list can turn a verdict.
func nonsense(what, which string) error {
	return fault.New(fault.Failed, reasonAnswer, "%s: the answer is not what GitHub documents: %s", what, which)
}

func convert[F, T any](what string, found []*F, of func(string, *F) (T, error)) ([]T, error) {
	things := make([]T, 0, len(found))
	for _, f := range found {
		t, err := of(what, f)
		if err != nil {
			return nil, err
		}
		things = append(things, t)
	}
	return things, nil
}

func workflowOf(what, file string, w *github.Workflow) (Workflow, error) {
	switch {
	case w.GetID() <= 0 || w.GetState() == "":
		return Workflow{}, nonsense(what, "a workflow without id or state")
	case path.Base(w.GetPath()) != file:
		return Workflow{}, nonsense(what, "another workflow")
	}
	return Workflow{ID: w.GetID(), File: file, Name: clean(w.GetName()), State: clean(w.GetState())}, nil
}

func (c *Client) runOf(what string, r *github.WorkflowRun) (Run, error) {
	switch {
	case r.GetID() <= 0 || r.GetWorkflowID() <= 0 || r.GetRunNumber() <= 0 || r.GetRunAttempt() < 0:
		return Run{}, nonsense(what, "a run without id, workflow or number")
	case !git.IsSHA(r.GetHeadSHA()):
		return Run{}, nonsense(what, "a run without commit")
	case r.GetStatus() == "" || r.GetEvent() == "" || r.GetCreatedAt().IsZero():
		return Run{}, nonsense(what, "a run without status, event or time")
	}
	run := Run{
		ID: r.GetID(), WorkflowID: r.GetWorkflowID(), Number: r.GetRunNumber(), Attempt: max(r.GetRunAttempt(), 1),
		Event: clean(r.GetEvent()), Branch: clean(r.GetHeadBranch()), SHA: r.GetHeadSHA(), HeadRepository: c.headRepository(r),
		Status: clean(r.GetStatus()), Conclusion: clean(r.GetConclusion()), URL: webURL(r.GetHTMLURL()),
		Created: utc(r.CreatedAt), Started: utc(r.RunStartedAt), Updated: utc(r.UpdatedAt),
	}
	if run.Started.IsZero() { // not told before attempts were
		run.Started = run.Created
	}
	return run, nil
}

// headRepository calls the client's own repository by the name it was asked with, also when
// it was renamed or written in other letters: the id tells that it is the same.
func (c *Client) headRepository(r *github.WorkflowRun) string {
	if head, own := r.GetHeadRepository().GetID(), r.GetRepository().GetID(); head > 0 && head == own {
		return c.Name()
	}
	return clean(r.GetHeadRepository().GetFullName())
}

func jobOf(what string, j *github.WorkflowJob) (Job, error) {
	if j.GetID() <= 0 || j.GetName() == "" || j.GetStatus() == "" {
		return Job{}, nonsense(what, "a job without id, name or status")
	}
	job := Job{
		ID: j.GetID(), Name: clean(j.GetName()), Status: clean(j.GetStatus()), Conclusion: clean(j.GetConclusion()),
		URL: webURL(j.GetHTMLURL()), Started: utc(j.StartedAt), Completed: utc(j.CompletedAt),
	}
	switch job.Status {
	case "queued", "waiting", "pending", "requested": // GitHub then tells the moment of queueing
		job.Started = time.Time{}
	}
	return job, nil
}

func utc(t *github.Timestamp) time.Time {
	if t == nil || t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// webURL is an address that may be printed as a link, "" for any other.
func webURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || strings.ContainsAny(s, " <>\"`|") {
		return ""
	}
	return s
}
