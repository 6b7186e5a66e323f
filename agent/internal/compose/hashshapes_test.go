package compose

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
)

// The hashes that are told are those of the containers that Compose makes, whatever a service consists of; of the others nobody tells any.
func TestHashesAreThoseOfWhatComposeMakes(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{
		"core.yml": `services:
  plain: {image: "${IMAGE}", command: [sleep, "1000"], environment: {A: "x$$y", B: null}, labels: {c: "d$$e"}}
  environed: {image: "${IMAGE}", env_file: [{path: a.env}, {path: none.env, required: false}]}
  labelled: {image: "${IMAGE}", label_file: labels}
  owner: {image: "${IMAGE}", command: [sleep, "1000"]}
  lives: {image: "${IMAGE}", network_mode: "service:owner", pid: "service:owner", command: [sleep, "1000"]}
  shows: {image: "${IMAGE}", volumes_from: [mounts]}
  mounts: {image: "${IMAGE}", volumes: ["data:/v", "/anonymous", "./a.env:/a.env:ro"], tmpfs: [/t]}
  told: {image: "${IMAGE}", secrets: [s], configs: [{source: c, target: /c}, {source: d, target: /d}]}
  many: {image: "${IMAGE}", deploy: {replicas: 2, resources: {limits: {memory: 64M}}}, depends_on: {plain: {condition: service_started}}}
  extends: {extends: {service: plain}, networks: {n: {aliases: [x]}, default: {}}}
networks: {n: {}}
volumes: {data: {}}
secrets: {s: {file: a.env}}
configs: {c: {file: a.env}, d: {content: "a ${IMAGE} $$x"}}
`,
		"a.env": "A=1\nB=\"x y\"\nC='$dollar'\nD=$$two\nE=${A}\nF=\"lines\\nof\"\n", "labels": "a=b\n",
	})
	stack := b.plan.Stacks[0]
	up := exec.Command("docker", "compose", "-p", b.project, "-f", filepath.Join(b.dir, "core.yml"), "up", "--detach", "--quiet-pull")
	up.Env = append(up.Environ(), "IMAGE="+b.plan.Environment["IMAGE"])
	if out, err := up.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	now, err := b.Look(context.Background(), []string{b.project}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := b.Hashes(context.Background(), b.plan, stack, now)
	if err != nil {
		t.Fatal(err)
	}
	version, err := b.Composer(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	untold := []string{"labelled", "shows"}
	for _, c := range now.Containers {
		hash, told := hashes[picture.Key{Project: b.project, Service: c.Service}]
		if told == slices.Contains(untold, c.Service) || (told && hash != c.Config) || c.Composer != version {
			t.Errorf("%s was made from %s by %s, and %q is told by %s", c.Service, c.Config, c.Composer, hash, version)
		}
	}
	if len(now.Containers) != 11 {
		t.Errorf("%d containers", len(now.Containers))
	}
}
