//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCheckReadsWithinBounds puts what must not be read in the place of every file that `check` reads. It says so, and ends.
func TestCheckReadsWithinBounds(t *testing.T) {
	const (
		compose  = "compose.yml"
		workflow = ".github/workflows/mine.yml"
	)
	bare(t)
	t.Setenv("GITHUB_ACTIONS", "")
	fifo := func(path string) error { return syscall.Mkfifo(path, 0o600) }
	link := func(target string) func(string) error {
		return func(path string) error { return os.Symlink(target, path) }
	}
	sparse := func(path string) error {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		return os.Truncate(path, 500<<20)
	}
	for _, c := range []struct {
		name, file string
		put        func(string) error
		says       string // "": nothing is found there
	}{
		{"config is a FIFO", "landfall.yaml", fifo, "landfall.yaml is a FIFO"},
		{"config is a device", "landfall.yaml", link("/dev/zero"), "landfall.yaml:1:1"},
		{"config is a link within the tree", "landfall.yaml", link("good.yaml"), "no deploy follows it"},
		{"config is huge", "landfall.yaml", sparse, "more than the 1048576 bytes allowed"},
		{"compose is a FIFO", compose, fifo, "compose.yml is a FIFO"},
		{"compose is a device", compose, link("/dev/zero"), "compose.yml is a link"},
		{"compose is a link out of the tree", compose, link("../outside.yml"), "compose.yml is a link"},
		{"compose is huge", compose, sparse, "more than the 1048576 bytes allowed"},
		{"compose is a folder", compose, func(path string) error { return os.Mkdir(path, 0o700) }, "compose.yml is a folder"},
		{"compose is a link within the tree", compose, link("good.yml"), ""},
		{"workflow is a FIFO", workflow, fifo, "mine.yml is a FIFO"},
		{"workflow is a device", workflow, link("/dev/zero"), "mine.yml is a link"},
		{"workflow is huge", workflow, sparse, "more than the 1048576 bytes allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := t.TempDir()
			root := filepath.Join(top, "tree")
			if err := os.MkdirAll(filepath.Join(root, ".github/workflows"), 0o700); err != nil {
				t.Fatal(err)
			}
			config, _, _ := strings.Cut(goodTree, "workflows:\n")
			config = strings.Replace(config, "ci: {required: [lint.yml]}\n", "", 1)
			for name, text := range map[string]string{
				"../outside.yml": "services: {app: {image: canary}}\n", "good.yml": "services: {app: {image: x}}\n", "good.yaml": config,
				"landfall.yaml": config, compose: "services: {app: {image: x}}\n",
			} {
				if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(root, c.file)
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := c.put(path); err != nil {
				t.Fatal(err)
			}
			t.Chdir(root)
			for _, command := range [][]string{{"check"}, {"workflows", "check"}} {
				o := landfall(t, command...)
				if c.says == "" {
					o.expect(t, 0)
					continue
				}
				if len(command) == 2 && c.file == compose {
					continue // compose files are not looked at
				}
				if o.code != 2 || !strings.Contains(o.out+o.err, c.says) || strings.Contains(o.out+o.err, "canary") {
					t.Errorf("%s: code %d, want %q in\n%s%s", command, o.code, c.says, o.out, o.err)
				}
			}
		})
	}
}

// TestCheckLooksIntoActions: an action of the repository is judged where it is used, and one that it uses in turn.
func TestCheckLooksIntoActions(t *testing.T) {
	bare(t)
	t.Setenv("GITHUB_ACTIONS", "")
	root := t.TempDir()
	config, _, _ := strings.Cut(goodTree, "workflows:\n")
	for name, text := range map[string]string{
		"landfall.yaml": strings.Replace(config, "ci: {required: [lint.yml]}\n", "", 1),
		".github/workflows/a.yml": "on: issues\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: ./outer, with: {x: \"${{ github.event.issue.title }}\"}}, " +
			"{uses: ./missing}, {uses: ./../elsewhere}]}}\n",
		"outer/action.yml":         "inputs: {x: {}}\nruns: {using: composite, steps: [{uses: ./inner, with: {y: \"${{ inputs.x }}\"}}]}\n",
		"inner/action.yaml":        "inputs: {y: {}}\nruns: {using: composite, steps: [{shell: bash, run: 'echo ${{ inputs.y }}'}]}\n",
		"../elsewhere/action.yaml": "canary",
	} {
		path := filepath.Join(root, "tree", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(root, "tree"))
	o := landfall(t, "workflows", "check")
	if o.code != 2 || !strings.Contains(o.out, "inner/action.yaml:2:53: script-injection") || strings.Contains(o.out+o.err, "canary") || strings.Count(o.out, "\n") != 1 {
		t.Errorf("code %d\n%s%s", o.code, o.out, o.err)
	}
}
