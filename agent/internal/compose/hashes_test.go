package compose

import (
	"os"
	"path/filepath"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// TestHashesAreThoseOfWhatRuns: what `up` has just made is as the checkout says, whatever a service is made of; and a change of any of it
// is not. The hash is Compose's own; the label is read from the engine.
func TestHashesAreThoseOfWhatRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{
		"core.yml": `services:
  plain: ` + sleeper + `  variables:
    image: ${IMAGE}
    init: true
    command: [sleep, "1000"]
    stop_grace_period: 1s
    environment: {COMMIT: "${COMMIT:-none}", PRICE: "5$$", QUOTED: 'a "b" c'}
  envfile: {image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s, env_file: [of.env]}
  built: {build: ., image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s, pull_policy: never}
  scaled: {image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s, scale: 2, depends_on: [plain]}
  owner: {image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s}
  sharer: {image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s, network_mode: "service:owner", pid: "service:owner"}
  extended: {extends: {service: plain}, labels: {more: yes}}
  granted: {image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s, configs: [words], secrets: [key]}
  mounting: {image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s, volumes: ["data:/data", "./of.env:/of.env:ro"], tmpfs: [/run]}
  limited: {image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s, healthcheck: {test: [CMD, "true"], interval: 30s}, ulimits: {nofile: 1000}, networks: {default: {aliases: [other]}}}
  inheriting: {image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s, volumes_from: [mounting]}
configs: {words: {file: ./of.env}}
secrets: {key: {file: ./of.env}}
volumes: {data: {}}
`,
		"of.env": "FROM_FILE=one\n", "Dockerfile": "FROM scratch\n",
	})
	b.plan.Environment["COMMIT"] = "0123456789012345678901234567890123456789"
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	differing := func() map[string]bool {
		t.Helper()
		now := b.look()
		stack, _ := b.plan.Stack("core")
		hashes, err := b.Hashes(t.Context(), b.plan, stack, now)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, c := range now.Containers {
			if hash, known := hashes[picture.Key{Project: c.Project, Service: c.Service}]; known && hash != c.Config {
				found[c.Service] = true
			} else if !known && c.Service != "inheriting" {
				t.Errorf("nobody can tell of %s", c.Service)
			}
		}
		return found
	}
	if got := differing(); len(got) > 0 {
		t.Errorf("other than what was just made: %v", got)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "of.env"), []byte("FROM_FILE=two\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.plan.Environment["COMMIT"] = "another"
	if got := differing(); len(got) != 2 || !got["envfile"] || !got["variables"] {
		t.Errorf("after a change of of.env and of the environment: %v", got)
	}
}
