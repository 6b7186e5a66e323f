// Package demo_test checks that the demo's fleet is what the demo says it is.
//
// It needs no Docker Engine: the fleet's configuration must be accepted by the parser that the
// programs use, for the tree that would be deployed, and plan the steps that the demo announces.
package demo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

// layOut runs the real lay-out.sh with image builders that only name an image.
func layOut(t *testing.T, args ...string) (dir, stdout string) {
	t.Helper()
	scripts := t.TempDir()
	dir = filepath.Join(t.TempDir(), "host")
	if err := os.CopyFS(filepath.Join(scripts, "demo"), os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	migrate, err := os.ReadFile("../migrate.sh")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"migrate.sh": string(migrate)}
	for _, image := range []string{"postgres", "caddy", "service"} {
		files["images/"+image+".sh"] = "#!/bin/sh\necho test-" + image + ":1\n"
	}
	for name, text := range files {
		path := filepath.Join(scripts, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", append([]string{filepath.Join(scripts, "demo/lay-out.sh")}, append(args, dir)...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return dir, string(out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLayOut(t *testing.T) {
	dir, stdout := layOut(t, "--project", "fleet-x", "--port-base", "24100")
	for _, want := range []string{"FLEET_PROJECT=fleet-x\n", "FLEET_HTTP_PORT=24100\n", "FLEET_METRICS_PORT=24104\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("output lacks %q:\n%s", want, stdout)
		}
	}
	env, metrics := read(t, filepath.Join(dir, ".env")), read(t, filepath.Join(dir, "metrics/.env"))
	for _, want := range []string{"COMPOSE_PROJECT_NAME=fleet-x\n", "POSTGRES_IMAGE=test-postgres:1\n", "ADMIN_PORT=24101\n"} {
		if !strings.Contains(env, want) {
			t.Errorf(".env lacks %q:\n%s", want, env)
		}
	}
	if !strings.Contains(metrics, "COMPOSE_PROJECT_NAME=fleet-x-metrics\n") {
		t.Errorf("metrics/.env does not name its own project:\n%s", metrics)
	}
	if left := regexp.MustCompile(`@[A-Z_]+@`).FindString(read(t, filepath.Join(dir, "landfall.yaml"))); left != "" {
		t.Errorf("landfall.yaml still has the placeholder %s", left)
	}
	if info, err := os.Stat(filepath.Join(dir, "scripts/migrate.sh")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("scripts/migrate.sh cannot be run: %v %v", info, err)
	}
}

// Every variable that the compose files use without a default is in the .env beside them.
func TestComposeVariablesAreSet(t *testing.T) {
	dir, _ := layOut(t, "--port-base", "24100")
	for compose, env := range map[string]string{"compose.yml": ".env", "metrics/compose.yml": "metrics/.env"} {
		set := read(t, filepath.Join(dir, env))
		for _, match := range regexp.MustCompile(`\$\{([A-Z_]+)\}`).FindAllStringSubmatch(read(t, filepath.Join(dir, compose)), -1) {
			if !strings.Contains("\n"+set, "\n"+match[1]+"=") {
				t.Errorf("%s uses %s, which %s does not set", compose, match[1], env)
			}
		}
	}
}

func TestConfigurationIsAccepted(t *testing.T) {
	dir, _ := layOut(t, "--port-base", "24100")
	config, err := pipeline.Parse("landfall.yaml", []byte(read(t, filepath.Join(dir, "landfall.yaml"))))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(config.Stacks); got != 2 {
		t.Errorf("%d stacks, want 2", got)
	}
	kinds := map[string]bool{}
	for _, probe := range config.Verify.Probes {
		kinds["containers"] = kinds["containers"] || probe.Containers != nil
		kinds["postgres"] = kinds["postgres"] || probe.Postgres != nil
		kinds["http"] = kinds["http"] || probe.HTTP != nil
		kinds["tcp"] = kinds["tcp"] || probe.TCP != nil
	}
	for kind, used := range kinds {
		if !used {
			t.Errorf("no probe of kind %s", kind)
		}
	}
}
