package workflows

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

//go:embed templates/*.tmpl
var templateFiles embed.FS

var templates = template.Must(template.New("").Delims("<%", "%>").Funcs(template.FuncMap{
	"region":    func(name string) string { return beginMark + name + markNote },
	"endregion": func(name string) string { return endMark + name },
	"uses":      uses,
	"yaml":      yamlText, "list": yamlList, "literal": expressionText, "pattern": branchPattern,
	"shell": shellWords, "words": func(words ...string) []string { return words }, "pathspecs": pathspecs, "wrangler": func() string { return wrangler },
}).ParseFS(templateFiles, "templates/*.tmpl"))

// Render writes the workflow files that a configuration asks for, sorted by path. at is where the
// configuration lies in the repository; the coordinator finds one called landfall.yaml at its top by itself. notes
// say, in a sentence each, which files are left out and why. The error, of kind Invalid
// and reason NO_WORKFLOWS, means that there is nothing to render from.
func Render(config *pipeline.Config, at string) (files []File, notes []string, err error) {
	w := config.Workflows
	if w == nil {
		return nil, nil, fault.New(fault.Invalid, "NO_WORKFLOWS", "landfall.yaml has no workflows section").
			WithHint("add at least `workflows: {coordinator: {module: ..., version: ...}}`; the reference configuration shows all of it")
	}
	r := &rendering{config: config}
	if at != "landfall.yaml" {
		r.at = at
	}
	r.add(inFolder(DeployFile), "deploy.yml.tmpl", nil)
	if len(w.Lint) > 0 {
		r.add(inFolder(LintFile), "lint.yml.tmpl", nil)
	} else {
		notes = append(notes, LintFile+" is not rendered: workflows.lint names no linter")
	}
	if len(w.Test) > 0 {
		r.add(inFolder(TestFile), "test.yml.tmpl", nil)
	} else {
		notes = append(notes, TestFile+" is not rendered: workflows.test names no suite")
	}
	if w.Audit != nil {
		r.add(inFolder(AuditFile), "audit.yml.tmpl", w.Audit)
	} else {
		notes = append(notes, AuditFile+" is not rendered: there is no workflows.audit")
	}
	if w.SecretScan != nil {
		r.add(inFolder(ScanFile), "secret-scan.yml.tmpl", w.SecretScan)
	} else {
		notes = append(notes, ScanFile+" is not rendered: there is no workflows.secret_scan")
	}
	for name, site := range w.Sites {
		r.add(inFolder(site.Workflow), "site.yml.tmpl", namedSite{name, site})
	}
	if len(w.Sites) == 0 {
		notes = append(notes, "no site is rendered: workflows.sites names none")
	}
	if labels := customLabels(w.Runner); len(labels) > 0 {
		r.add(actionlintFile, "actionlint.yaml.tmpl", labels)
	}
	slices.SortFunc(r.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return r.files, notes, r.err
}

type namedSite struct {
	Name string
	pipeline.SiteConfig
}

type rendering struct {
	config *pipeline.Config
	at     string // "" where the coordinator looks by itself
	files  []File
	err    error
}

// page is what a template sees.
type page struct {
	*pipeline.Config
	Path       string // of the file that is rendered
	Part       any    // the part of the configuration that the file is about
	ConfigFile string // to be named to the coordinator; "" when it needs not
}

func (r *rendering) add(file, name string, part any) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, page{r.config, file, part, r.at}); err != nil && r.err == nil {
		r.err = fault.Wrap(err, fault.Internal, "RENDER", "render %s", file)
	}
	r.files = append(r.files, File{Path: file, Content: out.Bytes()})
}

// RunsOn is the value of runs-on: a runner of GitHub's, or the labels of the own one.
func (p page) RunsOn(hosted bool) string {
	if hosted {
		return "ubuntu-latest"
	}
	return yamlList(p.Workflows.Runner)
}

// OrVariable is a configured value, else that of a variable of the repository.
func (page) OrVariable(value, variable string) string {
	if value == "" {
		return "${{ vars." + variable + " }}"
	}
	return yamlText(value)
}

// Flags is the flags' names, sorted: each is an output of detect-changes.
func (p page) Flags() []string { return slices.Sorted(maps.Keys(p.Config.Flags)) }

// gateMargin is what ci-gate may need besides waiting: checkout, installation, last answers.
const gateMargin = 10 * time.Minute

// GateMinutes is ci-gate's timeout-minutes: the gate ends by itself, with a verdict, before.
func (p page) GateMinutes() int {
	return int((p.CI.Timeout + gateMargin + time.Minute - 1) / time.Minute)
}

// HostedCommand is the coordinator's name where a hosted runner has installed it.
func (p page) HostedCommand() string { return programOf(p.Workflows.Coordinator) }

func programOf(co pipeline.CoordinatorConfig) string {
	if co.Module == "" {
		return "landfall-coordinator"
	}
	name := path.Base(co.Module)
	if majorVersion.MatchString(name) {
		name = path.Base(path.Dir(co.Module))
	}
	return name
}

// majorVersion ends the path of a Go module from v2 on, and is not part of a program's name.
var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

type namedLinter struct {
	Name string
	pipeline.LintConfig
}

// Linters is the jobs of lint.yml, by name.
func (p page) Linters() []namedLinter {
	var list []namedLinter
	for _, name := range slices.Sorted(maps.Keys(p.Workflows.Lint)) {
		list = append(list, namedLinter{name, p.Workflows.Lint[name]})
	}
	return list
}

type namedSuite struct {
	Name string
	pipeline.TestConfig
}

// Suites is the jobs of test.yml, by name.
func (p page) Suites() []namedSuite {
	var list []namedSuite
	for _, name := range slices.Sorted(maps.Keys(p.Workflows.Test)) {
		list = append(list, namedSuite{name, p.Workflows.Test[name]})
	}
	return list
}

// LintPaths is what starts lint.yml: all that a linter looks at, and the file itself. What
// a linter's ! patterns take out may be another's, so only the others are here.
func (p page) LintPaths() []string {
	var paths []string
	for _, linter := range p.Linters() {
		paths = append(paths, positive(linter.Paths)...)
	}
	return distinct(append(paths, p.Path))
}

// TestPaths is what starts test.yml: the paths of the suites and of their flags, and the file itself.
func (p page) TestPaths() []string {
	var paths []string
	for _, suite := range p.Suites() {
		paths = append(paths, positive(suite.Paths)...)
		for _, flag := range suite.Flags {
			paths = append(paths, positive(p.Config.Flags[flag].Paths)...)
		}
	}
	return distinct(append(paths, p.Path))
}

// WithSelf adds the file itself to the patterns that start it.
func (p page) WithSelf(patterns []string) []string {
	return distinct(append(slices.Clone(patterns), p.Path))
}

func positive(patterns []string) []string {
	return slices.DeleteFunc(slices.Clone(patterns), func(p string) bool { return strings.HasPrefix(p, "!") })
}

// distinct keeps the first of equal texts, and their order.
func distinct(list []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s string) bool {
		again := seen[s]
		seen[s] = true
		return again
	})
}

// builtInLabels are those that GitHub gives a self-hosted runner by itself; compared
// without case. Source:
// https://docs.github.com/actions/how-tos/manage-runners/self-hosted-runners/apply-labels
var builtInLabels = []string{"self-hosted", "linux", "macos", "windows", "x64", "arm", "arm64"}

// customLabels are those that actionlint must be told.
func customLabels(labels []string) []string {
	return slices.DeleteFunc(slices.Clone(labels), func(l string) bool {
		return slices.Contains(builtInLabels, strings.ToLower(l)) || hostedLabel.MatchString(l)
	})
}

// pathspecs writes patterns as arguments of git ls-files. Only patterns that mean the
// same to git and to GitHub get here; package pipeline refuses others.
func pathspecs(patterns []string) string {
	words := make([]string, len(patterns))
	for i, pattern := range patterns {
		if body, out := strings.CutPrefix(pattern, "!"); out {
			words[i] = ":(exclude,glob)" + body
		} else {
			words[i] = ":(glob)" + pattern
		}
	}
	return shellWords(words)
}

var (
	plainYAML  = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./-]*$`)
	plainShell = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)
	// wordsYAML takes for something else than text; quoting them is enough.
	wordsYAML = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|~|\.(inf|nan)|\.)$`)
)

// yamlText writes a string so that every YAML reader takes it for that string.
func yamlText(s string) string {
	if plainYAML.MatchString(s) && !wordsYAML.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

func yamlList(list []string) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = yamlText(s)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// expressionText writes a string inside ${{ }} or if:.
func expressionText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// branchPattern is the filter pattern that matches one branch only.
func branchPattern(branch string) string {
	return yamlText(regexp.MustCompile(`[*?+!\[\]\\]`).ReplaceAllString(branch, `\$0`))
}

// shellWords writes an argv so that bash reads exactly these words.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if plainShell.MatchString(w) {
			quoted[i] = w
		} else {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func (f File) String() string { return fmt.Sprintf("%s (%d bytes)", f.Path, len(f.Content)) }
