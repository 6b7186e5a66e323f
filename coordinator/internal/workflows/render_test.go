package workflows

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/pipeline/reference"
	"ataraxis.dev/landfall/shared/workflow"
)

var update = flag.Bool("update", false, "write golden files anew")

func config(t *testing.T, name string) *pipeline.Config {
	t.Helper()
	raw := reference.Config()
	if name != "reference" {
		var err error
		if raw, err = os.ReadFile("testdata/" + name + ".yaml"); err != nil {
			t.Fatal(err)
		}
	}
	c, err := pipeline.Parse(name, raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func render(t *testing.T, name string) []File {
	t.Helper()
	files, _, err := Render(config(t, name), "landfall.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRender(t *testing.T) {
	for _, c := range []struct {
		name  string
		paths []string
		notes []string
	}{
		{"reference", []string{
			".github/actionlint.yaml", ".github/workflows/audit.yml", ".github/workflows/deploy-ataraxis-software.yml",
			".github/workflows/deploy-site.yml", ".github/workflows/deploy.yml", ".github/workflows/lint.yml",
			".github/workflows/secret-scan.yml", ".github/workflows/test.yml",
		}, nil},
		{"small", []string{".github/workflows/deploy.yml", ".github/workflows/test.yml"}, []string{
			"lint.yml is not rendered: workflows.lint names no linter",
			"audit.yml is not rendered: there is no workflows.audit",
			"secret-scan.yml is not rendered: there is no workflows.secret_scan",
			"no site is rendered: workflows.sites names none",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files, notes, err := Render(config(t, c.name), "landfall.yaml")
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, file := range files {
				paths = append(paths, file.Path)
				golden := filepath.Join("testdata", c.name, filepath.Base(file.Path))
				if *update {
					if err := os.WriteFile(golden, file.Content, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(file.Content)); diff != "" {
					t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", file.Path, diff)
				}
			}
			if diff := cmp.Diff(c.paths, paths); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.notes, notes); diff != "" {
				t.Error(diff)
			}
			again := render(t, c.name)
			if diff := cmp.Diff(files, again); diff != "" {
				t.Errorf("a second rendering differs: %s", diff)
			}
		})
	}
}

func TestRenderWithoutSection(t *testing.T) {
	c := config(t, "small")
	c.Workflows = nil
	if _, _, err := Render(c, "landfall.yaml"); fault.ReasonOf(err) != "NO_WORKFLOWS" || fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
}

// parsed is the rendered workflow files.
func parsed(t *testing.T, name string) []*workflow.File {
	t.Helper()
	var list []*workflow.File
	for _, file := range render(t, name) {
		if !strings.HasPrefix(file.Path, Folder) {
			continue
		}
		f, err := workflow.Parse(file.Path, file.Content)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

// TestRules holds what every rendered file promises.
func TestRules(t *testing.T) {
	for _, name := range []string{"reference", "small"} {
		for _, f := range parsed(t, name) {
			if f.Permissions == nil || f.Permissions.All != "" || len(f.Permissions.Scopes) != 0 {
				t.Errorf("%s: permissions are not {}", f.Path)
			}
			if f.Concurrency == nil || !f.Concurrency.Cancel.Written() {
				t.Errorf("%s: no concurrency", f.Path)
			}
			push, pull := f.Event("push"), f.Event("pull_request")
			if push != nil && pull != nil && !alike(push.Paths, pull.Paths) {
				t.Errorf("%s: push and pull_request have other paths", f.Path)
			}
			for _, filtered := range []*workflow.Event{push, pull} {
				if filtered != nil && filtered.Paths.Written && !slices.ContainsFunc(filtered.Paths.Patterns, func(p workflow.Text) bool { return p.Value == f.Path }) {
					t.Errorf("%s: a change of the file itself does not start it", f.Path)
				}
			}
			for _, job := range f.Jobs {
				if !job.Timeout.Written() || job.Permissions == nil {
					t.Errorf("%s: job %s has no timeout or no permissions", f.Path, job.Key.Value)
				}
				for _, step := range job.Steps {
					if strings.Contains(step.Run.Value, "${{") {
						t.Errorf("%s:%d: an expression inside run", f.Path, step.Run.Line)
					}
					if strings.HasPrefix(step.Uses.Value, "actions/checkout@") && step.Input("persist-credentials").Value != "false" {
						t.Errorf("%s:%d: credentials persist", f.Path, step.Line)
					}
				}
			}
		}
	}
}

// TestHostedExactlyWhereSaid holds where the reference's jobs run.
func TestHostedExactlyWhereSaid(t *testing.T) {
	var hosted []string
	for _, f := range parsed(t, "reference") {
		for _, job := range f.Jobs {
			switch labels := values(job.RunsOn.Labels); {
			case slices.Equal(labels, []string{"ubuntu-latest"}):
				hosted = append(hosted, job.Key.Value)
			case !slices.Equal(labels, []string{"self-hosted", "macOS", "ARM64", "atlas"}):
				t.Errorf("%s: %s runs on %q", f.Path, job.Key.Value, labels)
			}
		}
	}
	if diff := cmp.Diff([]string{"ci-gate", "systemd-validate"}, hosted); diff != "" {
		t.Error(diff)
	}
}

func TestEveryFlagIsAnOutput(t *testing.T) {
	for _, f := range parsed(t, "reference") {
		if f.Base() != DeployFile {
			continue
		}
		job := f.Job("detect-changes")
		for flag := range config(t, "reference").Flags {
			want := "${{ steps.changes.outputs." + flag + " }}"
			if !slices.ContainsFunc(job.Scalars, func(s workflow.Text) bool { return s.Value == want }) {
				t.Errorf("flag %s is no output", flag)
			}
		}
	}
}

func TestQuoting(t *testing.T) {
	for text, want := range map[string]string{
		"main": "main", "a/b.c-d": "a/b.c-d", "": "''", "true": "'true'", "on": "'on'", "1": "'1'", "a: b": "'a: b'", "it's": "'it''s'",
		"*": "'*'", "- a": "'- a'", "#a": "'#a'", "a b": "'a b'", "null": "'null'", "~": "'~'", ".": "'.'",
	} {
		if got := yamlText(text); got != want {
			t.Errorf("yaml %q: got %s", text, got)
		}
	}
	for branch, want := range map[string]string{"main": "main", "c++": `'c\+\+'`, "a/[x]!": `'a/\[x\]\!'`} {
		if got := branchPattern(branch); got != want {
			t.Errorf("branch %q: got %s", branch, got)
		}
	}
	if got, want := shellWords([]string{"a", "b c", "", "it's", "$x", "~", "-n"}), `a 'b c' '' 'it'\''s' '$x' '~' -n`; got != want {
		t.Errorf("shell: got %s", got)
	}
	if got, want := pathspecs([]string{"**/*.sh", "!a/**"}), `':(glob)**/*.sh' ':(exclude,glob)a/**'`; got != want {
		t.Errorf("pathspecs: got %s", got)
	}
}

func values(texts []workflow.Text) []string {
	list := make([]string, len(texts))
	for i, t := range texts {
		list[i] = t.Value
	}
	return list
}

// A configuration that does not lie at the top of the repository is named to the coordinator.
func TestRenderNamesTheConfiguration(t *testing.T) {
	t.Parallel()
	files, _, err := Render(config(t, "small"), "ops/landfall.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if named := strings.Contains(string(file.Content), "\nenv:\n  LANDFALL_CONFIG: ops/landfall.yaml\n# landfall:end settings\n"); named != (file.Path == inFolder(DeployFile)) {
			t.Errorf("%s names it: %t", file.Path, named)
		}
	}
}
