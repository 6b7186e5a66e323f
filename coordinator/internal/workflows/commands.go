package workflows

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/workflow"
)

// commands finds the coordinator's commands. It knows the program by its own name and by that which landfall.yaml gives it.
// The expressions are for texts that no shell's grammar reads.
type commands struct {
	names             []string
	deploy, run, gate *regexp.Regexp
}

func commandsOf(config *pipeline.Config) commands {
	c := commands{names: []string{"landfall-coordinator"}}
	if config != nil && config.Workflows != nil && config.Workflows.Coordinator.Command != "" {
		co := config.Workflows.Coordinator
		c.names = append(c.names, path.Base(co.Command), programOf(co))
	}
	quoted := make([]string, len(c.names))
	for i, name := range c.names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	command := func(names string) *regexp.Regexp {
		return regexp.MustCompile(fmt.Sprintf(`(?:%s)(?:\.exe)?['"]?\s+(?:-\S+\s+(?:[^-\s]\S*\s+)?)*?['"]?%s['"]?(?:\s|$|[;|&)])`, strings.Join(quoted, "|"), names))
	}
	c.deploy, c.run, c.gate = command(`deploy`), command(`run`), command(`(?:ci-gate|run)`)
	return c
}

func (c commands) isProgram(text string) bool {
	return slices.Contains(c.names, strings.TrimSuffix(baseOf(text), ".exe"))
}

// asked is what a step asks the coordinator to do.
type asked struct {
	deploys   bool
	ungated   bool   // run --no-gate
	otherGate string // why the gate of run is another one than landfall.yaml asks for
}

// commandsIn looks for what a script may ask the coordinator to do, be it in a function, in a text that another shell reads, or
// by a name that lies in a variable. It finds more rather than less.
func (c *checker) commandsIn(p place) asked {
	s := c.flow.script(p)
	var a asked
	if s.program.file == nil {
		c.commandsOfText(s.program.text, &a)
		return a
	}
	values := c.spelledValues(p, s.program)
	syntax.Walk(s.program.file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.CallExpr:
			c.commandsOfCall(p, s.program, n, values, &a)
		case *syntax.Redirect:
			if n.Hdoc != nil {
				c.commandsOfText(s.program.sourceOf(n.Hdoc), &a)
			}
		}
		return true
	})
	return a
}

func (c *checker) commandsOfText(text string, a *asked) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	a.deploys = a.deploys || c.commands.deploy.MatchString(text)
	a.ungated = a.ungated || c.commands.run.MatchString(text) && strings.Contains(text, "--no-gate")
}

func (c *checker) commandsOfCall(p place, program *program, call *syntax.CallExpr, values spelledOut, a *asked) {
	var words []string
	for i, word := range call.Args {
		text := resolved(program, word, values)
		if i == 0 || strings.ContainsAny(text, " \t\n") && unquoted(word) {
			words = append(words, strings.Fields(text)...) // the shell makes several words of it
			continue
		}
		words = append(words, text)
	}
	for i, word := range words {
		if strings.ContainsAny(word, " \t\n") && nameOf(call) != "echo" && nameOf(call) != "printf" {
			c.commandsOfText(word, a) // for another shell
		}
		if !c.commands.isProgram(word) {
			continue
		}
		rest := words[i+1:]
		if name := nameOf(call); name != "echo" && name != "printf" {
			a.deploys = a.deploys || slices.Contains(rest, "deploy") || computedCommand(rest) || name == "xargs" && strings.Contains(program.text, "deploy")
		}
		if slices.Contains(rest, "run") && nameOf(call) != "echo" && nameOf(call) != "printf" {
			a.ungated = a.ungated || slices.ContainsFunc(rest, func(w string) bool { return strings.HasPrefix(w, "--no-gate") && w != "--no-gate=false" })
			if at := slices.IndexFunc(call.Args, func(w *syntax.Word) bool { return c.commands.isProgram(resolved(program, w, values)) }); at >= 0 {
				if fault := c.gateArguments(p, program, call.Args[at+1:], "run"); fault != "" && a.otherGate == "" {
					a.otherGate = fault
				}
			}
		}
		return
	}
}

// others are the coordinator's commands that deploy nothing.
var others = []string{
	"ci-gate", "detect-changes", "plan", "verify", "rollback", "notify", "status", "history", "show", "attach", "probe", "cancel", "pause", "resume",
	"unblock", "init", "check", "workflows", "identity", "version", "help", "completion",
}

// computedCommand reports whether the coordinator is asked for a command that the file does not spell out.
func computedCommand(words []string) bool {
	if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(others, w) }) {
		return false
	}
	for i := 0; i < len(words); i++ {
		flag, isFlag := strings.CutPrefix(words[i], "-")
		if !isFlag {
			return words[i] == "" || placeholder.MatchString(words[i])
		}
		if gateFlags[strings.TrimPrefix(flag, "-")] {
			i++ // its value
		}
	}
	return false
}

// unquoted reports whether the shell splits what it replaces in a word.
func unquoted(word *syntax.Word) bool {
	return slices.ContainsFunc(word.Parts, func(part syntax.WordPart) bool {
		switch part.(type) {
		case *syntax.ParamExp, *syntax.CmdSubst, *syntax.Lit:
			return true
		}
		return false
	})
}

// spelledOut are variables of which the file spells the value out.
type spelledOut struct {
	near   map[string]string // of the script and its step
	around map[string]string // of the job and the workflow
}

func (s spelledOut) value(name string) string {
	if value, ok := s.near[name]; ok {
		return value
	}
	return s.around[name]
}

// spelledValues are the variables of env: and of the script itself.
func (c *checker) spelledValues(p place, program *program) spelledOut {
	values := spelledOut{near: map[string]string{}, around: c.spelled[p.job]}
	levels := environments(p)
	if values.around == nil {
		values.around = map[string]string{}
		for _, level := range [][]workflow.Pair{levels[2], levels[1]} {
			for _, pair := range level {
				values.around[pair.Key] = pair.Value.Value
			}
		}
		c.spelled[p.job] = values.around
	}
	for _, pair := range levels[0] {
		values.near[pair.Key] = pair.Value.Value
	}
	syntax.Walk(program.file, func(node syntax.Node) bool {
		if a, ok := node.(*syntax.Assign); ok && a.Name != nil && a.Value != nil {
			values.near[a.Name.Value] = resolved(program, a.Value, values)
		}
		return true
	})
	return values
}

var envName = regexp.MustCompile(`^\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*$`)

// resolved is a word with the variables that are known put in.
func resolved(program *program, word *syntax.Word, values spelledOut) string {
	var b strings.Builder
	syntax.Walk(word, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.Lit:
			text := unescaped(n.Value)
			for _, e := range program.expressionsIn(text) {
				if m := envName.FindStringSubmatch(e.source); m != nil {
					text = placeholder.ReplaceAllLiteralString(text, values.value(m[1]))
				}
			}
			b.WriteString(text)
		case *syntax.SglQuoted:
			b.WriteString(n.Value)
		case *syntax.ParamExp:
			if n.Param != nil {
				b.WriteString(values.value(n.Param.Value))
			}
			return false
		case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.ArithmExp:
			return false
		}
		return true
	})
	return b.String()
}
