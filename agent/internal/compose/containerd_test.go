package compose

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/versions"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/pipeline"
)

// The tests of this file need an engine that keeps its images in containerd: make containerd starts one, Debian 13's.

func newContainerdBench(t *testing.T, files map[string]string) *bench {
	t.Helper()
	if os.Getenv("LANDFALL_CONTAINERD_ENGINE") == "" {
		t.Skip("needs an engine with the containerd image store, which make containerd starts")
	}
	b := newBench(t, files)
	if b.store(t.Context()) != storeContainerd {
		t.Fatal("the engine does not keep its images in containerd")
	}
	return b
}

const built = `services:
  app: {build: {context: ., args: {IMAGE: "${IMAGE}"}}, network_mode: none, init: true, stop_grace_period: 1s, command: [sleep, "1000"]}
  web: {image: "${IMAGE}", depends_on: [app], network_mode: none, init: true, stop_grace_period: 1s, command: [sleep, "1000"]}
`

const dockerfile = "ARG IMAGE\nFROM $IMAGE\nCOPY version /version\n"

// lookAtApp is the bench's picture, with what Compose calls the image of app.
func (b *bench) lookAtApp() (p picture.Picture, app picture.Container, ref string) {
	b.t.Helper()
	p, err := b.Look(b.t.Context(), []string{b.project}, nil, false)
	if err != nil {
		b.t.Fatal(err)
	}
	list := p.Of(picture.Key{Project: b.project, Service: "app"})
	if len(list) != 1 {
		b.t.Fatalf("app has %d containers", len(list))
	}
	return p, list[0], list[0].ImageRef
}

// TestContainerdBuildsOfTheSame: three deploys that build the same again, and ten looks after each, replace nothing, though every build has
// another ID; and what is really another image is replaced.
func TestContainerdBuildsOfTheSame(t *testing.T) {
	b := newContainerdBench(t, map[string]string{"core.yml": built, "Dockerfile": dockerfile, "version": "one"})
	build := pipeline.Step{ID: "build", Build: &pipeline.Build{Stack: "core", Services: []string{"app"}}}
	up := pipeline.Step{ID: "up", Up: &pipeline.Up{Stack: "core"}}
	b.run(build)
	b.run(up)
	b.removePins()
	_, first, _ := b.lookAtApp()
	kind := picture.ContentShown
	if versions.GreaterThanOrEqualTo(b.docker.ClientVersion(), sinceManifests) {
		kind = picture.ContentManifest
	}
	if !strings.HasPrefix(first.Content, kind+":") {
		t.Errorf("API %s tells %q, want a %s", b.docker.ClientVersion(), first.Content, kind)
	}
	ids, moved := b.ids(), 0
	for range 3 {
		before, app, ref := b.lookAtApp()
		if app.Content == "" || before.Contents[before.Refs[ref]] == "" {
			t.Fatalf("what app holds is not known: %+v, %v", app, before.Contents)
		}
		if err := b.Pin(t.Context(), before.Images()); err != nil { // as every deploy does before it builds
			t.Fatal(err)
		}
		b.run(build)
		now, app, _ := b.lookAtApp()
		if now.Refs[ref] != app.ImageID {
			moved++
		}
		for range 10 {
			models, err := b.Models(t.Context(), b.plan)
			if err != nil {
				t.Fatal(err)
			}
			if now, app, _ = b.lookAtApp(); now.Freshness(app, ref) != picture.ImageFresh {
				t.Errorf("a build of the same is %s", now.Freshness(app, ref))
			}
			drift, unknown := picture.Expected{Models: models, Now: now, Configs: configsOf(now)}.Drift()
			if len(drift)+len(unknown) > 0 {
				t.Errorf("%v, %v", drift, unknown)
			}
		}
		if _, err := b.Run(t.Context(), b.plan, ports.Work{Step: up, Before: &before, Warn: func(string, string) {}}, b.said.output); err != nil {
			t.Fatalf("%v\n%s", err, b.said.text())
		}
		if is := b.ids(); !maps.Equal(ids, is) {
			t.Fatalf("a build of the same replaced containers: %v, they were %v\n%s", is, ids, b.said.text())
		}
		if after, app, _ := b.lookAtApp(); after.Refs[ref] != app.ImageID {
			t.Error("the name does not mean what runs")
		}
	}
	if moved == 0 {
		t.Error("no build of the same got another ID, so this shows nothing")
	}
	write(t, b.dir, map[string]string{"version": "two"})
	b.run(build)
	now, app, ref := b.lookAtApp()
	if now.Freshness(app, ref) != picture.ImageStale {
		t.Errorf("another build is %s", now.Freshness(app, ref))
	}
	b.run(up)
	if is := b.ids(); is["app"] == ids["app"] || is["web"] != ids["web"] {
		t.Errorf("%v, they were %v", is, ids)
	}
	said := &said{}
	if _, err := b.Exec(t.Context(), b.plan, pipeline.Exec{Stack: "core", Service: "app", Command: []string{"cat", "/version"}}, said.output); err != nil || said.text() != "out two" {
		t.Errorf("it shows %q, %v", said.text(), err)
	}
}

// configsOf takes what runs for what the checkout renders.
func configsOf(p picture.Picture) map[picture.Key][]string {
	found := map[picture.Key][]string{}
	for _, c := range p.Containers {
		found[c.Key()] = append(found[c.Key()], c.Config)
	}
	return found
}

func (b *bench) removePins() {
	b.t.Cleanup(func() {
		if err := b.Unpin(context.WithoutCancel(b.t.Context()), nil); err != nil {
			b.t.Error(err)
		}
	})
}

// TestContainerdPins: what runs is kept under a tag though its name moves on, and goes back by it.
func TestContainerdPins(t *testing.T) {
	b := newContainerdBench(t, map[string]string{"core.yml": built, "Dockerfile": dockerfile, "version": "one"})
	build := pipeline.Step{ID: "build", Build: &pipeline.Build{Stack: "core", Services: []string{"app"}}}
	up := pipeline.Step{ID: "up", Up: &pipeline.Up{Stack: "core", Services: []string{"app"}, NoDeps: true}}
	b.run(build)
	b.run(up)
	before, old, ref := b.lookAtApp()
	if err := b.Pin(t.Context(), []string{old.ImageID}); err != nil {
		t.Fatal(err)
	}
	write(t, b.dir, map[string]string{"version": "two"})
	b.run(build)
	b.run(up)
	_, young, _ := b.lookAtApp()
	if young.ImageID == old.ImageID || young.Content == old.Content {
		t.Fatalf("%+v is not another image than %+v", young, old)
	}
	const nobody = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	if gone, err := b.Gone(t.Context(), []string{old.ImageID, nobody}); err != nil || !slices.Equal(gone, []string{nobody}) {
		t.Errorf("gone: %v, %v", gone, err)
	}
	if err := b.Rename(t.Context(), map[string]string{ref: old.ImageID}, b.said.output); err != nil {
		t.Fatal(err)
	}
	b.run(up)
	if now, back, _ := b.lookAtApp(); back.ImageID != old.ImageID || back.Content != old.Content || now.Refs[ref] != before.Refs[ref] {
		t.Errorf("%+v, it was %+v", back, old)
	}
	if err := b.Unpin(t.Context(), []string{old.ImageID}); err != nil {
		t.Fatal(err)
	}
	if tags, err := b.pinned(t.Context()); err != nil || len(tags) != 1 {
		t.Errorf("kept: %v, %v", tags, err)
	}
	if err := b.Unpin(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if tags, err := b.pinned(t.Context()); err != nil || len(tags) != 0 {
		t.Errorf("kept: %v, %v", tags, err)
	}
}

// TestContainerdLooksAskOnce: each image is asked about once, and the store's kind not at every look.
func TestContainerdLooksAskOnce(t *testing.T) {
	b := newContainerdBench(t, map[string]string{"core.yml": built, "Dockerfile": dockerfile, "version": "one"})
	b.run(pipeline.Step{ID: "build", Build: &pipeline.Build{Stack: "core", Services: []string{"app"}}})
	b.run(pipeline.Step{ID: "up", Up: &pipeline.Up{Stack: "core"}})
	fresh := newCompose(t, b.dir)
	if _, err := fresh.Look(t.Context(), []string{b.project}, nil, false); err != nil {
		t.Fatal(err)
	}
	began, asked := time.Now(), fresh.known.asked
	const looks = 20
	for range looks {
		if _, err := fresh.Look(t.Context(), []string{b.project}, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s a look", time.Since(began)/looks)
	if !fresh.known.asked.Equal(asked) || len(fresh.known.by) != 2 {
		t.Errorf("asked at %s and %s, knows %v", asked, fresh.known.asked, fresh.known.by)
	}
}
