package starter

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

var update = flag.Bool("update", false, "write golden files anew")

func tree(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// demo is the fleet of the demo as it is laid out: with the reference migration script,
// without a landfall.yaml.
func demo(t *testing.T) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{"scripts/migrate.sh": {Data: []byte("#!/bin/bash\n# usage: migrate.sh --mode deploy\n")}}
	fleet := os.DirFS("../../../scripts/demo/fleet")
	err := fs.WalkDir(fleet, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == FileName {
			return err
		}
		text, err := fs.ReadFile(fleet, name)
		m[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// home is a fleet of another shape: variants that are stacks, an overlay, one for
// development, compose files in folders, workflow files.
func home() fstest.MapFS {
	const push = "on: {push: {branches: [main], paths: ['**.py']}, pull_request: {}}\njobs: {a: {runs-on: x}}\n"
	return tree(map[string]string{
		"docker-compose.yml": `
name: chris-os
services:
  postgres: {image: "timescale/timescaledb:2-pg16", environment: [POSTGRES_USER=admin, "POSTGRES_DB=$DB"]}
  postgres-exporter: {image: quay.io/prometheuscommunity/postgres-exporter}
  caddy: {image: caddy, volumes: ["./caddy/Caddyfile:/etc/caddy/Caddyfile:ro", "/var/run/docker.sock:/s", "data:/data", "./not-tracked:/x"]}
  authelia: {image: authelia, volumes: [{type: bind, source: ./authelia, target: /config}]}
  mcp-auth: {build: {context: ./mcp}, environment: {GIT_SHA: "${GIT_SHA}"}}
  mcp-proxy: {build: mcp, volumes: ["./mcp/config:/config"]}
  far: {build: "https://example.org/x.git"}
  inline: {build: {dockerfile_inline: "FROM scratch"}}
volumes: {data: {}}
`,
		"docker-compose.pi.yml":              "services: {postgres: {mem_limit: 6g}, caddy: {mem_limit: 1g, volumes: ['./shared:/shared']}}\n",
		"docker-compose.dev.yml":             "services: {postgres: {ports: ['5432:5432']}}\n",
		"docker-compose.limits.yml":          "services: {postgres: {cpus: 2}, nobody: {cpus: 1}}\n",
		"docker-compose.orphan.yml":          "services: {nothing: {cpus: 1}}\n",
		"docker-compose.dashboard.yml":       "services: {dashboard-api: {build: ./dashboard/api}, dashboard-nginx: {build: ./dashboard/web, volumes: ['./shared:/shared']}}\n",
		"grafana/docker-compose.grafana.yml": "services: {grafana: {image: grafana/grafana, volumes: ['./dashboards:/d', '../shared:/s', '../../outside:/o']}}\n",
		"pi/docker-compose.ha.yml":           "services: {homeassistant: {image: ha}}\n",
		"site/compose.yaml":                  "services: {web: {build: .}}\n",
		"site/docker-compose.yaml":           "services: {old: {image: x}}\n",
		"empty/compose.yml":                  "services: {}\n",
		"node_modules/x/compose.yml":         "services: {x: {image: x}}\n",
		".hidden/compose.yml":                "services: {x: {image: x}}\n",
		"caddy/Caddyfile":                    "x",
		"authelia/configuration.yml":         "x",
		"mcp/Dockerfile":                     "x",
		"mcp/config/a.json":                  "x",
		"shared/a[1].txt":                    "x",
		"dashboard/api/Dockerfile":           "x",
		"dashboard/web/Dockerfile":           "x",
		"grafana/dashboards/host.json":       "x",
		"site/Dockerfile":                    "x",
		"tests/test_a.py":                    "x",
		"Makefile":                           "x",
		".github/workflows/lint.yml":         push,
		".github/workflows/unit-tests.yaml":  "on: push\njobs: {a: {runs-on: x}}\n",
		".github/workflows/deploy.yml":       push,
		".github/workflows/test-pr.yml":      "on: pull_request\njobs: {a: {runs-on: x}}\n",
		".github/workflows/test-dev.yml":     "on: {push: {branches: [dev]}}\njobs: {a: {runs-on: x}}\n",
		".github/workflows/test-broken.yml":  "on: [",
		".github/workflows/latest.yml":       push,
	})
}

func TestDraft(t *testing.T) {
	for _, c := range []struct {
		name string
		tree fs.FS
		o    Options
	}{
		{"demo", demo(t), Options{Project: "Demo Fleet"}},
		{"home", home(), Options{Project: "ignored", Module: "example.org/landfall/coordinator", Version: "v1.4.0"}},
		{"one", tree(map[string]string{"compose.yaml": "services: {web: {build: .}}\n", "Dockerfile": "x"}), Options{Project: "9 lives", Branch: "release/c++"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			result, err := Draft(c.tree, c.o)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", c.name+".yaml")
			if *update {
				if err := os.WriteFile(golden, result.Content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(result.Content)); diff != "" {
				t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", golden, diff)
			}
			for range 5 {
				again, err := Draft(c.tree, c.o)
				if err != nil || string(again.Content) != string(result.Content) {
					t.Fatalf("another draft of the same tree: %v", err)
				}
			}
			if strings.Contains(string(result.Content), "TODO") {
				t.Error("leaves work to do")
			}
			for _, line := range strings.Split(string(result.Content), "\n") {
				if len(line) > 140 {
					t.Errorf("too long a line: %s", line)
				}
			}
		})
	}
}

// TestOutcomes holds what a push does by the drafted files, for paths of each kind.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name  string
		tree  fs.FS
		path  string
		steps string
		quiet bool
	}{
		{"demo", demo(t), "api/Dockerfile", "core: build api; core: up api", false},
		{"demo", demo(t), "caddy/Caddyfile", "core: recreate caddy", false},
		{"demo", demo(t), "metrics/collector/message.txt", "metrics: build collector; metrics: up collector", false},
		{"demo", demo(t), "metrics/compose.yml", "metrics: up every service", false},
		{"demo", demo(t), "compose.pi.yml", "core: up every service", false},
		{"demo", demo(t), "docs/operations.md", "", false},
		{"demo", demo(t), ".gitignore", "", true},
		{"home", home(), "mcp/config/a.json", "core: build mcp-auth, mcp-proxy; core: up mcp-auth, mcp-proxy", false},
		{"home", home(), "shared/a[1].txt", "core: recreate caddy; dashboard: recreate dashboard-nginx; grafana: recreate grafana", false},
		{"home", home(), ".github/workflows/lint.yml", "", true},
	} {
		t.Run(c.name+" "+c.path, func(t *testing.T) {
			result, err := Draft(c.tree, Options{Project: "p"})
			if err != nil {
				t.Fatal(err)
			}
			plan, err := pipeline.Compile(result.Config, pipeline.Input{
				Base: strings.Repeat("a", 40), Target: strings.Repeat("b", 40), Changes: []pipeline.Change{{Status: 'M', Path: c.path}},
			})
			if err != nil {
				t.Fatal(err)
			}
			var steps []string
			for _, s := range plan.Steps {
				if s.Phase != pipeline.PhaseMigrate {
					steps = append(steps, s.Title())
				}
			}
			if got := strings.Join(steps, "; "); got != c.steps || plan.AnyDeploy == c.quiet || plan.UnclaimedCount != 0 {
				t.Errorf("got %q, any deploy %v, unclaimed %v", got, plan.AnyDeploy, plan.Unclaimed)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		tree   fs.FS
		reason string
	}{
		{"nothing", tree(nil), "NO_COMPOSE_FILES"},
		{"other files", tree(map[string]string{"compose.txt": "x", "my-compose.yml": "x"}), "NO_COMPOSE_FILES"},
		{"broken", tree(map[string]string{"compose.yml": "services: ["}), "COMPOSE_INVALID"},
		{"a list", tree(map[string]string{"compose.yml": "- a"}), "COMPOSE_INVALID"},
	} {
		if _, err := Draft(c.tree, Options{Project: "p"}); fault.ReasonOf(err) != c.reason || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if _, err := Draft(os.DirFS(filepath.Join(t.TempDir(), "missing")), Options{}); fault.ReasonOf(err) != "TREE_UNREADABLE" {
		t.Errorf("missing: got %v", err)
	}
}

func TestWrite(t *testing.T) {
	root := filepath.Join(t.TempDir(), "My Fleet")
	if err := os.CopyFS(root, home()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, "docker-compose.yml")); err != nil {
		t.Fatal(err)
	}
	result, err := Write(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, FileName))
	if err != nil || string(text) != string(result.Content) || result.Config.Project != "my_fleet" {
		t.Errorf("%v, project %s", err, result.Config.Project)
	}
	if _, err := Write(root, Options{}); fault.ReasonOf(err) != "CONFIG_EXISTS" {
		t.Errorf("again: got %v", err)
	}
	if again, _ := os.ReadFile(filepath.Join(root, FileName)); string(again) != string(text) {
		t.Error("overwritten")
	}
	link := filepath.Join(t.TempDir(), FileName)
	if err := os.Symlink(filepath.Join(t.TempDir(), "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(filepath.Dir(link), Options{}); fault.ReasonOf(err) != "CONFIG_EXISTS" {
		t.Errorf("link: got %v", err)
	}
}

// TestTagsOfCompose holds that Compose's own YAML tags in overlays are no mistake. Source:
// https://docs.docker.com/reference/compose-file/merge/#replace-value
func TestTagsOfCompose(t *testing.T) {
	_, err := Draft(tree(map[string]string{
		"compose.yml":    "services: {a: {image: x, ports: ['1:1']}, b: {image: y, build: x}}\n",
		"compose.pi.yml": "services:\n  a: {ports: !override ['2:2'], environment: !reset null, volumes: !reset []}\n  b: {build: !reset null}\n",
	}), Options{Project: "p"})
	if err != nil {
		t.Error(err)
	}
}

func TestPostgresImages(t *testing.T) {
	for image, want := range map[string]bool{
		"postgres": true, "postgres:16": true, "docker.io/library/postgres@sha256:0": true, "postgis/postgis:16": true, "${POSTGRES_IMAGE}": true,
		"$POSTGRES_IMAGE": true, "pgvector/pgvector:pg16": true, "timescale/timescaledb": true, "bitnami/postgresql:16": true,
		"prometheuscommunity/postgres-exporter": false, "postgrest/postgrest": false, "dpage/pgadmin4": false, "mypostgres": false,
		"prodrigestivill/postgres-backup-local": false, "": false, "redis": false,
	} {
		if got := (&service{image: image}).postgres(); got != want {
			t.Errorf("%q: got %v", image, got)
		}
	}
}

// FuzzDraft holds that whatever compose files say, the draft is accepted or they are refused.
func FuzzDraft(f *testing.F) {
	f.Add([]byte("services: {a: {build: ., image: postgres}}"), []byte("services: {a: {cpus: 1}}"))
	f.Add([]byte("name: X\nservices: {1: {build: {context: x}, volumes: [./x:/x]}}"), []byte("services: {b: {image: b}}"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		files := tree(map[string]string{"compose.yml": string(one), "compose.pi.yml": string(two), "x/a": "a"})
		if _, err := Draft(files, Options{Project: "p"}); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
	})
}
