// Package workflows_test holds the rendered workflow files to the linters that their users run.
//
// The files are the golden ones of coordinator/internal/workflows, which that room's tests
// compare with what is rendered. Start reading at [TestRenderedFilesAreClean].
package workflows_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// golden is where the rendered files of every configuration lie, a folder each.
const golden = "../../coordinator/internal/workflows/testdata"

// linters is where the linters are.
type linters struct{ actionlint, shellcheck, yamllint string }

// find finds or makes the linters. They are missing only where nobody may install them.
func find(t *testing.T) linters {
	t.Helper()
	if testing.Short() {
		t.Skip("builds actionlint")
	}
	setup := exec.CommandContext(t.Context(), "../setup/test-deps.sh", "lint")
	if out, err := setup.CombinedOutput(); err != nil {
		if os.Getenv("LANDFALL_NO_INSTALL") == "1" || runtime.GOOS == "darwin" {
			t.Skipf("not installed, and not for this test to install: %s", out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	build := exec.CommandContext(t.Context(), "../tools/tool.sh", "actionlint")
	build.Stderr = os.Stderr
	out, err := build.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := linters{actionlint: strings.TrimSpace(string(out))}
	for name, path := range map[string]*string{"shellcheck": &found.shellcheck, "yamllint": &found.yamllint} {
		if *path, err = exec.LookPath(name); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// run gives what a linter says about the files of root. Shellcheck is named, so that
// actionlint cannot leave it out silently.
func (l linters) run(t *testing.T, root string) string {
	t.Helper()
	config, err := filepath.Abs("../../.yamllint.yml")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var said strings.Builder
	for _, argv := range [][]string{
		append([]string{l.actionlint, "-no-color", "-shellcheck", l.shellcheck, "-pyflakes", ""}, files...),
		{l.yamllint, "--strict", "--config-file", config, ".github"},
	} {
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		said.Write(out)
		if err != nil && len(out) == 0 {
			t.Fatalf("%s: %v", argv[0], err)
		}
	}
	return said.String()
}

// layOut puts rendered files where a repository has them. actionlint finds the repository,
// with its own configuration, by the folder .git.
func layOut(t *testing.T, name string) string {
	t.Helper()
	root := t.TempDir()
	for _, folder := range []string{".git", ".github/workflows"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(golden, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(golden, name, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		folder := ".github/workflows"
		if e.Name() == "actionlint.yaml" {
			folder = ".github"
		}
		if err := os.WriteFile(filepath.Join(root, folder, e.Name()), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestRenderedFilesAreClean(t *testing.T) {
	l := find(t)
	for _, name := range []string{"reference", "small"} {
		if said := l.run(t, layOut(t, name)); said != "" {
			t.Errorf("%s:\n%s", name, said)
		}
	}
}

// TestLintersLook holds that the silence above is not that of linters which do not look.
func TestLintersLook(t *testing.T) {
	l := find(t)
	root := layOut(t, "reference")
	file := filepath.Join(root, ".github/workflows/test.yml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mine := "      - run: echo $HOME/*/x && cat $1\n      - run: echo \"${{ github.event.pull_request.title }}\"\n      - run: 'true'  \n"
	if err := os.WriteFile(file, append(text, mine...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, ".github/actionlint.yaml")); err != nil {
		t.Fatal(err)
	}
	said := l.run(t, root)
	for _, want := range []string{"SC2086", "github.event.pull_request.title", `label "atlas" is unknown`, "trailing spaces"} {
		if !strings.Contains(said, want) {
			t.Errorf("nobody says %q:\n%s", want, said)
		}
	}
}
