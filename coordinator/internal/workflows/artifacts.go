package workflows

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"ataraxis.dev/landfall/shared/workflow"
)

const artifactHint = "read it as data only, below $RUNNER_TEMP; let what is run come from a checkout of this repository"

var (
	fetchAction = regexp.MustCompile(`(?i)download-(?:workflow-)?artifact`)
	fetchScript = regexp.MustCompile(`\bgh\s+run\s+download\b|\bgh\s+api\b[^\n]*artifacts?/|\bdownloadArtifact\b|/actions/(?:artifacts|runs)/[^\n]*(?:zip|artifacts)|artifacts_url|archive_download_url`)
)

// fetchesArtifact reports whether a step fetches what another run left behind. The plain download of actions/download-artifact
// is of this run.
func fetchesArtifact(step *workflow.Step) bool {
	if fetchAction.MatchString(step.Uses.Value) {
		if !strings.HasPrefix(step.Uses.Value, "actions/download-artifact@") {
			return true
		}
		return slices.ContainsFunc(step.With, func(p workflow.Pair) bool { n := plainName(p.Key); return n == "runid" || n == "" })
	}
	if fetchScript.MatchString(step.Run.Value) {
		return true
	}
	return slices.ContainsFunc(step.With, func(p workflow.Pair) bool { return isScript(p.Key) && fetchScript.MatchString(p.Value.Value) })
}

// leftBehind is where what was fetched lies: in folders of its own, or all over the working directory.
type leftBehind struct {
	anywhere bool
	folders  []string // as they are written
}

var downloadFolder = regexp.MustCompile(`\bgh\s+run\s+download\b[^\n]*?\s(?:-D|--dir)[= ]["']?([^\s"']+)|\bunzip\b[^\n]*?\s-d\s*["']?([^\s"']+)`)

func (l *leftBehind) add(step *workflow.Step) {
	var folders []string
	for _, pair := range step.With {
		if n := plainName(pair.Key); n == "path" || n == "dir" || n == "directory" || n == "destination" {
			folders = append(folders, pair.Value.Value)
		}
	}
	for _, m := range downloadFolder.FindAllStringSubmatch(step.Run.Value, -1) {
		folders = append(folders, m[1]+m[2])
	}
	if len(folders) == 0 {
		l.anywhere = true
	}
	for _, folder := range folders {
		folder = variables.Replace(strings.TrimSpace(folder))
		trimmed := strings.TrimPrefix(path.Clean(folder), workspace)
		if trimmed = strings.Trim(trimmed, "/"); trimmed == "" || trimmed == "." || strings.Contains(trimmed, "${{") || strings.HasPrefix(trimmed, "..") {
			l.anywhere = true
			continue
		}
		l.folders = append(l.folders, trimmed)
	}
}

// The folders of a job have names as expressions and as variables.
const workspace = "$GITHUB_WORKSPACE"

var variables = strings.NewReplacer("${{ github.workspace }}", workspace, "${{github.workspace}}", workspace, "${GITHUB_WORKSPACE}", workspace,
	"${{ runner.temp }}", "$RUNNER_TEMP", "${{runner.temp}}", "$RUNNER_TEMP", "${RUNNER_TEMP}", "$RUNNER_TEMP")

// names reports whether a text names a folder of what was fetched.
func (l *leftBehind) names(text string) bool {
	text = variables.Replace(text)
	return slices.ContainsFunc(l.folders, func(folder string) bool { return strings.Contains(text, folder) })
}

// artifacts looks for steps that run what an outsider's run left behind.
func (c *checker) artifacts(file *workflow.File) {
	jobs := map[*workflow.Job]*leftBehind{}
	c.eachStep(file, func(p place, job *workflow.Job, why string) {
		if why == "" {
			return
		}
		step := p.step()
		if fetchesArtifact(step) {
			if jobs[job] == nil {
				jobs[job] = &leftBehind{}
			}
			jobs[job].add(step)
		}
		left := jobs[job]
		if left == nil {
			return
		}
		const says = "job %s runs what another run left behind, and %s gives it secrets"
		if folder := actionFolder(step.Uses.Value); folder != "" && (left.anywhere || left.names(folder)) {
			c.findAt(p.path, step.Uses, RuleArtifact, artifactHint, says, job.Key.Value, why)
		}
		for _, pair := range step.With {
			if isScript(pair.Key) && left.requiredBy(pair.Value.Value) {
				c.findAt(p.path, pair.Value, RuleArtifact, artifactHint, says, job.Key.Value, why)
			}
		}
		if step.Run.Written() && c.runsArtifact(p, left) {
			c.findAt(p.path, step.Run, RuleArtifact, artifactHint, says, job.Key.Value, why)
		}
	})
}

// Ways of a script of an action to run what lies in a file.
var (
	required = regexp.MustCompile("\\b(?:require|import)\\s*\\(\\s*['\"`]([^'\"`]*)['\"`]")
	started  = regexp.MustCompile(`\b(?:exec|execSync|execFile|execFileSync|spawn|spawnSync|fork|source|bash|sh|python3?|node)\b\s*[^\w\s]?.*`)
)

// requiredBy reports whether the script of an action runs what was fetched.
func (l *leftBehind) requiredBy(text string) bool {
	for _, m := range required.FindAllStringSubmatch(text, -1) {
		if l.names(m[1]) || l.anywhere && strings.HasPrefix(m[1], ".") || l.anywhere && strings.Contains(m[1], "github.workspace") {
			return true
		}
	}
	return slices.ContainsFunc(started.FindAllString(text, -1), func(line string) bool {
		return l.names(line) || l.anywhere && strings.Contains(line, "./")
	})
}

// with is what was fetched, known by the variables of a script that name it as well.
func (l *leftBehind) with(program *program) *leftBehind {
	more := &leftBehind{anywhere: l.anywhere, folders: slices.Clone(l.folders)}
	note := func(name string, values ...*syntax.Word) {
		for _, value := range values {
			if value != nil && more.names(asWritten(program, value)) {
				more.folders = append(more.folders, "$"+name, "${"+name)
			}
		}
	}
	syntax.Walk(program.file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.Assign:
			if n.Name != nil {
				note(n.Name.Value, n.Value)
			}
		case *syntax.WordIter:
			note(n.Name.Value, n.Items...)
		}
		return true
	})
	return more
}

// builders are programs that run what they find in the working directory.
var builders = regexp.MustCompile(`^(?:make|gmake|cmake|ninja|npm|pnpm|yarn|npx|bun|bunx|pip3?|uvx?|poetry|pipenv|tox|nox|pytest|cargo|go|gradle|gradlew|mvn|mvnw|ant|sbt|docker|docker-compose|podman|buildah|bundle|rake|gem|composer|dotnet|msbuild|just|task|bazel|ansible-playbook|terraform|helm|kubectl|rails|mix|swift|xcodebuild|deno|nix|nix-build|jekyll|hugo|mkdocs|wrangler|dpkg|apt|rpm|insmod|java|wasmtime|Rscript)$`)

var loose = regexp.MustCompile(`(?m)(?:^|[\s;&|"'(])(?:\./|\.\\|&\s)[^\s]+|\b(?:bash|sh|python3?|node|ruby|perl|pwsh|source)\s+[^\s-]`)

// runsArtifact reports whether a script runs what was fetched. A path below the folders of it is enough; where it may lie
// anywhere, everything that is not a program of the system counts.
func (c *checker) runsArtifact(p place, left *leftBehind) bool {
	s := c.flow.script(p)
	text := s.program.text
	folder := p.step().WorkingDirectory.Value
	within := left.anywhere || left.names(folder)
	if s.program.file == nil {
		return (within || left.names(text)) && loose.MatchString(text)
	}
	found := false
	left = left.with(s.program)
	calls(s.program.file, func(call *syntax.CallExpr) {
		if len(call.Args) == 0 || found {
			return
		}
		words := make([]string, len(call.Args))
		for i, word := range call.Args {
			words[i] = asWritten(s.program, word)
		}
		switch words[0] {
		case "find":
			if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "-exec") }); i >= 0 && i+1 < len(words) {
				found = (within || slices.ContainsFunc(words, left.names)) && (isInterpreter(path.Base(words[i+1])) || words[i+1] == "{}" || words[i+1] == "chmod")
			}
			return
		case "cd", "pushd":
			within = within || len(words) > 1 && left.names(words[1])
			return
		case "sudo", "env", "exec", "command", "time", "nohup", "timeout", "xargs":
			for len(words) > 1 && (words[0] == "sudo" || words[0] == "env" || words[0] == "exec" || words[0] == "command" || words[0] == "time" || words[0] == "nohup" ||
				words[0] == "timeout" || words[0] == "xargs" || strings.HasPrefix(words[0], "-") || strings.Contains(words[0], "=")) {
				words = words[1:]
			}
			if asWritten(s.program, call.Args[0]) == "xargs" && isInterpreter(path.Base(words[0])) && (within || left.names(text)) {
				found = true
				return
			}
		}
		found = left.run(words, within)
	})
	return found
}

// asWritten is a word, or a command, as it is written, without quotes.
func asWritten(p *program, node syntax.Node) string {
	text := strings.NewReplacer(`"`, "", `'`, "").Replace(p.sourceOf(node))
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		for _, e := range p.expressionsIn(m[0]) {
			text = strings.ReplaceAll(text, m[0], "${{ "+strings.TrimSpace(e.source)+" }}")
		}
	}
	return text
}

// run reports whether a command runs what was fetched.
func (l *leftBehind) run(words []string, within bool) bool {
	program, rest := words[0], words[1:]
	name := path.Base(program)
	named := slices.ContainsFunc(words, l.names)
	switch {
	case l.names(program):
		return true
	case strings.Contains(program, "/") && !strings.HasPrefix(program, "/") && !strings.HasPrefix(program, "$") && !strings.HasPrefix(program, "~"):
		return within || named
	case program == "." || program == "source" || isInterpreter(name):
		for _, word := range rest {
			if strings.HasPrefix(word, "-") {
				if codeOption.MatchString(word) && !named {
					return false // a program among the arguments
				}
				continue
			}
			return named || within && !strings.HasPrefix(word, "/") && !strings.HasPrefix(word, "$")
		}
		return false
	case builders.MatchString(name):
		return (within || named) && !harmless(name, rest)
	case name == "chmod":
		return slices.ContainsFunc(rest, func(w string) bool { return strings.Contains(w, "x") && len(w) < 6 || strings.HasPrefix(w, "7") }) && (named || within)
	}
	return false
}

// harmless are commands of builders that run nothing of the working directory.
func harmless(name string, rest []string) bool {
	if len(rest) == 0 {
		return false
	}
	switch name {
	case "docker", "podman":
		return slices.Contains([]string{"login", "logout", "push", "tag", "pull", "inspect", "images", "ps", "version", "info"}, rest[0])
	case "npm", "pnpm", "yarn", "pip", "pip3", "go", "cargo", "dotnet":
		return slices.Contains([]string{"version", "-v", "--version", "config", "env", "login"}, rest[0])
	}
	return false
}
