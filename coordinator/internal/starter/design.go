package starter

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"

	"ataraxis.dev/landfall/shared/pipeline"
)

// flagDraft is one flag with the action of the same name, if it has steps.
type flagDraft struct {
	name    string
	paths   []string
	steps   []string // each a YAML flow mapping
	comment string
}

// database is a PostgreSQL service that was recognised.
type database struct{ probe, stack, service, user, name string }

// plan is everything that the file will say.
type plan struct {
	options      Options
	project      string
	stacks       []*stack
	gitSHA       bool // some compose file reads GIT_SHA
	required     []string
	migrateArgs  []string // nil: no script
	databases    []database
	built        []flagDraft // of services that are built
	mounted      []flagDraft // of configuration that is mounted
	composeFlags []flagDraft
	quiet        []flagDraft // without actions
	skip         []string
	notes        []string
}

func design(seen *sight, o Options) *plan {
	p := &plan{options: o}
	p.stacks, p.notes = stacks(seen.compose)
	p.project = plain(o.Project)
	for _, s := range p.stacks {
		for _, f := range s.files {
			p.gitSHA = p.gitSHA || strings.Contains(f.text, "GIT_SHA")
		}
	}
	if len(p.stacks) > 0 && p.stacks[0].files[0].project != "" && !strings.Contains(p.stacks[0].files[0].project, "$") {
		p.project = plain(p.stacks[0].files[0].project)
	}
	p.required = required(seen, o.Branch)
	p.findDatabases()
	if seen.migrate != "" {
		p.migrateArgs = []string{}
		if strings.Contains(seen.migrate, "--mode") {
			p.migrateArgs = []string{"--mode", "deploy"}
		}
	}
	p.composed()
	p.builds(seen)
	p.mounts(seen)
	p.others(seen)
	return p
}

// judges is a workflow file that judges a commit, by its name.
var judges = regexp.MustCompile(`(?i)(^|[._-])(lint|tests?|ci|checks?)([._-]|$)`)

// required lists the workflow files that judge commits and that a push to the branch starts.
func required(seen *sight, branch string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(seen.workflows)) {
		if !judges.MatchString(strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".yml")) {
			continue
		}
		file, err := workflow.Parse(name, seen.workflows[name])
		if err != nil {
			continue // check says what is wrong with it
		}
		push := file.Event("push")
		if push == nil {
			continue
		}
		push.Paths, push.PathsIgnore = workflow.Filter{}, workflow.Filter{}
		if file.StartsOnPush(branch, nil).Outcome == workflow.Starts {
			names = append(names, name)
		}
	}
	return names
}

func (p *plan) findDatabases() {
	for _, s := range p.stacks {
		for _, name := range s.serviceNames() {
			service := s.services[name]
			if !service.postgres() {
				continue
			}
			db := database{stack: s.name, service: name}
			db.probe = free(plain(name), func(n string) bool {
				return n == "containers" || slices.ContainsFunc(p.databases, func(d database) bool { return d.probe == n })
			})
			if user := service.environment["POSTGRES_USER"]; user != "" && !strings.Contains(user, "$") {
				db.user = user
			}
			if base := service.environment["POSTGRES_DB"]; base != "" && !strings.Contains(base, "$") {
				db.name = base
			}
			p.databases = append(p.databases, db)
		}
	}
}

// flagName is a name that no flag has yet; hint sets it apart when it is taken.
func (p *plan) flagName(name, hint string) string {
	name = strings.ReplaceAll(plain(name), "-", "_")
	taken := func(n string) bool {
		return pipeline.ReservedFlag(n) || slices.ContainsFunc(p.flags(), func(f flagDraft) bool { return f.name == n })
	}
	if taken(name) {
		name += "_" + hint
	}
	return free(name, taken)
}

func (p *plan) flags() []flagDraft {
	return slices.Concat(p.built, p.mounted, p.composeFlags, p.quiet)
}

func (p *plan) composed() {
	for _, s := range p.stacks {
		name := "compose"
		if len(p.stacks) > 1 {
			name = s.name + "_compose"
		}
		f := flagDraft{name: p.flagName(name, "files"), steps: []string{fmt.Sprintf("up: {stack: %s}", s.name)}}
		for _, file := range s.files {
			f.paths = append(f.paths, literal(file.path))
		}
		p.composeFlags = append(p.composeFlags, f)
	}
}

// builds makes a flag of every build context of a stack, with the services built from it.
func (p *plan) builds(seen *sight) {
	for _, s := range p.stacks {
		byContext := map[string][]string{}
		var contexts []string
		for _, name := range s.serviceNames() {
			service := s.services[name]
			if !service.built {
				continue
			}
			context, ok := inTree(s.files[0].dir(), service.context)
			if service.context == "" {
				p.notes = append(p.notes, fmt.Sprintf("service %s has no flag: it is built from no folder", name))
				continue
			}
			if !ok || !seen.folders[context] {
				p.notes = append(p.notes, fmt.Sprintf("service %s has no flag: its build context %q is no folder of this repository", name, service.context))
				continue
			}
			if byContext[context] == nil {
				contexts = append(contexts, context)
			}
			byContext[context] = append(byContext[context], name)
		}
		for _, context := range contexts {
			services := byContext[context]
			f := flagDraft{name: p.flagName(services[0], s.name), paths: []string{literal(context) + "/**"}}
			if context == "." {
				f.paths = []string{"**", "!docs/**", "!**/*.md", "!.github/**"}
				f.comment = "built from the repository's root: nearly every change is one of it"
			}
			target := fmt.Sprintf("{stack: %s, services: %s}", s.name, flow(services))
			f.steps = []string{"build: " + target, "up: " + target}
			p.built = append(p.built, f)
		}
	}
}

// mounts makes a flag of every tracked folder or file that is mounted into containers.
// Compose does not see that its content changed, so the containers are recreated.
func (p *plan) mounts(seen *sight) {
	type user struct{ stack, service string }
	users := map[string][]user{}
	for _, s := range p.stacks {
		for _, name := range s.serviceNames() {
			for _, source := range s.services[name].mounts {
				mount, ok := inTree(s.files[0].dir(), source)
				switch {
				case !ok || mount == "." || !seen.folders[mount] && !seen.files[mount]:
				case p.inContext(mount):
				case slices.Contains(users[mount], user{s.name, name}):
				default:
					users[mount] = append(users[mount], user{s.name, name})
				}
			}
		}
	}
	for _, mount := range slices.Sorted(maps.Keys(users)) {
		f := flagDraft{name: p.flagName(strings.TrimSuffix(path.Base(mount), path.Ext(mount)), "config"), paths: []string{literal(mount)}}
		if seen.folders[mount] {
			f.paths[0] += "/**"
		}
		byStack := map[string][]string{}
		for _, u := range users[mount] {
			byStack[u.stack] = append(byStack[u.stack], u.service)
		}
		for _, s := range slices.Sorted(maps.Keys(byStack)) {
			f.steps = append(f.steps, fmt.Sprintf("recreate: {stack: %s, services: %s, no_deps: true}", s, flow(byStack[s])))
		}
		p.mounted = append(p.mounted, f)
	}
}

// inContext reports whether a path lies in a folder that a flag of a build claims.
func (p *plan) inContext(name string) bool {
	return slices.ContainsFunc(p.built, func(f flagDraft) bool {
		folder, ok := strings.CutSuffix(f.paths[0], "/**")
		return ok && (literal(name) == folder || strings.HasPrefix(literal(name), folder+"/"))
	})
}

// others makes the flags without actions, and what does not deploy at all.
func (p *plan) others(seen *sight) {
	add := func(name string, paths ...string) {
		p.quiet = append(p.quiet, flagDraft{name: p.flagName(name, "files"), paths: paths})
	}
	if p.migrateArgs != nil {
		var folders []string
		for file := range seen.files {
			if path.Ext(file) == ".sql" && path.Base(path.Dir(file)) == "migrations" {
				folders = append(folders, literal(path.Dir(file))+"/**")
			}
		}
		slices.Sort(folders)
		if folders = slices.Compact(folders); len(folders) > 0 {
			add("migrations", folders...)
		}
	}
	add("docs", "docs/**", "**/*.md")
	for _, folder := range []string{"tests", "test", "scripts", "systemd"} {
		if seen.folders[folder] {
			add(folder, folder+"/**")
		}
	}
	add("landfall", FileName)
	p.skip = append(p.skip, ".github/**") // also where the workflow files are rendered later
	for _, file := range []string{"Makefile", ".gitignore", ".editorconfig"} {
		if seen.files[file] {
			p.skip = append(p.skip, file)
		}
	}
}

// inTree is a path of a compose file as one of the repository; false when it leads out of
// it, is another repository or is not known before Compose fills it in.
func inTree(dir, name string) (string, bool) {
	if name == "" || strings.Contains(name, "$") || strings.Contains(name, "://") || strings.HasPrefix(name, "/") ||
		strings.HasPrefix(name, "~") || strings.HasPrefix(name, "git@") {
		return "", false
	}
	joined := path.Join(dir, name)
	return joined, joined != ".." && !strings.HasPrefix(joined, "../")
}

var patternCharacters = regexp.MustCompile(`[*?+!\[\]\\]`)

// literal writes a path as a pattern that matches only it.
func literal(name string) string { return patternCharacters.ReplaceAllString(name, `\$0`) }
