package compose

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

const restoreFiles = `services:
  app: {build: {context: app, args: {IMAGE: "${IMAGE}"}}, init: true, command: [sleep, "1000"]}
  other: ` + sleeper

// built lays an edition of the app out and builds it.
func (b *bench) built(edition string) {
	b.t.Helper()
	write(b.t, b.dir, map[string]string{"app/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nENV EDITION=" + edition + "\n"})
	b.run(pipeline.Step{Build: &pipeline.Build{Stack: "core", Services: []string{"app"}}})
}

// unpin leaves none of the test's pins behind; its context has ended by then.
func (b *bench) unpin() {
	if err := b.Unpin(context.Background(), nil); err != nil {
		b.t.Error(err)
	}
}

// moved says that the checkout is another one now. A deploy has a plan of its own for that.
func (b *bench) moved(files map[string]string) {
	b.t.Helper()
	write(b.t, b.dir, files)
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.models)
}

// look is everything that the project has now.
func (b *bench) look(refs ...string) picture.Picture {
	b.t.Helper()
	p, err := b.Look(b.t.Context(), append([]string{b.project}, b.others...), refs, true)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) lookNow() *picture.Picture {
	b.t.Helper()
	p := b.look()
	return &p
}

// edition asks the running app which edition it is.
func (b *bench) edition() string { return b.editionOf("app") }

func (b *bench) editionOf(service string) string {
	b.t.Helper()
	s := &said{}
	if code, err := b.Exec(b.t.Context(), b.plan, pipeline.Exec{Stack: "core", Service: service, Command: []string{"sh", "-c", "echo $EDITION"}}, s.output); code != 0 || err != nil {
		b.t.Fatalf("echo: %d, %v: %s", code, err, s.text())
	}
	return s.text()
}

// way is the way back to what there was; the test moves the checkout back itself.
func (b *bench) way(before picture.Picture, touched ...string) picture.Restore {
	b.t.Helper()
	models, err := b.Models(b.t.Context(), b.plan)
	if err != nil {
		b.t.Fatal(err)
	}
	r := picture.Restore{Before: before, Began: b.look(), Models: models}
	if len(touched) > 0 {
		r.Touched = []picture.Reach{{Project: b.project, Patterns: touched}}
	}
	return r
}

// restored goes the whole way back, as package flow does, and tells what it did.
func (b *bench) restored(r picture.Restore) (deeds []string, err error) {
	b.t.Helper()
	ctx := b.t.Context()
	look := func() picture.Picture {
		return b.look(append(slices.Sorted(maps.Keys(r.Before.Refs)), picture.Refs(r.Models)...)...)
	}
	if r.Gone, err = b.Gone(ctx, r.Before.Images()); err != nil {
		return nil, err
	}
	todo := r.Deeds(look())
	var again []picture.Key
	for _, d := range todo {
		deeds = append(deeds, string(d.Verb)+" "+d.Service)
		if (d.Verb == picture.Recreate || d.Verb == picture.Create) && d.Image == "" && len(r.Before.Of(d.Key)) > 0 {
			again = append(again, d.Key)
		}
	}
	if len(again) > 0 {
		if err := b.Rebuild(ctx, b.plan, again, b.said.output); err != nil {
			return deeds, err
		}
	}
	do := func(todo []picture.Deed) error {
		for _, batch := range r.Batches(todo) {
			if err := errors.Join(b.Rename(ctx, batch.Refs, b.said.output), b.Carry(ctx, b.plan, batch, b.said.output)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := do(todo); err != nil {
		if err := b.Rest(ctx, ports.Cut{Projects: []string{b.project}, Reaches: r.Touched}, b.said.output); err != nil {
			return deeds, err
		}
		var errs []error
		for _, d := range r.Deeds(look()) {
			if err := do([]picture.Deed{d}); err != nil {
				errs = append(errs, fault.Wrap(err, fault.KindOf(err), fault.ReasonOf(err), "service %s", d.Service))
			}
		}
		if err := errors.Join(errs...); err != nil {
			return deeds, err
		}
	}
	now := look()
	if err := b.Rename(ctx, r.Meanings(now), b.said.output); err != nil {
		return deeds, err
	}
	if wrong := r.Wrong(now); len(wrong) > 0 {
		return deeds, fault.New(fault.Degraded, "NOT_RESTORED", "%s", strings.Join(wrong, "; "))
	}
	return deeds, nil
}

func (b *bench) restore(r picture.Restore) []string {
	b.t.Helper()
	deeds, err := b.restored(r)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.said.text())
	}
	return deeds
}

// A deploy builds and recreates the app and brings a new service; the way back brings the
// old image back without building, removes what is new and leaves the rest alone.
func TestRestoreToPinnedImages(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": restoreFiles})
	t.Cleanup(b.unpin)
	b.built("one")
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past, before := b.look(), b.ids()
	if err := b.Pin(t.Context(), past.Images()); err != nil {
		t.Fatal(err)
	}

	b.built("two")
	b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"app"}, NoDeps: true}})
	b.moved(map[string]string{"core.yml": restoreFiles + "  late: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"late"}}})
	if got := b.edition(); got != "out two" {
		t.Fatalf("the deploy runs %q", got)
	}
	if out, err := exec.Command("docker", "image", "prune", "--force", "--filter", "label=com.docker.compose.project="+b.project).CombinedOutput(); err != nil {
		t.Fatalf("prune: %v\n%s", err, out)
	}

	b.moved(map[string]string{"core.yml": restoreFiles})
	r := b.way(past, "app", "late")
	r.Left = []picture.Key{{Project: b.project, Service: "late"}}
	if got := b.restore(r); !slices.Equal(got, []string{"remove late", "recreate app"}) {
		t.Errorf("done: %q\n%s", got, b.said.text())
	}
	after := b.look()
	if got := b.edition(); got != "out one" || !slices.Equal(after.Images(), past.Images()) || !maps.Equal(after.Refs, past.Refs) {
		t.Errorf("afterwards %q runs, images %v, want %v; names mean %v, want %v", got, after.Images(), past.Images(), after.Refs, past.Refs)
	}
	ids := b.ids()
	if ids["other"] != before["other"] || ids["app"] == before["app"] || ids["late"] != "" {
		t.Errorf("containers before %v, after %v", before, ids)
	}
	if got := b.restore(r); len(got) > 0 || b.ids()["app"] != ids["app"] {
		t.Errorf("repeated it did %q", got)
	}
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	if got := b.edition(); got != "out one" {
		t.Errorf("a later up brings back %q", got)
	}
}

func TestRestoreOfNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  other: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past, before := b.look(), b.ids()
	if got := b.restore(b.way(past)); len(got) > 0 || b.ids()["other"] != before["other"] {
		t.Errorf("done: %q, containers %v, before %v", got, b.ids(), before)
	}
}

// An image that is gone although it was pinned is built again from the checkout.
func TestRestoreBuildsWhatIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": restoreFiles})
	t.Cleanup(b.unpin)
	b.built("one")
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past := b.look()
	b.built("two")
	b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"app"}}})
	for _, c := range past.Of(picture.Key{Project: b.project, Service: "app"}) {
		if out, err := exec.Command("docker", "image", "rm", "--force", c.ImageID).CombinedOutput(); err != nil {
			t.Fatalf("docker image rm: %v\n%s", err, out)
		}
	}
	write(t, b.dir, map[string]string{"app/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nENV EDITION=one\nRUN echo again\n"})
	if got := b.restore(b.way(past, "app")); !slices.Equal(got, []string{"recreate app"}) || b.edition() != "out one" {
		t.Errorf("done: %q, runs %s\n%s", got, b.edition(), b.said.text())
	}
}

// One service that cannot be brought back does not keep its neighbours, or another stack, from running again.
func TestRestoreOfOneThatCannotStart(t *testing.T) {
	t.Parallel()
	files := func(edition string) map[string]string {
		label := func(s string) string { return strings.Replace(s, "{", "{labels: {edition: "+edition+"}, ", 1) }
		return map[string]string{
			"core.yml": "services:\n  app: " + label(sleeper) + "  other: " + label(sleeper) +
				"  broken: " + strings.Replace(label(sleeper), "{", "{volumes: [{type: bind, source: ./need, target: /need, bind: {create_host_path: false}}], ", 1),
			"extra.yml": "services:\n  late: " + label(sleeper),
			"need/keep": "",
		}
	}
	b := newBench(t, files("one"))
	up := []pipeline.Step{{Up: &pipeline.Up{Stack: "core"}}, {Up: &pipeline.Up{Stack: "extra"}}}
	for _, step := range up {
		b.run(step)
	}
	past := b.look()
	b.moved(files("two"))
	for _, step := range up {
		b.run(step)
	}
	b.moved(files("one"))
	if err := os.RemoveAll(filepath.Join(b.dir, "need")); err != nil {
		t.Fatal(err)
	}
	r := b.way(past, "*")
	_, err := b.restored(r)
	if fault.ReasonOf(err) != "ROLLBACK_UP_FAILED" || !strings.Contains(err.Error(), "service broken") || strings.Contains(err.Error(), "service other") {
		t.Errorf("the broken one is not named: %v", err)
	}
	for name, s := range b.services() {
		outcome, message, _ := s.Verdict()
		if name != "broken" && (outcome != picture.Passed || past.Has(s.Containers[0].ID) || r.Began.Has(s.Containers[0].ID)) {
			t.Errorf("%s: %s %s, containers %+v", name, outcome, message, s.Containers)
		}
	}
	write(t, b.dir, map[string]string{"need/keep": ""})
	before := b.ids()
	b.restore(r)
	after := b.ids()
	if got := replacedSince(before, after); len(got) > 1 || after["broken"] == "" {
		t.Errorf("tried again it gave %v new containers; broken has %q", got, after["broken"])
	}
}
