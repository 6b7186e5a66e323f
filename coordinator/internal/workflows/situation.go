package workflows

import (
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

// origin is where the code of a pull request, or of the run before a workflow_run, comes from.
type origin int

const (
	nowhere     origin = iota // the event has none
	ownBranch                 // a branch of this repository
	fork                      // a repository of somebody else's
	deletedFork               // one that does not exist any more: the event says null
)

// scenario is an event that starts a workflow.
type scenario struct {
	event    string
	origin   origin
	upstream string // of workflow_run: the event of the run before
	ref      string // "" when it may be any
}

func (s scenario) String() string {
	switch s.origin {
	case fork:
		return s.event + " from a fork"
	case deletedFork:
		return s.event + " from a deleted fork"
	case nowhere, ownBranch:
	}
	return s.event
}

// trusted are the events that only people with write access cause, or GitHub itself. Any
// other, one that nobody here knows too, may be caused by an outsider. Source:
// https://docs.github.com/actions/reference/workflows-and-actions/events-that-trigger-workflows
var trusted = []string{
	"push", "workflow_dispatch", "schedule", "repository_dispatch", "create", "delete", "deployment", "deployment_status",
	"release", "page_build", "label", "milestone", "branch_protection_rule", "registry_package",
}

// pullRequestRef is what github.ref looks like in a pull request; no pull request will ever have
// this number, so that a comparison with a certain one says nothing.
const pullRequestRef = "refs/pull/1000000000007/merge"

// pullRef is github.ref in an event of a pull request: of a merged one it is the branch
// that was merged into. Source:
// https://docs.github.com/actions/reference/workflows-and-actions/contexts#github-context
func pullRef(event workflow.Event) string {
	if event.Name == "pull_request" && !slices.Contains(event.Types, "closed") {
		return pullRequestRef
	}
	return ""
}

// fromOutside lists the scenarios in which an outsider causes an event.
func fromOutside(e workflow.Event) []scenario {
	event := e.Name
	switch {
	case slices.Contains(trusted, event):
		return nil
	case event == "pull_request":
		return []scenario{{event: event, origin: fork, ref: pullRef(e)}, {event: event, origin: deletedFork, ref: pullRef(e)}}
	case event == "pull_request_target", event == "pull_request_review", event == "pull_request_review_comment":
		return []scenario{{event: event, origin: fork}, {event: event, origin: deletedFork}}
	case event == "workflow_run":
		var list []scenario
		for _, upstream := range []string{"pull_request", "pull_request_target", "pull_request_review", "issue_comment", "issues"} {
			list = append(list, scenario{event: event, origin: fork, upstream: upstream}, scenario{event: event, origin: deletedFork, upstream: upstream})
		}
		return list
	}
	return []scenario{{event: event}}
}

// fromOwnPull is a pull request between branches of this repository: its code is not
// reviewed yet either.
func fromOwnPull(e workflow.Event) []scenario {
	if e.Name == "pull_request" {
		return []scenario{{event: e.Name, origin: ownBranch, ref: pullRef(e)}}
	}
	return nil
}

// situation is one workflow file in one scenario.
type situation struct {
	scenario
	file       *workflow.File
	repository string               // owner/name; "" when unknown
	failed     map[string]gateState // jobs that are taken to have failed
	job        *workflow.Job        // the one whose condition is evaluated
	visiting   map[string]bool
}

// gateState is how a job that does not pass is seen by those that need it.
type gateState struct{ result string }

func newSituation(file *workflow.File, s scenario, repository string) *situation {
	return &situation{scenario: s, file: file, repository: repository, visiting: map[string]bool{}}
}

// skipped reports whether a job certainly does not run.
func (s *situation) skipped(job *workflow.Job) bool {
	if s.visiting[job.Key.Value] || len(s.visiting) > maxDepth {
		return false // a circle, which GitHub refuses
	}
	s.visiting[job.Key.Value] = true
	before := s.job
	s.job = job
	defer func() {
		delete(s.visiting, job.Key.Value)
		s.job = before
	}()
	if !job.If.Written() {
		return s.success().isFalse()
	}
	e, err := condition(job.If.Value)
	if err != nil {
		return false
	}
	result := e.eval(s)
	if !usesStatus(e) {
		result = and(s.success(), result)
	}
	return result.isFalse()
}

// success is false when something that the job needs, however indirectly, is skipped or failed.
func (s *situation) success() value {
	if s.job != nil && s.hindered(s.job, 0) {
		return aBool(false)
	}
	return value{}
}

func (s *situation) hindered(job *workflow.Job, depth int) bool {
	if depth > maxDepth {
		return false
	}
	for _, need := range job.Needs {
		needed := s.file.Job(need.Value)
		if state, broken := s.failed[need.Value]; broken && state.result != "success" {
			return true
		}
		if needed != nil && (s.skipped(needed) || s.hindered(needed, depth+1)) {
			return true
		}
	}
	return false
}

// lookup is what is known of a context.
func (s *situation) lookup(elements []string) value {
	name := strings.Join(elements, ".")
	switch {
	case slices.Contains(elements, ""):
		return value{}
	case name == "github.event_name":
		return aText(s.event)
	case name == "github.repository":
		return value{kind: ours}
	case name == "github.ref" && s.ref != "":
		return aText(s.ref)
	case name == "github.sha", name == "github.run_id", name == "github.event.after", name == "github.event.head_commit.id":
		return value{kind: commit}
	case elements[0] == "needs" && len(elements) >= 3:
		return s.need(elements[1], elements[2:])
	case strings.HasPrefix(name, "github.event.pull_request"):
		return s.pullRequest(strings.TrimPrefix(name, "github.event.pull_request"))
	case strings.HasPrefix(name, "github.event.workflow_run"):
		return s.workflowRun(strings.TrimPrefix(name, "github.event.workflow_run"))
	}
	return value{}
}

func (s *situation) pullRequest(rest string) value {
	switch {
	case !strings.HasPrefix(s.event, "pull_request"):
		return value{kind: null} // issue_comment on a pull request has none either
	case rest == ".base.repo.full_name":
		return value{kind: ours}
	case strings.HasPrefix(rest, ".head.repo"):
		return s.repositoryOf(strings.TrimPrefix(rest, ".head.repo"))
	}
	return value{}
}

func (s *situation) workflowRun(rest string) value {
	switch {
	case s.event != "workflow_run":
		return value{kind: null}
	case rest == ".event":
		return aText(s.upstream)
	case strings.HasPrefix(rest, ".head_repository"):
		return s.repositoryOf(strings.TrimPrefix(rest, ".head_repository"))
	}
	return value{}
}

// repositoryOf is what an event says of the repository the code comes from. fork: true
// tells nothing, because this repository may be a fork itself.
func (s *situation) repositoryOf(rest string) value {
	switch {
	case s.origin == deletedFork:
		return value{kind: null}
	case s.origin == fork && rest == ".full_name":
		return value{kind: foreign}
	case s.origin == ownBranch && rest == ".full_name":
		return value{kind: ours}
	}
	return value{}
}

func (s *situation) need(key string, rest []string) value {
	state, broken := s.failed[key]
	switch {
	case broken && rest[0] == "result":
		return aText(state.result)
	case broken && len(rest) == 2 && rest[0] == "outputs" && rest[1] == "verdict":
		return aText("blocked")
	case broken:
		return value{}
	}
	for i := range s.file.Jobs {
		if job := &s.file.Jobs[i]; strings.EqualFold(job.Key.Value, key) && s.skipped(job) {
			if rest[0] == "result" {
				return aText("skipped")
			}
			return value{kind: null}
		}
	}
	return value{}
}
