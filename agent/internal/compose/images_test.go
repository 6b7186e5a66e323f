package compose

import (
	"os/exec"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

// One image has one pin, however many operations go back to it, and pins that are let go of leave the image to whoever uses it.
func TestPinsKeepWhatTheyAreToldTo(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": restoreFiles})
	t.Cleanup(b.unpin)
	b.built("first")
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"app"}}})
	first := b.look().Images()
	b.built("second")
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"app"}}})
	second := b.look().Images()
	if len(first) != 1 || len(second) != 1 || first[0] == second[0] {
		t.Fatalf("images %v, then %v", first, second)
	}
	for _, images := range [][]string{first, append(first, second...), first, nil} { // repeated on purpose
		if err := b.Pin(t.Context(), images); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Pin(t.Context(), []string{"sha256:" + strings.Repeat("0", 64)}); err != nil {
		t.Errorf("an image that is gone: %v", err)
	}
	pinned := func() string {
		out, err := exec.Command("docker", "image", "ls", "--no-trunc", "--format", "{{.ID}}", b.pins()).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := pinned(); strings.Count(got, "\n") != 2 || !strings.Contains(got, first[0]) || !strings.Contains(got, second[0]) {
		t.Errorf("pinned: %q", got)
	}
	if err := b.Unpin(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if got := pinned(); got != first[0]+"\n" {
		t.Errorf("after letting go of all but %v: %q", first, got)
	}
	if gone, err := b.Gone(t.Context(), append(first, second...)); len(gone) != 0 || err != nil {
		t.Errorf("gone with the pins: %v, %v", gone, err)
	}
	if err := b.Unpin(t.Context(), nil); err != nil || pinned() != "" {
		t.Errorf("after letting go of all: %q, %v", pinned(), err)
	}
	if gone, err := b.Gone(t.Context(), append(first, second...)); len(gone) != 1 || gone[0] != first[0] || err != nil {
		t.Errorf("gone is %v, want %v; %v", gone, first, err)
	}
}

func TestCompleteMakesMissingImages(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": restoreFiles, "app/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nENV EDITION=complete\n"})
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
