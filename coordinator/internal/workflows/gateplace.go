package workflows

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"ataraxis.dev/landfall/shared/workflow"
)

// Variables of the environment that make the gate another one: which program runs, in which way, what it asks about.
var (
	steers = regexp.MustCompile(`^(?i:PATH|LD_.*|DYLD_.*|BASH_ENV|ENV|BASH_FUNC.*|SHELLOPTS|BASHOPTS|IFS|PS4|GIT_(?:DIR|WORK_TREE|CONFIG.*|EXEC_PATH|SSH.*|OBJECT.*|INDEX.*|CEILING.*)|LANDFALL_.*|GITHUB_.*|RUNNER_.*)$`)
	idle   = []string{"LANDFALL_AGENT", "LANDFALL_IDENTITY", "LANDFALL_PROGRESS", "LANDFALL_LOG_LEVEL", "LANDFALL_VERSION", "GITHUB_TOKEN"}
)

// surroundings says what around a step makes its gate another one, "" when nothing does.
func (c *checker) surroundings(p place, program *program) string {
	for _, level := range environments(p) {
		for _, pair := range level {
			if pair.Key == "" {
				return "its environment is computed"
			}
			if pair.Key == "LANDFALL_CONFIG" && path.Clean(pair.Value.Value) == c.at() {
				continue
			}
			if steering(pair.Key) {
				return "env: sets " + pair.Key
			}
		}
	}
	if folder := c.folderOf(p); folder != "" && folder != "." && folder != path.Dir(c.at()) {
		return "working-directory leads to another landfall.yaml"
	}
	p2 := p
	for p2.n = 0; p2.n < p.n; p2.n++ {
		if fault := c.spoils(p2, program); fault != "" {
			return fault
		}
	}
	return ""
}

func steering(name string) bool { return steers.MatchString(name) && !slices.Contains(idle, name) }

// folderOf is the working directory of a step, "" for the top of the checkout.
func (c *checker) folderOf(p place) string {
	list := []workflow.Text{p.step().WorkingDirectory}
	if p.job != nil {
		list = append(list, p.job.Defaults.WorkingDirectory)
	}
	if p.file != nil {
		list = append(list, p.file.Defaults.WorkingDirectory)
	}
	folder := variables.Replace(strings.TrimSpace(firstOf(list...).Value))
	if folder == "" {
		return ""
	}
	return path.Clean(strings.TrimPrefix(strings.TrimPrefix(folder, workspace), "/"))
}

// spoils says what an earlier step does to the gate's program or its environment.
func (c *checker) spoils(p place, _ *program) string {
	if !p.step().Run.Written() {
		fault := ""
		c.flow.inside(p.step().Uses.Value, map[string]bool{}, func(inner place) {
			if fault == "" && inner.step().Run.Written() {
				fault = c.spoils(inner, nil)
			}
		})
		return fault
	}
	s := c.flow.script(p)
	for name := range s.env {
		if name == "" || steering(name) {
			return "an earlier step changes its environment"
		}
	}
	if s.program.file == nil {
		if strings.Contains(s.program.text, "GITHUB_PATH") || strings.Contains(s.program.text, "GITHUB_ENV") {
			return "an earlier step may change its environment"
		}
		return ""
	}
	fault := ""
	syntax.Walk(s.program.file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.Stmt:
			for _, redirect := range n.Redirs {
				switch {
				case redirect.Word == nil || redirect.Op == syntax.RdrIn || redirect.Op == syntax.Hdoc || redirect.Op == syntax.DashHdoc || redirect.Op == syntax.WordHdoc:
				case c.commands.isProgram(spelled(redirect.Word)):
					fault = "an earlier step writes a program of its name"
				case goesTo(redirect.Word, "GITHUB_PATH") && !trustedFolders(s.program, n.Cmd):
					fault = "an earlier step puts another folder before the program's"
				}
			}
		case *syntax.CallExpr:
			if c.replaces(n) {
				fault = "an earlier step puts another program in its place"
			}
		}
		return fault == ""
	})
	return fault
}

// trustedFolder is a folder that nothing of the checkout lies in.
var trustedFolder = regexp.MustCompile(`^(?:/(?:opt|usr|home|root|Users|snap|nix|var)/|\$\{?(?:RUNNER_TEMP|RUNNER_TOOL_CACHE|HOME|GOPATH|GOBIN|CARGO_HOME|XDG_[A-Z_]+)\b|~/|\$\(go env GO(?:PATH|BIN)\)|\$\{\{\s*runner\.(?:temp|tool_cache)\s*\}\})`)

func trustedFolders(program *program, cmd syntax.Command) bool {
	call, ok := cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) < 2 || nameOf(call) != "echo" && nameOf(call) != "printf" {
		return false
	}
	return trustedFolder.MatchString(asWritten(program, call.Args[len(call.Args)-1]))
}

// nothings are programs that succeed whatever they are asked.
var nothings = []string{"true", "echo", "printf", "cat", "env", "ls", "test", "yes", "sleep", "id", "pwd", "date", "uname", "hostname", "which", "sh", "bash", "dash", "busybox", "null"}

// replaces reports whether a command puts something of no use where the program is looked for.
func (c *checker) replaces(call *syntax.CallExpr) bool {
	if len(call.Args) < 2 {
		return false
	}
	words := call.Args
	if spelled(words[0]) == "sudo" {
		words = words[1:]
	}
	last := spelled(words[len(words)-1])
	switch path.Base(spelled(words[0])) {
	case "ln", "cp", "mv", "install":
		if len(words) < 3 || !c.commands.isProgram(last) {
			return false
		}
		source := words[len(words)-2]
		if slices.Contains(nothings, path.Base(spelled(source))) {
			return true
		}
		computed := false
		syntax.Walk(source, func(node syntax.Node) bool { // $(which true)
			if call, ok := node.(*syntax.CallExpr); ok && len(call.Args) > 0 && slices.Contains(nothings, spelled(call.Args[len(call.Args)-1])) {
				computed = true
			}
			return !computed
		})
		return computed
	case "tee", "truncate":
		return slices.ContainsFunc(words[1:], func(w *syntax.Word) bool { return c.commands.isProgram(spelled(w)) })
	}
	return false
}
