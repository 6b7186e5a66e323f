package compose

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// What may become of the containers of a service in a step that speaks of it, that depends on it, that does neither.
func TestIntrusions(t *testing.T) {
	t.Parallel()
	ran := func(id, config, image string) operation.Past {
		return operation.Past{Service: "app", Container: id, Config: config, ImageID: image, Running: true}
	}
	left := operation.Past{Service: "app", Container: "left", Config: "x", ImageID: "i"} // created, never started
	a, b := ran("a", "x", "i"), ran("b", "x", "i")
	type list = []operation.Past
	const kept, wrong, replaced = "", "wrong", "replaced"
	for name, c := range map[string]struct {
		before, after list
		replicas      int
		never, dep    string // what is found for a stranger and for a dependency
	}{
		"kept":                       {list{a}, list{a}, 1, kept, kept},
		"never there":                {nil, nil, 1, kept, kept},
		"replaced without a reason":  {list{a}, list{b}, 1, wrong, wrong},
		"replaced, other config":     {list{a}, list{ran("b", "y", "i")}, 1, wrong, replaced},
		"replaced, other image":      {list{a}, list{ran("b", "x", "j")}, 1, wrong, replaced},
		"made":                       {nil, list{a}, 1, wrong, kept},
		"gone":                       {list{a}, nil, 1, wrong, wrong},
		"ended one is gone":          {list{left}, nil, 1, kept, kept},
		"leftover removed":           {list{a, left}, list{a}, 1, kept, kept},
		"leftover took its place":    {list{left}, list{left}, 1, kept, kept},
		"one more":                   {list{a}, list{a, b}, 2, wrong, kept},
		"one less, as is configured": {list{a, b}, list{a}, 1, kept, kept},
		"one less than configured":   {list{a, b}, list{a}, 2, wrong, wrong},
		"one of two replaced":        {list{a, b}, list{a, ran("c", "x", "i")}, 2, wrong, wrong},
		"of another service":         {list{{Service: "other", Container: "1", Running: true}}, list{{Service: "other", Container: "2", Running: true}}, 1, kept, kept},
	} {
		m := model{Services: map[string]modelService{"app": {Scale: &c.replicas}}}
		for may, want := range map[license]string{never: c.never, whenChanged: c.dep, always: kept} {
			got := kept
			switch bad, changed := m.intrusions(c.before, c.after, map[string]license{"app": may}); {
			case len(bad) > 0:
				got = wrong
			case len(changed) > 0:
				got = replaced
			}
			if got != want {
				t.Errorf("%s, license %d: %q, want %q", name, may, got, want)
			}
		}
	}
}

func TestClosure(t *testing.T) {
	t.Parallel()
	on := func(names ...string) modelService {
		s := modelService{DependsOn: map[string]struct{}{}}
		for _, n := range names {
			s.DependsOn[n] = struct{}{}
		}
		return s
	}
	m := model{Services: map[string]modelService{"web": on("api"), "api": on("db", "cache"), "db": on(), "cache": on("db"), "other": on("web"), "a": on("b"), "b": on("a")}}
	for names, want := range map[string][]string{
		"web": {"api", "cache", "db", "web"}, "db": {"db"}, "db web": {"api", "cache", "db", "web"}, "a": {"a", "b"}, "": nil,
	} {
		var got []string
		for name := range m.closure(strings.Fields(names)) {
			got = append(got, name)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", names, got, want)
		}
	}
	if d := cmp.Diff([]string{"api", "cache"}, m.matching([]string{"ap*", "cache"})); d != "" {
		t.Errorf("patterns (-want +got):\n%s", d)
	}
	if len(m.matching(nil)) != len(m.Services) || len(m.matching(nobody)) != 0 {
		t.Errorf("no pattern: %v; nobody: %v", m.matching(nil), m.matching(nobody))
	}
}

// work is a step that begins now, and what it will have warned of.
func (b *bench) work(step pipeline.Step) (operation.Work, *[]string) {
	warned := &[]string{}
	return operation.Work{Step: step, Before: b.snapshot(), Warn: func(_, message string) { *warned = append(*warned, message) }}, warned
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
