package compose

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

func TestFamiliarNames(t *testing.T) {
	t.Parallel()
	digest := "@sha256:" + strings.Repeat("ab", 32)
	for ref, want := range map[string]string{
		"shop-api": "shop-api:latest", "shop-api:2": "shop-api:2", "docker.io/library/postgres:16": "postgres:16", "library/postgres": "postgres:latest",
		"docker.io/me/app": "me/app:latest", "ghcr.io/me/app:v1": "ghcr.io/me/app:v1", "localhost:5000/app": "localhost:5000/app:latest",
		"postgres:16" + digest: "postgres:16" + digest, "ghcr.io/me/app" + digest: "ghcr.io/me/app" + digest, "sha256:" + strings.Repeat("ab", 32): "sha256:" + strings.Repeat("ab", 32),
		"": "", "NO": "NO",
	} {
		if got := familiar(ref); got != want {
			t.Errorf("%s is listed as %s, want %s", ref, got, want)
		}
	}
}

// look tells of containers in every state what the engine tells.
func TestLook(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": `services:
  web:
    image: ${IMAGE}
    init: true
    command: [sleep, "1000"]
    stop_grace_period: 90s
    networks: {default: {aliases: [shop, www]}, inner: {}}
    restart: unless-stopped
  quick: ` + sleeper + `  plain: {image: "${IMAGE}", init: true, command: [sleep, "1000"]}
  frozen: ` + sleeper + `  stopped: ` + sleeper + `  made: ` + sleeper + `  loop: {image: "${IMAGE}", command: [sh, -c, "exit 7"], restart: always}
  healthy: {image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s, healthcheck: {test: [CMD, "true"], interval: 1s}}
  nocheck: {image: "${IMAGE}", init: true, command: [sleep, "1000"], stop_grace_period: 1s, healthcheck: {disable: true}}
networks: {inner: {name: "${INNER}"}}
`})
	b.plan.Environment["INNER"] = b.project + "-fancy"
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	docker(t, "pause", b.project+"-frozen-1")
	t.Cleanup(func() { _ = exec.Command("docker", "unpause", b.project+"-frozen-1").Run() }) // it may be gone
	docker(t, "stop", b.project+"-stopped-1")
	for _, args := range [][]string{{"up", "--no-start", "--force-recreate", "--no-deps", "made"}, {"run", "--rm", "--detach", "quick", "sleep", "1000"}} {
		if err := b.begin(args...).Wait(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	eventually(t, "the loop restarts", func() bool { return b.services()["loop"].Containers[0].State == "restarting" })
	eventually(t, "it is healthy", func() bool { return b.services()["healthy"].Containers[0].Health == "healthy" })

	p := b.look("no-such-image", "landfall-pin/none:1")
	by := map[string]picture.Container{}
	for _, c := range p.Containers {
		if _, twice := by[c.Service]; twice {
			t.Errorf("%s is there twice: what was run once is left out", c.Service)
		}
		by[c.Service] = c
	}
	states := map[string]string{}
	for name, c := range by {
		states[name] = c.State
	}
	states["loop"] = "restarting" // or for a moment running
	if d := cmp.Diff(map[string]string{"web": "running", "quick": "running", "plain": "running", "frozen": "paused", "stopped": "exited", "made": "created", "loop": "restarting", "healthy": "running", "nocheck": "running"}, states); d != "" {
		t.Errorf("states (-want +got):\n%s", d)
	}
	for name, grace := range map[string]time.Duration{"web": 90 * time.Second, "quick": time.Second, "plain": picture.DefaultGrace} {
		if by[name].Grace != grace {
			t.Errorf("%s has %s to stop, want %s", name, by[name].Grace, grace)
		}
	}
	for name, health := range map[string]string{"web": "", "healthy": "healthy", "nocheck": ""} {
		if by[name].Health != health {
			t.Errorf("%s: health %q, want %q", name, by[name].Health, health)
		}
	}
	own := func(name string, more ...string) []string {
		return slices.Sorted(slices.Values(append(more, name)))
	}
	wantWeb := []picture.Attachment{{Network: b.project + "-fancy", Aliases: own("web")}, {Network: b.project + "_default", Aliases: own("web", "shop", "www")}}
	if d := cmp.Diff(wantWeb, by["web"].Networks); d != "" {
		t.Errorf("networks of web (-want +got):\n%s", d)
	}
	for _, name := range []string{"stopped", "made", "frozen", "loop"} { // also those that do not run
		if d := cmp.Diff([]picture.Attachment{{Network: b.project + "_default", Aliases: own(name)}}, by[name].Networks); d != "" {
			t.Errorf("networks of %s (-want +got):\n%s", name, d)
		}
	}
	if made := by["made"]; !made.Started.IsZero() || made.Up != 0 || made.Running() {
		t.Errorf("made: %+v", made)
	}
	if web := by["web"]; web.OneShot || web.WorkingDir != b.dir || web.Config == "" || web.ImageRef != b.plan.Environment["IMAGE"] || len(web.ID) != 64 {
		t.Errorf("web: %+v", web)
	}
	if got := p.Refs; len(got) != 1 || got[b.plan.Environment["IMAGE"]] != by["web"].ImageID {
		t.Errorf("names mean %v", got)
	}
	if !slices.ContainsFunc(p.Elsewhere, func(c picture.Container) bool { return c.Project == b.project && c.Service == "quick" }) {
		t.Error("what was run once is nowhere")
	}
	docker(t, "network", "disconnect", b.project+"-fancy", b.project+"-web-1")
	if got := b.look().Of(picture.Key{Project: b.project, Service: "web"})[0].Networks; !cmp.Equal(wantWeb[1:], got) {
		t.Errorf("after it left one: %v", got)
	}
}

// Namespaces are shared with IDs or with names, also with a container that Compose did not make; its start is known.
func TestLookAtSharedNamespaces(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services: {}\n"})
	outsider := b.project + "-outsider"
	b.moved(map[string]string{"core.yml": `services:
  owner: ` + sleeper + `  net: {image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sleep, "1000"], network_mode: "service:owner", pid: "service:owner"}
  ipc: {image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sleep, "1000"], ipc: "service:giver"}
  giver: {image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sleep, "1000"], ipc: shareable}
  guest: {image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sleep, "1000"], network_mode: "container:` + outsider + `"}
`})
	docker(t, "run", "--detach", "--init", "--name", outsider, b.plan.Environment["IMAGE"], "sleep", "1000")
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", outsider).Run() }) // it may be gone
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	p := b.look()
	of := func(name string) picture.Container { return p.Of(picture.Key{Project: b.project, Service: name})[0] }
	stranger := docker(t, "inspect", "--format", "{{.Id}}", outsider)
	for name, want := range map[string][]picture.Share{
		"owner": nil, "giver": nil, "net": {{Namespace: "network", Container: of("owner").ID}, {Namespace: "pid", Container: of("owner").ID}},
		"ipc": {{Namespace: "ipc", Container: of("giver").ID}}, "guest": {{Namespace: "network", Container: stranger}},
	} {
		if d := cmp.Diff(want, of(name).Shares); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	owner, there := p.Container(stranger)
	if !there || owner.Started.IsZero() || !owner.Running() || owner.Name != outsider {
		t.Errorf("the container of nobody: %+v, %v", owner, there)
	}
	models, err := b.Models(t.Context(), b.plan)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"owner"}, models[0].Services["net"].Shares); d != "" {
		t.Errorf("the compose file's shares (-want +got):\n%s", d)
	}
	for _, s := range picture.Services(models, p, nil) {
		if len(s.Detached) > 0 {
			t.Errorf("%s has lost %v", s.Name, s.Detached)
		}
	}
}

// Names that images have, and have no more: a container keeps its image's ID.
func TestLookAtImages(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": restoreFiles})
	b.built("one")
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"app"}}})
	ref := b.project + "-app"
	one := b.look(ref)
	app := one.Of(picture.Key{Project: b.project, Service: "app"})[0]
	if app.ImageRef != ref || one.Refs[ref] != app.ImageID {
		t.Fatalf("app: %+v, names mean %v", app, one.Refs)
	}
	b.built("two")
	two := b.look(ref, "docker.io/library/"+ref, ref+":latest")
	if app2 := two.Of(app.Key())[0]; app2.ImageID != app.ImageID || two.Refs[ref] == app.ImageID || two.Refs["docker.io/library/"+ref] != two.Refs[ref] || two.Refs[ref+":latest"] != two.Refs[ref] {
		t.Errorf("app: %+v, names mean %v", app2, two.Refs)
	}
	docker(t, "stop", app.Name) // the engine keeps the image of what runs
	docker(t, "image", "rm", "--force", app.ImageID)
	docker(t, "image", "rm", "--force", ref)
	gone := b.look(ref)
	if app3 := gone.Of(app.Key())[0]; app3.ImageID != app.ImageID || gone.Refs[ref] != "" || app3.State != "exited" {
		t.Errorf("without its image: %+v, names mean %v", app3, gone.Refs)
	}
	if missing, err := b.Gone(t.Context(), []string{app.ImageID}); err != nil || !slices.Equal(missing, []string{app.ImageID}) {
		t.Errorf("gone: %v, %v", missing, err)
	}
}

// A volume that its driver binds to a folder of the checkout is a mount of it.
func TestVolumesOfTheCheckoutAreMounts(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": `services:
  app: {image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sleep, "1000"], volumes: ["site:/site", "data:/data"]}
volumes:
  site: {driver_opts: {type: none, o: bind, device: "${PWD}/site"}}
  data: {}
`, "site/index.html": "one\n"})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	side, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, side, map[string]string{"core.yml": string(read(t, filepath.Join(b.dir, "core.yml"))), "site/index.html": "two\n"})
	present, err := b.Models(t.Context(), b.plan)
	if err != nil {
		t.Fatal(err)
	}
	target, err := b.Prove(t.Context(), b.plan, side, b.said.output)
	if err != nil {
		t.Fatal(err)
	}
	for name, models := range map[string][]picture.Model{"checkout": present, "side tree": target} {
		if !models[0].Services["app"].Shows(picture.Paths{"site/index.html"}) || models[0].Services["app"].Shows(picture.Paths{"data/x"}) {
			t.Errorf("%s: app shows %v", name, models[0].Services["app"].Places)
		}
	}
	now := b.look()
	if f := (picture.Proof{Now: now, Present: present, Target: target, Dirs: []string{b.dir}}).Find(); len(f.Warnings)+len(f.Refusals) > 0 {
		t.Errorf("the same files are said to differ: %+v", f)
	}
	if got := b.ups(pipeline.Up{Stack: "core"}, b.lookNow(), "site/index.html"); !slices.Equal(got, []string{"app"}) {
		t.Errorf("new containers for %v", got)
	}
}
