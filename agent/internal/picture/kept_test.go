package picture

import "testing"

func TestKeeping(t *testing.T) {
	t.Parallel()
	models := core("app needs:db", "db", "side in:app", "log in:side", "web x2")
	were := boxes(box("app", "a1"), box("db", "d1"), box("side", "s1", in("a1")), box("log", "l1", in("s1")), box("web", "w1"), box("web", "w2"))
	// but is what there was, with the containers of some services in the place of theirs.
	but := func(others ...Container) []Container {
		list := boxes()
		for _, w := range were {
			replaced := false
			for _, o := range others {
				replaced = replaced || o.Service == w.Service
			}
			if !replaced {
				list = append(list, w)
			}
		}
		for _, o := range others {
			if o.ID != "" {
				list = append(list, o)
			}
		}
		return list
	}
	none := func(service string) Container { return Container{Service: service} }
	for name, c := range map[string]struct {
		named    []string
		withDeps bool
		now      []Container
		wrong    []string
		replaced []string
	}{
		"nothing happened":                           {named: []string{"app"}, now: were},
		"named replaced":                             {named: []string{"app"}, now: but(box("app", "a2", image("2"))), wrong: nil},
		"unnamed replaced":                           {named: []string{"app"}, now: but(box("web", "w3"), box("web", "w4")), wrong: []string{"web"}},
		"unnamed made more of":                       {named: []string{"app"}, now: but(box("web", "w1"), box("web", "w2"), box("web", "w3")), wrong: []string{"web"}},
		"unnamed ran and is gone":                    {named: []string{"app"}, now: but(box("web", "w1")), wrong: []string{"web"}},
		"unnamed displaced from a network":           {named: []string{"app"}, now: but(box("web", "w1", on()), box("web", "w2")), wrong: []string{"web"}},
		"unnamed with another alias":                 {named: []string{"app"}, now: but(box("web", "w1", func(c *Container) { c.Networks[0].Aliases = []string{"x"} }), box("web", "w2")), wrong: []string{"web"}},
		"named displaced is its own business":        {named: []string{"app"}, now: but(box("app", "a1", on()))},
		"unnamed restarted":                          {named: []string{"app"}, now: but(box("web", "w1", after(1)), box("web", "w2"))},
		"dependency changed and was replaced":        {named: []string{"app"}, withDeps: true, now: but(box("db", "d2", image("2"))), replaced: []string{"db"}},
		"dependency with another configuration":      {named: []string{"app"}, withDeps: true, now: but(box("db", "d2", config("2"))), replaced: []string{"db"}},
		"dependency with another image of the same":  {named: []string{"app"}, withDeps: true, now: but(box("db", "d2", image("2"), content("manifest:1"))), replaced: []string{"db"}},
		"dependency replaced without need":           {named: []string{"app"}, withDeps: true, now: but(box("db", "d2")), wrong: []string{"db"}},
		"dependency displaced":                       {named: []string{"app"}, withDeps: true, now: but(box("db", "d1", on())), wrong: []string{"db"}},
		"dependency gone":                            {named: []string{"app"}, withDeps: true, now: but(none("db")), wrong: []string{"db"}},
		"dependency replaced by a step without them": {named: []string{"app"}, now: but(box("db", "d2", image("2"))), wrong: []string{"db"}},
		"sharers go with their owner": {
			named: []string{"app"}, now: but(box("app", "a2"), box("side", "s2", in("a2")), box("log", "l2", in("s2"))),
		},
		"sharers of what is not named do not": {
			named: []string{"web"}, now: but(box("side", "s2", in("a1"))), wrong: []string{"side"},
		},
		"a step that names nobody": {now: but(box("app", "a2")), wrong: []string{"app"}},
	} {
		kept := models[0].Keeping(c.named, c.withDeps, host(were...), host(c.now...))
		equal(t, name, kept, Kept{Wrong: c.wrong, Replaced: c.replaced})
	}
	// What a crashed recreate left behind is removed by the next one: that is no loss, as long as there are as many as configured.
	crashed := append(but(), box("web", "w0", state("created")))
	equal(t, "left behind and removed", models[0].Keeping([]string{"app"}, false, host(crashed...), host(were...)), Kept{})
	equal(t, "one too many is removed", models[0].Keeping([]string{"app"}, false, host(append(but(), box("web", "w0"))...), host(were...)), Kept{})
}

// What Compose keeps while it makes a network anew has lost its names there, which is mended by replacing it.
func TestNameless(t *testing.T) {
	t.Parallel()
	m := core("app", "side in:app", "web x2")[0]
	named := func(aliases ...string) func(*Container) {
		return func(c *Container) { c.Networks = []Attachment{{Network: "core_default", Aliases: aliases}} }
	}
	were := host(box("app", "a1", named("app")), box("side", "s1", in("a1")), box("web", "w1", named("web", "www")), box("web", "w2", named("web")))
	for name, c := range map[string]struct {
		now  Picture
		want []string
	}{
		"nothing happened":             {now: were},
		"it was replaced":              {now: host(box("app", "a2", named()), box("web", "w1", named("web", "www")), box("web", "w2", named("web")))},
		"the owner of a namespace":     {now: host(box("app", "a1", named()), box("side", "s1", in("a1"))), want: []string{"app", "side"}},
		"one of two, one of its names": {now: host(box("app", "a1", named("app")), box("web", "w1", named("web")), box("web", "w2", named("web"))), want: []string{"web"}},
		"a name more":                  {now: host(box("app", "a1", named("app", "more")))},
		"it is off the network":        {now: host(box("app", "a1", on()))},
	} {
		equal(t, name, m.Nameless(were, c.now), c.want)
	}
}
