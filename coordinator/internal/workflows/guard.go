package workflows

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

// hostedLabel is a runner of GitHub's. Source:
// https://docs.github.com/actions/reference/runners/github-hosted-runners
var hostedLabel = regexp.MustCompile(`^(?i)(ubuntu|windows|macos)-(latest|slim|[0-9][0-9.]*)(-(arm|large|xlarge|intel))?$`)

const guardHint = "add `if: github.event_name != 'pull_request' || github.event.pull_request.head.repo.full_name == github.repository`, " +
	"or let only trusted events in: `if: github.event_name == 'push'`"

// guards looks for jobs on own runners that an outsider may reach.
func (c *checker) guards(file *workflow.File) {
	scenarios := c.reach(file, fromOutside, 0)
	for i := range file.Jobs {
		job := &file.Jobs[i]
		for _, sc := range scenarios {
			s := newSituation(file, sc, c.options.Repository)
			where := c.own(s, job)
			if where == "" || s.skipped(job) {
				continue
			}
			at := job.If
			if !at.Written() {
				at = firstOf(append(slices.Clone(job.RunsOn.Labels), job.RunsOn.Group, job.Uses, job.Key)...)
			}
			c.find(file, at, RuleForkGuard, guardHint, "job %s %s, and nothing proves that %s cannot start it", job.Key.Value, where, sc)
			break
		}
	}
}

func firstOf(texts ...workflow.Text) workflow.Text {
	for _, t := range texts {
		if t.Written() {
			return t
		}
	}
	return workflow.Text{}
}

// secrets looks for secrets within reach of a pull request's code on an own runner, where
// what it leaves behind outlives the job.
func (c *checker) secrets(file *workflow.File) {
	scenarios := c.reach(file, fromOwnPull, 0)
	for i := range file.Jobs {
		job := &file.Jobs[i]
		at := secretOf(job)
		if !at.Written() {
			continue
		}
		for _, sc := range scenarios {
			s := newSituation(file, sc, c.options.Repository)
			if c.own(s, job) != "" && !s.skipped(job) {
				c.find(file, at, RuleSecrets, "let the job run for push only, or move what needs the secret to a job of its own",
					"job %s gives a secret to the unreviewed code of a pull request on an own runner", job.Key.Value)
				break
			}
		}
	}
}

var secretUse = regexp.MustCompile(`(?i)\bsecrets\b(?:\s*\.\s*([a-z0-9_-]+))?`)

// secretOf is where a job names a secret besides GITHUB_TOKEN.
func secretOf(job *workflow.Job) workflow.Text {
	if strings.EqualFold(job.Secrets.Value, "inherit") {
		return job.Secrets
	}
	for _, scalar := range job.Scalars {
		for _, m := range secretUse.FindAllStringSubmatch(scalar.Value, -1) {
			if strings.Contains(scalar.Value, "${{") && !strings.EqualFold(m[1], "GITHUB_TOKEN") {
				return scalar
			}
		}
	}
	return workflow.Text{}
}

// reach lists the scenarios that start a file, through workflows that call it as well.
func (c *checker) reach(file *workflow.File, of func(workflow.Event) []scenario, depth int) []scenario {
	if depth > 10 { // GitHub's own limit of nesting; deeper is a circle
		return of(workflow.Event{Name: "pull_request"})
	}
	var list []scenario
	for _, event := range file.On {
		if event.Name != "workflow_call" {
			list = append(list, of(event)...)
			continue
		}
		for _, caller := range c.order {
			for i := range caller.Jobs {
				job := &caller.Jobs[i]
				if job.Uses.Value != "./"+inFolder(file.Base()) {
					continue
				}
				for _, sc := range c.reach(caller, of, depth+1) {
					if !newSituation(caller, sc, c.options.Repository).skipped(job) {
						list = append(list, sc)
					}
				}
			}
		}
	}
	return list
}

// own says why a job may run on an own runner, "" when it certainly does not.
func (c *checker) own(s *situation, job *workflow.Job) string {
	switch {
	case strings.HasPrefix(job.Uses.Value, "./"):
		return "" // the called file is judged for itself, in this scenario
	case job.Uses.Written():
		return "calls a workflow that lies elsewhere and may run on an own runner"
	case job.RunsOn.Group.Written():
		return fmt.Sprintf("runs in the runner group %s", job.RunsOn.Group.Value)
	case len(job.RunsOn.Labels) == 0:
		return "does not say where it runs"
	}
	for _, label := range job.RunsOn.Labels {
		names, known := labelNames(s, job, label.Value)
		if !known {
			return fmt.Sprintf("may run on an own runner (%s)", strings.TrimSpace(label.Value))
		}
		for _, name := range names {
			if strings.EqualFold(name, "self-hosted") {
				return "runs on an own runner"
			}
			if !hostedLabel.MatchString(name) || c.ownLabel(name) {
				return fmt.Sprintf("runs on %s, which is no runner of GitHub's", name)
			}
		}
	}
	return ""
}

// ownLabel reports whether the own runner has the label, be it one of GitHub's.
func (c *checker) ownLabel(name string) bool {
	return c.options.Config != nil && c.options.Config.Workflows != nil &&
		slices.ContainsFunc(c.options.Config.Workflows.Runner, func(l string) bool { return strings.EqualFold(l, name) })
}

var matrixKey = regexp.MustCompile(`^\$\{\{\s*matrix\.([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}$`)

// labelNames is what a label of runs-on may be; known is false when the file does not tell.
func labelNames(s *situation, job *workflow.Job, label string) (names []string, known bool) {
	if !strings.Contains(label, "${{") {
		return []string{label}, true
	}
	if m := matrixKey.FindStringSubmatch(label); m != nil {
		return job.Matrix.Key(m[1])
	}
	e, err := condition(label)
	if err != nil {
		return nil, false
	}
	switch v := e.eval(s); v.kind {
	case text:
		return []string{v.s}, true
	case sequence:
		for _, entry := range v.list {
			if entry.kind != text {
				return nil, false
			}
			names = append(names, entry.s)
		}
		return names, len(names) > 0
	default:
		return nil, false
	}
}
