package compose

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// of are the containers of a service, as they were seen.
func (b *bench) of(p picture.Picture, service string) []picture.Container {
	return p.Of(picture.Key{Project: b.project, Service: service})
}

// Two services that share the name of an image each get back what they ran, and the name means what it meant.
func TestRestoreOfASharedImageName(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": ""})
	files := strings.ReplaceAll(`services:
  app: {image: NAME, build: {context: app, args: {IMAGE: "${IMAGE}"}}, init: true, stop_grace_period: 1s, command: [sleep, "1000"]}
  worker: {image: NAME, init: true, stop_grace_period: 1s, command: [sleep, "1000"]}
`, "NAME", b.project+"-shared")
	b.moved(map[string]string{"core.yml": files})
	t.Cleanup(b.unpin)
	up := func(services ...string) {
		b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: services, NoDeps: true}})
	}
	b.built("one")
	up("app", "worker")
	b.built("two")
	up("app")
	past := b.look()
	if err := b.Pin(t.Context(), past.Images()); err != nil {
		t.Fatal(err)
	}
	b.built("three")
	up("app", "worker")
	if app, worker := b.editionOf("app"), b.editionOf("worker"); app != "out three" || worker != "out three" {
		t.Fatalf("app runs %s, worker %s", app, worker)
	}
	r := b.way(past, "*")
	deeds := b.restore(r)
	if app, worker := b.editionOf("app"), b.editionOf("worker"); app != "out two" || worker != "out one" {
		t.Errorf("%q: app runs %s, worker %s", deeds, app, worker)
	}
	ref := b.project + "-shared"
	if now := b.look(); now.Refs[ref] != past.Refs[ref] || now.Refs[ref] == b.of(now, "worker")[0].ImageID {
		t.Errorf("the name means %s, it meant %s", now.Refs[ref], past.Refs[ref])
	}
	if len(deeds) != 2 {
		t.Errorf("done: %q", deeds)
	}
	if again := b.restore(r); len(again) > 0 {
		t.Errorf("once more it does %q", again)
	}
}

// As many containers as there were, also where somebody had scaled by hand; what is beyond goes.
func TestRestoreOfReplicas(t *testing.T) {
	t.Parallel()
	file := func(label, scale string) map[string]string {
		return map[string]string{"core.yml": "services:\n  more: " + strings.Replace(sleeper, "{", "{labels: {edition: "+label+"}, scale: "+scale+", ", 1) +
			"  less: " + strings.Replace(sleeper, "{", "{labels: {edition: one}, scale: "+scale+", ", 1)}
	}
	b := newBench(t, file("one", "1"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	if err := b.begin("up", "--detach", "--scale=more=3", "--no-recreate").Wait(); err != nil {
		t.Fatal(err)
	}
	past := b.look()
	if len(b.of(past, "more")) != 3 || len(b.of(past, "less")) != 1 {
		t.Fatalf("before: %+v", past.Containers)
	}
	b.moved(file("two", "2"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	if now := b.look(); len(b.of(now, "more")) != 2 || len(b.of(now, "less")) != 2 {
		t.Fatalf("deployed: %+v", now.Containers)
	}
	b.moved(file("one", "1"))
	r := b.way(past, "*")
	deeds := b.restore(r)
	now := b.look()
	if len(b.of(now, "more")) != 3 || len(b.of(now, "less")) != 1 || b.of(now, "less")[0].ID != b.of(past, "less")[0].ID {
		t.Errorf("%q: %+v", deeds, now.Containers)
	}
	if again := b.restore(r); len(again) > 0 {
		t.Errorf("once more it does %q", again)
	}
}

// What was stopped, or made and not started, is so again: with its old configuration, and not running.
func TestRestoreOfWhatWasStopped(t *testing.T) {
	t.Parallel()
	file := func(label string) map[string]string {
		of := func(label string) string { return strings.Replace(sleeper, "{", "{labels: {edition: "+label+"}, ", 1) }
		return map[string]string{"core.yml": "services:\n  replaced: " + of(label) + "  started: " + of("one") + "  app: " + of(label)}
	}
	b := newBench(t, file("one"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	docker(t, "stop", b.project+"-replaced-1", b.project+"-started-1")
	past := b.look()
	b.moved(file("two"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.moved(file("one"))
	r := b.way(past, "*")
	deeds := b.restore(r)
	if want := []string{"create replaced", "recreate app", "stop started"}; !sameWords(deeds, want) {
		t.Errorf("done: %q, want %q", deeds, want)
	}
	now := b.look()
	for name, running := range map[string]bool{"replaced": false, "started": false, "app": true} {
		c := b.of(now, name)
		if len(c) != 1 || c[0].Running() != running || c[0].Config != b.of(past, name)[0].Config || c[0].Name != b.project+"-"+name+"-1" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if again := b.restore(r); len(again) > 0 {
		t.Errorf("once more it does %q", again)
	}
}

func sameWords(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// The name of an image that a person gave to a newer one stays theirs, where no service that was touched goes by it.
func TestRestoreLeavesNamesOfOthersAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": restoreFiles})
	t.Cleanup(b.unpin)
	b.built("one")
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	ref := b.project + "-app"
	past := b.look(ref)
	if err := b.Pin(t.Context(), past.Images()); err != nil {
		t.Fatal(err)
	}
	b.built("theirs")
	theirs := b.look(ref).Refs[ref]
	docker(t, "stop", b.project+"-other-1")
	if got := b.restore(b.way(past, "other")); !slices.Equal(got, []string{"start other"}) {
		t.Errorf("done: %q", got)
	}
	if now := b.look(ref).Refs[ref]; now != theirs || now == past.Refs[ref] {
		t.Errorf("the name means %s, a person had given it to %s", now, theirs)
	}
	b.restore(b.way(past, "app"))
	if now := b.look(ref).Refs[ref]; now != past.Refs[ref] {
		t.Errorf("of a service that was touched it means %s, it meant %s", now, past.Refs[ref])
	}
}

// Nothing is built or pulled while containers are changed, whatever the compose files wish; Compose takes the flags together.
func TestUpNeitherBuildsNorPulls(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": ""})
	own := b.project + "-own:1"
	docker(t, "tag", b.plan.Environment["IMAGE"], own)
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", own).Run() })
	service := func(policy, more string) string {
		return "{image: \"" + own + "\", pull_policy: " + policy + ", init: true, stop_grace_period: 1s, command: [sleep, \"1000\"]" + more + "}\n"
	}
	b.moved(map[string]string{
		"core.yml": "services:\n  always: " + service("always", "") + "  missing: " + service("missing", "") + "  daily: " + service("daily", "") +
			"  build: " + service("build", ", build: {context: app}"),
		"app/Dockerfile": "FROM nothing.invalid/none\nRUN false\n",
	})
	before := b.look(own).Refs[own]
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core"}})
	if now := b.look(own); now.Refs[own] != before || len(now.Containers) != 4 {
		t.Errorf("%s means %s, it meant %s; %d containers", own, now.Refs[own], before, len(now.Containers))
	}
	key := func(name string) picture.Key { return picture.Key{Project: b.project, Service: name} }
	for _, batch := range []picture.Batch{
		{Verb: picture.Create, Stack: "core", Deeds: []picture.Deed{{Key: key("always"), Verb: picture.Create, Scale: 2}, {Key: key("build"), Verb: picture.Create, Scale: 1}}},
		{Verb: picture.Recreate, Stack: "core", Deeds: []picture.Deed{{Key: key("missing"), Verb: picture.Recreate, Scale: 3}}},
	} {
		old := b.look()
		if err := b.Carry(t.Context(), b.plan, batch, b.said.output); err != nil {
			t.Fatalf("%v\n%s", err, b.said.text())
		}
		now := b.look()
		for _, d := range batch.Deeds {
			is := b.of(now, d.Service)
			if len(is) != d.Scale {
				t.Errorf("%s has %d containers, want %d", d.Service, len(is), d.Scale)
			}
			for _, c := range is {
				if c.Running() != (batch.Verb == picture.Recreate) || old.Has(c.ID) {
					t.Errorf("%s of %s: %+v", batch.Verb, d.Service, c)
				}
			}
		}
	}
	docker(t, "rm", "--force", b.project+"-missing-1", b.project+"-missing-2", b.project+"-missing-3")
	b.moved(map[string]string{"core.yml": "services:\n  missing: " + strings.Replace(service("always", ""), own, "landfall.invalid/none:1", 1)})
	began := b.said.text()
	_, err := b.Run(t.Context(), b.plan, workOf(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"missing"}}}), b.said.output)
	if fault.ReasonOf(err) != "UP_FAILED" || strings.Contains(strings.TrimPrefix(b.said.text(), began), "Pulling") {
		t.Errorf("an image that is not there: %v\n%s", err, b.said.text())
	}
}
