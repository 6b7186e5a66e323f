package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/strictyaml"
	"ataraxis.dev/landfall/shared/workflow"
)

// Finding is one thing that must not be in a workflow file.
type Finding struct {
	Path         string
	Line, Column int    // both count from 1
	Rule         string // one of the Rule constants
	Message      string // lower case, no full stop
	Hint         string // what to do about it
}

// String is "path:line:column: rule: message (hint)".
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s (%s)", f.Path, f.Line, f.Column, f.Rule, f.Message, f.Hint)
}

// The rules.
const (
	RuleSyntax      = "syntax"              // not a workflow file
	RuleForkGuard   = "fork-guard"          // an outsider may reach an own runner
	RuleSecrets     = "pull-request-secret" // unreviewed code on an own runner may read a secret
	RuleTarget      = "untrusted-checkout"  // an outsider's code runs with this repository's rights
	RulePin         = "unpinned-action"     // somebody else may change what runs
	RulePermissions = "permissions"         // the token may do more than anybody decided
	RuleRequired    = "required-workflow"   // the gate can never pass, or passes the wrong runs
	RuleGate        = "deploy-gate"         // a deployment that no gate holds back
)

// Options is what is known besides the files.
type Options struct {
	// Config is landfall.yaml; without it required workflows are not looked at.
	Config *pipeline.Config
	// Repository is owner/name, "" when unknown: a guard that spells the name out counts then as none.
	Repository string
}

// Check judges workflow files, rendered or not; all of the repository's must be given,
// because they call one another. Findings are sorted by place. It errs on the safe side:
// a job that may run on an own runner and is not proven to be out of an outsider's reach
// is a finding.
func Check(files []File, o Options) []Finding {
	c := &checker{options: o, commands: commandsOf(o.Config), files: map[string]*workflow.File{}}
	for _, file := range files {
		parsed, err := workflow.Parse(file.Path, file.Content)
		if err != nil {
			c.unreadable(file.Path, err)
			continue
		}
		c.files[parsed.Base()] = parsed
		c.order = append(c.order, parsed)
	}
	for _, file := range c.order {
		c.permissions(file)
		c.pins(file)
		c.checkouts(file)
		c.guards(file)
		c.secrets(file)
		c.gate(file)
	}
	c.required()
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Rule, b.Rule))
	})
	return slices.Compact(c.findings)
}

type checker struct {
	options  Options
	commands commands
	files    map[string]*workflow.File // by base name
	order    []*workflow.File
	findings []Finding
}

func (c *checker) find(file *workflow.File, at workflow.Text, rule, hint, format string, args ...any) {
	c.findings = append(c.findings, Finding{
		Path: file.Path, Line: max(1, at.Line), Column: max(1, at.Column), Rule: rule, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

func (c *checker) unreadable(path string, err error) {
	var problems strictyaml.Problems
	if !errors.As(err, &problems) {
		problems = strictyaml.Problems{{Line: 1, Column: 1, Message: err.Error()}}
	}
	for _, p := range problems {
		c.findings = append(c.findings, Finding{path, p.Line, p.Column, RuleSyntax, p.Message, "nothing else of this file was judged"})
	}
}

func (c *checker) permissions(file *workflow.File) {
	const hint = "write `permissions: {}` at the top and what each job needs beside it"
	switch p := file.Permissions; {
	case p == nil:
		c.find(file, workflow.Text{}, RulePermissions, hint, "the file sets no permissions at its top: every job has the repository's default")
	case p.All == "write-all":
		c.find(file, workflow.Text{Line: p.Line, Column: p.Column}, RulePermissions, hint, "every job may write everything")
	}
	for _, job := range file.Jobs {
		if p := job.Permissions; p != nil && p.All == "write-all" {
			c.find(file, workflow.Text{Line: p.Line, Column: p.Column}, RulePermissions, hint, "job %s may write everything", job.Key.Value)
		}
	}
}

var (
	pinnedAction = regexp.MustCompile(`^[^@\s]+@[0-9a-f]{40}$`)
	pinnedImage  = regexp.MustCompile(`^docker://[^@\s]+@sha256:[0-9a-f]{64}$`)
)

func (c *checker) pins(file *workflow.File) {
	for i := range file.Jobs {
		job := &file.Jobs[i]
		c.pin(file, job.Uses)
		for _, step := range job.Steps {
			c.pin(file, step.Uses)
		}
	}
}

func (c *checker) pin(file *workflow.File, uses workflow.Text) {
	if !uses.Written() || strings.HasPrefix(uses.Value, "./") || pinnedAction.MatchString(uses.Value) || pinnedImage.MatchString(uses.Value) {
		return
	}
	c.find(file, uses, RulePin, "name the 40 digits of its commit, and the release in a comment", "%s may become something else tomorrow", uses.Value)
}

// headOf are the parts of an event that name an outsider's code.
var (
	headOf    = regexp.MustCompile(`(?i)github\.(event\.(pull_request\.(head|merge_commit)|workflow_run\.head|number|issue\.number)|head_ref)|refs/pull/`)
	gitHead   = regexp.MustCompile(`git\s+(fetch|checkout|switch|pull|worktree)`)
	fetchHead = regexp.MustCompile(`gh\s+pr\s+checkout|refs/pull/|pull/[^\s/]+/(head|merge)`)
)

// checkouts looks for an outsider's code where the event has this repository's rights.
func (c *checker) checkouts(file *workflow.File) {
	const hint = "use pull_request, whose token can only read, or do not check the pull request out"
	var event string
	for _, name := range []string{"pull_request_target", "workflow_run", "issue_comment", "issues"} {
		if file.Event(name) != nil {
			event = name
			break
		}
	}
	if event == "" {
		return
	}
	for _, job := range file.Jobs {
		for _, step := range job.Steps {
			for _, input := range []string{"ref", "repository"} {
				if at := step.Input(input); strings.Contains(step.Uses.Value, "checkout@") && mayBeForeign(at.Value) {
					c.find(file, at, RuleTarget, hint, "job %s checks an outsider's code out, and %s gives it secrets", job.Key.Value, event)
				}
			}
			if fetchHead.MatchString(step.Run.Value) || headRun(step) {
				c.find(file, step.Run, RuleTarget, hint, "job %s fetches an outsider's code, and %s gives it secrets", job.Key.Value, event)
			}
		}
	}
}

// ownRef are the values by which a checkout takes the repository's own code.
var ownRef = regexp.MustCompile(`(?i)\$\{\{\s*github\.(sha|ref|ref_name|base_ref|repository|workflow_sha|event\.repository\.[a-z_.]+|event\.pull_request\.base\.[a-z_.]+)\s*\}\}`)

// mayBeForeign reports whether a value may name an outsider's code: it says so, or it is computed from what
// is not known to be the repository's own.
func mayBeForeign(value string) bool {
	return headOf.MatchString(value) || strings.Contains(ownRef.ReplaceAllString(value, ""), "${{")
}

// headRun reports whether a step hands an outsider's commit to git through its environment.
func headRun(step workflow.Step) bool {
	if !gitHead.MatchString(step.Run.Value) {
		return false
	}
	return headOf.MatchString(step.Run.Value) || slices.ContainsFunc(step.Env, func(p workflow.Pair) bool { return headOf.MatchString(p.Value.Value) })
}
