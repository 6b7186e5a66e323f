package workflows

import (
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

const (
	targetHint = "use pull_request, whose token can only read, or do not check the pull request out"
	aloneHint  = "let the caller check the code out, or give the job no rights: `permissions: {contents: read}`, no secrets, a hosted runner"
)

// eachStep visits the steps of a job that an outsider may cause to run, and those of the repository's own actions among them,
// each action once. job is the one that runs it; why says what causes it, "" when that is not known of a file that others call.
func (c *checker) eachStep(file *workflow.File, visit func(p place, job *workflow.Job, why string)) {
	type reach struct {
		s   *situation
		why string
	}
	var ways []reach
	for _, sc := range c.reach(file, withRights) {
		ways = append(ways, reach{c.situation(file, sc), sc.event})
	}
	alone := len(ways) == 0 && c.alone(file)
	if alone {
		ways = append(ways, reach{c.situation(file, scenario{event: "pull_request_target", origin: fork}), ""})
	}
	if len(ways) == 0 {
		return
	}
	seen := map[string]bool{}
	for i := range file.Jobs {
		p := inJob(file, &file.Jobs[i])
		if c.ctx.Err() != nil {
			return
		}
		if alone && !c.hasRights(file, p.job) {
			continue
		}
		for n := range p.steps {
			p.n = n
			for _, way := range ways {
				if !way.s.skipped(p.job) && !way.s.passesOver(p.job, p.step()) {
					visit(p, p.job, way.why)
					c.flow.inside(p.step().Uses.Value, seen, func(inner place) { visit(inner, p.job, way.why) })
					break
				}
			}
		}
	}
}

// inside visits the steps of an action of the repository, and of those that it uses, once each.
func (f *flow) inside(uses string, seen map[string]bool, visit func(place)) {
	folder := actionFolder(uses)
	if f.actions[folder] == nil || seen[folder] {
		return
	}
	seen[folder] = true
	p := f.inAction(folder)
	for n := range p.steps {
		p.n = n
		visit(p)
		f.inside(p.step().Uses.Value, seen, visit)
	}
}

// hasRights reports whether a job has a secret, a token that may write, or an own runner, as far as its own file tells.
func (c *checker) hasRights(file *workflow.File, job *workflow.Job) bool {
	permissions := job.Permissions
	if permissions == nil {
		permissions = file.Permissions
	}
	if permissions == nil || permissions.All != "" && permissions.All != "read-all" {
		return true // the caller's
	}
	for _, level := range permissions.Scopes {
		if level == "write" {
			return true
		}
	}
	s := c.situation(file, scenario{event: "pull_request_target", origin: fork})
	return secretOf(job).Written() || secretIn(file.Scalars).Written() || c.own(s, job) != ""
}

func (p place) name() string {
	if p.job != nil {
		return "job " + p.job.Key.Value
	}
	return "action " + p.folder
}

// checkouts looks for an outsider's code where the event has this repository's rights.
func (c *checker) checkouts(file *workflow.File) {
	c.eachStep(file, func(p place, _ *workflow.Job, why string) {
		hint, gives := targetHint, why+" gives it secrets"
		if why == "" {
			hint, gives = aloneHint, "whoever calls it may give it secrets"
		}
		step := p.step()
		for _, pair := range step.With {
			if actionFolder(step.Uses.Value) == "" && c.takesCode(p, pair) {
				c.findAt(p.path, pair.Value, RuleTarget, hint, "%s checks an outsider's code out, and %s", p.name(), gives)
			}
		}
		if step.Run.Written() && c.fetches(p) {
			c.findAt(p.path, step.Run, RuleTarget, hint, "%s fetches an outsider's code, and %s", p.name(), gives)
		}
	})
}

// takesCode reports whether an input may bring an outsider's code into the job.
func (c *checker) takesCode(p place, pair workflow.Pair) bool {
	name, action, text := plainName(pair.Key), p.step().Uses.Value, pair.Value.Value
	taking := takes.MatchString(action)
	telling := !taking && reports.MatchString(action)
	t := c.flow.text(p, text)
	switch {
	case isScript(pair.Key):
		return (t|saidToAPI(text))&foreigner != 0 && transfers.MatchString(replaceEmbeds(text))
	case t == 0:
		return false
	case taking && (name == "ref" || name == "repository"):
		return true // what is not known to be the repository's own is not
	case strings.Contains(text, "refs/pull/"):
		return true
	case name == "pr" || name == "pullrequest":
		return taking && t&foreigner != 0
	case refInput.MatchString(name), commitInput.MatchString(name):
		return !telling && t&(headCode|freeText) != 0
	case idleInput.MatchString(name), telling:
		return false
	}
	return t&headCode != 0
}
