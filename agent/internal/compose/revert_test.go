package compose

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

const revertFiles = `services:
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
	clear(b.models)
}

func (b *bench) snapshot() operation.Snapshot {
	b.t.Helper()
	s, err := b.Snapshot(b.t.Context(), b.plan, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// edition asks the running app which edition it is.
func (b *bench) edition() string {
	b.t.Helper()
	s := &said{}
	if code, err := b.Exec(b.t.Context(), b.plan, pipeline.Exec{Stack: "core", Service: "app", Command: []string{"sh", "-c", "echo $EDITION"}}, s.output); code != 0 || err != nil {
		b.t.Fatalf("echo: %d, %v: %s", code, err, s.text())
	}
	return s.text()
}

func (b *bench) revert(r operation.Reversal) string {
	b.t.Helper()
	summary, err := b.Revert(b.t.Context(), r, b.said.output)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.said.text())
	}
	return summary
}

// A deploy builds and recreates the app and brings a new service; the revert brings the
// old image back without building, removes what is new and leaves the rest alone.
func TestRevertToPinnedImages(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": revertFiles})
	t.Cleanup(b.unpin)
	b.built("one")
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past, before := b.snapshot(), b.ids()
	if err := b.Pin(t.Context(), "op-1-test", past); err != nil {
		t.Fatal(err)
	}

	b.built("two")
	steps := []pipeline.Step{{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"app"}, NoDeps: true}}}
	b.run(steps[0])
	b.moved(map[string]string{"core.yml": revertFiles + "  late: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"late"}}})
	if got := b.edition(); got != "out two" {
		t.Fatalf("the deploy runs %q", got)
	}
	if out, err := exec.Command("docker", "image", "prune", "--force", "--filter", "label=com.docker.compose.project="+b.project).CombinedOutput(); err != nil {
		t.Fatalf("prune: %v\n%s", err, out)
	}

	b.moved(map[string]string{"core.yml": revertFiles})
	r := operation.Reversal{Plan: b.plan, Past: past, Now: b.snapshot(), Steps: steps}
	summary := b.revert(r)
	if !strings.Contains(summary, "recreated app") || !strings.Contains(summary, "removed late") || strings.Contains(summary, "built again") {
		t.Errorf("summary %q\n%s", summary, b.said.text())
	}
	after := b.snapshot()
	if got := b.edition(); got != "out one" || !slices.Equal(after.Images(), past.Images()) {
		t.Errorf("after the revert %q runs, images %v, want %v", got, after.Images(), past.Images())
	}
	ids := b.ids()
	if ids["other"] != before["other"] || ids["app"] == before["app"] {
		t.Errorf("containers before %v, after %v", before, ids)
	}
	if b.revert(r); b.ids()["app"] != ids["app"] {
		t.Error("repeating the revert replaced the app once more")
	}
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	if got := b.edition(); got != "out one" {
		t.Errorf("a later up brings back %q", got)
	}
}

func TestRevertOfNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  other: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past, before := b.snapshot(), b.ids()
	if got := b.revert(operation.Reversal{Plan: b.plan, Past: past, Now: past}); got != "nothing to bring back" || b.ids()["other"] != before["other"] {
		t.Errorf("summary %q, containers %v, before %v", got, b.ids(), before)
	}
}

// An image that is gone although it was pinned is built again from the checkout.
func TestRevertBuildsWhatIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": revertFiles})
	t.Cleanup(b.unpin)
	b.built("one")
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past := b.snapshot()
	b.built("two")
	b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"app"}}})
	for _, p := range past.Of("core", "app") {
		if out, err := exec.Command("docker", "image", "rm", "--force", p.ImageID).CombinedOutput(); err != nil {
			t.Fatalf("docker image rm: %v\n%s", err, out)
		}
	}
	write(t, b.dir, map[string]string{"app/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nENV EDITION=one\nRUN echo again\n"})
	summary := b.revert(operation.Reversal{Plan: b.plan, Past: past, Now: b.snapshot()})
	if !strings.Contains(summary, "built again app") || b.edition() != "out one" {
		t.Errorf("summary %q, runs %s\n%s", summary, b.edition(), b.said.text())
	}
}

func TestPinsKeepWhatTheyAreToldTo(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": revertFiles})
	t.Cleanup(b.unpin)
	b.built("pinned")
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"app"}}})
	s := b.snapshot()
	for _, id := range []string{"op-1-a", "op-11-b", "op-1-a"} { // repeated on purpose
		if err := b.Pin(t.Context(), id, s); err != nil {
			t.Fatal(err)
		}
	}
	tags := func() string {
		out, err := exec.Command("docker", "image", "ls", "--format", "{{.Tag}}", b.pins()).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := tags(); strings.Count(got, "\n") != 2 {
		t.Errorf("pinned: %q", got)
	}
	if err := b.Unpin(t.Context(), []string{"op-11-b"}); err != nil {
		t.Fatal(err)
	}
	if got := tags(); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "op-11-b-") {
		t.Errorf("after unpinning all but op-11-b: %q", got)
	}
	if err := b.Unpin(t.Context(), nil); err != nil || tags() != "" {
		t.Errorf("after unpinning all: %q, %v", tags(), err)
	}
}

func TestCompleteMakesMissingImages(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": revertFiles, "app/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nENV EDITION=complete\n"})
	b.plan.Steps = []pipeline.Step{{Up: &pipeline.Up{Stack: "core"}}}
	for _, want := range []string{"app", "every image is there"} {
		if got, err := b.Complete(t.Context(), b.plan, b.said.output); got != want || err != nil {
			t.Errorf("complete: %q, %v, want %q\n%s", got, err, want, b.said.text())
		}
	}
	if ids := b.ids(); len(ids) != 0 {
		t.Errorf("containers were made: %v", ids)
	}
}

// A Compose that died between creating and renaming leaves ID_NAME behind.
func TestLeftoversOfACrashedRecreateAreMended(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  a: " + sleeper + "  b: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	before := b.ids()
	name := b.project + "-a-1"
	if out, err := exec.Command("docker", "rename", name, "0123456789ab_"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	a := b.services()["a"].Containers
	if len(a) != 1 || a[0].Name != name || a[0].ID != before["a"] || b.ids()["b"] != before["b"] {
		t.Errorf("service a: %+v, before %v", a, before)
	}
	if !strings.Contains(b.said.text(), "which a crashed recreate left behind, to "+name) {
		t.Errorf("it is not told:\n%s", b.said.text())
	}
}

// One service that cannot be brought back does not keep its neighbours, or another stack, from running again.
func TestRevertOfOneThatCannotStart(t *testing.T) {
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
	past := b.snapshot()
	b.moved(files("two"))
	for _, step := range up {
		b.run(step)
	}
	b.moved(files("one"))
	if err := os.RemoveAll(filepath.Join(b.dir, "need")); err != nil {
		t.Fatal(err)
	}
	r := operation.Reversal{Plan: b.plan, Past: past, Now: b.snapshot(), Steps: up}
	_, err := b.Revert(t.Context(), r, b.said.output)
	if fault.ReasonOf(err) != "ROLLBACK_UP_FAILED" || !strings.Contains(err.Error(), "service broken") || strings.Contains(err.Error(), "service other") {
		t.Errorf("the broken one is not named: %v", err)
	}
	for name, s := range b.services() {
		outcome, message, _ := s.Verdict()
		if name != "broken" && (outcome != operation.ProbePassed || past.Has(s.Containers[0].ID) || r.Now.Has(s.Containers[0].ID)) {
			t.Errorf("%s: %s %s, containers %+v", name, outcome, message, s.Containers)
		}
	}
	write(t, b.dir, map[string]string{"need/keep": ""})
	before := b.ids()
	b.revert(r)
	after := b.ids()
	if got := replacedSince(before, after); len(got) > 1 || after["broken"] == "" {
		t.Errorf("tried again it gave %v new containers; broken has %q", got, after["broken"])
	}
}
