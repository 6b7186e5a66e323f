package compose

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// work is a step that begins now, and what it will have warned of.
func (b *bench) work(step pipeline.Step) (ports.Work, *[]string) {
	warned := &[]string{}
	before := b.look()
	return ports.Work{Step: step, Before: &before, Warn: func(_, message string) { *warned = append(*warned, message) }}, warned
}

// recreateByHand gives a service a new container, as a person does.
func (b *bench) recreateByHand(service string) {
	b.t.Helper()
	cmd := exec.Command("docker", "compose", "--project-name", b.project, "--file", "core.yml", "up", "--detach", "--no-deps", "--force-recreate", service)
	cmd.Dir, cmd.Env = b.dir, b.environ(b.plan.Environment)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Errorf("%v\n%s", err, out)
	}
}

// A step that finds another container than before in a service it does not name fails, whoever put it there.
func TestUntouchedServicesKeepTheirContainers(t *testing.T) {
	t.Parallel()
	const files = "services:\n  app: " + sleeper + "  other: " + sleeper
	up := pipeline.Step{ID: "apply/x/1", Up: &pipeline.Up{Stack: "core", Services: []string{"app"}, ForceRecreate: true}}
	for name, step := range map[string]pipeline.Step{
		"up": up, "recreate": {ID: "apply/x/1", Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"app"}}},
		"restart": {ID: "apply/x/1", Restart: &pipeline.Restart{Stack: "core", Services: []string{"app"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, map[string]string{"core.yml": files})
			b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
			work, _ := b.work(step)
			if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil {
				t.Fatalf("nobody interferes: %v", err)
			}
			work, _ = b.work(step)
			interfered := false
			_, err := b.Run(t.Context(), b.plan, work, func(stream operation.Stream, text string, cut bool) {
				if !interfered {
					interfered = true
					b.recreateByHand("other")
				}
				b.said.output(stream, text, cut)
			})
			if fault.ReasonOf(err) != "NOT_KEPT" || !strings.Contains(err.Error(), "does not name other,") {
				t.Errorf("somebody recreates a neighbour: %v", err)
			}
			work, _ = b.work(step)
			b.recreateByHand("other")
			if _, err = b.Run(t.Context(), b.plan, work, b.said.output); fault.ReasonOf(err) != "NOT_KEPT" {
				t.Errorf("a repetition finds a neighbour recreated: %v", err)
			}
		})
	}
}

// What a service depends on may be replaced where it changed, which is told, and not otherwise.
func TestDependenciesThatAreReplaced(t *testing.T) {
	t.Parallel()
	files := func(label string) string {
		return "services:\n  app: " + strings.Replace(sleeper, "{", "{depends_on: [db], ", 1) + "  db: " + strings.Replace(sleeper, "{", "{labels: {edition: \""+label+"\"}, ", 1) + "  other: " + sleeper
	}
	b := newBench(t, map[string]string{"core.yml": files("one")})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	before := b.ids()
	step := pipeline.Step{ID: "apply/app/1", Up: &pipeline.Up{Stack: "core", Services: []string{"app"}}}

	b.moved(map[string]string{"core.yml": files("two")})
	alone := step
	alone.Up = &pipeline.Up{Stack: "core", Services: []string{"app"}, NoDeps: true}
	work, warned := b.work(alone)
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil || len(*warned) > 0 || b.ids()["db"] != before["db"] {
		t.Errorf("without dependencies: %v, %q", err, *warned)
	}
	work, warned = b.work(step)
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil || b.ids()["db"] == before["db"] {
		t.Fatalf("with dependencies: %v, containers %v", err, b.ids())
	}
	if want := []string{"apply/app/1: db changed, too, and got a new container, because services of this step depend on it"}; !slices.Equal(*warned, want) {
		t.Errorf("warnings %q, want %q", *warned, want)
	}
	if b.ids()["other"] != before["other"] {
		t.Error("a stranger has a new container")
	}
	work, warned = b.work(step)
	b.recreateByHand("db")
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); fault.ReasonOf(err) != "NOT_KEPT" || len(*warned) > 0 {
		t.Errorf("a dependency that did not change: %v, %q", err, *warned)
	}
}

// Two stacks of one project are changed side by side: what the other one names is its own affair.
func TestServicesOfAnotherStackInTheProject(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  app: " + sleeper + "  shared: " + sleeper, "extra.yml": "services:\n  late: " + sleeper + "  shared: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "extra"}})
	work, _ := b.work(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"app"}, NoDeps: true}})
	b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "extra"}})
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil {
		t.Errorf("the other stack's own step: %v", err)
	}
}
