package compose

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// modelsNow are the models of the checkout as it is.
func (b *bench) modelsNow() []picture.Model {
	b.t.Helper()
	models, err := b.Models(b.t.Context(), b.plan)
	if err != nil {
		b.t.Fatal(err)
	}
	return models
}

// A proof foresees exactly the networks that Compose makes anew.
func TestProofForeseesNetworksThatAreMadeAnew(t *testing.T) {
	t.Parallel()
	base := newBench(t, map[string]string{"core.yml": "services: {}\n"})
	definitions := []struct{ name, before, after string }{
		{"nothing", "", ""},
		{"labels", `labels: {a: "x<y&z"}`, `labels: ["a=x<y&z"]`},
		{"options", `driver_opts: {com.docker.network.bridge.enable_icc: "true"}`, `driver_opts: {com.docker.network.bridge.enable_icc: "true"}`},
		{"subnet", "ipam: {config: [{subnet: 10.213.11.0/24}]}", "ipam: {config: [{subnet: 10.213.11.0/24}]}"},
		{"inner", "internal: true", "internal: true"},
		{"driver", "driver: bridge", "driver: bridge"},
		{"another-label", "labels: {a: b}", "labels: {a: c}"},
		{"no-label", "labels: {a: b}", ""},
		{"another-option", `driver_opts: {com.docker.network.bridge.enable_icc: "true"}`, `driver_opts: {com.docker.network.bridge.enable_icc: "false"}`},
		{"another-subnet", "ipam: {config: [{subnet: 10.213.12.0/24}]}", "ipam: {config: [{subnet: 10.213.13.0/24}]}"},
		{"no-subnet", "ipam: {config: [{subnet: 10.213.14.0/24}]}", ""},
		{"gateway", "ipam: {config: [{subnet: 10.213.15.0/24}]}", "ipam: {config: [{subnet: 10.213.15.0/24, gateway: 10.213.15.7}]}"},
		{"range", "ipam: {config: [{subnet: 10.213.16.0/24}]}", "ipam: {config: [{subnet: 10.213.16.0/24, ip_range: 10.213.16.128/25}]}"},
		{"internal", "", "internal: true"},
		{"attachable", "", "attachable: true"},
		{"ipv6-said", "", "enable_ipv6: false"},
		{"driver-said", "", "driver: bridge"},
	}
	file := func(of func(i int) string) map[string]string {
		var names []string
		networks := "networks:\n"
		for i, d := range definitions {
			names = append(names, d.name)
			networks += "  " + d.name + ": {" + of(i) + "}\n"
		}
		return map[string]string{"core.yml": "services:\n  app: " + with("networks: ["+strings.Join(names, ", ")+"]") + networks}
	}
	base.moved(file(func(i int) string { return definitions[i].before }))
	up := pipeline.Step{Up: &pipeline.Up{Stack: "core"}}
	base.run(up)
	ids := func() map[string]string {
		found := map[string]string{}
		for _, n := range base.look().Networks {
			if n.Project == base.project {
				found[strings.TrimPrefix(n.Name, base.project+"_")] = n.ID
			}
		}
		return found
	}
	present, now, before := base.modelsNow(), base.look(), ids()
	prove := func(steps ...pipeline.Step) (said map[string]string) {
		said = map[string]string{}
		f := (picture.Proof{Now: now, Present: present, Target: base.modelsNow(), Steps: steps, Dirs: []string{base.dir}}).Find()
		for _, finding := range slices.Concat(f.Refusals, f.Warnings) {
			for _, d := range definitions {
				if strings.Contains(finding.Message, "network "+base.project+"_"+d.name+" ") {
					said[d.name] = finding.Reason
				}
			}
			if len(f.Refusals)+len(f.Warnings) > 0 && !strings.HasPrefix(finding.Reason, "NETWORK") {
				t.Errorf("it also says %+v", finding)
			}
		}
		return said
	}
	if got := prove(); len(got) > 0 {
		t.Errorf("of what did not change it says %v", got)
	}
	base.moved(file(func(i int) string { return definitions[i].after }))
	foreseen := prove()
	base.run(up)
	after := ids()
	for _, d := range definitions {
		if made := before[d.name] != after[d.name]; made != (foreseen[d.name] != "") {
			t.Errorf("%s, {%s} to {%s}: made anew is %v, foreseen %q", d.name, d.before, d.after, made, foreseen[d.name])
		}
	}
	if got := prove(up); len(got) > 0 { // a whole up may do it
		t.Errorf("of a whole up it says %v", got)
	}
}

// An up that names some of those on a network whose definition changes fails and takes them off it: it is refused before; and the way back puts
// them on it again.
func TestNetworkInUseIsRefusedAndMended(t *testing.T) {
	t.Parallel()
	file := func(label string) map[string]string {
		return map[string]string{
			"core.yml":  "services:\n  app: " + sleeper + "  side: " + sleeper + "networks: {default: {labels: {edition: " + label + "}}}\n",
			"extra.yml": "services:\n  late: " + sleeper + "networks: {default: {labels: {edition: " + label + "}}}\n",
		}
	}
	b := newBench(t, file("one"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "extra"}})
	past, present := b.look(), b.modelsNow()
	b.moved(file("two"))
	step := pipeline.Step{ID: "apply/x/1", Up: &pipeline.Up{Stack: "core"}}
	f := (picture.Proof{Now: past, Present: present, Target: b.modelsNow(), Steps: []pipeline.Step{step}, Dirs: []string{b.dir}}).Find()
	if len(f.Refusals) != 1 || f.Refusals[0].Reason != "NETWORK_IN_USE" || !strings.Contains(f.Refusals[0].Message, b.project+"/late would be cut off") {
		t.Errorf("refusals: %+v", f.Refusals)
	}
	work, _ := b.work(step)
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err == nil {
		t.Fatal("Compose did it: the refusal has no point")
	}
	broken := b.look()
	off := 0
	for _, c := range broken.Containers {
		if len(c.Networks) == 0 {
			off++
		}
	}
	if off == 0 {
		t.Errorf("nobody lost the network: %+v", broken.Containers)
	}
	b.moved(file("one"))
	r := b.way(past, "*")
	b.restore(r)
	for _, c := range b.look().Containers {
		if len(c.Networks) != 1 || !c.Running() {
			t.Errorf("%s is %s in %v", c.Service, c.State, c.Networks)
		}
	}
	if got := fmt.Sprint(b.restore(r)); got != "[]" {
		t.Errorf("once more it does %s", got)
	}
}

// A checkout whose project gets another name is not started a second time.
func TestProofOfARenamedProject(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  web: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	present := b.modelsNow()
	old := b.plan.Stacks[0].Project
	b.plan.Stacks[0].Project = old + "-new"
	b.moved(nil)
	models, err := b.Prove(t.Context(), b.plan, b.dir, b.said.output)
	if err != nil {
		t.Fatal(err)
	}
	now, err := b.Look(t.Context(), []string{old + "-new"}, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]picture.Proof{
		"by the compose files":             {Now: now, Present: present, Target: models},
		"by the folder it was started in":  {Now: now, Target: models, Dirs: []string{b.dir}},
		"by the folder that it is part of": {Now: now, Target: models, Dirs: []string{"/nowhere", b.dir[:strings.LastIndex(b.dir, "/")]}},
	} {
		if f := p.Find(); len(f.Refusals) != 1 || f.Refusals[0].Reason != "PROJECT_RENAMED" || !strings.Contains(f.Refusals[0].Message, `"`+old+`"`) {
			t.Errorf("%s: %+v", name, f.Refusals)
		}
	}
}
