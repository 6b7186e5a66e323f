package pipeline

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	namePattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	workflowPattern = regexp.MustCompile(`^[A-Za-z0-9._-]+\.ya?ml$`)
	// Compose's own rules: https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json
	profilePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	servicePattern = regexp.MustCompile(`^[a-zA-Z0-9._][a-zA-Z0-9._-]*$`)
	servicesGlob   = regexp.MustCompile(`^[a-zA-Z0-9._*][a-zA-Z0-9._*-]*$`)
)

// reservedFlags are names that outputs of the coordinator's commands carry already: `run` has them all in one job.
var reservedFlags = []string{
	"any_deploy", "base_sha", "head_sha", "files_changed", "insertions", "deletions", "commits", "unclaimed", "unclaimed_count", "everything_reason",
	"verdict", "reason", "sha", "operation", "state", "pre_deploy_sha", "superseded", "superseded_by", "notification", "message_id",
	"summary", "any_deploy_reason",
}

// ReservedFlag reports whether a flag cannot have a name because an output has it.
func ReservedFlag(name string) bool { return slices.Contains(reservedFlags, name) }

func index(i int) string { return strconv.Itoa(i) }

// all runs every check; the order does not matter, problems are sorted by position.
func (c *checker) all() {
	c.name(at("project"), "project", c.config.Project)
	c.branch()
	c.stacks()
	c.environment(at("environment"), c.config.Environment)
	c.ci()
	c.patterns(at("prepare", "reset"), c.config.Prepare.Reset)
	c.migrate()
	c.flags()
	c.patterns(at("skip"), c.config.Skip)
	c.actions()
	c.verify()
	c.referAll(at("rollback", "probes"), "probe", c.config.Rollback.Probes, c.probeNames)
	c.gitops()
	c.referAll(at("notify", "full_when"), "flag", c.config.Notify.FullWhen, c.flagNames)
	c.referAll(at("notify", "suppress_when_only"), "flag", c.config.Notify.SuppressWhenOnly, c.flagNames)
	c.workflows()
}

const nameRule = "use lower-case letters, digits, - and _, with a letter or digit first"

func (c *checker) name(p place, what, name string) {
	if !namePattern.MatchString(name) {
		c.fail(p, "", "%q is not a valid %s name: %s", name, what, nameRule)
	}
}

// keys checks the names that are keys of the mapping at p.
func (c *checker) keys(p place, what string, names []string) {
	for _, name := range names {
		if !namePattern.MatchString(name) {
			c.failKey(p.in(name), "%q is not a valid %s name: %s", name, what, nameRule)
		}
	}
}

// branch refuses what git refuses (git check-ref-format) and what could be read as an option.
func (c *checker) branch() {
	branch := c.config.Branch
	if branch == "" && !c.doc.Has("branch") {
		return
	}
	bad := branch == "" || strings.ContainsAny(branch, " ~^:?*[\\\x7f") || strings.Contains(branch, "..") ||
		strings.Contains(branch, "@{") || strings.Contains(branch, "//") || strings.HasPrefix(branch, "-") ||
		strings.HasPrefix(branch, "/") || strings.HasSuffix(branch, "/") || strings.HasSuffix(branch, ".lock") ||
		strings.ContainsFunc(branch, control)
	if bad {
		c.fail(at("branch"), "", "%q is not a valid branch name", branch)
	}
}

func control(r rune) bool { return r < 0x20 || r == 0x7f }

func (c *checker) stacks() {
	if len(c.config.Stacks) == 0 {
		c.fail(at("stacks"), "", "at least one stack is needed")
	}
	c.keys(at("stacks"), "stack", c.stackNames)
	for name, stack := range c.config.Stacks {
		p := at("stacks", name)
		c.paths(p.in("files"), stack.Files)
		c.paths(p.in("env_files"), stack.EnvFiles)
		if stack.Project != "" || c.doc.Has(p.in("project")...) {
			c.name(p.in("project"), "compose project", stack.Project)
		}
		for i, profile := range stack.Profiles {
			if !profilePattern.MatchString(profile) {
				c.fail(p.in("profiles", index(i)), "", "%q is not a valid compose profile", profile)
			}
		}
	}
}

// paths checks a list of files inside the repository.
func (c *checker) paths(p place, paths []string) {
	for i, file := range paths {
		c.path(p.in(index(i)), file)
		if slices.Contains(paths[:i], file) {
			c.fail(p.in(index(i)), "", "%q is listed twice", file)
		}
	}
}

func (c *checker) path(p place, file string) {
	switch {
	case file == "":
		c.fail(p, "", "the path is empty")
	case strings.HasPrefix(file, "/"):
		c.fail(p, "", "%q must be relative to the repository, not absolute", file)
	case slices.Contains(strings.Split(file, "/"), ".."):
		c.fail(p, "", "%q leaves the repository: \"..\" is not allowed", file)
	case strings.HasPrefix(file, "-"):
		c.fail(p, "", "%q would be read as an option: write ./%s", file, file)
	case strings.ContainsFunc(file, control) || strings.HasSuffix(file, "/") || file == ".":
		c.fail(p, "", "%q is not the path of a file", file)
	}
}

// environment checks names and variables of a mapping that becomes a child's environment.
func (c *checker) environment(p place, values map[string]string) {
	for name, value := range values {
		if !variablePattern.MatchString(name) {
			c.failKey(p.in(name), "%q is not a valid environment variable name", name)
		} else if why := steers(name); why != "" {
			c.failKey(p.in(name), "%s %s: it is the host's to set, not the repository's", name, why)
		}
		c.variables(p.in(name), value)
	}
}

func (c *checker) ci() {
	for i, file := range c.config.CI.Required {
		if !workflowPattern.MatchString(file) {
			c.fail(at("ci", "required", index(i)), "", "%q is not a workflow file name: want one like lint.yml, without a folder", file)
		}
	}
	c.positive(at("ci", "poll"), int64(c.config.CI.Poll))
	c.positive(at("ci", "timeout"), int64(c.config.CI.Timeout))
}

// positive refuses a zero that was written; what was left out gets its default.
func (c *checker) positive(p place, number int64) {
	if number <= 0 && c.doc.Has(p...) {
		c.fail(p, "", "must be more than zero")
	}
}

// patterns checks path patterns, also for those that could never match.
func (c *checker) patterns(p place, patterns []string) {
	positive := false
	for i, text := range patterns {
		body, negative := strings.CutPrefix(text, "!")
		positive = positive || !negative
		_, err := compilePattern(text)
		switch {
		case err != nil:
			c.fail(p.in(index(i)), "", "path pattern %q: %s", text, err)
		case strings.HasPrefix(body, "/") || strings.HasPrefix(body, "./"):
			c.fail(p.in(index(i)), "", "path pattern %q never matches: paths begin at the repository root without %q", text, body[:strings.Index(body, "/")+1])
		case strings.HasSuffix(body, "/"):
			c.fail(p.in(index(i)), "", "path pattern %q never matches: write %q for everything below the folder", text, text+"**")
		}
	}
	if len(patterns) > 0 && !positive {
		c.fail(p, "", "nothing but ! patterns never matches: put a pattern without ! first")
	}
}

func (c *checker) migrate() {
	m := c.config.Migrate
	if m == nil {
		return
	}
	p := at("migrate")
	c.path(p.in("script"), m.Script)
	c.variableList(p.in("args"), m.Args)
	if m.Needs == nil {
		return
	}
	p = p.in("needs")
	c.stack(p, m.Needs.Stack)
	c.services(p, m.Needs.Services)
	if len(m.Needs.Services) == 0 {
		c.fail(p.in("services"), "", "name the services that must be up before migrating")
	}
	if c.doc.Has(p.in("probe")...) {
		c.waitable(p.in("probe"), m.Needs.Probe)
	}
}

func (c *checker) flags() {
	c.keys(at("flags"), "flag", c.flagNames)
	for name, flag := range c.config.Flags {
		p := at("flags", name)
		if ReservedFlag(name) {
			c.failKey(p, "the name is taken by an output of detect-changes: choose another")
		}
		if namePattern.MatchString(name) && !jobPattern.MatchString(name) {
			c.failKey(p, "%q begins with a digit, which the name of a workflow's output must not", name)
		}
		if len(flag.Paths) == 0 {
			c.fail(p.in("paths"), "", "a flag without paths is never set")
		}
		c.patterns(p.in("paths"), flag.Paths)
		c.referAll(p.in("actions"), "action", flag.Actions, c.actionNames)
	}
}
