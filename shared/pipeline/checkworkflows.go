package pipeline

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	// jobPattern is a name that is also an identifier of GitHub's: of jobs and outputs. Source:
	// https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_id
	jobPattern         = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	labelPattern       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	commandPattern     = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./-]*$`)
	modulePattern      = regexp.MustCompile(`^[a-z0-9.-]+\.[a-z]+(/[A-Za-z0-9._~-]+)+$`)
	versionPattern     = regexp.MustCompile(`^(v[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*|[0-9a-f]{12,40})$`)
	sha256Pattern      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	environmentPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]*$`)
	pagesPattern       = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	cronField          = regexp.MustCompile(`^(\*|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/[0-9]+)?(,(\*|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/[0-9]+)?)*$`)
)

// fixedWorkflows are the files that are rendered under these names.
var fixedWorkflows = []string{"deploy.yml", "lint.yml", "test.yml", "audit.yml", "secret-scan.yml"}

func (c *checker) workflows() {
	w := c.config.Workflows
	if w == nil {
		return
	}
	p := at("workflows")
	if c.doc.Has(p.in("runner")...) && len(w.Runner) == 0 {
		c.fail(p.in("runner"), "", "name the labels of the runner, self-hosted first")
	}
	for i, label := range w.Runner {
		c.match(p.in("runner", index(i)), labelPattern, label, "a runner's label")
	}
	if c.doc.Has(p.in("agent")...) {
		c.agentAddress(p.in("agent"), w.Agent)
		c.plain(p.in("agent"), w.Agent)
	}
	if c.doc.Has(p.in("identity")...) {
		c.plain(p.in("identity"), w.Identity)
		if !strings.HasPrefix(w.Identity, "/") {
			c.fail(p.in("identity"), "", "%q is not an absolute path: jobs start in a folder of their own", w.Identity)
		}
	}
	if c.doc.Has(p.in("environment")...) {
		c.match(p.in("environment"), environmentPattern, w.Environment, "an environment's name")
	}
	c.coordinator(p.in("coordinator"), &w.Coordinator)
	c.lint(p.in("lint"), w.Lint)
	c.test(p.in("test"), w.Test)
	c.audit(p.in("audit"), w.Audit)
	if w.SecretScan != nil {
		c.cron(p.in("secret_scan", "cron"), w.SecretScan.Cron)
		if c.doc.Has(p.in("secret_scan", "command")...) {
			c.command(p.in("secret_scan", "command"), w.SecretScan.Command)
		}
	}
	c.sites(p.in("sites"), w.Sites)
}

func (c *checker) match(p place, pattern *regexp.Regexp, text, what string) {
	if !pattern.MatchString(text) {
		c.fail(p, "", "%q is not %s", text, what)
	}
}

// plain refuses what would act inside a workflow file: expressions and line ends.
func (c *checker) plain(p place, text string) {
	switch {
	case strings.Contains(text, "${{"):
		c.fail(p, "", "%q has an expression: write the value, or read an environment variable in a script", text)
	case text == "" || strings.ContainsFunc(text, control):
		c.fail(p, "", "%q is empty or has control characters", text)
	}
}

func (c *checker) coordinator(p place, co *CoordinatorConfig) {
	if c.doc.Has(p.in("command")...) {
		c.match(p.in("command"), commandPattern, co.Command, "the name or path of a program")
	}
	byURL, byModule := co.URL != "" || co.SHA256 != "", co.Module != "" || co.Version != ""
	switch {
	case byURL == byModule:
		c.fail(p, "", "say where a hosted runner gets the coordinator: either url with sha256, or module with version")
	case byURL:
		if u, err := url.Parse(co.URL); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !loopback(u) {
			c.fail(p.in("url"), "", "%q is not an https URL", co.URL)
		} else {
			c.plain(p.in("url"), co.URL)
		}
		c.match(p.in("sha256"), sha256Pattern, co.SHA256, "a SHA-256: want 64 hexadecimal digits")
	default:
		c.match(p.in("module"), modulePattern, co.Module, "the path of a Go package")
		c.match(p.in("version"), versionPattern, co.Version, "a version that always means the same: want one like v1.2.3")
	}
}

func loopback(u *url.URL) bool {
	return u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname())
}

// jobs checks names that become jobs of a workflow file.
func (c *checker) jobs(p place, names []string) {
	for _, name := range names {
		if !jobPattern.MatchString(name) {
			c.failKey(p.in(name), "%q is not a valid job name: use lower-case letters, digits, - and _, with a letter first", name)
		}
	}
}

func (c *checker) command(p place, command []string) {
	if len(command) == 0 {
		c.fail(p, "", "the command is empty")
	}
	for i, argument := range command {
		if i > 0 && argument == "" {
			continue
		}
		c.plain(p.in(index(i)), argument)
	}
}

func (c *checker) commands(p place, commands [][]string) {
	if len(commands) == 0 {
		c.fail(p, "", "at least one command is needed")
	}
	for i, command := range commands {
		c.command(p.in(index(i)), command)
	}
}

func (c *checker) lint(p place, linters map[string]LintConfig) {
	c.jobs(p, sortedKeys(linters))
	for name, linter := range linters {
		c.trackedFiles(p.in(name, "paths"), linter.Paths)
		c.command(p.in(name, "command"), linter.Command)
	}
}

// trackedFiles checks patterns that must mean the same to GitHub and to git ls-files.
func (c *checker) trackedFiles(p place, patterns []string) {
	if len(patterns) == 0 {
		c.fail(p, "", "at least one path pattern is needed")
	}
	before := len(c.problems)
	c.patterns(p, patterns)
	if len(c.problems) > before {
		return
	}
	negative := false
	for i, text := range patterns {
		body, takesOut := strings.CutPrefix(text, "!")
		switch {
		case strings.ContainsAny(body, `?+[]\`):
			c.fail(p.in(index(i)), "", "path pattern %q: only * and ** mean the same to GitHub and to git", text)
		case slices.ContainsFunc(strings.Split(body, "/"), func(s string) bool { return strings.Contains(s, "**") && s != "**" }):
			c.fail(p.in(index(i)), "", "path pattern %q: ** must stand alone between slashes, as in **/*.sh", text)
		case negative && !takesOut:
			c.fail(p.in(index(i)), "", "path pattern %q: patterns with ! stand last", text)
		}
		c.plain(p.in(index(i)), text)
		negative = negative || takesOut
	}
}

func (c *checker) test(p place, suites map[string]TestConfig) {
	c.jobs(p, sortedKeys(suites))
	for name, suite := range suites {
		p := p.in(name)
		if len(suite.Paths)+len(suite.Flags) == 0 {
			c.fail(p, "", "neither paths nor flags say what starts it")
		}
		c.filter(p.in("paths"), suite.Paths)
		c.referAll(p.in("flags"), "flag", suite.Flags, c.flagNames)
		c.folders(p.in("folders"), suite.Folders)
		c.commands(p.in("commands"), suite.Commands)
	}
}

// filter checks patterns that go into a workflow file's paths.
func (c *checker) filter(p place, patterns []string) {
	c.patterns(p, patterns)
	for i, text := range patterns {
		c.plain(p.in(index(i)), text)
	}
}

func (c *checker) folders(p place, folders []string) {
	c.paths(p, folders)
	for i, folder := range folders {
		c.plain(p.in(index(i)), folder)
	}
}

func (c *checker) audit(p place, audit *AuditConfig) {
	if audit == nil {
		return
	}
	c.cron(p.in("cron"), audit.Cron)
	c.filter(p.in("paths"), audit.Paths)
	c.commands(p.in("commands"), audit.Commands)
	if c.doc.Has(p.in("report")...) {
		c.path(p.in("report"), audit.Report)
		c.plain(p.in("report"), audit.Report)
	}
}

// cron checks the form of a schedule; what was left out gets its default.
func (c *checker) cron(p place, schedule string) {
	if !c.doc.Has(p...) {
		return
	}
	fields := strings.Fields(schedule)
	if len(fields) != 5 || slices.ContainsFunc(fields, func(f string) bool { return !cronField.MatchString(f) }) {
		c.fail(p, "", "%q is not a schedule: want minute, hour, day, month and weekday in UTC, as in \"0 9 * * 0\"", schedule)
	}
}

func (c *checker) sites(p place, sites map[string]SiteConfig) {
	names := sortedKeys(sites)
	c.keys(p, "site", names)
	files := slices.Clone(fixedWorkflows)
	for _, name := range names {
		p, site := p.in(name), sites[name]
		if !workflowPattern.MatchString(site.Workflow) {
			c.fail(p.in("workflow"), "", "%q is not a workflow file name: want one like deploy-site.yml, without a folder", site.Workflow)
		}
		if slices.Contains(files, site.Workflow) {
			c.fail(p.in("workflow"), "", "the file %s is another workflow's already", site.Workflow)
		}
		files = append(files, site.Workflow)
		if len(site.Paths) == 0 {
			c.fail(p.in("paths"), "", "at least one path pattern is needed")
		}
		c.filter(p.in("paths"), site.Paths)
		if c.doc.Has(p.in("in")...) {
			c.path(p.in("in"), site.In)
			c.plain(p.in("in"), site.In)
		}
		for i, command := range site.Build {
			c.command(p.in("build", index(i)), command)
		}
		c.path(p.in("folder"), site.Folder)
		c.plain(p.in("folder"), site.Folder)
		c.match(p.in("project"), pagesPattern, site.Project, "the name of a Cloudflare Pages project")
	}
}
