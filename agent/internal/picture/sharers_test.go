package picture

import (
	"testing"
	"time"
)

func TestServices(t *testing.T) {
	t.Parallel()
	models := []Model{stack("core of shop", "app", "side in:app", "db x2"), stack("ops", "vpn job")}
	now := host(box("app", "a1", after(1)), box("side", "s1", in("a1")), box("db", "d1"), box("ops/vpn", "v1", job, exited(0)), box("hand", "h1"))
	type seen struct{ Stack, Name, Verdict, Message string }
	look := func(stacks ...string) (list []seen) {
		for _, s := range Services(models, now, stacks) {
			verdict, message, _ := s.Verdict()
			list = append(list, seen{s.Stack, s.Name, string(verdict), message})
		}
		return list
	}
	lost := "side: shares the network namespace of app as it was before that was started again"
	equal(t, "all", look(), []seen{
		{"", "hand", "passed", ""}, {"core", "app", "passed", ""}, {"core", "db", "failed", "db: 1 of 2 containers exist"}, {"core", "side", "failed", lost}, {"ops", "vpn", "passed", ""},
	})
	equal(t, "of a stack, without those that nobody names", look("ops"), []seen{{"ops", "vpn", "passed", ""}})

	j := Judge(Services(models, now, nil), nil)
	equal(t, "judgement", []any{j.Verdict, j.Messages, j.Services, j.Containers, len(j.Blamed)}, []any{Failed, []string{"core/db: 1 of 2 containers exist", "core/" + lost}, 4, 4, 1})
	j = Judge(Services(models, now, nil), []Excuse{{Key: key("db")}, {Key: key("side")}, {Key: key("app")}})
	equal(t, "excused", j.String(), "2 services, 2 containers; 2 not judged, because not as they should be before")
	if j.Verdict != Passed {
		t.Errorf("verdict with excuses: %s", j.Verdict)
	}
	waits := host(box("app", "a1", func(c *Container) { c.Health = "starting" }), box("db", "d1"), box("db", "d2"))
	j = Judge(Services(core("app", "db x2", "gone"), waits, nil), nil)
	equal(t, "what has failed matters, not what still comes", j.Messages, []string{"core/gone: 0 of 1 containers exist"})
}

func TestExcused(t *testing.T) {
	t.Parallel()
	models := core("app", "db", "job job")
	health := func(h string) func(*Container) { return func(c *Container) { c.Health = h } }
	for name, c := range map[string]struct {
		before  []Container
		touched []Reach
		want    []string
	}{
		"all is well":                {before: boxes(box("app", "a1"), box("db", "d1"), box("job", "j1", job, exited(0)))},
		"one was stopped":            {before: boxes(box("app", "a1", exited(143)), box("db", "d1"), box("job", "j1", job)), want: []string{"app: exited with code 143"}},
		"but the operation names it": {before: boxes(box("app", "a1", exited(143)), box("db", "d1"), box("job", "j1", job)), touched: []Reach{{"shop", []string{"a*"}}}},
		"of another project":         {before: boxes(box("app", "a1", exited(143)), box("db", "d1"), box("job", "j1", job)), touched: []Reach{{Project: "ops"}}, want: []string{"app: exited with code 143"}},
		"one was on its way":         {before: boxes(box("app", "a1", health("starting")), box("db", "d1"), box("job", "j1", job))},
		"one ran between two crashes": {
			before: boxes(box("app", "a1", func(c *Container) { c.Restarts, c.Up = 2, time.Second }), box("db", "d1"), box("job", "j1", job)),
			want:   []string{"app: restarted 2 times, runs for less than 10s"},
		},
		"one was ill":           {before: boxes(box("app", "a1", health("unhealthy")), box("db", "d1"), box("job", "j1", job)), want: []string{"app: unhealthy"}},
		"one was never started": {before: boxes(box("app", "a1", state("created")), box("db", "d1"), box("job", "j1", job)), want: []string{"app: created, not started"}},
		"one is missing":        {before: boxes(box("app", "a1"), box("db", "d1")), want: []string{"job: 0 of 1 containers exist"}},
		"what nobody names":     {before: boxes(box("app", "a1"), box("db", "d1"), box("job", "j1", job), box("hand", "h1", exited(1)))},
	} {
		var got []string
		for _, e := range Excused(models, host(c.before...), c.touched) {
			got = append(got, e.Why)
		}
		equal(t, name, got, c.want)
	}
	excuses := []Excuse{{Key: key("app"), Stack: "core"}}
	if !Forgives(excuses, key("app")) || Forgives(excuses, key("ops/app")) || !ForgivesIn(excuses, "core", "app") || ForgivesIn(excuses, "ops", "app") || ForgivesIn(excuses, "core", "db") {
		t.Error("an excuse is for one service of one project")
	}
}
