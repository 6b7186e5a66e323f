package workflows

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"ataraxis.dev/landfall/shared/workflow"
)

// gateStep is what a step is worth as a gate.
type gateStep struct {
	id     string
	judges bool   // it asks about this commit, whatever becomes of the answer; so its output verdict can be relied on
	fault  string // why its job goes on when the gate blocks; "" when it certainly does not
}

// holds reports whether the job certainly fails when the gate does not pass.
func (g gateStep) holds() bool { return g.judges && g.fault == "" }

// gateStep judges a step by what its shell does. It is a gate when its script is the command alone, in a shell that is known,
// with nothing around it that changes the command or what becomes of its exit code.
func (c *checker) gateStep(p place) gateStep {
	step := p.step()
	g := gateStep{id: step.ID.Value}
	if !step.Run.Written() {
		g.fault = "it is no script"
		return g
	}
	if known, ok := c.gateSteps[step]; ok {
		return known
	}
	shell := shellOf(p)
	options, fault := optionsOf(shell.Value)
	program := c.flow.script(p).program
	switch {
	case fault != "":
		g.fault = fault
	case !shell.Written() && onWindows(p.job):
		g.fault = "its shell is PowerShell"
	case program.file == nil:
		g.fault = "its script cannot be read"
	default:
		g.judges, g.fault = c.gateScript(p, program, options)
	}
	if g.judges {
		if fault := c.surroundings(p, program); fault != "" {
			g.judges, g.fault = false, fault
		}
	}
	switch {
	case g.fault != "":
	case step.If.Written():
		g.fault = "its if: may pass over it"
	case !off(step.ContinueOnError):
		g.fault = "continue-on-error lets the job go on"
	}
	c.gateSteps[step] = g
	return g
}

func onWindows(job *workflow.Job) bool {
	return job != nil && slices.ContainsFunc(job.RunsOn.Labels, func(l workflow.Text) bool { return strings.Contains(strings.ToLower(l.Value), "windows") })
}

// shellOptions is what decides how a script ends.
type shellOptions struct{ pipefail bool }

var ownShell = regexp.MustCompile(`^(?:bash|sh)((?:\s+(?:-[euxo]+|--noprofile|--norc|pipefail|errexit|nounset|xtrace))*)\s+\{0\}$`)

// optionsOf reads shell:. Without one it is `bash -e`, with bash it is `bash -eo pipefail`. Source:
// https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell
func optionsOf(shell string) (shellOptions, string) {
	switch shell = strings.TrimSpace(shell); shell {
	case "", "sh":
		return shellOptions{}, ""
	case "bash":
		return shellOptions{pipefail: true}, ""
	}
	if m := ownShell.FindStringSubmatch(shell); m != nil {
		return shellOptions{pipefail: strings.Contains(m[1], "pipefail")}, ""
	}
	return shellOptions{}, fmt.Sprintf("what the shell %q does with exit codes is not known", shell)
}

// gateScript judges a script: whether it asks for a verdict on this commit, and why its exit code may not be the gate's.
func (c *checker) gateScript(p place, program *program, options shellOptions) (judges bool, fault string) {
	var asking []*syntax.CallExpr
	calls(program.file, func(call *syntax.CallExpr) {
		if words, _ := c.gateCommand(program, call); words != nil {
			asking = append(asking, call)
		}
	})
	if len(asking) != 1 {
		return false, "it does not run the gate, or not once"
	}
	arguments, name := c.gateCommand(program, asking[0])
	if fault := c.gateArguments(p, program, arguments, name); fault != "" {
		return false, fault
	}
	if len(asking[0].Assigns) > 0 {
		return false, "a variable is set for it alone"
	}
	stmts := program.file.Stmts
	for len(stmts) > 1 && prepares(stmts[0], &options) {
		stmts = stmts[1:]
	}
	if len(stmts) != 1 {
		return reachable(program.file, asking[0]), "its script does more than the gate"
	}
	if fault := decides(stmts[0], asking[0], options); fault != "" {
		return reachable(program.file, asking[0]), fault
	}
	return true, ""
}

// reachable reports whether a command is one of the script's own statements, or a part of one that has no condition: what it
// answers can be relied on, though not its exit code.
func reachable(file *syntax.File, call *syntax.CallExpr) bool {
	for _, stmt := range file.Stmts {
		if within(stmt, call) {
			return true
		}
		if one, ok := stmt.Cmd.(*syntax.CallExpr); !ok || !slices.Contains([]string{"set", "echo", "printf", ":"}, nameOf(one)) {
			return false // it may end the script, or change what the command means
		}
	}
	return false
}

func within(stmt *syntax.Stmt, call *syntax.CallExpr) bool {
	switch cmd := stmt.Cmd.(type) {
	case *syntax.CallExpr:
		return cmd == call
	case *syntax.BinaryCmd:
		return within(cmd.X, call)
	}
	return false
}

// prepares reports whether a statement before the gate leaves it as it is: set with options that make the shell stricter, or a
// word to the log.
func prepares(stmt *syntax.Stmt, options *shellOptions) bool {
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	if !ok || stmt.Negated || stmt.Background || stmt.Coprocess || len(stmt.Redirs) > 0 || len(call.Assigns) > 0 || len(call.Args) == 0 {
		return false
	}
	words := make([]string, len(call.Args))
	for i, word := range call.Args {
		var ok bool
		if words[i], ok = literal(word); !ok {
			return false
		}
	}
	switch words[0] {
	case "echo", "printf", ":":
		return true
	case "set":
		return len(words) > 1 && stricter(words[1:], options)
	}
	return false
}

var setOption = regexp.MustCompile(`^-[euxEo]+$`)

func stricter(words []string, options *shellOptions) bool {
	for i := 0; i < len(words); i++ {
		if !setOption.MatchString(words[i]) {
			return false
		}
		if !strings.Contains(words[i], "o") {
			continue
		}
		if i++; i == len(words) || !slices.Contains([]string{"pipefail", "errexit", "nounset", "xtrace"}, words[i]) {
			return false
		}
		options.pipefail = options.pipefail || words[i] == "pipefail"
	}
	return true
}

// decides says why a statement's exit code is not certainly a failure when the gate's is, "" when it is.
func decides(stmt *syntax.Stmt, gate *syntax.CallExpr, options shellOptions) string {
	switch {
	case stmt.Negated:
		return "! turns its exit code around"
	case stmt.Background, stmt.Coprocess, stmt.Disown:
		return "& does not wait for it"
	}
	for _, redirect := range stmt.Redirs {
		if redirect.Hdoc != nil || redirect.Word == nil || computes(redirect.Word) || slices.ContainsFunc(runnerFiles, func(f string) bool { return goesTo(redirect.Word, f) }) {
			return "it is redirected in a way that is not judged"
		}
	}
	switch cmd := stmt.Cmd.(type) {
	case *syntax.CallExpr:
		if cmd == gate {
			return ""
		}
	case *syntax.BinaryCmd:
		if !within(cmd.X, gate) {
			break
		}
		if fault := decides(cmd.X, gate, options); fault != "" {
			return fault
		}
		switch {
		case cmd.Op == syntax.AndStmt:
			return ""
		case cmd.Op == syntax.OrStmt && fails(cmd.Y):
			return ""
		case cmd.Op == syntax.OrStmt:
			return "|| goes on when it fails"
		case !options.pipefail:
			return "without pipefail the exit code of a pipe is that of its end"
		}
		if _, plain := cmd.Y.Cmd.(*syntax.CallExpr); plain && !cmd.Y.Background {
			return ""
		}
	}
	return "it does not stand alone: its exit code may be lost"
}

// computes reports whether a word runs commands.
func computes(word *syntax.Word) bool {
	found := false
	syntax.Walk(word, func(node syntax.Node) bool {
		switch node.(type) {
		case *syntax.CmdSubst, *syntax.ProcSubst:
			found = true
		}
		return !found
	})
	return found
}

// fails reports whether a statement certainly ends the script with a failure: exit 1, or a block of words to the log and that.
func fails(stmt *syntax.Stmt) bool {
	if stmt.Negated || stmt.Background {
		return false
	}
	switch cmd := stmt.Cmd.(type) {
	case *syntax.Block:
		for i, inner := range cmd.Stmts {
			if i == len(cmd.Stmts)-1 {
				return fails(inner)
			}
			if call, ok := inner.Cmd.(*syntax.CallExpr); !ok || inner.Background || nameOf(call) != "echo" && nameOf(call) != "printf" {
				return false
			}
		}
	case *syntax.CallExpr:
		if len(stmt.Redirs) > 0 || len(cmd.Args) != 2 || nameOf(cmd) != "exit" {
			return len(cmd.Args) == 1 && len(cmd.Assigns) == 0 && nameOf(cmd) == "false"
		}
		text, ok := literal(cmd.Args[1])
		code, err := strconv.Atoi(text)
		return ok && err == nil && code > 0 && code < 256
	}
	return false
}
