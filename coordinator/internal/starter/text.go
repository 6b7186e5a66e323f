package starter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// text writes landfall.yaml.
func (p *plan) text() []byte {
	w := &writer{}
	w.line("# How this repository is deployed, begun by `landfall-coordinator init` from the compose files that it found.")
	w.line("# `landfall-coordinator check` explains every mistake with line and column; the order of keys changes nothing.")
	for _, note := range p.notes {
		w.comment("", "Seen: "+note+".")
	}
	w.line("")
	w.line("version: 1            # of this file's format")
	w.line("project: %s", scalar(p.project))
	w.line("branch: %s", scalar(p.options.Branch))
	p.writeStacks(w)
	p.writeCI(w)
	p.writeMigrate(w)
	p.writeFlags(w)
	p.writeActions(w)
	p.writeVerify(w)
	p.writeNotify(w)
	p.writeWorkflows(w)
	return []byte(w.String())
}

type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// comment writes text in lines of at most 110 characters.
func (w *writer) comment(indent, text string) {
	line := indent + "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 110 && line != indent+"#" {
			w.line("%s", line)
			line = indent + "#"
		}
		line += " " + word
	}
	w.line("%s", line)
}

func (p *plan) writeStacks(w *writer) {
	w.line("")
	w.comment("", "One compose project each; later files override earlier ones. What is left out is Compose's own default, so that "+
		"containers which run already are adopted.")
	w.line("stacks:")
	for _, s := range p.stacks {
		files := make([]string, len(s.files))
		for i, f := range s.files {
			files[i] = f.path
		}
		w.line("  %s: {files: %s}", s.name, flow(files))
	}
	if p.gitSHA {
		w.line("")
		w.comment("", "Given to every compose command and script; a compose file here reads it.")
		w.line("environment: {GIT_SHA: \"${target_sha}\"}")
	}
}

func (p *plan) writeCI(w *writer) {
	w.line("")
	if len(p.required) == 0 {
		w.comment("", "What must be green for a commit before it is deployed. No workflow file was found that judges pushes, so "+
			"nothing is waited for; name them here once there are some: required: [lint.yml, test.yml].")
		w.line("ci: {required: []}")
		return
	}
	w.comment("", "What must be green for a commit before it is deployed. A workflow that its path filters did not start counts as passed.")
	w.line("ci: {required: %s}", flow(p.required))
}

func (p *plan) writeMigrate(w *writer) {
	if p.migrateArgs == nil {
		return
	}
	w.line("")
	w.comment("", "Always run, after every build and before any container is changed; it must be safe to repeat.")
	w.line("migrate:")
	w.line("  script: scripts/migrate.sh")
	if len(p.migrateArgs) > 0 {
		w.line("  args: %s", flow(p.migrateArgs))
	}
	if len(p.databases) > 0 {
		db := p.databases[0]
		w.line("  needs: {stack: %s, services: %s, probe: %s}   # started when missing, never recreated", db.stack, flow([]string{db.service}), db.probe)
	}
}

func (p *plan) writeFlags(w *writer) {
	w.line("")
	w.comment("", "A flag is set when a changed path matches. Patterns are those of GitHub's path filters; the last one that matches a "+
		"path decides, ! takes out. A path that no flag claims still deploys, with a warning.")
	w.line("flags:")
	for _, part := range []struct {
		comment string
		flags   []flagDraft
	}{
		{"built from this repository", p.built},
		{"mounted into containers", p.mounted},
		{"the compose files themselves", p.composeFlags},
		{"known, so that nobody is warned; nothing is restarted for them", p.quiet},
	} {
		if len(part.flags) > 0 {
			w.comment("  ", part.comment)
		}
		for _, f := range part.flags {
			if f.comment != "" {
				w.comment("  ", f.comment)
			}
			actions := ""
			if len(f.steps) > 0 {
				actions = fmt.Sprintf(", actions: [%s]", f.name)
			}
			w.line("  %s: {paths: %s%s}", f.name, flow(f.paths), actions)
		}
	}
	if len(p.skip) > 0 {
		w.line("")
		w.comment("", "A push with nothing but these does not deploy at all.")
		w.line("skip: %s", flow(p.skip))
	}
}

func (p *plan) writeActions(w *writer) {
	w.line("")
	w.comment("", "Typed steps, run in order. Actions on different stacks run side by side, those on one stack one after another.")
	if len(p.mounted) > 0 {
		w.comment("", "Compose does not see that the content of a mounted file changed, hence recreate; restart is enough for a service "+
			"that reads its configuration when it starts, and exec can validate it before.")
	}
	w.line("actions:")
	for _, f := range p.flags() {
		if len(f.steps) == 0 {
			continue
		}
		w.line("  %s:", f.name)
		for _, step := range f.steps {
			w.line("    - %s", step)
		}
	}
}

func (p *plan) writeVerify(w *writer) {
	w.line("")
	w.comment("", "How the result is judged: all probes side by side, again and again until the deadline (2m), then everything must stay "+
		"good for the soak (10s). A failure rolls back. http and tcp probes of what only you know belong here as well: "+
		"web: {http: {url: \"http://127.0.0.1:8080/healthz\"}}")
	w.line("verify:")
	w.line("  probes:")
	w.line("    containers: {containers: {}}   # every service of every stack up, healthy, not restarting")
	for _, db := range p.databases {
		more := ""
		if db.user != "" {
			more += ", user: " + scalar(db.user)
		}
		if db.name != "" {
			more += ", database: " + scalar(db.name)
		}
		w.line("    %s: {postgres: {stack: %s, service: %s%s}}   # pg_isready inside the container", db.probe, db.stack, scalar(db.service), more)
	}
}

func (p *plan) writeNotify(w *writer) {
	var full, quiet []string
	for _, f := range p.flags() {
		switch {
		case f.name == "migrations" || slices.ContainsFunc(p.composeFlags, func(c flagDraft) bool { return c.name == f.name }):
			full = append(full, f.name)
		case f.name == "docs" || f.name == "tests" || f.name == "test":
			quiet = append(quiet, f.name)
		}
	}
	w.line("")
	w.comment("", "Green deployments: told in full when one of the first is set, not at all when only the others are. Failures are always told.")
	w.line("notify:")
	w.line("  full_when: %s", flow(full))
	w.line("  suppress_when_only: %s", flow(quiet))
}

func (p *plan) writeWorkflows(w *writer) {
	const what = "What `landfall-coordinator workflows render` must know to write deploy.yml, and lint.yml, test.yml, audit.yml, " +
		"secret-scan.yml and sites once they have parts of their own here. Address and identity come from the repository's variables " +
		"LANDFALL_AGENT and LANDFALL_IDENTITY unless agent: and identity: are given."
	w.line("")
	w.comment("", what)
	prefix := ""
	version := p.options.Version
	if version == "" || p.options.Module == "" {
		prefix, version = "# ", "v1.2.3"
	}
	module := p.options.Module
	if module == "" {
		module = "ataraxis.dev/landfall/coordinator/cmd/landfall-coordinator"
	}
	w.line("%sworkflows:", prefix)
	w.line("%s  runner: [self-hosted]", prefix)
	w.line("%s  coordinator: {module: %s, version: %s}", prefix, scalar(module), scalar(version))
}

var (
	plainScalar = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./-]*$`)
	notText     = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|\.|\.inf|\.nan)$`)
)

// scalar writes a string so that YAML takes it for that string.
func scalar(s string) string {
	if plainScalar.MatchString(s) && !notText.MatchString(s) || strings.HasPrefix(s, "--") && plainScalar.MatchString(s[2:]) {
		return s
	}
	return fmt.Sprintf("%q", s)
}

// flow writes a list on one line.
func flow(list []string) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = scalar(s)
	}
	return "[" + strings.Join(words, ", ") + "]"
}
