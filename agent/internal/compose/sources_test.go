package compose

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

// lay writes files below a folder.
func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSourcesFindsEveryEnvFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		compose string
		more    map[string]string
		want    string
	}{
		"one":                  {"services: {a: {env_file: a.env}}", nil, "app/a.env"},
		"a list":               {"services: {a: {env_file: [b.env, {path: sub/c.env, required: false}]}}", nil, "app/sub/c.env"},
		"by an alias":          {"x-e: &e [a.env]\nservices: {a: {env_file: *e}}", nil, "app/a.env"},
		"by a merge":           {"x-s: &s {env_file: a.env}\nservices: {a: {<<: *s, image: x}}", nil, "app/a.env"},
		"by a merge of a list": {"x-s: &s {env_file: a.env}\nservices: {a: {<<: [*s], image: x}}", nil, "app/a.env"},
		"named by a variable":  {"services: {a: {env_file: '${WHICH}.env'}}", nil, "app/prod.env"},
		"by a default":         {"services: {a: {env_file: '${NONE:-fallback}.env'}}", nil, "app/fallback.env"},
		"of an include":        {"include: [{path: inc/c.yaml, env_file: inc/x.env}]", nil, "app/inc/x.env"},
		"beside an include":    {"include: [inc/c.yaml]", nil, "app/inc/.env"},
		"within an include":    {"include: [inc/c.yaml]", map[string]string{"app/inc/c.yaml": "services: {b: {env_file: deep.env}}"}, "app/inc/deep.env"},
		"within what extends":  {"services: {a: {extends: {file: base/c.yaml, service: b}}}", map[string]string{"app/base/c.yaml": "services: {b: {env_file: deep.env}}"}, "app/base/deep.env"},
		"its own":              {"services: {}", nil, "app/.env"},
		"the checkout's":       {"services: {}", nil, ".env"},
		"of landfall.yaml":     {"services: {}", nil, "deploy/stack.env"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lay(t, dir, c.more)
			lay(t, dir, map[string]string{"app/compose.yaml": c.compose})
			found := readSources(tree{dir, dir}, pipeline.Stack{Files: []string{"app/compose.yaml"}, EnvFiles: []string{"deploy/stack.env"}}, map[string]string{"WHICH": "prod"})
			if !slices.Contains(found.envFiles, filepath.Join(dir, c.want)) {
				t.Errorf("%s is missing in %v", c.want, found.envFiles)
			}
			if len(found.outside) > 0 {
				t.Errorf("outside: %v", found.outside)
			}
		})
	}
}

func TestComposeFilesStayInTheTree(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		compose string
		refused bool
	}{
		"inside":             {"include: [inc/c.yaml]", false},
		"above, but inside":  {"include: [../common/c.yaml]", false},
		"above":              {"include: [../../other/c.yaml]", true},
		"absolute":           {"include: [/etc/c.yaml]", true},
		"by a link":          {"include: [link.yaml]", true},
		"below a link":       {"include: [linked/c.yaml]", true},
		"of git":             {"include: ['https://example.com/x.git']", true},
		"of git, by ssh":     {"include: ['git@example.com:x/y.git']", true},
		"of a registry":      {"include: [{path: 'oci://example.com/x'}]", true},
		"second of a path":   {"include: [{path: [inc/c.yaml, /etc/c.yaml]}]", true},
		"by a variable":      {"include: ['${ELSEWHERE}/c.yaml']", true},
		"what extends":       {"services: {a: {extends: {file: /etc/c.yaml, service: b}}}", true},
		"what extends, near": {"services: {a: {extends: {service: b}}, b: {image: x}}", false},
		"of an include":      {"include: [further.yaml]", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := filepath.Join(root, "tree")
			lay(t, root, map[string]string{"other/c.yaml": "services: {}", "tree/common/c.yaml": "services: {}"})
			lay(t, dir, map[string]string{"app/inc/c.yaml": "services: {}", "app/compose.yaml": c.compose, "app/further.yaml": "include: [/etc/c.yaml]"})
			for link, to := range map[string]string{"app/link.yaml": "../../other/c.yaml", "app/linked": filepath.Join(root, "other")} {
				if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			err := checkSources("core", readSources(tree{dir, dir}, pipeline.Stack{Files: []string{"app/compose.yaml"}}, map[string]string{"ELSEWHERE": "/etc"}))
			if (err != nil) != c.refused {
				t.Errorf("%v, refused: %v", err, c.refused)
			}
		})
	}
}
