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
	case event == "workflow_call", slices.Contains(trusted, event): // who may call is asked of those that do
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
	switch e.Name {
	case "pull_request", "pull_request_review", "pull_request_review_comment":
		return []scenario{{event: e.Name, origin: ownBranch, ref: pullRef(e)}}
	}
	return nil
}

// situation is one workflow file in one scenario. What it found out about a job it remembers, so that a file is judged in a
// time that grows with its size, however often its jobs need one another.
type situation struct {
	scenario
	file       *workflow.File
	repository string               // owner/name; "" when unknown
	failed     map[string]gateState // jobs that are taken not to have passed, by their key in lower case
	expression expressions
	job        *workflow.Job // the one whose condition is evaluated
	skips      map[*workflow.Job]answer
	hinders    map[*workflow.Job]answer
	depth      int
	work       int // conditions that were evaluated
}

// answer is what is remembered of a question about a job. The zero value: it was not asked yet.
type answer int

const (
	asking answer = iota + 1 // the question is being answered; who asks again is in a circle, which GitHub refuses
	no
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// gateState is how a job that does not pass is seen by those that need it.
type gateState struct {
	result  string
	verdict value // its output of that name
}

// maxNeeds bounds how far needs are followed. What is further away counts as running.
const maxNeeds = 5000

func newSituation(file *workflow.File, s scenario, repository string) *situation {
	return &situation{
		scenario: s, file: file, repository: repository, expression: expressions{},
		skips: map[*workflow.Job]answer{}, hinders: map[*workflow.Job]answer{},
	}
}

// skipped reports whether a job certainly does not run.
func (s *situation) skipped(job *workflow.Job) bool {
	if known := s.skips[job]; known != 0 || s.depth > maxNeeds {
		return known == yes
	}
	s.skips[job] = asking
	before := s.job
	s.job = job
	s.depth++
	result := s.certainlyFalse(job.If)
	s.depth--
	s.job = before
	s.skips[job] = answerOf(result)
	return result
}

// certainlyFalse reports whether the if: of a job or a step, of the job that is looked at, is false in any case.
func (s *situation) certainlyFalse(condition workflow.Text) bool {
	s.work++
	if !condition.Written() {
		return s.success().isFalse()
	}
	e, err := s.expression.condition(condition.Value)
	if err != nil {
		return false
	}
	result := e.eval(s)
	if !usesStatus(e) {
		result = and(s.success(), result)
	}
	return result.isFalse()
}

// passesOver reports whether a step of a job that runs is certainly passed over.
func (s *situation) passesOver(job *workflow.Job, step *workflow.Step) bool {
	if !step.If.Written() {
		return false
	}
	before := s.job
	s.job = job
	defer func() { s.job = before }()
	return s.certainlyFalse(step.If)
}

// success is false when something that the job needs, however indirectly, is skipped or failed.
func (s *situation) success() value {
	if s.job != nil && s.hindered(s.job) {
		return aBool(false)
	}
	return value{}
}

func (s *situation) hindered(job *workflow.Job) bool {
	if known := s.hinders[job]; known != 0 || s.depth > maxNeeds {
		return known == yes
	}
	s.hinders[job] = asking
	s.depth++
	defer func() { s.depth-- }()
	result := slices.ContainsFunc(job.Needs, func(need workflow.Text) bool {
		if state, broken := s.failed[strings.ToLower(need.Value)]; broken && state.result != "success" {
			return true
		}
		needed := s.file.Job(need.Value)
		return needed != nil && (s.skipped(needed) || s.hindered(needed))
	})
	s.hinders[job] = answerOf(result)
	return result
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
	state, broken := s.failed[strings.ToLower(key)]
	switch {
	case broken && rest[0] == "result":
		return aText(state.result)
	case broken && len(rest) == 2 && rest[0] == "outputs" && rest[1] == "verdict":
		return state.verdict
	case broken:
		return value{}
	}
	if job := s.file.Job(key); job != nil && s.skipped(job) {
		if rest[0] == "result" {
			return aText("skipped")
		}
		return value{kind: null}
	}
	return value{}
}
