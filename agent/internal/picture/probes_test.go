package picture

import (
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

// TestConcerns: an operation is judged by a probe that failed before where it may be the mend.
func TestConcerns(t *testing.T) {
	web := pipeline.Probe{Name: "web", HTTP: &pipeline.HTTPProbe{URL: "http://127.0.0.1:80/"}}
	rows := pipeline.Probe{Name: "rows", Postgres: &pipeline.PostgresProbe{Stack: "core", Service: "database", User: "u"}}
	moved := pipeline.Probe{Name: "web", HTTP: &pipeline.HTTPProbe{URL: "http://127.0.0.1:81/"}}
	flagged := web
	flagged.When = []string{"app"}
	projects := map[string]string{"core": "shop"}
	up := func(stack string, services ...string) []pipeline.Step {
		return []pipeline.Step{{Up: &pipeline.Up{Stack: stack, Services: services}}}
	}
	for name, c := range map[string]struct {
		before  pipeline.Probe
		own     []pipeline.Probe
		steps   []pipeline.Step
		leaving []Key
		want    bool
	}{
		"an address, and nothing is done":                 {web, []pipeline.Probe{rows, web}, nil, nil, false},
		"an address, on a condition now":                  {web, []pipeline.Probe{flagged}, nil, nil, false},
		"an address, and something is done somewhere":     {web, []pipeline.Probe{web}, up("extra", "mailer"), nil, true},
		"an address, and a script runs":                   {web, []pipeline.Probe{web}, []pipeline.Step{{Script: &pipeline.Script{Path: "x"}}}, nil, true},
		"an address, and migrations, if there are any":    {web, []pipeline.Probe{web}, []pipeline.Step{{Migrate: &pipeline.Migrate{}}}, nil, false},
		"an address, and a service leaves":                {web, []pipeline.Probe{web}, nil, []Key{{"shop", "old"}}, true},
		"another address under the name":                  {web, []pipeline.Probe{moved}, nil, nil, true},
		"no longer asked":                                 {web, []pipeline.Probe{rows}, nil, nil, true},
		"a database, and nothing is done":                 {rows, []pipeline.Probe{rows}, nil, nil, false},
		"a database, and others are touched":              {rows, []pipeline.Probe{rows}, up("core", "app"), nil, false},
		"a database, and it is touched":                   {rows, []pipeline.Probe{rows}, up("core", "data*"), nil, true},
		"a database, and all of its stack is":             {rows, []pipeline.Probe{rows}, up("core"), nil, true},
		"a database, and it leaves":                       {rows, []pipeline.Probe{rows}, nil, []Key{{"shop", "database"}}, true},
		"a database, and a command runs in it":            {rows, []pipeline.Probe{rows}, []pipeline.Step{{Exec: &pipeline.Exec{Stack: "core", Service: "database"}}}, nil, true},
		"a database of a stack that the commit has not":   {pipeline.Probe{Name: "rows", Postgres: &pipeline.PostgresProbe{Stack: "gone", Service: "database"}}, []pipeline.Probe{rows}, nil, nil, true},
		"a database of a stack that nobody has a name of": {pipeline.Probe{Postgres: &pipeline.PostgresProbe{Stack: "gone"}}, []pipeline.Probe{{Postgres: &pipeline.PostgresProbe{Stack: "gone"}}}, nil, nil, true},
	} {
		if got := Concerns(c.before, c.own, c.steps, c.leaving, projects); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
