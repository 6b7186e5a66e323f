package picture

import (
	"slices"
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

// TestToThaw: what an up brings up, dependencies with it where it takes them along, and nobody else.
func TestToThaw(t *testing.T) {
	m := stack("core of shop", "app needs:db", "db", "web")
	now := host(
		box("app", "a1", state("paused")), box("db", "d1", state("paused")), box("web", "w1", state("paused")), box("app", "a2"), box("ops/app", "o1", state("paused")),
	)
	for name, c := range map[string]struct {
		names    []string
		withDeps bool
		want     []string
	}{
		"all":                       {nil, true, []string{"a1", "d1", "w1"}},
		"one with what it needs":    {[]string{"app"}, true, []string{"a1", "d1"}},
		"one without what it needs": {[]string{"app"}, false, []string{"a1"}},
		"nobody that is paused":     {[]string{"late"}, true, nil},
	} {
		if got := ids(m.ToThaw(c.names, c.withDeps, now)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestPausedIsTold, where steps start it again, and nowhere else.
func TestPausedIsTold(t *testing.T) {
	models := []Model{stack("core of shop", "app needs:db", "db", "web")}
	now := host(box("app", "a1"), box("db", "d1", state("paused")), box("web", "w1", state("paused")))
	for name, c := range map[string]struct {
		step pipeline.Step
		back []Key
		want []string
	}{
		"up with what it needs":    {pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"app"}}}, nil, []string{"shop/db is paused"}},
		"up without what it needs": {pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"app"}, NoDeps: true}}, nil, nil},
		"restart":                  {pipeline.Step{Restart: &pipeline.Restart{Stack: "core", Services: []string{"web"}}}, nil, []string{"shop/web is paused"}},
		"all":                      {pipeline.Step{Up: &pipeline.Up{Stack: "core"}}, nil, []string{"shop/db is paused", "shop/web is paused"}},
		"build":                    {pipeline.Step{Build: &pipeline.Build{Stack: "core"}}, nil, nil},
		"going back pauses again":  {pipeline.Step{Up: &pipeline.Up{Stack: "core"}}, []Key{}, nil},
	} {
		var got []string
		for _, f := range (Proof{Now: now, Present: models, Target: models, Steps: []pipeline.Step{c.step, c.step}, Back: c.back}).Find().Warnings {
			if f.Reason == PausedRuns {
				got = append(got, f.Message)
			}
		}
		says(t, name, got, c.want)
	}
}
