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
	scenarios := c.reach(file, outsiders)
	for i := range file.Jobs {
		job := &file.Jobs[i]
		if c.ctx.Err() != nil {
			return
		}
		for _, sc := range scenarios {
			s := c.situation(file, sc)
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
