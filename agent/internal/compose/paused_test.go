package compose

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// engineSays asks the engine itself.
func (b *bench) engineSays(args ...string) string {
	b.t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// stateOf asks the engine how the container of a service is.
func (b *bench) stateOf(service string) string {
	return b.engineSays("inspect", "--format", "{{.State.Status}}", b.ids()[service])
}

// A paused service that an up brings up runs, though Compose alone fails on it; its dependencies as well. Going back pauses it again, replaced or not.
func TestPausedAndBack(t *testing.T) {
	t.Parallel()
	label := func(edition, depends string) string {
		return strings.Replace(sleeper, "{", "{labels: {edition: "+edition+"}"+depends+", ", 1)
	}
	files := func(edition string) map[string]string {
		return map[string]string{"core.yml": "services:\n  app: " + label(edition, ", depends_on: [base]") + "  base: " + sleeper + "  other: " + sleeper}
	}
	b := newBench(t, files("one"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past := b.ids()
	for _, service := range []string{"app", "base", "other"} {
		b.engineSays("pause", past[service])
	}
	before := b.look()

	b.moved(files("two"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"app"}}})
	if got := []string{b.stateOf("app"), b.stateOf("base"), b.stateOf("other")}; !slices.Equal(got, []string{"running", "running", "paused"}) {
		t.Fatalf("after the up they are %v", got)
	}

	b.moved(files("one"))
	r := b.way(before, "app", "base")
	var done []string
	for range 2 { // as package flow does: what deeds bring about is a reason for others
		some, err := b.restored(r)
		if done = append(done, some...); err == nil {
			break
		}
	}
	if want := []string{"recreate app", "pause base", "pause app"}; !slices.Equal(done, want) {
		t.Errorf("done: %q, want %q\n%s", done, want, b.said.text())
	}
	if got := []string{b.stateOf("app"), b.stateOf("base"), b.stateOf("other")}; !slices.Equal(got, []string{"paused", "paused", "paused"}) {
		t.Errorf("afterwards they are %v", got)
	}
	now := b.ids()
	if wrong := r.Wrong(b.look()); len(wrong) > 0 || now["base"] != past["base"] || now["other"] != past["other"] {
		t.Errorf("wrong: %q, containers %v, before %v", wrong, now, past)
	}
	for _, id := range now { // the engine that tidies up need not thaw them
		b.engineSays("unpause", id)
	}
	// What has ended cannot be paused: that is told, and the comparison has the last word.
	b.engineSays("stop", "--time", "0", now["other"])
	if err := b.Carry(t.Context(), b.plan, picture.Batch{Verb: picture.Pause, Deeds: []picture.Deed{{Key: picture.Key{Project: b.project, Service: "other"}, Verb: picture.Pause, Containers: []string{now["other"], now["app"]}}}}, b.said.output); err != nil || b.stateOf("app") != "paused" {
		t.Errorf("%v, the app is %s", err, b.stateOf("app"))
	}
	b.engineSays("unpause", now["app"])
}
