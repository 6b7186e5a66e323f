package workflows

import (
	"regexp"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

const injectionHint = "give it to the step by env:, and let the script use it as \"$NAME\""

// injections looks for what outsiders write where it becomes a part of a program. Guards do not count: a title, a message or a
// branch that somebody with rights takes over still has the outsider's characters.
func (c *checker) injections(file *workflow.File) {
	seen := map[string]bool{}
	for i := range file.Jobs {
		p := inJob(file, &file.Jobs[i])
		if c.ctx.Err() != nil {
			return
		}
		c.inject(p, p.job.Container, "the image of "+p.name())
		for _, env := range [][]workflow.Pair{file.Env, p.job.Env} {
			c.injectEnvironment(place{path: p.path, file: file, job: p.job}, env, p.name())
		}
		c.inject(place{path: p.path, file: file, job: p.job}, shellDefault(file, p.job), "the shell of "+p.name())
		for n := range p.steps {
			p.n = n
			c.injectStep(p)
			c.flow.inside(p.step().Uses.Value, seen, c.injectStep)
		}
	}
}

func shellDefault(file *workflow.File, job *workflow.Job) workflow.Text {
	return firstOf(job.Defaults.Shell, file.Defaults.Shell)
}

func (c *checker) injectStep(p place) {
	step := p.step()
	c.inject(p, step.Run, "a script of "+p.name())
	c.inject(p, step.Shell, "the shell of "+p.name())
	c.injectEnvironment(p, step.Env, p.name())
	for _, pair := range step.With {
		if isScript(pair.Key) && actionFolder(step.Uses.Value) == "" {
			c.inject(p, pair.Value, "the input "+pair.Key+" of "+p.name())
		}
	}
	if !step.Run.Written() {
		return
	}
	if script := c.flow.script(p); len(script.code) > 0 {
		c.findAt(p.path, step.Run, RuleInjection, "let the script use it as an argument, \"$NAME\", and never as a program", "in %s %s", p.name(), script.code[0])
	}
}

// codeVariable are variables of the environment that programs read as programs, or as the names of some.
var codeVariable = regexp.MustCompile(`^(?i:BASH_ENV|ENV|LD_PRELOAD|LD_LIBRARY_PATH|DYLD_.*|NODE_OPTIONS|PYTHONSTARTUP|PYTHONPATH|PERL5OPT|PERL5LIB|RUBYOPT|RUBYLIB|GIT_SSH|GIT_SSH_COMMAND|GIT_EXTERNAL_DIFF|GIT_CONFIG.*|GIT_PROXY_COMMAND|PROMPT_COMMAND|PATH|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|MAKEFLAGS|PAGER|EDITOR|BROWSER|GOFLAGS|RUSTC_WRAPPER|SHELLOPTS|IFS)$`)

func (c *checker) injectEnvironment(p place, env []workflow.Pair, whose string) {
	for _, pair := range env {
		if codeVariable.MatchString(pair.Key) {
			c.inject(p, pair.Value, "the variable "+pair.Key+" of "+whose)
		}
	}
}

// inject finds the expressions of a text that is a program.
func (c *checker) inject(p place, text workflow.Text, into string) {
	if !text.Written() {
		return
	}
	for _, e := range embeds(text.Value) {
		if c.flow.expression(p, e.source)&pasteable == 0 {
			continue
		}
		what := strings.Join(strings.Fields(e.source), " ")
		if len(what) > 80 {
			what = what[:80] + "..."
		}
		c.findAt(p.path, text, RuleInjection, injectionHint, "%s is pasted into %s: what an outsider wrote becomes a part of the program", what, into)
		return
	}
}
