package workflows

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

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
	RuleInjection   = "script-injection"    // an outsider's text becomes a part of a program
	RuleArtifact    = "untrusted-artifact"  // what an outsider's run left behind runs with this repository's rights
	RulePin         = "unpinned-action"     // somebody else may change what runs
	RuleImage       = "unpinned-image"      // somebody else may change what it runs in
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
	// At is where landfall.yaml lies, from the top of the repository; "" is landfall.yaml itself.
	At string
}

// Check judges workflow files, rendered or not; all of the repository's must be given, because they call one another, and
// the files of its own actions that they use (see [Actions]). Findings are sorted by place. It errs on the safe side: what
// is not proven to be guarded, gated or the repository's own is a finding.
func Check(files []File, o Options) []Finding {
	findings, _ := CheckContext(context.Background(), files, o) // which never ends
	return findings
}

// CheckContext is Check that ends with its context. The error is then the context's cause, and no finding counts.
func CheckContext(ctx context.Context, files []File, o Options) ([]Finding, error) {
	c := newChecker(files, o)
	if err := c.judge(ctx); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Rule, b.Rule))
	})
	return slices.Compact(c.findings), nil
}

func (c *checker) judge(ctx context.Context) error {
	c.ctx = ctx
	for _, judge := range []func(*workflow.File){
		c.permissions, c.pins, c.images, c.checkouts, c.artifacts, c.injections, c.guards, c.secrets, c.gate,
	} {
		for _, file := range c.order {
			judge(file)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	c.required()
	return nil
}

type checker struct {
	ctx         context.Context // of the judgement
	options     Options
	commands    commands
	files       map[string]*workflow.File // by base name
	order       []*workflow.File
	callers     map[string][]caller // by base name
	expressions expressions
	situations  map[situationKey]*situation
	reached     map[reachKey][]scenario
	onTheWay    map[reachKey]bool
	owned       map[situationKey]answer
	gates       map[*workflow.Job][]*situation
	gateSteps   map[*workflow.Step]gateStep
	noGate      map[*workflow.File]string
	spelled     map[*workflow.Job]map[string]string
	flow        *flow
	findings    []Finding
}

func newChecker(files []File, o Options) *checker {
	c := &checker{
		ctx: context.Background(), options: o, commands: commandsOf(o.Config), files: map[string]*workflow.File{}, expressions: expressions{},
		situations: map[situationKey]*situation{}, reached: map[reachKey][]scenario{}, onTheWay: map[reachKey]bool{}, owned: map[situationKey]answer{},
		gates: map[*workflow.Job][]*situation{}, gateSteps: map[*workflow.Step]gateStep{}, noGate: map[*workflow.File]string{},
		spelled: map[*workflow.Job]map[string]string{},
	}
	actions := map[string]*workflow.Action{}
	for _, file := range files {
		if isAction(file.Path) {
			action, err := workflow.ParseAction(file.Path, file.Content)
			if err != nil {
				c.unreadable(file.Path, err)
				continue
			}
			actions[path.Dir(file.Path)] = action
			continue
		}
		parsed, err := workflow.Parse(file.Path, file.Content)
		if err != nil {
			c.unreadable(file.Path, err)
			continue
		}
		c.files[parsed.Base()] = parsed
		c.order = append(c.order, parsed)
	}
	c.index()
	c.flow = newFlow(c, actions)
	return c
}

func (c *checker) find(file *workflow.File, at workflow.Text, rule, hint, format string, args ...any) {
	c.findAt(file.Path, at, rule, hint, format, args...)
}

func (c *checker) findAt(path string, at workflow.Text, rule, hint, format string, args ...any) {
	c.findings = append(c.findings, Finding{
		Path: path, Line: max(1, at.Line), Column: max(1, at.Column), Rule: rule, Message: fmt.Sprintf(format, args...), Hint: hint,
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
