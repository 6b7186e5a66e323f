package workflows

import (
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"ataraxis.dev/landfall/shared/workflow"
)

const (
	targetHint = "use pull_request, whose token can only read, or do not check the pull request out"
	aloneHint  = "let the caller check the code out, or give the job no rights: `permissions: {contents: read}`, no secrets, a hosted runner"
)

// eachStep visits the steps of a job that an outsider may cause to run, and those of the repository's own actions among them,
// each action once. job is the one that runs it; why says what causes it, "" when that is not known of a file that others call.
func (c *checker) eachStep(file *workflow.File, visit func(p place, job *workflow.Job, why string)) {
	type reach struct {
		s   *situation
		why string
	}
	var ways []reach
	for _, sc := range c.reach(file, withRights) {
		ways = append(ways, reach{c.situation(file, sc), sc.event})
	}
	alone := len(ways) == 0 && c.alone(file)
	if alone {
		ways = append(ways, reach{c.situation(file, scenario{event: "pull_request_target", origin: fork}), ""})
	}
	if len(ways) == 0 {
		return
	}
	seen := map[string]bool{}
	for i := range file.Jobs {
		p := inJob(file, &file.Jobs[i])
		if c.ctx.Err() != nil {
			return
		}
		if alone && !c.hasRights(file, p.job) {
			continue
		}
		for n := range p.steps {
			p.n = n
			for _, way := range ways {
				if !way.s.skipped(p.job) && !way.s.passesOver(p.job, p.step()) {
					visit(p, p.job, way.why)
					c.flow.inside(p.step().Uses.Value, seen, func(inner place) { visit(inner, p.job, way.why) })
					break
				}
			}
		}
	}
}

// inside visits the steps of an action of the repository, and of those that it uses, once each.
func (f *flow) inside(uses string, seen map[string]bool, visit func(place)) {
	folder := actionFolder(uses)
	if f.actions[folder] == nil || seen[folder] {
		return
	}
	seen[folder] = true
	p := f.inAction(folder)
	for n := range p.steps {
		p.n = n
		visit(p)
		f.inside(p.step().Uses.Value, seen, visit)
	}
}

// hasRights reports whether a job has a secret, a token that may write, or an own runner, as far as its own file tells.
func (c *checker) hasRights(file *workflow.File, job *workflow.Job) bool {
	permissions := job.Permissions
	if permissions == nil {
		permissions = file.Permissions
	}
	if permissions == nil || permissions.All != "" && permissions.All != "read-all" {
		return true // the caller's
	}
	for _, level := range permissions.Scopes {
		if level == "write" {
			return true
		}
	}
	s := c.situation(file, scenario{event: "pull_request_target", origin: fork})
	return secretOf(job).Written() || secretIn(file.Scalars).Written() || c.own(s, job) != ""
}

func (p place) name() string {
	if p.job != nil {
		return "job " + p.job.Key.Value
	}
	return "action " + p.folder
}

// checkouts looks for an outsider's code where the event has this repository's rights.
func (c *checker) checkouts(file *workflow.File) {
	c.eachStep(file, func(p place, _ *workflow.Job, why string) {
		hint, gives := targetHint, why+" gives it secrets"
		if why == "" {
			hint, gives = aloneHint, "whoever calls it may give it secrets"
		}
		step := p.step()
		for _, pair := range step.With {
			if actionFolder(step.Uses.Value) == "" && c.takesCode(p, pair) {
				c.findAt(p.path, pair.Value, RuleTarget, hint, "%s checks an outsider's code out, and %s", p.name(), gives)
			}
		}
		if step.Run.Written() && c.fetches(p) {
			c.findAt(p.path, step.Run, RuleTarget, hint, "%s fetches an outsider's code, and %s", p.name(), gives)
		}
	})
}

// takesCode reports whether an input may bring an outsider's code into the job.
func (c *checker) takesCode(p place, pair workflow.Pair) bool {
	name, action, text := plainName(pair.Key), p.step().Uses.Value, pair.Value.Value
	taking := takes.MatchString(action)
	telling := !taking && reports.MatchString(action)
	t := c.flow.text(p, text)
	switch {
	case isScript(pair.Key):
		return (t|saidToAPI(text))&foreigner != 0 && transfers.MatchString(replaceEmbeds(text))
	case t == 0:
		return false
	case taking && (name == "ref" || name == "repository"):
		return true // what is not known to be the repository's own is not
	case strings.Contains(text, "refs/pull/"):
		return true
	case name == "pr" || name == "pullrequest":
		return taking && t&foreigner != 0
	case refInput.MatchString(name), commitInput.MatchString(name):
		return !telling && t&(headCode|freeText) != 0
	case idleInput.MatchString(name), telling:
		return false
	}
	return t&headCode != 0
}

// transfers are commands that bring code from elsewhere, or another commit into the working tree.
var transfers = regexp.MustCompile(`\bgit\b[^\n;|&]*?\b(?:fetch|clone|checkout|switch|pull|worktree|merge|cherry-pick|reset|am|apply|remote|submodule|rebase|restore|archive|read-tree|checkout-index|bundle)\b|` +
	`\bgh\s+(?:pr\s+checkout|repo\s+clone|pr\s+diff|repo\s+sync)|\bgh\s+api\b[^\n]*(?:tarball|zipball|contents|git/)|\bhub\s+(?:checkout|clone|merge|am|apply)|` +
	`\b(?:svn|hg|jj|degit|git-clone)\b|` +
	`(?i)(?:\bcurl|\bwget|\baria2c|\bfetch|\bhttps?|Invoke-WebRequest|Invoke-RestMethod|\biwr|\birm)\b[^\n]*(?:tarball|zipball|archive|codeload|\braw\b|raw\.githubusercontent|\.tar|\.tgz|\.zip|\.patch|\.diff|\.sh\b|/contents/|\s-[a-zA-Z]*[oO]\b|--output|--remote-name|\s-OutFile|[^-]>|\|)`)

// installs are package tools with an address of code among their arguments.
var installs = regexp.MustCompile(`\b(?:npm|pnpm|yarn|npx|bunx?|pip3?|pipx|uvx?|go|cargo|gem|nix|deno|docker|podman|buildah|helm|kubectl|kustomize|terraform|composer|make|dotnet|rsync|scp)\b[^\n]*(?:git\+|github:|://|\.git\b|@["']?\$|#["']?\$|@["']?__landfall|#["']?__landfall|--git)`)

// fetches reports whether a script brings an outsider's code into the job.
func (c *checker) fetches(p place) bool {
	s := c.flow.script(p)
	if s.taint&foreigner == 0 {
		return false
	}
	text := strings.ReplaceAll(s.program.text, "\\\n", " ")
	if s.program.file != nil {
		text = s.program.commandsOnly() + c.resolvedCommands(p, s.program)
	}
	if s.fetches || transfers.MatchString(text) {
		return true
	}
	return s.taint&(headCode|freeText) != 0 && installs.MatchString(text)
}

// resolvedCommands is every command on a line of its own, with the variables that are spelled out put in.
func (c *checker) resolvedCommands(p place, program *program) string {
	var b strings.Builder
	values := c.spelledValues(p, program)
	calls(program.file, func(call *syntax.CallExpr) {
		b.WriteByte('\n')
		for _, word := range call.Args {
			b.WriteString(strings.ReplaceAll(resolved(program, word, values), "\n", " ") + " ")
		}
	})
	return b.String()
}

var (
	packageTool = regexp.MustCompile(`^(?:npm|pnpm|yarn|npx|bun|bunx|pip3?|pipx|uv|uvx|go|cargo|gem|nix|deno|docker|podman|buildah|helm|kubectl|terraform|composer|git|hub)$`)
	takingVerb  = regexp.MustCompile(`^(?:install|i|add|build|exec|create|dlx|x|get|clone|apply|init|tool|remote)$`)
)

// takesAddress reports whether a package tool is given what outsiders wrote as what it takes, not as the value of an option.
func (r *reading) takesAddress(call *syntax.CallExpr) bool {
	name := nameOf(call)
	if !packageTool.MatchString(name) || len(call.Args) < 2 {
		return false
	}
	verb := name == "npx" || name == "bunx" || name == "uvx"
	for i, word := range call.Args[1:] {
		text := spelled(word)
		option := strings.HasPrefix(spelled(call.Args[i]), "-")
		if verb && text == "" && !option && r.of(word)&(headCode|freeText) != 0 {
			return true
		}
		verb = verb || takingVerb.MatchString(text)
	}
	return false
}
