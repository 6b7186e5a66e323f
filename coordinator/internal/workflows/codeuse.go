package workflows

import (
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// becomesCode looks for what outsiders wrote where the script makes a program of it. As the argument of a command, "$TITLE",
// it is text and stays text.
func (r *reading) becomesCode() {
	syntax.Walk(r.program.file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.CallExpr:
			r.runs(n)
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				r.pipes(n)
			}
		case *syntax.Stmt:
			r.feeds(n)
		}
		return true
	})
}

// written reports whether an outsider's text is replaced into a node by the shell. Expressions are not looked at here: they are
// findings wherever they stand in a script.
func (r *reading) written(node syntax.Node) bool {
	found := false
	syntax.Walk(node, func(n syntax.Node) bool {
		if p, ok := n.(*syntax.ParamExp); ok && p.Param != nil && !p.Length && r.variable(p.Param.Value)&pasteable != 0 && p.Param.Value != "GITHUB_EVENT_PATH" {
			found = true
		}
		if c, ok := n.(*syntax.CmdSubst); ok {
			found = found || r.of(c)&pasteable != 0
			return false
		}
		return !found
	})
	return found
}

// runs looks at the arguments of a command that are programs.
func (r *reading) runs(call *syntax.CallExpr) {
	if len(call.Args) == 0 {
		return
	}
	name := nameOf(call)
	rest := call.Args[1:]
	tainted := func(words []*syntax.Word) bool {
		for _, word := range words {
			if r.written(word) {
				return true
			}
		}
		return false
	}
	switch {
	case name == "" && r.written(call.Args[0]):
		r.becomes("what an outsider wrote is the name of the program that is run")
	case name == "eval" && tainted(rest), (name == "source" || name == ".") && tainted(rest):
		r.becomes(fmt.Sprintf("%s reads what an outsider wrote as commands", name))
	case name == "ssh" && len(rest) > 1 && tainted(rest[1:]):
		r.becomes("the shell of another host reads what an outsider wrote as commands")
	case strings.HasSuffix(name, "awk") && len(rest) > 0 && !strings.HasPrefix(spelled(rest[0]), "-") && tainted(rest[:1]):
		r.becomes("awk reads what an outsider wrote as its program")
	case name == "trap" && len(rest) > 0 && tainted(rest[:1]):
		r.becomes("trap reads what an outsider wrote as commands")
	}
	for i, word := range call.Args { // sudo bash -c, docker exec x sh -c, env node -e
		text, ok := literal(word)
		if !ok || !isInterpreter(baseOf(text)) {
			continue
		}
		for j := i + 1; j+1 < len(call.Args); j++ {
			if option, ok := literal(call.Args[j]); ok && codeOption.MatchString(option) && r.written(call.Args[j+1]) {
				r.becomes(fmt.Sprintf("%s %s reads what an outsider wrote as a program", baseOf(text), option))
				return
			}
		}
	}
}

func baseOf(text string) string { return text[strings.LastIndexByte(text, '/')+1:] }

// pipes looks for an outsider's text that is piped into a shell.
func (r *reading) pipes(pipe *syntax.BinaryCmd) {
	if name := readsProgram(pipe.Y); name != "" && r.of(pipe.X)&pasteable != 0 {
		r.becomes(name + " reads what an outsider wrote as its program")
	}
}

// feeds looks for a shell whose input is an outsider's text.
func (r *reading) feeds(stmt *syntax.Stmt) {
	name := readsProgram(stmt)
	if name == "" {
		return
	}
	for _, redirect := range stmt.Redirs {
		if redirect.Hdoc != nil && r.written(redirect.Hdoc) || redirect.Op == syntax.WordHdoc && r.written(redirect.Word) {
			r.becomes(name + " reads what an outsider wrote as its program")
		}
	}
}

// readsProgram is the shell or interpreter that reads its program from its input, "" for any other command.
func readsProgram(stmt *syntax.Stmt) string {
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 {
		return ""
	}
	words := call.Args
	for len(words) > 1 && (spelled(words[0]) == "sudo" || spelled(words[0]) == "env" || spelled(words[0]) == "exec") {
		words = words[1:]
	}
	name := baseOf(spelled(words[0]))
	if !isInterpreter(name) {
		return ""
	}
	for i, word := range words[1:] {
		text := spelled(word)
		switch {
		case text == "-s", text == "-", text == "/dev/stdin":
			return name
		case i > 0 && strings.HasPrefix(spelled(words[i]), "-") && strings.HasSuffix(spelled(words[i]), "o"): // -eo pipefail
		case !strings.HasPrefix(text, "-"), codeOption.MatchString(text) && !strings.HasPrefix(text, "-e"):
			return "" // a file, or a program among the arguments
		}
	}
	return name
}
