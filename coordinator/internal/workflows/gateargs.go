package workflows

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"ataraxis.dev/landfall/shared/workflow"
)

// gateCommand gives the arguments of a command that asks the gate, and the coordinator's command that does: ci-gate or run. nil
// when it does not.
func (c *checker) gateCommand(program *program, call *syntax.CallExpr) (arguments []*syntax.Word, name string) {
	words := call.Args
	for len(words) > 1 {
		if text, ok := literal(words[0]); !ok || text != "exec" && text != "command" {
			break
		}
		words = words[1:]
	}
	if len(words) < 2 || !c.namesProgram(program, words[0]) {
		return nil, ""
	}
	for _, word := range words[1:] {
		if text, ok := literal(word); ok && (text == "ci-gate" || text == "run") {
			return words[1:], text
		}
	}
	return nil, ""
}

// runnersFolders are variables and expressions that name folders of the runner, which others cannot set.
var runnersFolders = []string{"RUNNER_TEMP", "RUNNER_TOOL_CACHE", "GITHUB_WORKSPACE", "HOME", "GOPATH", "GOBIN"}

// namesProgram reports whether a word is the coordinator: its name, with folders before it that are spelled out or the runner's.
func (c *checker) namesProgram(program *program, word *syntax.Word) bool {
	known := true
	syntax.Walk(word, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.ParamExp:
			known = known && plainParameter(n) && slices.Contains(runnersFolders, n.Param.Value)
		case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.ArithmExp, *syntax.ExtGlob:
			known = false
		case *syntax.Lit:
			for _, e := range program.expressionsIn(n.Value) {
				known = known && slices.Contains([]string{"runner.temp", "runner.tool_cache", "github.workspace"}, strings.TrimSpace(e.source))
			}
		}
		return known
	})
	return known && c.commands.isProgram(spelled(word))
}

// plainParameter is a variable as it is: $NAME, or ${NAME:?message}, which ends the script when there is none.
func plainParameter(p *syntax.ParamExp) bool {
	if p.Param == nil || p.Excl || p.Length || p.Width || p.Index != nil || p.Slice != nil || p.Repl != nil || p.Names != 0 {
		return false
	}
	return p.Exp == nil || p.Exp.Op == syntax.ErrorUnset || p.Exp.Op == syntax.ErrorUnsetOrNull
}

// Flags with a value that the coordinator has for every command, and those of ci-gate and run. "" is any value.
var (
	gateFlags = map[string]bool{
		"agent": true, "identity": true, "config": true, "progress": true, "log-level": true, "repository": true, "timeout": true,
		"sha": true, "workflows": true, "poll": true, "format": true,
	}
	runFlags = map[string]bool{"deploy-job": true}
	switches = []string{"no-gate", "allow-older", "no-supersede-check", "detach"}
)

// gateArguments says which argument makes the gate another one than landfall.yaml asks for on this commit, "" when none does.
func (c *checker) gateArguments(p place, program *program, words []*syntax.Word, name string) string {
	seen := false
	for i := 0; i < len(words); i++ {
		word := words[i]
		text, spelledOut := literal(word)
		if !spelledOut {
			text = spelled(word)
		}
		flag, isFlag := strings.CutPrefix(text, "--")
		flag, inline, hasValue := strings.Cut(flag, "=")
		switch {
		case spelledOut && text == name && !seen:
			seen = true
			continue
		case !isFlag:
			return "it has the argument " + text
		case slices.Contains(switches, flag) && name == "run":
			continue // looked at as such
		case !gateFlags[flag] && (name != "run" || !runFlags[flag]):
			return "it has --" + flag
		case !hasValue && i+1 == len(words):
			return "--" + flag + " has no value"
		}
		value := argument{program: program, prefix: "--" + flag + "=", word: word, text: inline, spelledOut: spelledOut}
		if !hasValue {
			i++
			value.word, value.prefix = words[i], ""
			value.text, value.spelledOut = literal(words[i])
		}
		if fault := c.gateValue(p, flag, value, name); fault != "" {
			return fault
		}
	}
	return ""
}

// argument is the value of a flag.
type argument struct {
	program    *program
	word       *syntax.Word
	prefix     string // of the word, before the value
	text       string
	spelledOut bool
}

func (c *checker) gateValue(p place, flag string, v argument, name string) string {
	switch flag {
	case "sha":
		if name == "ci-gate" && !c.values(p, v, "GITHUB_SHA", c.ownCommit) {
			return "--sha is not certainly the commit that is deployed"
		}
	case "repository":
		own := v.spelledOut && c.options.Repository != "" && strings.EqualFold(v.text, c.options.Repository)
		if !own && !c.values(p, v, "GITHUB_REPOSITORY", func(_ place, e expression) bool { return isPath(e, "github", "repository") }) {
			return "--repository is another one"
		}
	case "config":
		if !v.spelledOut || path.Clean(v.text) != c.at() {
			return "--config is another file"
		}
	case "workflows":
		if c.options.Config == nil {
			return ""
		}
		list := strings.Split(v.text, ",")
		for _, required := range c.options.Config.CI.Required {
			if !v.spelledOut || !slices.Contains(list, required) {
				return "--workflows leaves out what landfall.yaml requires"
			}
		}
	}
	return ""
}

func (c *checker) at() string {
	if c.options.At == "" {
		return "landfall.yaml"
	}
	return path.Clean(c.options.At)
}

// values reports whether a value is certainly one that is wanted: the runner's variable, an expression, or a variable of env:
// that is made of one and that no earlier step changed.
func (c *checker) values(p place, v argument, runners string, wanted func(place, expression) bool) bool {
	text, parts := "", 0
	var variable *syntax.ParamExp
	syntax.Walk(v.word, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.Lit:
			text += n.Value
		case *syntax.SglQuoted:
			text += n.Value
		case *syntax.ParamExp:
			variable, parts = n, parts+1
			return false
		case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.ArithmExp:
			parts += 2
			return false
		}
		return true
	})
	rest, ok := strings.CutPrefix(text, v.prefix)
	switch {
	case !ok || parts > 1:
		return false
	case variable == nil:
		list := v.program.expressionsIn(rest)
		if len(list) != 1 || placeholder.ReplaceAllString(rest, "") != "" {
			return false
		}
		e, err := c.expressions.condition(list[0].source)
		return err == nil && wanted(p, e)
	case rest != "" || !plainParameter(variable):
		return false
	case variable.Param.Value == runners:
		return true
	}
	return c.variableIs(p, variable.Param.Value, wanted)
}

func (c *checker) variableIs(p place, name string, wanted func(place, expression) bool) bool {
	for i, level := range environments(p) {
		if i == 1 { // between the step's own and the job's
			if _, changed := c.flow.before(p, name); changed {
				return false
			}
		}
		for _, pair := range level {
			if pair.Key == "" {
				return false
			}
			if pair.Key != name {
				continue
			}
			e, err := c.wholeExpression(pair.Value.Value)
			return err == nil && wanted(p, e)
		}
	}
	return false
}

// wholeExpression is the expression that a value consists of.
func (c *checker) wholeExpression(text string) (expression, error) {
	text = strings.TrimSpace(text)
	list := embeds(text)
	if len(list) != 1 || list[0].start != 0 || list[0].end != len(text) {
		return nil, errExpression
	}
	return c.expressions.condition(list[0].source)
}

// environments are the env: mappings that a step sees, the nearest first.
func environments(p place) [][]workflow.Pair {
	list := [][]workflow.Pair{nil, nil, nil}
	if step := p.step(); step != nil {
		list[0] = step.Env
	}
	if p.job != nil {
		list[1] = p.job.Env
	}
	if p.file != nil {
		list[2] = p.file.Env
	}
	return list
}

func isPath(e expression, elements ...string) bool {
	path, ok := e.(contextPath)
	return ok && slices.Equal(path.elements, elements)
}

// ownCommit reports whether an expression is certainly the commit of the run, or the one that a person asked for who started it.
func (c *checker) ownCommit(p place, e expression) bool {
	switch e := e.(type) {
	case binary:
		return e.operator == "||" && c.ownCommit(p, e.left) && c.ownCommit(p, e.right) || e.operator == "&&" && c.ownCommit(p, e.right)
	case contextPath:
		switch strings.Join(e.elements, ".") {
		case "github.sha", "github.event.after", "github.event.head_commit.id":
			return true
		}
		switch {
		case len(e.elements) == 2 && e.elements[0] == "inputs":
			return c.ownInput(p, e.elements[1])
		case len(e.elements) == 4 && slices.Equal(e.elements[:3], []string{"github", "event", "inputs"}):
			return true // of workflow_dispatch
		case len(e.elements) == 2 && e.elements[0] == "env":
			name := e.elements[1]
			for _, level := range environments(p)[1:] {
				for _, pair := range level {
					if strings.EqualFold(pair.Key, name) {
						inner, err := c.wholeExpression(pair.Value.Value)
						own, isPath := inner.(contextPath)
						return err == nil && (!isPath || own.elements[0] != "env") && c.ownCommit(p, inner)
					}
				}
			}
		}
	}
	return false
}

// ownInput reports whether an input is that of somebody who started the run by hand, or, of a called workflow, is given the own
// commit by all that call it.
func (c *checker) ownInput(p place, name string) bool {
	if p.file == nil {
		return false
	}
	if p.file.Event("workflow_call") == nil {
		return p.file.Event("workflow_dispatch") != nil
	}
	callers := c.callers[p.file.Base()]
	if len(callers) == 0 {
		return false
	}
	for _, from := range callers {
		given := slices.IndexFunc(from.job.With, func(pair workflow.Pair) bool { return strings.EqualFold(pair.Key, name) })
		if given < 0 || from.file.Event("workflow_call") != nil {
			return false
		}
		e, err := c.wholeExpression(from.job.With[given].Value.Value)
		if err != nil || !c.ownCommit(inJob(from.file, from.job), e) {
			return false
		}
	}
	return true
}
