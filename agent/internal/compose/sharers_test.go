package compose

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

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
	work, _ := b.work(pipeline.Step{Restart: &pipeline.Restart{Stack: "core", Services: []string{"other"}}})
	if _, err := b.Run(t.Context(), b.plan, work, b.said.output); err != nil || verdict() != picture.Passed {
		t.Errorf("after a step: %v, %s\n%s", err, verdict(), b.said.text())
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
