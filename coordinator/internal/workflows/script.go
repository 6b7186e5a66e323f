package workflows

import (
	"path"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"ataraxis.dev/landfall/shared/workflow"
)

// runScript is what a run step does with what outsiders set.
type runScript struct {
	program *program
	taint   taint            // of everything that it names
	env     map[string]taint // what it writes for later steps, by name; "" any name
	outputs map[string]taint
	files   map[string]taint // what it writes into files, by their names without folders
	fetches bool             // it brings code into the job that outsiders chose
	code    []string         // how an outsider's text becomes a part of a program, a sentence's end each
}

// reading is a script that is being read.
type reading struct {
	*runScript
	flow  *flow
	at    place
	local map[string]taint // variables of the script itself
	left  *leftBehind      // what an outsider's run left behind; nil: nothing
}

// shellOf is the shell of a run step, "" when nothing names it.
func shellOf(p place) workflow.Text {
	list := []workflow.Text{p.step().Shell}
	if p.job != nil {
		list = append(list, p.job.Defaults.Shell)
	}
	if p.file != nil {
		list = append(list, p.file.Defaults.Shell)
	}
	return firstOf(list...)
}

func (f *flow) readStep(p place) *runScript {
	p.outer = false
	text := p.step().Run.Value
	s := &runScript{program: readScript(text, shellOf(p).Value), env: map[string]taint{}, outputs: map[string]taint{}, files: map[string]taint{}}
	r := &reading{runScript: s, flow: f, at: p, local: map[string]taint{}}
	r.left = f.timeline(p).leftBefore(p)
	if s.program.file == nil {
		r.readLoosely()
		return s
	}
	for range 3 { // what a loop gives a variable is seen by what stands before
		before := len(r.local)
		r.assignments(s.program.file)
		if len(r.local) == before {
			break
		}
	}
	s.taint = r.of(s.program.file) | said(s.program.commandsOnly())
	for _, stmt := range s.program.file.Stmts {
		r.writes(stmt, nil)
	}
	r.becomesCode()
	if s.taint&foreigner != 0 {
		r.fetchesCode(f.check.spelledValues(p, s.program))
	}
	return s
}

var (
	variableName = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
	invoked      = regexp.MustCompile(`(?i)\b(?:Invoke-Expression|iex)\b[^\n]*?\$(?:env:)?\{?([A-Za-z_][A-Za-z0-9_]*)`)
)

// readLoosely is for scripts of which the grammar is not known: every name of a variable counts.
func (r *reading) readLoosely() {
	text := r.program.text
	r.taint = r.ofText(text)
	seen := map[string]bool{}
	for _, name := range variableName.FindAllString(text, -1) {
		if !seen[name] {
			seen[name] = true
			r.taint |= r.variable(name)
		}
	}
	for _, m := range invoked.FindAllStringSubmatch(text, -1) {
		if r.variable(m[1])&pasteable != 0 {
			r.becomes("$" + m[1] + " is run as a program")
		}
	}
	if strings.Contains(text, "GITHUB_ENV") {
		r.env[""] = r.taint | uncertain
	}
	if strings.Contains(text, "GITHUB_OUTPUT") || strings.Contains(text, "set-output") {
		r.outputs[""] = r.taint | uncertain
	}
}

func (r *reading) becomes(how string) { r.code = append(r.code, how) }

// variable is the taint of a variable of the shell. The runner's own ones cannot be set by anybody. Source:
// https://docs.github.com/actions/reference/workflows-and-actions/variables
func (r *reading) variable(name string) taint {
	if t, ok := r.local[name]; ok {
		return t
	}
	switch name {
	case "GITHUB_HEAD_REF":
		return nameOfRef
	case "GITHUB_EVENT_PATH":
		return anyText | headCode | pullID
	}
	if strings.HasPrefix(name, "GITHUB_") || strings.HasPrefix(name, "RUNNER_") {
		return 0
	}
	return r.flow.environment(r.at, name)
}

// ofText is the taint of the expressions in a piece of the program, and of what it spells out.
func (r *reading) ofText(text string) taint {
	t := said(text)
	for _, e := range r.program.expressionsIn(text) {
		t |= r.flow.expression(r.at, e.source)
	}
	return t
}

// readsFiles are programs that print what is in files.
var readsFiles = map[string]bool{"cat": true, "head": true, "tail": true, "jq": true, "sed": true, "awk": true, "grep": true, "cut": true, "tr": true, "xargs": true, "yq": true, "less": true, "sort": true}

// onlyNumber is a filter of jq that gives the number of a pull request, or of an issue.
var onlyNumber = regexp.MustCompile(`^\.?(?:event\.)?(?:pull_request|issue)?\.?number$`)

// of is the taint of everything below a node.
func (r *reading) of(node syntax.Node) taint {
	var t taint
	if node == nil {
		return 0
	}
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Lit:
			t |= r.ofText(n.Value)
		case *syntax.SglQuoted:
			t |= r.ofText(n.Value)
		case *syntax.ParamExp:
			if n.Param != nil {
				t |= r.variable(n.Param.Value)
			}
		case *syntax.CallExpr:
			if asksForNumber(n) {
				t |= pullID
				return false
			}
			if r.left != nil && readsFiles[nameOf(n)] && (r.left.anywhere || r.left.names(asWritten(r.program, n))) {
				t |= anyText | headCode | pullID
			}
			if readsFiles[nameOf(n)] {
				for _, word := range n.Args[1:] {
					t |= r.file(spelled(word))
				}
			}
			t |= r.tells(n)
			for i := range n.Args { // words that belong together: gh pr checkout
				if i+2 < len(n.Args) && spelled(n.Args[i]) == "gh" {
					t |= said("gh " + spelled(n.Args[i+1]) + " " + spelled(n.Args[i+2]))
				}
			}
		case *syntax.Redirect:
			if r.left != nil && n.Op == syntax.RdrIn && n.Word != nil && (r.left.anywhere || r.left.names(asWritten(r.program, n.Word))) {
				t |= anyText | headCode | pullID
			}
			if n.Op == syntax.RdrIn && n.Word != nil {
				t |= r.file(spelled(n.Word))
			}
		}
		return true
	})
	return t
}

// Commands that print what stands in commits, in pull requests and in issues.
var (
	history   = regexp.MustCompile(`^git\s+(?:-\S+\s+)*(?:log|show|shortlog|whatchanged)\b`)
	onlyID    = regexp.MustCompile(`(?:--format|--pretty)[= ](?:format:|tformat:)?(?:%(?:H|h|T|t|P|p|ct|at|cI|aI|cd|ad|cs|as|n)|[-_:./ 0-9])+(?:\s|$)`)
	fileNames = regexp.MustCompile(`^git\s+(?:-\S+\s+)*(?:diff|diff-tree)\b.*--name-(?:only|status)`)
	askedHub  = regexp.MustCompile(`^gh\s+(?:pr|issue|run|api|search|release)\b.*\b(?:title|body|displayTitle|message|messageHeadline|comments)\b`)
)

// tells is the taint of what a command prints, as far as outsiders have written it.
func (r *reading) tells(call *syntax.CallExpr) taint {
	name := nameOf(call)
	if name != "git" && name != "gh" {
		return 0
	}
	text := strings.Join(strings.Fields(asWritten(r.program, call)), " ")
	switch {
	case history.MatchString(text) && !onlyID.MatchString(text), fileNames.MatchString(text):
		return ofCommit | manyLines
	case askedHub.MatchString(text):
		return ofCommit | manyLines
	}
	return 0
}

// file is the taint of a file of that name: what the script itself, or a step before it, wrote into it.
func (r *reading) file(name string) taint {
	if name == "" || strings.HasPrefix(name, "-") {
		return 0
	}
	name = path.Base(name)
	return r.files[name] | r.flow.fileBefore(r.at, name)
}

func asksForNumber(call *syntax.CallExpr) bool {
	if nameOf(call) != "jq" {
		return false
	}
	for _, word := range call.Args[1:] {
		if text, ok := literal(word); ok && onlyNumber.MatchString(text) {
			return true
		}
	}
	return false
}

// assignments gives the variables of the script their taint.
func (r *reading) assignments(node syntax.Node) {
	give := func(name string, t taint) {
		if old, ok := r.local[name]; !ok || old|t != old {
			r.local[name] = old | t
		}
	}
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Assign:
			if n.Name == nil || n.Naked {
				break
			}
			var t taint
			if n.Value != nil {
				t |= r.of(n.Value)
			}
			if n.Array != nil {
				t |= r.of(n.Array)
			}
			give(n.Name.Value, t)
		case *syntax.WordIter:
			var t taint
			for _, item := range n.Items {
				t |= r.of(item)
			}
			give(n.Name.Value, t)
		case *syntax.Stmt:
			call, ok := n.Cmd.(*syntax.CallExpr)
			if !ok {
				break
			}
			var t taint
			for _, redirect := range n.Redirs {
				t |= r.of(redirect)
			}
			r.reads(call, t, give)
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				t := r.of(n.X)
				calls(n.Y, func(call *syntax.CallExpr) { r.reads(call, t, give) })
			}
		}
		return true
	})
}

// reads gives the variables that read, mapfile and the like fill the taint of what comes in.
func (r *reading) reads(call *syntax.CallExpr, t taint, give func(string, taint)) {
	switch nameOf(call) {
	case "read", "mapfile", "readarray":
	default:
		return
	}
	for _, word := range call.Args[1:] {
		if text, ok := literal(word); ok && variableName.FindString(text) == text {
			give(text, t)
		}
	}
}
