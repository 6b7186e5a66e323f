package foretell

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

// commit is the compose files of a commit, and its stacks.
type commit struct {
	stacks map[string]pipeline.StackConfig
	files  map[string]string
}

func (c commit) read() Projects {
	return Read(&pipeline.Config{Stacks: c.stacks}, func(path string) ([]byte, error) {
		text, ok := c.files[path]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	})
}

// one is a commit of one stack, "core", of one file.
func one(path, text string) commit {
	return commit{map[string]pipeline.StackConfig{"core": {Files: []string{path}}}, map[string]string{path: text}}
}

func (c commit) with(path, text string) commit {
	c.files[path] = text
	return c
}

func TestChanges(t *testing.T) {
	t.Parallel()
	const two = "name: shop\nservices: {web: {image: a}, db: {image: b}}\n"
	up := func(services ...string) *pipeline.Plan {
		return &pipeline.Plan{Steps: []pipeline.Step{{Phase: pipeline.PhaseApply, Up: &pipeline.Up{Stack: "core", Services: services}}}}
	}
	for _, c := range []struct {
		name         string
		base, target commit
		plan         *pipeline.Plan
		want         []string // beginnings
	}{
		{"nothing", one("a.yml", two), one("a.yml", two), nil, nil},
		{"a service leaves", one("a.yml", two), one("a.yml", "name: shop\nservices: {web: {image: a}}\n"), nil, []string{`no compose file of project "shop" names db any more`}},
		{
			"a service with volumes without names leaves", one("a.yml", "name: shop\nservices: {web: {image: a}, db: {volumes: [/data, 'rows:/rows', {type: volume, target: /logs}]}}\n"), one("a.yml", "name: shop\nservices: {web: {image: a}}\n"), nil,
			[]string{`no compose file of project "shop" names db any more`, `db of project "shop" has a volume without a name at /data: its data stay behind`, `db of project "shop" has a volume without a name at /logs`},
		},
		{
			"volumes without names get some", one("a.yml", "name: shop\nservices: {db: {volumes: [/data, /logs, /keep, /tmp, '${X}/y']}}\n"),
			one("a.yml", "name: shop\nservices: {db: {volumes: ['rows:/data/', './logs:/logs:ro', /keep, {type: tmpfs, target: /tmp}]}}\n"), nil,
			[]string{`db of project "shop" gets volume rows at /data, where it has`, `db of project "shop" gets bind ./logs at /logs`, `db of project "shop" gets tmpfs at /tmp`},
		},
		{
			"fewer containers with volumes without names", one("a.yml", "name: shop\nservices: {db: {scale: 3, volumes: [/data]}, web: {deploy: {replicas: 2}}, odd: {scale: '${N}', volumes: [/data]}}\n"),
			one("a.yml", "name: shop\nservices: {db: {deploy: {replicas: 2}, volumes: [/data]}, web: {}, odd: {volumes: [/data]}}\n"), nil,
			[]string{`db of project "shop" goes from 3 containers to 2: what is too many`},
		},
		{"a stack leaves", one("a.yml", two), commit{}, nil, []string{`compose project "shop" leaves with all it has (web, db)`}},
		{
			"a stack gets another name", one("a.yml", two),
			commit{map[string]pipeline.StackConfig{"other": {Files: []string{"a.yml"}}}, map[string]string{"a.yml": two}},
			nil, nil,
		},
		{
			"a service moves to another stack of the project", one("a.yml", two),
			commit{
				map[string]pipeline.StackConfig{"core": {Files: []string{"a.yml"}}, "data": {Files: []string{"d/b.yml"}}},
				map[string]string{"a.yml": "name: shop\nservices: {web: {}}\n", "d/b.yml": "name: shop\nservices: {db: {}}\n"},
			},
			nil, nil,
		},
		{"the project is renamed", one("a.yml", two), one("a.yml", strings.Replace(two, "shop", "store", 1)), nil, []string{`stack core becomes compose project "store", it was "shop": while its services run, a deploy is refused (PROJECT_RENAMED)`}},
		{"the file moves, named", one("a.yml", two), one("b/c.yml", two), nil, nil},
		{"the file moves, unnamed", one("My.App/a.yml", "services: {web: {}}\n"), one("b/c.yml", "services: {web: {}}\n"), nil, []string{`stack core becomes compose project "b", it was "myapp"`}},
		{"the file moves from the root, unnamed", one("a.yml", "services: {web: {}}\n"), one("b/c.yml", "services: {web: {}}\n"), nil, []string{`stack core becomes compose project "b", it was (of the checkout's folder)`}},
		{
			"landfall.yaml has the last word on the name", one("a.yml", two),
			commit{map[string]pipeline.StackConfig{"core": {Files: []string{"a.yml"}, Project: "shop"}}, map[string]string{"a.yml": strings.Replace(two, "shop", "store", 1)}},
			nil, nil,
		},
		{"a name that is interpolated", one("a.yml", "name: ${X}\nservices: {web: {}}\n"), one("a.yml", two), nil, nil},
		{"a service moves into an included file", one("a.yml", two), one("a.yml", "name: shop\ninclude: [sub/b.yml]\nservices: {web: {}}\n").with("sub/b.yml", "services: {db: {}}\n"), nil, nil},
		{"an include that cannot be followed", one("a.yml", two), one("a.yml", "name: shop\ninclude: ['oci://x']\nservices: {web: {}}\n"), nil, nil},
		{"includes that go round", one("a.yml", two), one("a.yml", "name: shop\ninclude: [b.yml]\nservices: {web: {}}\n").with("b.yml", "include: [a.yml]\n"), nil, []string{"no compose file of project \"shop\" names db"}},
		{
			"Compose's own default",
			commit{map[string]pipeline.StackConfig{"core": {}}, map[string]string{"compose.yml": two, "compose.override.yml": "services: {extra: {}}\n"}},
			commit{map[string]pipeline.StackConfig{"core": {}}, map[string]string{"compose.yml": two}},
			nil,
			[]string{`no compose file of project "shop" names extra`},
		},
		{"a network changes", one("a.yml", two+"networks: {front: {driver: bridge}}\n"), one("a.yml", two+"networks: {front: {driver: bridge, internal: true}}\n"), nil, []string{`network front of project "shop" is defined otherwise`}},
		{"a network is said in another order", one("a.yml", two+"networks: {front: {internal: true, driver: bridge}}\n"), one("a.yml", two+"networks:\n  front:\n    driver: bridge\n    internal: true\n"), nil, nil},
		{"a network becomes external", one("a.yml", two+"networks: {front: {}}\n"), one("a.yml", two+"networks: {front: {external: true}}\n"), nil, []string{`network front of project "shop" is external now: the host must have it`}},
		{"a new external network", one("a.yml", two), one("a.yml", two+"networks: {front: {external: true, name: proxy}}\n"), nil, []string{`network front of project "shop" is external now`}},
		{"a new network", one("a.yml", two), one("a.yml", two+"networks: {front: {}}\n"), nil, nil},
		{"a volume changes", one("a.yml", two+"volumes: {data: {}}\n"), one("a.yml", two+"volumes: {data: {driver_opts: {type: nfs}}}\n"), nil, []string{`volume data of project "shop" is defined otherwise: one that exists keeps`}},
		{"a volume becomes external", one("a.yml", two+"volumes: {data: {}}\n"), one("a.yml", two+"volumes: {data: {external: true}}\n"), nil, []string{`volume data of project "shop" is external now`}},
		{
			"who lives with another", one("a.yml", "name: shop\nservices: {vpn: {}, get: {network_mode: 'service:vpn'}}\n"), one("a.yml", "name: shop\nservices: {vpn: {}, get: {network_mode: 'service:vpn'}}\n"),
			up("vp*"),
			[]string{`get of project "shop" lives in the namespaces of vpn`},
		},
		{
			"who lives with another that a step names, too", one("a.yml", "name: shop\nservices: {vpn: {}, get: {network_mode: 'service:vpn'}}\n"), one("a.yml", "name: shop\nservices: {vpn: {}, get: {network_mode: 'service:vpn'}}\n"),
			up(), nil,
		},
		{
			"who lives with another that stays", one("a.yml", "name: shop\nservices: {vpn: {}, get: {pid: 'service:vpn'}}\n"), one("a.yml", "name: shop\nservices: {vpn: {}, get: {pid: 'service:vpn'}}\n"),
			up("web"), nil,
		},
		{
			"who lives with another of another stack, by its container_name", tunnel("tunnel", "tunnel"), tunnel("tunnel", "tunnel"), up("vp*"),
			[]string{`get of project "more" lives in the namespaces of vpn of project "shop": it is replaced or restarted with it`},
		},
		{
			"who lives with another of another stack, by the name that Compose gives", tunnel("", "shop-vpn-1"), tunnel("", "shop-vpn-1"), up("vp*"),
			[]string{`get of project "more" lives in the namespaces of vpn of project "shop"`},
		},
		{"who lives with another of another stack that stays", tunnel("tunnel", "tunnel"), tunnel("tunnel", "tunnel"), up("web"), nil},
		{"who lives with a container of somebody else", tunnel("tunnel", "theirs"), tunnel("tunnel", "theirs"), up("vp*"), nil},
		{
			"who lives with another of another stack that leaves", tunnel("tunnel", "tunnel"), tunnel("tunnel", "tunnel").with("a.yml", "name: shop\nservices: {web: {}}\n"), up(),
			[]string{`no compose file of project "shop" names vpn any more`, `get of project "more" lives in the namespaces of the container tunnel, which leaves: while both run, a deploy is refused (NAMESPACE_IN_USE)`},
		},
		{
			"who lives with another of another stack that may be in what is not followed", tunnel("tunnel", "tunnel"), tunnel("tunnel", "tunnel").with("a.yml", "name: shop\ninclude: ['oci://x']\nservices: {web: {}}\n"), up(), nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			plan := c.plan
			if plan == nil {
				plan = &pipeline.Plan{}
			}
			got := Changes(c.base.read(), c.target.read(), plan)
			if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// tunnel is a commit of two stacks: vpn, whose container may have a name of its own, and get in the other, which lives in the namespaces of a container.
func tunnel(name, within string) commit {
	named := ""
	if name != "" {
		named = "container_name: " + name
	}
	return commit{
		map[string]pipeline.StackConfig{"core": {Files: []string{"a.yml"}}, "more": {Files: []string{"b.yml"}}},
		map[string]string{
			"a.yml": "name: shop\nservices: {web: {}, vpn: {" + named + "}}\n",
			"b.yml": "name: more\nservices: {get: {network_mode: 'container:" + within + "'}}\n",
		},
	}
}

func TestClashes(t *testing.T) {
	t.Parallel()
	c := commit{
		map[string]pipeline.StackConfig{"core": {Files: []string{"a/a.yml"}}, "more": {Files: []string{"b/b.yml"}}, "again": {Files: []string{"a/a.yml"}, Profiles: []string{"x"}}},
		map[string]string{
			"a/a.yml": "services:\n  web: {container_name: web}\n  get: {network_mode: 'service:vpn'}\n  pid: {pid: 'service:web', ipc: 'service:${X}'}\n",
			"b/b.yml": "services:\n  site: {container_name: web}\n  other: {container_name: '${X}'}\n  third: {container_name: '${X}'}\n",
		},
	}
	want := []Clash{
		{"a/a.yml", 3, "get lives in the namespaces of vpn, which no compose file of its project has"},
		{"b/b.yml", 2, `site wants the container_name "web", which a/web in a/a.yml has`},
	}
	if got := c.read().Clashes(); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}
