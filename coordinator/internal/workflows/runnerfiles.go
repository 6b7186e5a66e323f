package workflows

import (
	"path"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// The files by which a step tells later ones something.
var runnerFiles = []string{"GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH"}

// names of variables or outputs that a step writes: NAME=, NAME<<.
var (
	writtenName = regexp.MustCompile(`(?:^|["'\s{;]|\\n|::set-(?:env|output) name=)([A-Za-z_][A-Za-z0-9_-]*)(?:=|<<|::)`)
	randomEnd   = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_-]*<<["']?[$\x60]`)
)

// writes looks for what goes into the runner's files. Within a block whose output goes there, every statement does.
func (r *reading) writes(stmt *syntax.Stmt, into []string) {
	for _, redirect := range stmt.Redirs {
		if redirect.Word == nil || redirect.Op == syntax.RdrIn || redirect.Op == syntax.WordHdoc || redirect.Hdoc != nil {
			continue
		}
		if file := runnersFile(redirect.Word); file != "" {
			into = append(into, file)
		} else if name := spelled(redirect.Word); name != "" {
			into = append(into, ordinary+path.Base(name))
		}
	}
	inner := func(list []*syntax.Stmt) {
		for _, s := range list {
			r.writes(s, into)
		}
	}
	switch cmd := stmt.Cmd.(type) {
	case *syntax.Block:
		if randomEnd.MatchString(r.program.sourceOf(cmd)) {
			r.put(stmt, cmd, into, true)
			return
		}
		inner(cmd.Stmts)
	case *syntax.Subshell:
		inner(cmd.Stmts)
	case *syntax.IfClause:
		for clause := cmd; clause != nil; clause = clause.Else {
			inner(clause.Cond)
			inner(clause.Then)
		}
	case *syntax.WhileClause:
		inner(cmd.Cond)
		inner(cmd.Do)
	case *syntax.ForClause:
		inner(cmd.Do)
	case *syntax.CaseClause:
		for _, item := range cmd.Items {
			inner(item.Stmts)
		}
	case *syntax.FuncDecl:
		r.writes(cmd.Body, into)
	case *syntax.BinaryCmd:
		if cmd.Op == syntax.Pipe || cmd.Op == syntax.PipeAll {
			through := into
			calls(cmd.Y, func(call *syntax.CallExpr) {
				if nameOf(call) != "tee" {
					return
				}
				if file := runnersFile(call); file != "" {
					through = append(through, file)
				} else if name := spelled(call.Args[len(call.Args)-1]); name != "" {
					through = append(through, ordinary+path.Base(name))
				}
			})
			r.writes(cmd.X, through)
			r.writes(cmd.Y, into)
			return
		}
		r.writes(cmd.X, into)
		r.writes(cmd.Y, into)
	default:
		r.put(stmt, cmd, into, false)
	}
}

// ordinary stands before the name of a file that is not the runner's.
const ordinary = "file:"

// runnersFile is the file of the runner's that a node names, "" for none.
func runnersFile(node syntax.Node) string {
	for _, file := range runnerFiles {
		if goesTo(node, file) {
			return file
		}
	}
	return ""
}

// goesTo reports whether a word names a file of the runner's.
func goesTo(node syntax.Node, file string) bool {
	if mentions(node, file) {
		return true
	}
	found := false
	syntax.Walk(node, func(n syntax.Node) bool {
		if lit, ok := n.(*syntax.Lit); ok && strings.Contains(lit.Value, file) { // env:GITHUB_ENV say
			found = true
		}
		return !found
	})
	return found
}

// put notes what a statement writes.
func (r *reading) put(stmt *syntax.Stmt, cmd syntax.Command, into []string, randomly bool) {
	var t taint
	text := ""
	if cmd != nil {
		t, text = r.of(cmd), r.program.sourceOf(cmd)
	}
	for _, redirect := range stmt.Redirs {
		if redirect.Hdoc != nil {
			t |= r.of(redirect.Hdoc)
			text += "\n" + r.program.sourceOf(redirect.Hdoc)
		} else if redirect.Op == syntax.RdrIn || redirect.Op == syntax.WordHdoc {
			t |= r.of(redirect)
		}
	}
	if strings.Contains(text, "::set-env") {
		into = append(into, "GITHUB_ENV")
	}
	if strings.Contains(text, "::set-output") {
		into = append(into, "GITHUB_OUTPUT")
	}
	var names []string
	for _, m := range writtenName.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		names = []string{""}
	}
	randomly = randomly || randomEnd.MatchString(text)
	for _, file := range into {
		if name, ok := strings.CutPrefix(file, ordinary); ok && t != 0 {
			r.files[name] |= t
		}
		switch file {
		case "GITHUB_OUTPUT":
			for _, name := range names {
				r.outputs[strings.ToLower(name)] |= t
			}
		case "GITHUB_ENV":
			for _, name := range names {
				r.env[name] |= t
			}
			if t&pasteable != 0 && !randomly && (t&manyLines != 0 || names[0] == "") {
				r.becomes("what an outsider wrote goes into GITHUB_ENV, where each of its lines sets a variable")
			}
		case "GITHUB_PATH":
			if t&(freeText|headCode) != 0 {
				r.becomes("what an outsider wrote goes into GITHUB_PATH, where it decides which programs are run")
			}
		}
	}
}
