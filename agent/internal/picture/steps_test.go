package picture

import "testing"

func TestTodo(t *testing.T) {
	t.Parallel()
	models := core("app shows:config", "three x3", "job job", "db")
	for name, c := range map[string]struct {
		names   []string
		before  []Container
		now     []Container
		nobody  bool // looked when the step began
		replace []string
		restart []string
	}{
		"nobody looked": {names: []string{"app"}, nobody: true, now: boxes(box("app", "a2")), replace: []string{"app"}, restart: []string{"app"}},
		"untouched":     {names: []string{"app"}, before: boxes(box("app", "a1")), now: boxes(box("app", "a1")), replace: []string{"app"}, restart: []string{"app"}},
		"replaced":      {names: []string{"app"}, before: boxes(box("app", "a1")), now: boxes(box("app", "a2"))},
		"restarted":     {names: []string{"app"}, before: boxes(box("app", "a1")), now: boxes(box("app", "a1", after(1))), replace: []string{"app"}},
		"gone half way": {names: []string{"app"}, before: boxes(box("app", "a1")), replace: []string{"app"}, restart: []string{"app"}},
		"created and not started is not done": {
			names: []string{"app"}, before: boxes(box("app", "a1")), now: boxes(box("app", "a2", state("created"))), replace: []string{"app"}, restart: []string{"app"},
		},
		"made and dead is not done":        {names: []string{"app"}, before: boxes(box("app", "a1")), now: boxes(box("app", "a2", exited(1))), replace: []string{"app"}, restart: []string{"app"}},
		"one-shot that ended well is done": {names: []string{"job"}, before: boxes(box("job", "j1", job, exited(0))), now: boxes(box("job", "j2", job, exited(0), after(1)))},
		"one-shot that failed is not done": {names: []string{"job"}, now: boxes(box("job", "j2", job, exited(1))), replace: []string{"job"}, restart: []string{"job"}},
		"one-shot that ended well before the step is not": {
			names: []string{"job"}, before: boxes(box("job", "j1", job, exited(0))), now: boxes(box("job", "j1", job, exited(0))), replace: []string{"job"}, restart: []string{"job"},
		},
		"what ends with 0 and is no one-shot is not done": {names: []string{"app"}, now: boxes(box("app", "a2", exited(0))), replace: []string{"app"}, restart: []string{"app"}},
		"one of three replaced": {
			names: []string{"three"}, before: boxes(box("three", "t1"), box("three", "t2"), box("three", "t3")),
			now: boxes(box("three", "t1"), box("three", "t2"), box("three", "t4")), replace: []string{"three"}, restart: []string{"three"},
		},
		"one of three made":   {names: []string{"three"}, now: boxes(box("three", "t1")), replace: []string{"three"}},
		"three of three made": {names: []string{"three"}, now: boxes(box("three", "t1"), box("three", "t2"), box("three", "t3"))},
		"some are done": {
			names: []string{"app", "db"}, before: boxes(box("app", "a1"), box("db", "d1")), now: boxes(box("app", "a2"), box("db", "d1")), replace: []string{"db"}, restart: []string{"db"},
		},
		"what the step does not name": {names: []string{"db"}, before: boxes(box("app", "a1"), box("db", "d1")), now: boxes(box("app", "a1"), box("db", "d2"))},
	} {
		before := host(c.before...).Brief()
		todo := Todo{Model: models[0], Names: c.names, Before: &before, Now: host(c.now...)}
		if c.nobody {
			todo.Before = nil
		}
		equal(t, name+": to replace", todo.ToReplace(), c.replace)
		equal(t, name+": to restart", todo.ToRestart(), c.restart)
	}
}

func TestOutdated(t *testing.T) {
	t.Parallel()
	m := core("app shows:config", "db", "new shows:config")[0]
	names := m.Names()
	were := host(box("app", "a1"), box("db", "d1"))
	for name, c := range map[string]struct {
		before, past   *Picture
		changed        Paths
		outdated, rest []string
	}{
		"its files changed":            {&were, &were, Paths{"config/x"}, []string{"app"}, []string{"db", "new"}},
		"other files changed":          {&were, &were, Paths{"src/x"}, nil, names},
		"nothing changed":              {&were, &were, nil, nil, names},
		"the checkout did not move":    {&were, nil, Paths{"config/x"}, nil, names},
		"nobody looked":                {nil, &were, Paths{"config/x"}, nil, names},
		"made since, by a step before": {&were, func() *Picture { p := host(box("app", "a0")); return &p }(), Paths{"config/x"}, nil, names},
	} {
		todo := Todo{Model: m, Names: names, Before: c.before, Past: c.past, Changed: c.changed, Now: host()}
		outdated, rest := todo.Outdated()
		equal(t, name+": outdated", outdated, c.outdated)
		equal(t, name+": rest", rest, c.rest)
		// A repetition, with everything replaced already, splits them in the same way.
		todo.Now = host(box("app", "a9"), box("db", "d9"))
		again, _ := todo.Outdated()
		equal(t, name+": again", again, c.outdated)
	}
}
