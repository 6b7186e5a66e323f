package picture

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// dir is the folder that Compose was called in.
func dir(d string) func(*Container) { return func(c *Container) { c.WorkingDir = d } }

func up(stack string, services ...string) pipeline.Step {
	return pipeline.Step{Up: &pipeline.Up{Stack: stack, Services: services}}
}

// with gives a model a network, or a volume where its name begins with "vol".
func with(m Model, name string, change func(*NetworkSpec)) Model {
	n := NetworkSpec{}
	change(&n)
	m.Networks, m.Volumes = maps.Clone(m.Networks), maps.Clone(m.Volumes)
	if strings.HasPrefix(name, "vol") {
		m.Volumes[name] = VolumeSpec{External: n.External, Driver: n.Driver, Options: n.Options, Labels: n.Labels}
	} else {
		m.Networks[name] = n
	}
	return m
}

// files gives a model compose files.
func files(m Model, names ...string) Model {
	m.Files = names
	return m
}

func external(n *NetworkSpec) { n.External = true }

func label(value string) func(*NetworkSpec) {
	return func(n *NetworkSpec) { n.Labels = map[string]string{"x": value} }
}

func TestProof(t *testing.T) {
	t.Parallel()
	app := stack("core of shop", "app")
	back := func(value string, services ...string) Model {
		return with(stack("core of shop", services...), "shop_back", label(value))
	}
	is := func(value string) []Network {
		return []Network{{Name: "shop_back", Project: "shop", NetworkSpec: NetworkSpec{Driver: "bridge", Labels: map[string]string{"x": value}}}}
	}
	appOn, dbOn := box("app", "a1", on("shop_back")), box("db", "d1", on("shop_back"))
	for name, c := range map[string]struct {
		present, target []Model
		now             []Container
		elsewhere       []Container
		networks        []Network
		volumes         []Volume
		unread          string
		steps           []pipeline.Step
		refused, warned []string // "REASON: part of the message"
		leaving         []string
	}{
		"nothing changes":                       {present: []Model{app}, target: []Model{app}, now: boxes(box("app", "a1"))},
		"first deploy on an empty host":         {target: []Model{app, stack("ops", "vpn")}},
		"renamed stack with the same project":   {present: []Model{app}, target: []Model{stack("store of shop", "app")}, now: boxes(box("app", "a1"))},
		"take-over of what was started by hand": {target: []Model{app}, now: boxes(box("app", "a1", dir("/srv/shop")))},
		"renamed project": {
			present: []Model{app}, target: []Model{stack("core of store", "app")}, now: boxes(box("app", "a1")),
			refused: []string{`PROJECT_RENAMED: app runs as compose project "shop", the target would run it as "store"`}, leaving: []string{"shop/app"},
		},
		"renamed project is told once": {
			present: []Model{stack("core of shop", "app", "db")}, target: []Model{stack("core of store", "app", "db")}, now: boxes(box("app", "a1"), box("db", "d1")),
			refused: []string{"PROJECT_RENAMED: app runs"}, leaving: []string{"shop/app", "shop/db"},
		},
		"project and service renamed": {
			present: []Model{stack("core of shop", "db")}, target: []Model{stack("core of store", "postgres")}, now: boxes(box("db", "d1")),
			refused: []string{`PROJECT_RENAMED: stack core: runs as compose project "shop", the target would run it as "store"`}, leaving: []string{"shop/db"},
		},
		"stack, project and service renamed, the file the same": {
			present: []Model{files(stack("shop", "db"), "base.yml", "compose.yml")}, target: []Model{files(stack("store", "postgres"), "compose.yml")}, now: boxes(box("db", "d1")),
			refused: []string{"PROJECT_RENAMED: stack store: runs as"}, leaving: []string{"shop/db"},
		},
		"a stack leaves and another comes, with a file that all have": {
			present: []Model{files(stack("shop", "db"), "base.yml", "a.yml"), files(stack("ops", "vpn"), "base.yml", "b.yml")},
			target:  []Model{files(stack("store", "postgres"), "base.yml", "c.yml"), files(stack("ops", "vpn"), "base.yml", "b.yml")},
			now:     boxes(box("db", "d1"), box("ops/vpn", "v1")), leaving: []string{"shop/db"},
		},
		"project and service renamed, nothing runs": {present: []Model{stack("core of shop", "db")}, target: []Model{stack("core of store", "postgres")}},
		"project and service renamed, taken over by hand": {
			present: []Model{stack("core of shop", "db")}, target: []Model{stack("core of ops", "postgres")}, now: boxes(box("db", "d1"), box("ops/postgres", "p1")), leaving: []string{"shop/db"},
		},
		"moved file, and HEAD does not render": {
			target: []Model{stack("core of deploy", "app")}, elsewhere: boxes(box("other/app", "a1", dir("/srv/shop/sub"))), refused: []string{"PROJECT_RENAMED: "},
		},
		"moved file, and HEAD was laid out by another path": {
			target: []Model{stack("core of deploy", "app")}, elsewhere: boxes(box("other/app", "a1", dir("/data/shop"))), refused: []string{"PROJECT_RENAMED: "},
		},
		"the same service of a project of somebody else": {target: []Model{app}, elsewhere: boxes(box("other/app", "a1", dir("/srv/shopping")))},
		"the same service of another stack":              {present: []Model{app}, target: []Model{app, stack("ops", "app")}, now: boxes(box("app", "a1", dir("/srv/shop")))},
		"a service of the checkout with another name":    {target: []Model{app}, elsewhere: boxes(box("other/web", "a1", dir("/srv/shop")))},
		"a container that Compose did not make": {
			target: []Model{app}, elsewhere: boxes(Container{ID: "x", Name: "x", Service: "app", WorkingDir: "/srv/shop"}),
		},

		// services that leave, and those nobody names
		"removed service": {present: []Model{stack("core of shop", "app", "db")}, target: []Model{app}, now: boxes(box("app", "a1"), box("db", "d1")), leaving: []string{"shop/db"}},
		"removed service that has no container": {
			present: []Model{stack("core of shop", "app", "db")}, target: []Model{app}, now: boxes(box("app", "a1")),
		},
		"removed stack": {present: []Model{app, stack("ops", "vpn")}, target: []Model{app}, now: boxes(box("app", "a1"), box("ops/vpn", "v1")), leaving: []string{"ops/vpn"}},
		"service that moves between two stacks of one project": {
			present: []Model{stack("core of shop", "app", "db"), stack("data of shop", "pg")}, target: []Model{app, stack("data of shop", "db", "pg")}, now: boxes(box("app", "a1"), box("db", "d1"), box("pg", "p1")),
		},
		"unnamed services stay":     {present: []Model{app}, target: []Model{app}, now: boxes(box("app", "a1"), box("hand", "h1")), warned: []string{"UNNAMED_SERVICES: names shop/hand; left"}},
		"HEAD that does not render": {target: []Model{app}, now: boxes(box("app", "a1"), box("db", "d1")), warned: []string{"UNNAMED_SERVICES: names shop/db"}},
		"HEAD that does not render, and what was made in the checkout": {
			target: []Model{app}, unread: "abc", now: boxes(box("app", "a1")), warned: []string{"HEAD_UNREADABLE: the compose files of abc, which is checked out, cannot be read, so nobody knows whether extra/worker left them"},
			elsewhere: boxes(box("extra/worker", "w1", dir("/srv/shop")), box("extra/worker", "w2", dir("/srv/shop")), box("other/x", "x1", dir("/srv/shopping")), Container{ID: "x", Name: "x"}),
		},
		"HEAD that does not render, and what a record names": {
			present: []Model{stack("extra", "worker")}, target: []Model{app}, unread: "abc", now: boxes(box("extra/worker", "w1", dir("/srv/shop"))), leaving: []string{"extra/worker"},
		},
		"unnamed services of a project that is not of the target": {
			present: []Model{app, stack("ops", "vpn")}, target: []Model{app}, now: boxes(box("app", "a1"), box("ops/hand", "h1")),
		},

		// names
		"name that is its own": {present: []Model{app}, target: []Model{stack("core of shop", "app fixed:web")}, now: boxes(box("app", "a1", called("web")))},
		"name of a service that leaves": {
			present: []Model{stack("core of shop", "old fixed:web")}, target: []Model{stack("core of shop", "app fixed:web")}, now: boxes(box("old", "o1", called("web"))), leaving: []string{"shop/old"},
		},
		"name of a service that stays": {
			present: []Model{stack("core of shop", "app", "db fixed:web")}, target: []Model{stack("core of shop", "app fixed:web", "db")}, now: boxes(box("db", "d1", called("web"))),
			refused: []string{"CONTAINER_NAME_TAKEN: app wants the container name web, which belongs to shop/db"},
		},
		"name of another project": {
			target: []Model{stack("core of shop", "app fixed:web")}, elsewhere: boxes(box("other/nginx", "n1", called("web"))), refused: []string{"CONTAINER_NAME_TAKEN: belongs to other/nginx"},
		},
		"name by hand": {
			target: []Model{stack("core of shop", "app fixed:web")}, elsewhere: boxes(Container{ID: "x", Name: "web"}), refused: []string{"CONTAINER_NAME_TAKEN: a container that Compose did not make"},
		},

		// what has to be there
		"external network that nobody has": {target: []Model{with(app, "proxy", external)}, refused: []string{"NETWORK_MISSING: external network proxy"}},
		"external network":                 {target: []Model{with(app, "proxy", external)}, networks: []Network{{Name: "proxy"}}},
		"external network by its ID":       {target: []Model{with(app, "abc", external)}, networks: []Network{{ID: "abc", Name: "proxy"}}},
		"external network that another stack makes": {
			target: []Model{with(app, "proxy", external), with(stack("ops", "vpn"), "proxy", func(*NetworkSpec) {})},
		},
		"external volume that nobody has":          {target: []Model{with(app, "vol", external)}, refused: []string{"VOLUME_MISSING: external volume vol"}},
		"external volume":                          {target: []Model{with(app, "vol", external)}, volumes: []Volume{{Name: "vol"}}},
		"external volume that another stack makes": {target: []Model{with(app, "vol", external), with(stack("ops", "vpn"), "vol", func(*NetworkSpec) {})}},
		"files that are nowhere": {
			target: []Model{stack("core of shop", "app missing:secret.txt missing:b")}, refused: []string{"FILE_MISSING: app needs the file secret.txt", "FILE_MISSING: needs the file b"},
		},

		// networks
		"network definition as it is": {target: []Model{back("1", "app on:shop_back")}, networks: is("1"), now: boxes(appOn), steps: []pipeline.Step{up("core of shop")}},
		"network definition changes, all in one up": {
			target: []Model{back("2", "app on:shop_back", "db on:shop_back")}, networks: is("1"), now: boxes(appOn, dbOn), steps: []pipeline.Step{up("core")},
		},
		"network definition changes, with what it depends on": {
			target: []Model{back("2", "app on:shop_back needs:db", "db on:shop_back")}, networks: is("1"), now: boxes(appOn, dbOn), steps: []pipeline.Step{up("core", "app")},
		},
		"network definition changes, without what it depends on": {
			target: []Model{back("2", "app on:shop_back needs:db", "db on:shop_back")}, networks: is("1"), now: boxes(appOn, dbOn),
			steps: []pipeline.Step{{Up: &pipeline.Up{Stack: "core", Services: []string{"app"}, NoDeps: true}}}, refused: []string{"NETWORK_IN_USE: but shop/db would be cut off"},
		},
		"network definition changes, one at a time": {
			target: []Model{back("2", "app on:shop_back", "db on:shop_back")}, networks: is("1"), now: boxes(appOn, dbOn),
			steps: []pipeline.Step{up("core", "app"), up("core", "db")}, refused: []string{"NETWORK_IN_USE: label x changes"},
		},
		"network definition changes, after a recreate of others": {
			target: []Model{back("2", "app on:shop_back", "web")}, networks: is("1"), now: boxes(appOn),
			steps: []pipeline.Step{{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"web"}}}, up("core")},
		},
		"network definition changes, and no step brings it about": {
			target: []Model{back("2", "app on:shop_back")}, networks: is("1"), now: boxes(appOn), steps: []pipeline.Step{up("ops"), {Restart: &pipeline.Restart{Stack: "core"}}},
			warned: []string{"NETWORK_DIFFERS: no step of this plan changes that"},
		},
		"network definition changes, in use from another project": {
			target: []Model{back("2", "app on:shop_back")}, networks: is("1"), now: boxes(appOn), elsewhere: boxes(box("other/x", "x1", on("shop_back"))), steps: []pipeline.Step{up("core")},
			refused: []string{"NETWORK_IN_USE: but other/x would be cut off"},
		},
		"network definition changes, in use by hand": {
			target: []Model{back("2", "app on:shop_back")}, networks: is("1"), now: boxes(appOn), elsewhere: boxes(Container{ID: "h", Name: "by-hand", Networks: []Attachment{{Network: "shop_back"}}}),
			steps: []pipeline.Step{up("core")}, refused: []string{"NETWORK_IN_USE: but by-hand would be cut off"},
		},
		"network definition changes, and who would be cut off leaves": {
			present: []Model{back("1", "app on:shop_back", "db on:shop_back")}, target: []Model{back("2", "app on:shop_back")}, networks: is("1"), now: boxes(appOn, dbOn), steps: []pipeline.Step{up("core")},
			leaving: []string{"shop/db"},
		},
		"network of somebody else's": {
			target: []Model{back("1", "app on:shop_back")}, networks: []Network{{Name: "shop_back"}}, steps: []pipeline.Step{up("core")},
			refused: []string{"NETWORK_TAKEN: stack core wants to make the network shop_back"},
		},
		"network of somebody else's, and no step is about it": {
			target: []Model{back("1", "app on:shop_back")}, networks: []Network{{Name: "shop_back"}}, steps: []pipeline.Step{up("ops")}, warned: []string{"NETWORK_TAKEN: shop_back"},
		},
		"network of another project": {
			target: []Model{back("1", "app on:shop_back")}, networks: []Network{{Name: "shop_back", Project: "other", NetworkSpec: is("1")[0].NetworkSpec}}, steps: []pipeline.Step{up("core")},
		},
		"network of somebody else's, external":        {target: []Model{with(app, "shop_back", external)}, networks: []Network{{Name: "shop_back"}}, steps: []pipeline.Step{up("core")}},
		"network definition changes, nobody is on it": {target: []Model{back("2", "app on:shop_back")}, networks: is("1"), steps: []pipeline.Step{up("core")}},
		"definition of an external network":           {target: []Model{with(app, "shop_back", func(n *NetworkSpec) { n.External, n.Internal = true, true })}, networks: is("1"), steps: []pipeline.Step{up("core")}},

		// volumes
		"volume as it is":    {target: []Model{with(app, "vol", label("1"))}, volumes: []Volume{{Name: "vol", VolumeSpec: VolumeSpec{Driver: "local", Labels: map[string]string{"x": "1"}}}}},
		"volume that is new": {target: []Model{with(app, "vol", label("1"))}},
		"volume definition":  {target: []Model{with(app, "vol", label("2"))}, volumes: []Volume{{Name: "vol", VolumeSpec: VolumeSpec{Labels: map[string]string{"x": "1"}}}}, warned: []string{"VOLUME_DIFFERS: kept with its data"}},
		"volume renamed": {
			present: []Model{stack("core of shop", "db mounts:shop_pg=/data")}, target: []Model{stack("core of shop", "db mounts:shop_pgdata=/data")},
			now: boxes(box("db", "d1")), volumes: []Volume{{Name: "shop_pg"}}, warned: []string{"VOLUME_NEW: db gets the new volume shop_pgdata at /data, which starts empty; the data stay in volume shop_pg"},
		},
		"volume and service renamed": {
			present: []Model{stack("core of shop", "db mounts:shop_pg=/data")}, target: []Model{stack("core of shop", "postgres mounts:shop_pgdata=/data")},
			now: boxes(box("db", "d1")), volumes: []Volume{{Name: "shop_pg"}}, leaving: []string{"shop/db"}, warned: []string{"VOLUME_NEW: postgres gets the new volume shop_pgdata"},
		},
		"volume that had no name": {
			present: []Model{stack("core of shop", "db mounts:=/data")}, target: []Model{stack("core of shop", "db mounts:shop_pg=/data")},
			now: boxes(box("db", "d1")), warned: []string{"VOLUME_NEW: the data stay in a volume without a name"},
		},
		"volume that exists in the place of another": {
			present: []Model{stack("core of shop", "db mounts:shop_pg=/data")}, target: []Model{stack("core of shop", "db mounts:shop_pgdata=/data")},
			now: boxes(box("db", "d1")), volumes: []Volume{{Name: "shop_pg"}, {Name: "shop_pgdata"}},
		},
		"volume that leads elsewhere in the place of another": {
			present: []Model{stack("core of shop", "db mounts:shop_pg=/data")}, now: boxes(box("db", "d1")), volumes: []Volume{{Name: "shop_pg"}},
			target: []Model{with(stack("core of shop", "db mounts:vol=/data"), "vol", func(n *NetworkSpec) { n.Options = map[string]string{"device": "/mnt/pg"} })},
		},
		"volume in a place that had none": {
			present: []Model{stack("core of shop", "db mounts:shop_pg=/data")}, target: []Model{stack("core of shop", "db mounts:shop_pg=/logs")}, now: boxes(box("db", "d1")),
		},
		"external volume's definition": {target: []Model{with(app, "vol", external)}, volumes: []Volume{{Name: "vol", VolumeSpec: VolumeSpec{Labels: map[string]string{"x": "1"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range c.steps {
				if c.steps[i].Up != nil {
					c.steps[i].Up.Stack, _, _ = strings.Cut(c.steps[i].Up.Stack, " of ")
				}
			}
			now := host(c.now...).elsewhere(c.elsewhere...)
			now.Networks, now.Volumes = c.networks, c.volumes
			f := Proof{Now: now, Present: c.present, Unread: c.unread, Target: c.target, Steps: c.steps, Dirs: []string{"/srv/shop", "/data/shop/"}}.Find()
			found(t, "refused", f.Refusals, c.refused)
			found(t, "warned", f.Warnings, c.warned)
			equal(t, "leaving", f.Leaving, keys(c.leaving...))
			if (f.Err() != nil) != (len(c.refused) > 0) {
				t.Errorf("its error is %v", f.Err())
			}
		})
	}
}

func found(t *testing.T, what string, got []Finding, want []string) {
	t.Helper()
	var told []string
	for _, f := range got {
		told = append(told, f.Reason+": "+f.Message)
		if f.Hint == "" {
			t.Errorf("%s says not what to do", f.Reason)
		}
	}
	if len(told) == len(want) && !slices.ContainsFunc(want, func(w string) bool {
		reason, part, _ := strings.Cut(w, ": ")
		return !slices.ContainsFunc(told, func(line string) bool { return strings.HasPrefix(line, reason+": ") && strings.Contains(line, part) })
	}) {
		return
	}
	t.Errorf("%s:\n  %s\nwant\n  %s", what, strings.Join(told, "\n  "), strings.Join(want, "\n  "))
}

func TestFindingsAreOneError(t *testing.T) {
	t.Parallel()
	one := Finding{fault.Refused, "A", "first", "do this"}
	if err := (Findings{}).Err(); err != nil {
		t.Errorf("nothing found: %v", err)
	}
	err := Findings{Refusals: []Finding{one}}.Err()
	if fault.KindOf(err) != fault.Refused || fault.ReasonOf(err) != "A" || !strings.Contains(err.Error(), "first") {
		t.Errorf("one: %v", err)
	}
	err = Findings{Refusals: []Finding{one, {fault.Invalid, "B", "second", "do that"}}}.Err()
	if fault.KindOf(err) != fault.Refused || fault.ReasonOf(err) != "A" {
		t.Errorf("two: %v", err)
	}
	for _, part := range []string{"2 things", "first (do this)", "second (do that)"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestDefinitionsThatDiffer(t *testing.T) {
	t.Parallel()
	full := NetworkSpec{Driver: "bridge", Options: map[string]string{"mtu": "9000"}, Labels: map[string]string{"x": "1"}, Subnets: []string{"10.0.0.0/24"}, Internal: true, Attachable: true, IPv6: true}
	for name, c := range map[string]struct {
		change func(n *NetworkSpec)
		want   string
	}{
		"nothing":           {func(*NetworkSpec) {}, ""},
		"what is left open": {func(n *NetworkSpec) { n.Driver, n.Subnets = "", nil }, ""},
		"driver":            {func(n *NetworkSpec) { n.Driver = "macvlan" }, "driver macvlan, it has bridge"},
		"option is another": {func(n *NetworkSpec) { n.Options = map[string]string{"mtu": "1"} }, "option mtu changes"},
		"option goes":       {func(n *NetworkSpec) { n.Options = nil }, "option mtu goes"},
		"label is new":      {func(n *NetworkSpec) { n.Labels = map[string]string{"x": "1", "y": "secret"} }, "label y is new"},
		"subnet":            {func(n *NetworkSpec) { n.Subnets = []string{"10.1.0.0/24"} }, "subnets 10.1.0.0/24, it has 10.0.0.0/24"},
		"internal":          {func(n *NetworkSpec) { n.Internal = false }, "internal false, it has true"},
		"attachable":        {func(n *NetworkSpec) { n.Attachable = false }, "attachable false, it has true"},
		"ipv6":              {func(n *NetworkSpec) { n.IPv6 = false }, "enable_ipv6 false, it has true"},
	} {
		want := full
		c.change(&want)
		equal(t, name, want.differs(full), c.want)
	}
	equal(t, "subnets of none", full.differs(NetworkSpec{Driver: "bridge", Options: full.Options, Labels: full.Labels, Internal: true, Attachable: true, IPv6: true}), "subnets 10.0.0.0/24, it has none")
	volume := VolumeSpec{Driver: "local", Options: map[string]string{"o": "addr"}, Labels: map[string]string{"x": "1"}}
	equal(t, "volume", volume.differs(VolumeSpec{Driver: "nfs", Options: map[string]string{"o": "secret"}}), "driver local, it has nfs; option o changes; label x is new")
}
