package pipeline

import (
	"strings"
	"testing"
)

func TestCheckServices(t *testing.T) {
	t.Parallel()
	config, err := Parse("landfall.yaml", []byte(`version: 1
project: x
stacks: {core: {files: [a.yml]}, other: {files: [b.yml]}}
migrate: {script: m.sh, needs: {stack: core, services: [postgers], probe: db}}
flags: {a: {paths: ["a/**"], actions: [one, two]}}
actions:
  one:
    - build: {stack: core, services: [web, "mcp-*"]}
    - up: {stack: core, services: [wbe]}
    - exec: {stack: core, service: caddi, command: [x]}
  two:
    steps:
      - recreate: {stack: other, services: [whatever]}
      - restart: {stack: core, services: ["auth-*"]}
verify: {probes: {db: {postgres: {stack: core, service: pg}}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	err = CheckServices(config, func(stack string) ([]string, bool) {
		return []string{"web", "mcp-a", "caddy", "postgres"}, stack == "core"
	})
	if err == nil {
		t.Fatal("nothing was found")
	}
	got := err.Error()
	for _, want := range []string{
		`landfall.yaml:4:57: migrate.needs.services[0]: the compose files of stack core have no service postgers: did you mean "postgres"?`,
		`landfall.yaml:9:36: actions.one[1].up.services[0]: the compose files of stack core have no service wbe: did you mean "web"?`,
		`landfall.yaml:10:36: actions.one[2].exec.service: the compose files of stack core have no service caddi: did you mean "caddy"?`,
		`landfall.yaml:14:43: actions.two.steps[1].restart.services[0]: the compose files of stack core have no service auth-*`,
		`landfall.yaml:15:57: verify.probes.db.postgres.service: the compose files of stack core have no service pg`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 5 {
		t.Errorf("%d problems:\n%s", n, got)
	}
}
