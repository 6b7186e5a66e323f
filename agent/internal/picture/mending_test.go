package picture

import (
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

func TestStaleSharers(t *testing.T) {
	t.Parallel()
	inBoth := func(id string) func(*Container) {
		return func(c *Container) { in(id)(c); c.Shares = append(c.Shares, Share{"pid", id}) }
	}
	for name, c := range map[string]struct {
		before, now []Container // nil before: nobody looked
		elsewhere   []Container // now
		owners      []Container // elsewhere, before
		named       []string
		want        string // "recreate side; restart log"
	}{
		"as it should be":                            {now: boxes(box("app", "a1"), box("side", "s1", in("a1")))},
		"started later than its owner":               {now: boxes(box("app", "a1"), box("side", "s1", in("a1"), after(1)))},
		"owner is gone":                              {now: boxes(box("app", "a2"), box("side", "s1", in("a1"))), want: "recreate side"},
		"owner is gone, two namespaces":              {now: boxes(box("app", "a2"), box("side", "s1", inBoth("a1"))), want: "recreate side"},
		"owner was started again":                    {now: boxes(box("app", "a1", after(1)), box("side", "s1", in("a1"))), want: "restart side"},
		"owner was started and ended":                {now: boxes(box("app", "a1", after(1), exited(0)), box("side", "s1", in("a1")))},
		"stopped stays so":                           {now: boxes(box("app", "a1", after(1)), box("side", "s1", in("a1"), exited(0)))},
		"a job that has ended well stays so":         {now: boxes(box("side", "s1", in("a1"), job, exited(0)))},
		"several containers are told once":           {now: boxes(box("side", "s1", in("a1")), box("side", "s2", in("a1"))), want: "recreate side"},
		"owner of another project":                   {now: boxes(box("side", "s1", in("x1"))), elsewhere: boxes(box("other/vpn", "x1"))},
		"owner of another project was started again": {now: boxes(box("side", "s1", in("x1"))), elsewhere: boxes(box("other/vpn", "x1", after(1))), want: "restart side"},
		"nobody looked, and it does not run":         {now: boxes(box("side", "s1", in("a1"), exited(0))), want: "recreate side"},
		"who went down with the owner runs again":    {before: boxes(box("app", "a1"), box("side", "s1", in("a1"))), now: boxes(box("app", "a1", after(1)), box("side", "s1", in("a1"), exited(137))), want: "restart side"},
		"who went down with an owner that is gone":   {before: boxes(box("app", "a1"), box("side", "s1", in("a1"))), now: boxes(box("app", "a2"), box("side", "s1", in("a1"), exited(137))), want: "recreate side"},
		"made and not started, before a crash":       {before: boxes(box("app", "a1"), box("side", "s1", in("a1"))), now: boxes(box("app", "a2", after(1)), box("side", "s2", in("a2"), state("created"), func(c *Container) { c.Started = began.AddDate(-1, 0, 0) })), want: "restart side"},
		"stopped before, and its owner is gone":      {before: boxes(box("app", "a1"), box("side", "s1", in("a1"), exited(143))), now: boxes(box("app", "a2"), box("side", "s1", in("a1"), exited(143))), want: "create side"},
		"stopped before, and made again":             {before: boxes(box("app", "a1"), box("side", "s1", in("a1"), exited(143))), now: boxes(box("app", "a2", after(1)), box("side", "s2", in("a2"), state("created")))},
		"stopped before, and its owner restarted":    {before: boxes(box("app", "a1"), box("side", "s1", in("a1"), exited(143))), now: boxes(box("app", "a1", after(1)), box("side", "s1", in("a1"), exited(143)))},
		"one of two was stopped": {
			before: boxes(box("app", "a1"), box("side", "s1", in("a1"), exited(143)), box("side", "s2", in("a1"))),
			now:    boxes(box("app", "a2"), box("side", "s1", in("a1"), exited(143)), box("side", "s2", in("a1"))), want: "recreate side",
		},
		"a job that ended well before, and its owner is gone": {before: boxes(box("app", "a1"), box("side", "s1", in("a1"), job, exited(0))), now: boxes(box("app", "a2"), box("side", "s1", in("a1"), job, exited(0)))},
		"it ended by itself":                                             {before: boxes(box("app", "a1"), box("side", "s1", in("a1"))), now: boxes(box("app", "a1"), box("side", "s1", in("a1"), exited(1)))},
		"it had lost its owner before":                                   {before: boxes(box("app", "a2"), box("side", "s1", in("a1"))), now: boxes(box("app", "a2"), box("side", "s1", in("a1"))), named: []string{"web"}},
		"it had lost its owner before, and is down":                      {before: boxes(box("app", "a2"), box("side", "s1", in("a1"), exited(143))), now: boxes(box("app", "a2"), box("side", "s1", in("a1"), exited(143)))},
		"it had lost it, and the step names the owner":                   {before: boxes(box("app", "a2"), box("side", "s1", in("a1"))), now: boxes(box("app", "a3"), box("side", "s1", in("a1"))), named: []string{"app"}, want: "recreate side"},
		"it had lost it, and the step names it":                          {before: boxes(box("app", "a2"), box("side", "s1", in("a1"))), now: boxes(box("app", "a2"), box("side", "s1", in("a1"))), named: []string{"side"}, want: "recreate side"},
		"it had lost it, was down, and the step names the owner":         {before: boxes(box("app", "a2"), box("side", "s1", in("a1"), exited(143))), now: boxes(box("app", "a3"), box("side", "s1", in("a1"), exited(143))), named: []string{"app"}, want: "create side"},
		"its owner had been started again before":                        {before: boxes(box("app", "a1", after(1)), box("side", "s1", in("a1"))), now: boxes(box("app", "a1", after(1)), box("side", "s1", in("a1"))), named: []string{"web"}},
		"its owner had been started again before, and the step names it": {before: boxes(box("app", "a1", after(1)), box("side", "s1", in("a1"))), now: boxes(box("app", "a1", after(2)), box("side", "s1", in("a1"))), named: []string{"app"}, want: "restart side"},
		"another one has lost it since": {
			before: boxes(box("app", "a2"), box("side", "s1", in("a1"))), now: boxes(box("app", "a3"), box("side", "s2", in("a2"))), want: "recreate side",
		},
		"an outsider's namespace was there before": {
			before: boxes(box("side", "s1", in("x1"))), owners: boxes(box("other/vpn", "x1")), now: boxes(box("side", "s1", in("x1"))), want: "recreate side",
		},
		"an outsider's namespace was lost before": {before: boxes(box("side", "s1", in("x1"))), now: boxes(box("side", "s1", in("x1")))},
		"of another stack":                        {before: boxes(box("app", "a1"), box("ops/get", "g1", in("a1"))), now: boxes(box("app", "a2"), box("ops/get", "g1", in("a1"))), want: "recreate ops/get"},
		"of another stack, lost before, and the step names the owner by its container's name": {
			before: boxes(box("app", "a2"), box("ops/get", "g1", in("a1"))), now: boxes(box("app", "a3"), box("ops/get", "g1", in("a1"))), named: []string{"app"}, want: "recreate ops/get",
		},
		"who lives with one that has to be mended comes after it": {
			before: boxes(box("app", "a1"), box("side", "s1", in("a1")), box("ops/log", "l1", in("s1"))),
			now:    boxes(box("app", "a2", after(1)), box("side", "s2", in("a2"), state("created"), func(c *Container) { c.Started = began.AddDate(-1, 0, 0) }), box("ops/log", "l1", in("s1"))), want: "restart side",
		},
		"in no compose file": {before: boxes(box("app", "a1"), box("hand", "h1", in("a1"))), now: boxes(box("app", "a2"), box("hand", "h1", in("a1"))), want: "nobody's hand"},
	} {
		m := Mending{Models: []Model{stack("core of shop", "app", "side in:app", "web"), stack("ops", "get within:shop-app-1", "log within:shop-side-1")}, Now: host(c.now...).elsewhere(c.elsewhere...)}
		for _, n := range c.named {
			m.Named = append(m.Named, key(n))
		}
		if c.before != nil {
			before := host(c.before...).elsewhere(c.owners...).Around("shop").Brief()
			m.Before = &before
		}
		stale, nobodys := m.Mendable()
		var got []string
		for _, of := range []struct {
			verb string
			keys []Key
		}{{"recreate", stale.Recreate}, {"create", stale.Create}, {"restart", stale.Restart}, {"nobody's", nobodys}} {
			for _, k := range of.keys {
				got = append(got, of.verb+" "+strings.TrimPrefix(k.String(), "shop/"))
			}
		}
		equal(t, name, strings.Join(got, "; "), c.want)
	}
	equal(t, "sharers in turn", core("app", "side in:app", "log in:side", "db")[0].Sharers([]string{"app"}), []string{"app", "log", "side"})
	equal(t, "sharers by a container's name", core("app fixed:vpn", "side within:vpn", "db")[0].Sharers([]string{"app"}), []string{"app", "side"})
	two := Mending{Before: ptr(host(box("app", "a1"), box("side", "s1", in("a1")), box("side", "s2", in("a1"), exited(143)))), Now: host(box("app", "a1", after(1)), box("side", "s1", in("a1")), box("side", "s2", in("a1"), exited(143)))}
	equal(t, "what was stopped is not started with its neighbour", two.ToRestart(key("side")), []string{"s1"})
	equal(t, "as many as there were", two.Scale(key("side")), 2)
	equal(t, "as many as are configured", Mending{Models: core("side x3"), Before: ptr(host())}.Scale(key("side")), 3)
}

func ptr(p Picture) *Picture { return &p }

func TestSharersOf(t *testing.T) {
	t.Parallel()
	models := []Model{
		stack("core of shop", "vpn fixed:tunnel", "app", "side in:app"),
		stack("ops", "get within:tunnel", "log in:get", "peek within:shop-app-1", "far within:shop-app-x", "gone within:nobody", "own fixed:shop-app-7"),
	}
	for name, c := range map[string]struct {
		of   []string
		now  []Container
		want []string
	}{
		"by container_name, and in turn":   {of: []string{"vpn"}, want: []string{"ops/get", "ops/log", "vpn"}},
		"by the name that Compose gives":   {of: []string{"app"}, want: []string{"ops/peek", "app", "side"}},
		"as they are":                      {of: []string{"vpn"}, now: boxes(box("vpn", "v1"), box("ops/own", "o1", in("v1"))), want: []string{"ops/get", "ops/log", "ops/own", "vpn"}},
		"nobody":                           {of: []string{"side"}, want: []string{"side"}},
		"who is in no compose file is not": {of: []string{"vpn"}, now: boxes(box("vpn", "v1"), box("hand", "h1", in("v1"))), want: []string{"ops/get", "ops/log", "vpn"}},
	} {
		equal(t, name, SharersOf(models, host(c.now...), keys(c.of...)), keys(c.want...))
	}
}

// What a step records of other projects is who shares namespaces, and whose they are.
func TestAround(t *testing.T) {
	t.Parallel()
	p := host(box("app", "a1"), box("ops/vpn", "v1"), box("ops/get", "g1", in("v1")), box("ops/web", "w1"), box("side", "s1", in("x1"))).elsewhere(box("other/x", "x1"))
	var names []string
	for _, c := range p.Around("shop").Containers {
		names = append(names, c.Key().String())
	}
	equal(t, "around shop", names, []string{"ops/get", "ops/vpn", "shop/app", "shop/side"})
	brief := p.Around("shop").Brief()
	for _, c := range brief.Containers {
		equal(t, c.Service+" has lost its namespace in the record", brief.orphaned(c), "")
	}
	equal(t, "kin of shop alone", p.Kin("shop"), []string{"other", "shop"})
	equal(t, "kin of two", host(box("app", "a1"), box("ops/get", "g1", in("a1"))).Kin("shop"), []string{"ops", "shop"})
	equal(t, "kin the other way", host(box("app", "a1"), box("ops/get", "g1", in("a1"))).Kin("ops"), []string{"ops", "shop"})
	equal(t, "no kin", host(box("app", "a1"), box("ops/get", "g1")).Kin("shop"), []string{"shop"})
}

// A service is free to be replaced where the owner of its namespace is gone: a step of another stack may have done it.
func TestKeepingOfSharersOfAnotherStack(t *testing.T) {
	t.Parallel()
	m := stack("core of shop", "web", "get within:ops-vpn-1")
	was := host(box("web", "w1"), box("get", "g1", in("v1")), box("ops/vpn", "v1"))
	equal(t, "the owner was replaced", m.Keeping([]string{"web"}, false, was, host(box("web", "w1"), box("get", "g2", in("v2")), box("ops/vpn", "v2"))), Kept{})
	equal(t, "the owner is there", m.Keeping([]string{"web"}, false, was, host(box("web", "w1"), box("get", "g2", in("v1")), box("ops/vpn", "v1"))), Kept{Wrong: []string{"get"}})
}

func TestProofOfNamespaces(t *testing.T) {
	t.Parallel()
	core := stack("core of shop", "vpn fixed:tunnel needs:db", "db", "web")
	extra := stack("ops", "get within:tunnel", "other")
	outside := func(id string, change ...func(*Container)) Container {
		c := Container{ID: id, Name: id, State: "running", Started: began}
		for _, do := range change {
			do(&c)
		}
		return c
	}
	vpn := box("vpn", "v1", called("tunnel"))
	get := box("ops/get", "g1", in("v1"))
	all := []Model{core, extra}
	for name, c := range map[string]struct {
		present, target []Model
		steps           []string // "up core", "restart core: vpn"
		back            []Key
		now, elsewhere  []Container
		refused, warned []string
	}{
		"nobody lives with it":                          {steps: []string{"up core"}, now: boxes(vpn)},
		"a service of another stack lives with it":      {steps: []string{"up core"}, now: boxes(vpn, get)},
		"a stranger lives with it":                      {steps: []string{"up core"}, now: boxes(vpn), elsewhere: boxes(outside("hand", in("v1"))), refused: []string{"shop/vpn may be replaced, restarted or removed, and its namespaces with it, but hand, which no stack"}},
		"a stranger shares its processes":               {steps: []string{"up core"}, now: boxes(vpn), elsewhere: boxes(outside("hand", func(c *Container) { c.Shares = []Share{{"pid", "v1"}} })), refused: []string{"but hand,"}},
		"of somebody else's project":                    {steps: []string{"restart core: vpn"}, now: boxes(vpn), elsewhere: boxes(box("else/get", "e1", in("v1"), called("else-get-1"))), refused: []string{"but else-get-1 (of else/get),"}},
		"in no compose file":                            {steps: []string{"recreate core: vpn"}, now: boxes(vpn, box("hand", "h1", in("v1"), called("hand"))), refused: []string{"but hand (of shop/hand),"}},
		"run once by Compose, under a name of ours":     {steps: []string{"up core"}, now: boxes(vpn), elsewhere: boxes(box("ops/get", "r1", in("v1"), called("run-1"))), refused: []string{"but run-1 (of ops/get),"}},
		"a step about another":                          {steps: []string{"up core: web"}, now: boxes(vpn), elsewhere: boxes(outside("hand", in("v1")))},
		"a step about another stack":                    {steps: []string{"up ops"}, now: boxes(vpn), elsewhere: boxes(outside("hand", in("v1")))},
		"no step":                                       {now: boxes(vpn), elsewhere: boxes(outside("hand", in("v1")))},
		"a step takes it along as a dependency":         {steps: []string{"up core: vpn"}, now: boxes(vpn, box("db", "d1")), elsewhere: boxes(outside("hand", in("d1"))), refused: []string{"shop/db may be replaced"}},
		"a restart takes no dependency along":           {steps: []string{"restart core: vpn"}, now: boxes(vpn, box("db", "d1")), elsewhere: boxes(outside("hand", in("d1")))},
		"with who goes with it":                         {steps: []string{"restart core: vpn"}, now: boxes(vpn, get), elsewhere: boxes(outside("hand", in("g1"))), refused: []string{"ops/get may be replaced"}},
		"it leaves":                                     {present: []Model{stack("core of shop", "late")}, now: boxes(box("late", "l1")), elsewhere: boxes(outside("hand", in("l1"))), refused: []string{"shop/late may be"}},
		"the stranger does not run":                     {steps: []string{"up core"}, now: boxes(vpn), elsewhere: boxes(outside("hand", in("v1"), exited(1))), warned: []string{"hand, which no stack of landfall.yaml makes again, cannot be started any more"}},
		"the stranger has done its job":                 {steps: []string{"up core"}, now: boxes(vpn), elsewhere: boxes(outside("hand", in("v1"), job, exited(0)))},
		"the stranger has lost the namespace":           {steps: []string{"up core"}, now: boxes(box("vpn", "v1", after(1))), elsewhere: boxes(outside("hand", in("v1")))},
		"one that the engine does not tell of":          {steps: []string{"up core"}, now: boxes(vpn), elsewhere: boxes(outside("stuck", func(c *Container) { c.Unseen = true })), warned: []string{"does not tell of stuck; if"}},
		"one that it tells no more of than its network": {steps: []string{"up core"}, now: boxes(vpn), elsewhere: boxes(Container{ID: "stuck", Name: "stuck", State: "running", Unseen: true, Shares: []Share{{"network", "v1"}}}), refused: []string{"but stuck,"}, warned: []string{"does not tell of stuck"}},
		"one that it does not tell of, no step":         {now: boxes(vpn), elsewhere: boxes(outside("stuck", func(c *Container) { c.Unseen = true }))},
		"going back leaves it alone":                    {steps: []string{"up core"}, back: []Key{}, now: boxes(vpn), elsewhere: boxes(outside("hand", in("v1")))},
		"going back replaces it":                        {back: keys("vpn"), now: boxes(vpn), elsewhere: boxes(outside("hand", in("v1"))), refused: []string{"shop/vpn may be"}},

		"it leaves, and ours is to live with it": {
			present: all, target: []Model{stack("core of shop", "web"), extra}, steps: []string{"up ops"}, now: boxes(vpn, get), refused: []string{"shop/vpn leaves, and its namespaces with it, but ops/get lives in them"},
		},
		"it leaves, ours is to live without it, and nothing brings it up": {
			present: all, target: []Model{stack("core of shop", "web"), stack("ops", "get", "other")}, steps: []string{"up ops: other"}, now: boxes(vpn, get), refused: []string{"shop/vpn leaves"},
		},
		"it leaves, and ours is brought up without it": {
			present: all, target: []Model{stack("core of shop", "web"), stack("ops", "get", "other")}, steps: []string{"up ops"}, now: boxes(vpn, get),
		},
		"it leaves, and another takes its name over": {
			present: all, target: []Model{stack("core of shop", "web", "tunnel fixed:tunnel"), extra}, steps: []string{"up core: tunnel"}, now: boxes(vpn, get),
		},
		"both leave": {present: all, target: []Model{stack("core of shop", "web")}, steps: []string{"up core"}, now: boxes(vpn, get)},
	} {
		p := Proof{Now: host(c.now...).elsewhere(c.elsewhere...), Present: c.present, Target: c.target, Back: c.back}
		if p.Target == nil {
			p.Target = all
		}
		for _, s := range c.steps {
			p.Steps = append(p.Steps, stepOf(s))
		}
		var got, said []string
		found := p.Find()
		for _, f := range found.Refusals {
			if got = append(got, f.Message); f.Reason != "NAMESPACE_IN_USE" {
				t.Errorf("%s: %s", name, f.Reason)
			}
		}
		for _, f := range found.Warnings {
			if strings.HasPrefix(f.Reason, "NAMESPACE_") {
				said = append(said, f.Message)
			}
		}
		says(t, name+": refused", got, c.refused)
		says(t, name+": told", said, c.warned)
	}
}

// stepOf reads "up STACK", "recreate STACK: SERVICE", "restart STACK: SERVICE".
func stepOf(line string) pipeline.Step {
	verb, rest, _ := strings.Cut(line, " ")
	stack, service, some := strings.Cut(rest, ": ")
	var services []string
	if some {
		services = []string{service}
	}
	switch verb {
	case "recreate":
		return pipeline.Step{Recreate: &pipeline.Recreate{Stack: stack, Services: services}}
	case "restart":
		return pipeline.Step{Restart: &pipeline.Restart{Stack: stack, Services: services}}
	}
	return up(stack, services...)
}

// What is made again takes along who lives with it, owners first; who is stopped stays so.
func TestAnew(t *testing.T) {
	t.Parallel()
	now := host(box("vpn", "v1", called("tunnel")), box("web", "w1"), box("ops/get", "g1", in("v1")), box("ops/log", "l1", in("g1"), exited(143)))
	r := Restore{Before: now, Models: []Model{stack("core of shop", "vpn fixed:tunnel", "web"), stack("ops", "get within:tunnel", "log in:get", "late within:tunnel")}}
	deeds := r.Anew(keys("vpn"), "why")
	equal(t, "deeds", lines(deeds), []string{"recreate ops/get x1", "create ops/log x1", "recreate vpn x1"})
	var order []string
	for _, b := range r.Batches(deeds) {
		order = append(order, string(b.Verb)+" "+b.Stack+": "+strings.Join(b.Services(), " "))
		equal(t, "names of images stay", b.Refs, map[string]string{})
	}
	equal(t, "calls", order, []string{"recreate core: vpn", "recreate ops: get", "create ops: log"})
}
