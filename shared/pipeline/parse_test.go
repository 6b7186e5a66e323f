package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline/reference"
	"ataraxis.dev/landfall/shared/strictyaml"
)

// TestBroken reads every file of testdata/broken; beside each stand the problems that
// must be found, all in one go.
func TestBroken(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no broken files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			config, err := Parse(filepath.Base(file), data)
			if err == nil || config != nil {
				t.Fatal("no problems found")
			}
			if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "CONFIG_INVALID" {
				t.Errorf("kind %v, reason %s", fault.KindOf(err), fault.ReasonOf(err))
			}
			var problems strictyaml.Problems
			if !errors.As(err, &problems) {
				t.Fatal("no list of problems in the error")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", []byte(err.Error()+"\n"))
		})
	}
}

// TestBrokenIsStable guards against map order showing in the list of problems.
func TestBrokenIsStable(t *testing.T) {
	data, err := os.ReadFile("testdata/broken/references.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, first := Parse("x.yaml", data)
	for range 20 {
		if _, again := Parse("x.yaml", data); again.Error() != first.Error() {
			t.Fatalf("another list:\n%s", cmp.Diff(first.Error(), again.Error()))
		}
	}
}

func TestDefaults(t *testing.T) {
	config, err := Parse("x.yaml", []byte(`
version: 1
project: p
stacks: {s: {}}
verify:
  probes:
    db: {postgres: {stack: s, service: db}}
    web: {http: {url: "http://a/"}}
    port: {tcp: {address: "a:1"}}
`))
	if err != nil {
		t.Fatal(err)
	}
	if config.Branch != "main" || config.CI.Poll != 15*time.Second || config.CI.Timeout != 45*time.Minute {
		t.Errorf("branch %s, ci %+v", config.Branch, config.CI)
	}
	if config.Verify.Deadline != 2*time.Minute || config.Verify.Soak != 10*time.Second {
		t.Errorf("verify %+v", config.Verify)
	}
	db := config.Verify.Probes["db"].Postgres
	if db.User != "postgres" || db.Port != 5432 || db.Database != "" {
		t.Errorf("postgres %+v", db)
	}
	if config.Verify.Probes["web"].HTTP.Timeout != 5*time.Second || config.Verify.Probes["port"].TCP.Timeout != 5*time.Second {
		t.Error("probe timeouts")
	}
	if diff := cmp.Diff([]string{"db", "port", "web"}, config.Rollback.Probes); diff != "" {
		t.Errorf("rollback probes: %s", diff)
	}
	drift := DriftConfig{Missing: DriftRepair, Exited: DriftRepair, Unhealthy: DriftRepair, Config: DriftRepair, Files: DriftRepair, PulledImages: DriftReport}
	if config.Migrate != nil || config.GitOps.Images != nil || config.GitOps.Drift != drift {
		t.Errorf("something that nobody asked for is on: %+v", config.GitOps)
	}
}

func TestWorkflowDefaults(t *testing.T) {
	config, err := Parse("x.yaml", []byte(`
version: 1
project: p
stacks: {s: {}}
workflows:
  coordinator: {module: example.org/c, version: v1.2.3}
  audit: {commands: [[a]]}
  secret_scan: {}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &WorkflowsConfig{
		Runner:      []string{"self-hosted"},
		Coordinator: CoordinatorConfig{Command: "landfall-coordinator", Module: "example.org/c", Version: "v1.2.3"},
		Audit:       &AuditConfig{Cron: "0 9 * * 0", Commands: [][]string{{"a"}}},
		SecretScan:  &SecretScanConfig{Cron: "0 4 * * 1", Command: defaultScan},
	}
	if diff := cmp.Diff(want, config.Workflows); diff != "" {
		t.Error(diff)
	}
}

func TestWrittenZerosStay(t *testing.T) {
	config, err := Parse("x.yaml", []byte("version: 1\nproject: p\nstacks: {s: {}}\nverify: {soak: 0s}\nrollback: {probes: []}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if config.Verify.Soak != 0 || len(config.Rollback.Probes) != 0 {
		t.Errorf("soak %v, rollback %v", config.Verify.Soak, config.Rollback.Probes)
	}
}

func TestAnchorsAreFollowed(t *testing.T) {
	config, err := Parse("x.yaml", []byte(`
version: 1
project: p
stacks: {s: {}}
actions:
  a: &a
    - up: &up {stack: s, services: [x]}
  b: *a
  c: [{up: {<<: *up, no_deps: true}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &UpConfig{Stack: "s", Services: []string{"x"}, NoDeps: true}
	if diff := cmp.Diff(want, config.Actions["c"].Steps[0].Up); diff != "" {
		t.Error(diff)
	}
	if config.Actions["b"].Steps[0].Up.Stack != "s" {
		t.Error("alias of a list")
	}
}

func TestExpand(t *testing.T) {
	lookup := func(name string) (string, bool) { return "<" + name + ">", name == "a" || name == "b" }
	for text, want := range map[string]string{
		"":            "",
		"plain":       "plain",
		"${a}":        "<a>",
		"x${a}${b}y":  "x<a><b>y",
		"$$":          "$",
		"$${a}":       "${a}",
		"$$$${a}":     "$${a}",
		"$HOME $":     "$HOME $",
		"a$":          "a$",
		"${a}$${b}$c": "<a>${b}$c",
	} {
		got, err := expand(text, lookup)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"${c}":  "unknown variable ${c}",
		"${}":   "unknown variable ${}",
		"${a":   "never closed",
		"x${ a": "never closed",
	} {
		if _, err := expand(text, lookup); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestExpandPassesErrorsOn(t *testing.T) {
	lookup := func(string) (string, bool) { return "", false }
	for _, value := range []any{"${x}", []any{"${x}"}, map[string]any{"k": "${x}"}} {
		if _, err := expandJSON(value, lookup); err == nil {
			t.Errorf("%v: no error", value)
		}
	}
	if _, err := expandAll([]string{"${x}"}, lookup); err == nil {
		t.Error("list: no error")
	}
}

func TestCheckTree(t *testing.T) {
	config, err := Parse("landfall.yaml", reference.Config())
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckTree(config, func(string) bool { return true }); err != nil {
		t.Errorf("nothing is missing, but: %v", err)
	}
	missing := map[string]bool{
		"docker-compose.pi.yml": true, "scripts/migrate.sh": true, "scripts/build-commit-cache.sh": true,
	}
	err = CheckTree(config, func(path string) bool { return !missing[path] })
	if fault.ReasonOf(err) != "CONFIG_INVALID" {
		t.Fatalf("got %v", err)
	}
	want := strings.Join([]string{
		"landfall.yaml:17:33: stacks.core.files[1]: the compose file docker-compose.pi.yml does not exist at this commit",
		"landfall.yaml:48:11: migrate.script: the script scripts/migrate.sh does not exist at this commit",
		"landfall.yaml:123:15: actions.dashboard[0].script: the script scripts/build-commit-cache.sh does not exist at this commit",
	}, "\n")
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestCheckTreeFindsMappedScripts(t *testing.T) {
	config, err := Parse("x.yaml", []byte(`version: 1
project: p
stacks: {s: {files: [./a.yml], env_files: [untracked.env]}}
actions:
  x: {steps: [{script: {args: [a], path: ./b.sh}}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	err = CheckTree(config, func(path string) bool { asked = append(asked, path); return path != "b.sh" })
	if want := "x.yaml:5:42: actions.x.steps[0].script.path: the script ./b.sh does not exist at this commit"; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if diff := cmp.Diff([]string{"a.yml", "b.sh"}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestCheckTreeWithoutPositions(t *testing.T) {
	config := &Config{Migrate: &MigrateConfig{Script: "m.sh"}}
	err := CheckTree(config, func(string) bool { return false })
	if err == nil || !strings.HasPrefix(err.Error(), "landfall.yaml:1:1: migrate.script: the script m.sh") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse looks for panics, and holds that whatever parses also compiles.
func FuzzParse(f *testing.F) {
	f.Add(reference.Config())
	for _, pattern := range []string{"testdata/*.yaml", "testdata/broken/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := Parse("fuzz.yaml", data)
		if err != nil {
			if fault.ReasonOf(err) != "CONFIG_INVALID" {
				t.Errorf("unclassified: %v", err)
			}
			return
		}
		plan, err := Compile(config, Input{Target: target, Everything: "fuzz"})
		if err != nil {
			t.Fatalf("parsed, but does not compile: %v", err)
		}
		checkInvariants(t, config, plan)
		if !strings.HasPrefix(plan.Digest(), "sha256:") {
			t.Error("no digest")
		}
	})
}

// A runner on the agent's own host may use the socket.
func TestAddressesOfAgents(t *testing.T) {
	t.Parallel()
	text := func(agent string) []byte {
		return []byte("version: 1\nproject: sample\nstacks: {core: {files: [compose.yml]}}\nflags: {app: {paths: [\"app/**\"]}}\n" +
			"workflows: {agent: \"" + agent + "\", coordinator: {module: example.org/x, version: v1.0.0}}\n")
	}
	for agent, says := range map[string]string{
		"caroline:7443": "", "unix:///run/landfall/agent.sock": "",
		"unix://run/landfall/agent.sock": "is not a socket", "unix:///run/../agent.sock": "is not a socket", "unix://": "is not a socket",
		"unix:/run/agent.sock": "is not an address", "/run/agent.sock": "is not an address",
	} {
		_, err := Parse("landfall.yaml", text(agent))
		if got := err != nil && strings.Contains(err.Error(), says); (says == "" && err != nil) || (says != "" && !got) {
			t.Errorf("%s: %v, want %q", agent, err, says)
		}
	}
}
