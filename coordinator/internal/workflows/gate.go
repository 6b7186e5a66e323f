package workflows

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/workflow"
)

// commands finds the coordinator's commands in a run: of a step. It knows the program by
// its own name and by that which landfall.yaml gives it; one behind a variable is not seen.
type commands struct{ deploy, run, gate *regexp.Regexp }

func commandsOf(config *pipeline.Config) commands {
	program := `landfall-coordinator`
	if config != nil && config.Workflows != nil && config.Workflows.Coordinator.Command != "" {
		co := config.Workflows.Coordinator
		program = fmt.Sprintf(`(?:%s|%s|%s)`, program, regexp.QuoteMeta(path.Base(co.Command)), regexp.QuoteMeta(programOf(co)))
	}
	command := func(names string) *regexp.Regexp {
		return regexp.MustCompile(program + `['"]?\s+(?:-\S+\s+(?:[^-\s]\S*\s+)?)*?` + names + `(?:\s|$)`)
	}
	return commands{deploy: command(`deploy`), run: command(`run`), gate: command(`(?:ci-gate|run)`)}
}

// joined is a step's script with its continued lines put together.
func joined(step workflow.Step) string { return strings.ReplaceAll(step.Run.Value, "\\\n", " ") }

var noGate = regexp.MustCompile(`--no-gate\b`)

// gate looks for jobs that deploy although the gate did not pass.
func (c *checker) gate(file *workflow.File) {
	const hint = "let it need a job that runs landfall-coordinator ci-gate, without always(), !cancelled() or continue-on-error"
	for i := range file.Jobs {
		job := &file.Jobs[i]
		for n, step := range job.Steps {
			switch {
			case c.commands.run.MatchString(joined(step)) && noGate.MatchString(joined(step)):
				c.find(file, step.Run, RuleGate, "leave --no-gate out", "job %s deploys without waiting for the gate", job.Key.Value)
			case c.commands.deploy.MatchString(joined(step)) && !c.gatedWithin(job.Steps[:n], step) && !c.gatedBefore(file, job):
				c.find(file, step.Run, RuleGate, hint, "job %s deploys, and nothing proves that the gate has passed before", job.Key.Value)
			}
		}
	}
}

// gatedWithin reports whether the gate is an earlier step of the same job, whose failure
// ends the job.
func (c *checker) gatedWithin(before []workflow.Step, step workflow.Step) bool {
	return !step.If.Written() && slices.ContainsFunc(before, c.isGate)
}

func (c *checker) isGate(step workflow.Step) bool {
	return c.commands.gate.MatchString(joined(step)) && !step.If.Written() && off(step.ContinueOnError)
}

// off reports whether a switch is certainly not set.
func off(t workflow.Text) bool { return !t.Written() || t.Value == "false" }

// gatedBefore reports whether the job is certainly skipped when a gate that comes before
// it has blocked.
func (c *checker) gatedBefore(file *workflow.File, job *workflow.Job) bool {
	for i := range file.Jobs {
		gate := &file.Jobs[i]
		if gate == job || !slices.ContainsFunc(gate.Steps, func(s workflow.Step) bool { return c.commands.gate.MatchString(s.Run.Value) }) {
			continue
		}
		result := "failure"
		if !slices.ContainsFunc(gate.Steps, c.isGate) || !off(gate.ContinueOnError) {
			result = "success" // it says blocked, and goes on
		}
		held := true
		for _, event := range file.On {
			s := newSituation(file, scenario{event: event.Name}, c.options.Repository)
			s.failed = map[string]gateState{gate.Key.Value: {result}}
			held = held && s.skipped(job)
		}
		if held {
			return true
		}
	}
	return false
}

// required looks at the workflows that the gate waits for.
func (c *checker) required() {
	config := c.options.Config
	if config == nil {
		return
	}
	for _, name := range config.CI.Required {
		file := c.files[name]
		if file == nil {
			if !slices.ContainsFunc(c.findings, func(f Finding) bool { return f.Path == inFolder(name) }) {
				c.findings = append(c.findings, Finding{
					inFolder(name), 1, 1, RuleRequired, "ci.required names this file, but it does not exist",
					"add it, or take it out of ci.required in landfall.yaml",
				})
			}
			continue
		}
		if answer := pushedTo(file, config.Branch); answer.Outcome != workflow.Starts {
			c.find(file, file.OnAt, RuleRequired, "let a push to "+config.Branch+" start it, or take it out of ci.required in landfall.yaml",
				"ci.required names this file, but no push to %s starts it: %s", config.Branch, answer.Reason)
			continue
		}
		c.cancels(file, file.Concurrency, config.Branch)
		for _, job := range file.Jobs {
			c.cancels(file, job.Concurrency, config.Branch)
		}
	}
}

// pushedTo is what a push to a branch does when every path matches.
func pushedTo(file *workflow.File, branch string) workflow.Answer {
	all := *file
	all.On = slices.Clone(file.On)
	for i := range all.On {
		all.On[i].Paths, all.On[i].PathsIgnore = workflow.Filter{}, workflow.Filter{}
	}
	return all.StartsOnPush(branch, nil)
}

// cancels looks for runs of a commit that the next push cancels.
func (c *checker) cancels(file *workflow.File, con *workflow.Concurrency, branch string) {
	if con == nil || !con.Cancel.Written() {
		return
	}
	s := newSituation(file, scenario{event: "push", ref: "refs/heads/" + branch}, c.options.Repository)
	if strings.EqualFold(con.Cancel.Value, "false") {
		return
	}
	if e, err := condition(con.Cancel.Value); err == nil && e.eval(s).isFalse() {
		return
	}
	if perCommit(s, con.Group.Value) {
		return
	}
	c.find(file, con.Cancel, RuleRequired, "key the group by github.sha on push, or cancel for pull requests only",
		"the next push to %s cancels this run, and the gate of its commit can never pass", branch)
}

var embedded = regexp.MustCompile(`\$\{\{(.*?)\}\}`)

// perCommit reports whether a text is certainly another one for every commit.
func perCommit(s *situation, group string) bool {
	for _, m := range embedded.FindAllStringSubmatch(group, -1) {
		if e, err := parseExpression(m[1]); err == nil && e.eval(s).kind == commit {
			return true
		}
	}
	return false
}
