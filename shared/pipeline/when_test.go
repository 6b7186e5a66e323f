package pipeline

import (
	"slices"
	"strings"
	"testing"
)

const whenConfig = `version: 1
project: p
stacks: {s: {files: [compose.yml]}}
flags:
  api: {paths: ["api/**"], actions: [api]}
  docs: {paths: ["docs/**"]}
actions:
  api:
    - build: {stack: s, services: [api]}
    - up: {stack: s, services: [api]}
verify:
  probes:
    health: {http: {url: "http://127.0.0.1/healthz"}}
    version: {when: [api], http: {url: "http://127.0.0.1/version", json: {sha: "${target_sha}"}}}
`

// The code of the target runs only where the deploy built it: a docs-only deploy must
// not be judged by it.
func TestProbeWithWhenIsAskedOnlyWhenItsFlagIsSet(t *testing.T) {
	config, err := Parse("landfall.yaml", []byte(whenConfig))
	if err != nil {
		t.Fatal(err)
	}
	target := strings.Repeat("a", 40)
	for changed, want := range map[string][]string{
		"api/main.go":   {"health", "version"},
		"docs/index.md": {"health"},
	} {
		plan, err := Compile(config, Input{Base: strings.Repeat("b", 40), Target: target, Changes: []Change{{'M', changed}}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range plan.Verify.Probes {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) || !slices.Equal(plan.Rollback.Probes, want) {
			t.Errorf("%s: probes %v, after a rollback %v, want %v", changed, got, plan.Rollback.Probes, want)
		}
	}
}

func TestWhenNamesFlagsAndIsNotWaitedFor(t *testing.T) {
	_, err := Parse("landfall.yaml", []byte(strings.Replace(whenConfig, "when: [api]", "when: [apo]", 1)))
	if err == nil || !strings.Contains(err.Error(), `"apo"`) || !strings.Contains(err.Error(), `did you mean "api"?`) {
		t.Errorf("unknown flag: %v", err)
	}
	_, err = Parse("landfall.yaml", []byte(strings.Replace(whenConfig, "    - up:", "    - wait: {probe: version}\n    - up:", 1)))
	if err == nil || !strings.Contains(err.Error(), "not always there to wait for") {
		t.Errorf("waiting for a conditional probe: %v", err)
	}
}
