package workflows

import (
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

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

// perCommit reports whether a text is certainly another one for every commit.
func perCommit(s *situation, group string) bool {
	for _, m := range embeds(group) {
		if e, err := parseExpression(m.source); err == nil && e.eval(s).kind == commit {
			return true
		}
	}
	return false
}
