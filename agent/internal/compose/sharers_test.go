package compose

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/pipeline"
)

func workOf(step pipeline.Step) ports.Work { return ports.Work{Step: step} }

// shared is a service with more settings.
func with(settings string) string { return strings.Replace(sleeper, "{", "{"+settings+", ", 1) }

// sharersFile has an owner of namespaces, those who live in them, and one who lives with nobody.
func sharersFile(label string) map[string]string {
	return map[string]string{"core.yml": "services:\n  owner: " + with("ipc: shareable, labels: {edition: "+label+"}") +
		"  net: " + with(`network_mode: "service:owner"`) + "  pid: " + with(`pid: "service:owner"`) + "  ipc: " + with(`ipc: "service:owner"`) +
		"  deep: " + with(`network_mode: "service:net"`) + "  other: " + sleeper}
}

// together makes sure that everybody runs in the namespaces that their owners have now.
func (b *bench) together() {
	b.t.Helper()
	services := b.services()
	for _, name := range []string{"owner", "net", "pid", "ipc", "deep", "other"} {
		verdict, why, _ := services[name].Verdict()
		if verdict != picture.Passed {
			b.t.Errorf("%s: %s", name, why)
		}
	}
	for _, namespace := range []struct{ of, in, kind string }{{"net", "owner", "net"}, {"pid", "owner", "pid"}, {"ipc", "owner", "ipc"}} {
		if a, o := b.namespace(namespace.of, namespace.kind), b.namespace(namespace.in, namespace.kind); a != o {
			b.t.Errorf("%s lives in %s, %s in %s", namespace.of, a, namespace.in, o)
		}
	}
}

// namespace is the one that a service's container really lives in: "net:[4026532281]".
func (b *bench) namespace(service, kind string) string {
	b.t.Helper()
	return docker(b.t, "exec", b.project+"-"+service+"-1", "readlink", "/proc/self/ns/"+kind)
}

// Who lives in a namespace of what a step replaces or restarts is taken along, and nobody else; also those who live with those.
func TestStepsTakeSharersAlong(t *testing.T) {
	t.Parallel()
	b := newBench(t, sharersFile("one"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.together()
	for name, step := range map[string]pipeline.Step{
		"recreate":                      {Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"owner"}, NoDeps: true}},
		"recreate with what it needs":   {Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"owner"}}},
		"up, forced":                    {Up: &pipeline.Up{Stack: "core", Services: []string{"owner"}, ForceRecreate: true}},
		"restart":                       {Restart: &pipeline.Restart{Stack: "core", Services: []string{"owner"}}},
		"recreate of one in the middle": {Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"net"}, NoDeps: true}},
	} {
		other := b.of(b.look(), "other")[0]
		work, _ := b.work(step)
		if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil {
			t.Errorf("%s: %v\n%s", name, err, b.said.text())
		}
		b.together()
		if now := b.of(b.look(), "other")[0]; now.ID != other.ID || !now.Started.Equal(other.Started) {
			t.Errorf("%s: a stranger was touched", name)
		}
	}
}

// The way back takes them along as well.
func TestRestoreTakesSharersAlong(t *testing.T) {
	t.Parallel()
	b := newBench(t, sharersFile("one"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past := b.look()
	b.moved(sharersFile("two"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"owner"}}})
	b.together()
	b.moved(sharersFile("one"))
	r := b.way(past, "*")
	b.restore(r)
	b.together()
	if got := b.restore(r); len(got) > 0 {
		t.Errorf("once more it does %q", got)
	}
	docker(t, "restart", b.project+"-owner-1") // who lives with it has lost the namespace
	b.restore(b.way(past, "*"))
	b.together()
}

// A container of another project that is made anew, or started again, takes the namespace with it.
func TestSharersOfAnotherProject(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services: {}\n"})
	outsider := b.project + "-outsider"
	run := func() {
		docker(t, "run", "--detach", "--init", "--label", "com.docker.compose.project="+b.project+"-else", "--label", "com.docker.compose.service=vpn", "--name", outsider, b.plan.Environment["IMAGE"], "sleep", "1000")
	}
	run()
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", outsider).Run() })
	b.moved(map[string]string{"core.yml": "services:\n  guest: " + with(`network_mode: "container:`+outsider+`"`) + "  other: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past := b.look()
	verdict := func() picture.Verdict { v, _, _ := b.services()["guest"].Verdict(); return v }
	if verdict() != picture.Passed {
		t.Fatal("it does not live with it")
	}
	docker(t, "restart", "--time", "0", outsider)
	if verdict() != picture.Failed {
		t.Error("nobody sees that the namespace is an old one")
	}
	other := pipeline.Step{Restart: &pipeline.Restart{Stack: "core", Services: []string{"other"}}}
	guest := b.of(b.look(), "guest")[0]
	work, _ := b.work(other)
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil || verdict() != picture.Failed || !b.of(b.look(), "guest")[0].Started.Equal(guest.Started) {
		t.Errorf("a step about another has touched what was broken before it: %v, %s\n%s", err, verdict(), b.said.text())
	}
	work, _ = b.work(pipeline.Step{Restart: &pipeline.Restart{Stack: "core", Services: []string{"guest"}}})
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil || verdict() != picture.Passed {
		t.Errorf("after a step that names it: %v, %s\n%s", err, verdict(), b.said.text())
	}
	work, _ = b.work(other)
	docker(t, "restart", "--time", "0", outsider)
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil || verdict() != picture.Passed {
		t.Errorf("after a step during which the owner was started again: %v, %s\n%s", err, verdict(), b.said.text())
	}
	docker(t, "rm", "--force", outsider)
	run()
	if verdict() != picture.Failed {
		t.Error("nobody sees that the namespace is gone")
	}
	deeds := b.restore(b.way(past, "*"))
	if verdict() != picture.Passed || !slices.Contains(deeds, "recreate guest") {
		t.Errorf("%q: %s", deeds, verdict())
	}
}

// lodging has the owner of a network in one stack, and those who live in its namespaces by the name of its container in another, of another project.
func lodging(b *bench, label string) map[string]string {
	tunnel := `"container:` + b.project + `-vpn"`
	return map[string]string{
		"core.yml": "services:\n  vpn: " + with("container_name: "+b.project+"-vpn, ipc: shareable, labels: {edition: "+label+"}") + "  other: " + sleeper,
		"extra.yml": "services:\n  net: " + with("network_mode: "+tunnel) + "  pid: " + with("pid: "+tunnel) + "  ipc: " + with("ipc: "+tunnel) +
			"  deep: " + with(`network_mode: "service:net"`) + "  down: " + with("network_mode: "+tunnel) + "  apart: " + sleeper,
	}
}

// lodgers is a bench of two projects, whose second lives in the first; one of those has been stopped.
func lodgers(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, map[string]string{"core.yml": "services: {}\n", "extra.yml": "services: {}\n"})
	b.plan.Stacks[1].Project, b.others = b.project+"-extra", []string{b.project + "-extra"}
	b.moved(lodging(b, "one"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "extra"}})
	docker(t, "stop", b.others[0]+"-down-1")
	return b
}

// lodged asks the engine, and the containers, whether everybody lives in the namespaces that vpn has now; nothing of ours is asked.
func (b *bench) lodged(what string) {
	b.t.Helper()
	of := func(container, kind string) string {
		return docker(b.t, "exec", container, "readlink", "/proc/self/ns/"+kind)
	}
	extra, vpn := b.others[0], b.project+"-vpn"
	for _, n := range []struct{ service, kind string }{{"net", "net"}, {"deep", "net"}, {"pid", "pid"}, {"ipc", "ipc"}} {
		if is, want := of(extra+"-"+n.service+"-1", n.kind), of(vpn, n.kind); is != want {
			b.t.Errorf("%s: %s lives in %s, vpn in %s", what, n.service, is, want)
		}
	}
	down := docker(b.t, "inspect", "--format", "{{.State.Running}} {{.HostConfig.NetworkMode}}", extra+"-down-1")
	if want := "false container:" + docker(b.t, "inspect", "--format", "{{.Id}}", vpn); down != want {
		b.t.Errorf("%s: down is %q, want %q", what, down, want)
	}
}

func (b *bench) made(container string) string {
	return docker(b.t, "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", container)
}

// briefly does a step as package flow does: with what its record keeps of what ran.
func (b *bench) briefly(step pipeline.Step) error {
	work, _ := b.work(step)
	before := work.Before.Around(b.project).Brief()
	work.Before = &before
	_, err := b.Run(b.t.Context(), b.plan, work, b.said.output)
	return err
}

// Who lives in a namespace of what a step replaces or restarts is taken along by the Compose of its own stack; who was stopped stays so, and can
// be started.
func TestStepsTakeSharersOfOtherStacksAlong(t *testing.T) {
	t.Parallel()
	b := lodgers(t)
	b.lodged("at first")
	for name, step := range map[string]pipeline.Step{
		"recreate":   {Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"vpn"}, NoDeps: true}},
		"up, forced": {Up: &pipeline.Up{Stack: "core", ForceRecreate: true}},
		"restart":    {Restart: &pipeline.Restart{Stack: "core", Services: []string{"vpn"}}},
	} {
		apart := b.made(b.others[0] + "-apart-1")
		if err := b.briefly(step); err != nil {
			t.Errorf("%s: %v\n%s", name, err, b.said.text())
		}
		b.lodged(name)
		if now := b.made(b.others[0] + "-apart-1"); now != apart {
			t.Errorf("%s: a stranger was touched", name)
		}
	}
	docker(t, "start", b.others[0]+"-down-1")
}

// A step that died after it had replaced the owner, or while it mended who lives with it, is entered again with what ran before it.
func TestSharersOfOtherStacksAfterACrash(t *testing.T) {
	t.Parallel()
	b := lodgers(t)
	step := pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"vpn"}, NoDeps: true}}
	work, _ := b.work(step)
	before := work.Before.Around(b.project).Brief()
	work.Before = &before
	b.recreateByHand("vpn") // as the step before it died
	docker(t, "stop", b.others[0]+"-net-1")
	docker(t, "rm", b.others[0]+"-net-1") // and while it recreated this one: made, and not started
	cmd := exec.Command("docker", "compose", "--project-name", b.others[0], "--file", "extra.yml", "up", "--no-start", "--no-deps", "net")
	cmd.Dir, cmd.Env = b.dir, b.environ(b.plan.Environment)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil {
		t.Fatalf("%v\n%s", err, b.said.text())
	}
	b.lodged("entered again")
	vpn := b.made(b.project + "-vpn")
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil || b.made(b.project+"-vpn") != vpn {
		t.Errorf("once more: %v, vpn is %s, was %s", err, b.made(b.project+"-vpn"), vpn)
	}
}

// The way back takes them along as well, also where the step that was undone had not yet.
func TestRestoreTakesSharersOfOtherStacksAlong(t *testing.T) {
	t.Parallel()
	b := lodgers(t)
	past := b.look()
	for name, change := range map[string]func(){
		"mended by the step": func() {
			if err := b.briefly(pipeline.Step{Up: &pipeline.Up{Stack: "core"}}); err != nil {
				t.Fatal(err)
			}
		},
		"cut off before": func() { b.recreateByHand("vpn") },
	} {
		b.moved(lodging(b, "two"))
		change()
		b.moved(lodging(b, "one"))
		r := b.way(past, "*")
		b.restore(r)
		b.lodged(name)
		if got := docker(t, "inspect", "--format", "{{.Config.Labels.edition}}", b.project+"-vpn"); got != "one" {
			t.Errorf("%s: vpn is edition %s", name, got)
		}
		if got := b.restore(r); len(got) > 0 {
			t.Errorf("%s: once more it does %q", name, got)
		}
	}
}

// Whoever lives in a namespace of ours is seen where everything is looked at, whatever the namespace, and is refused by the proof.
func TestStrangersInNamespacesAreSeen(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  vpn: " + with("ipc: shareable") + "  other: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	models, err := b.Models(t.Context(), b.plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"network", "pid", "ipc"} {
		stranger := b.project + "-" + kind
		docker(t, "run", "--detach", "--name", stranger, "--"+kind, "container:"+b.project+"-vpn-1", b.plan.Environment["IMAGE"], "sleep", "1000")
		t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", stranger).Run() })
		proof := picture.Proof{Now: b.look(), Present: models, Target: models, Steps: []pipeline.Step{{Restart: &pipeline.Restart{Stack: "core", Services: []string{"vpn"}}}}}
		found := proof.Find()
		if len(found.Refusals) != 1 || found.Refusals[0].Reason != "NAMESPACE_IN_USE" || !strings.Contains(found.Refusals[0].Message, stranger) {
			t.Errorf("%s: %+v", kind, found)
		}
		docker(t, "rm", "--force", stranger)
	}
}

// Steps whose projects share namespaces do not run side by side; others do.
func TestStepsOfKinComeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	c := newCompose(t, t.TempDir())
	before := picture.Picture{Projects: []string{"alone", "ops", "shop"}, Containers: []picture.Container{
		{Project: "shop", Service: "vpn", ID: "v1"}, {Project: "ops", Service: "get", ID: "g1", Shares: []picture.Share{{Namespace: "network", Container: "v1"}}},
	}}
	of := func() *work { return &work{Compose: c, Work: ports.Work{Before: &before}} }
	unlock := of().together("shop")
	of().together("alone")()
	entered := make(chan struct{})
	go func() {
		of().together("ops")()
		close(entered)
	}()
	if held := c.projects["kin of ops"]; held == nil || held.TryLock() {
		t.Error("ops does not wait for shop, in whose namespaces it lives")
	}
	unlock()
	<-entered
}

// A container of somebody's with which the engine is stuck keeps nobody from deploying, or going back: it is told.
func TestStrangersThatNobodyCanLookAt(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  vpn: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	stranger := b.project + "-stuck"
	docker(t, "run", "--detach", "--name", stranger, "--network", "container:"+b.project+"-vpn-1", b.plan.Environment["IMAGE"], "sleep", "1000")
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", stranger).Run() })
	id := docker(t, "inspect", "--format", "{{.Id}}", stranger)
	behind(t, b.Compose).on("^GET .*/containers/" + id + "/json$")
	b.lookTimeout = 4 * time.Second
	p := b.look()
	i := slices.IndexFunc(p.Elsewhere, func(c picture.Container) bool { return c.ID == id })
	if i < 0 {
		t.Fatal("it is nowhere")
	}
	vpn := b.of(p, "vpn")[0]
	if c := p.Elsewhere[i]; !c.Unseen || c.Name != stranger || len(c.Shares) != 1 || c.Shares[0].Container != vpn.ID {
		t.Errorf("it is %+v, vpn is %s", c, vpn.ID)
	}
}
