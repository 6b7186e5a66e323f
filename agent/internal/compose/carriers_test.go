package compose

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// keeper is a service that keeps what it is given at /data.
func keeper(volumes, more string) string {
	return `{image: "${IMAGE}", init: true, restart: unless-stopped, stop_grace_period: 1s, command: [sleep, "1000"], volumes: ` + volumes + more + "}\n"
}

const unnamedFiles = `services:
  declared: {build: {context: declared, args: {IMAGE: "${IMAGE}"}}, init: true, stop_grace_period: 1s, command: [sleep, "1000"]}
`

// docker asks the engine, by nothing of Landfall.
func (b *bench) engine(args ...string) string {
	b.t.Helper()
	child := exec.Command("docker", args...)
	child.Env = append(os.Environ(), "IMAGE="+b.plan.Environment["IMAGE"])
	out, err := child.CombinedOutput()
	if err != nil {
		b.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// shown maps the project's containers to their volumes, "volume at place", as docker inspect tells them.
func (b *bench) shown() map[string]string {
	b.t.Helper()
	found := map[string]string{}
	for id := range strings.FieldsSeq(b.engine("ps", "-aq", "--filter", "label=com.docker.compose.project="+b.project)) {
		name, mounts, _ := strings.Cut(b.engine("inspect", "--format", `{{.Name}} {{range .Mounts}}{{.Type}} {{.Name}} at {{.Destination}};{{end}}`, id), " ")
		found[strings.TrimPrefix(name, "/")] = mounts
	}
	return found
}

// mark writes a container's name where it keeps its data, and rows reads what is there.
func (b *bench) mark(containers ...string) {
	for _, c := range containers {
		b.engine("exec", c, "sh", "-c", "echo "+c+" > /data/rows")
	}
}

func (b *bench) rows(shown map[string]string) map[string]string {
	b.t.Helper()
	args, names := []string{"run", "--rm"}, slices.Sorted(maps.Keys(shown))
	for _, name := range names {
		args = append(args, "--mount", "type=volume,source="+strings.Fields(shown[name])[1]+",target=/of/"+name)
	}
	lines := strings.Split(b.engine(append(args, b.plan.Environment["IMAGE"], "sh", "-c", "for d in /of/*; do echo $(cat $d/rows); done")...), "\n")
	found := map[string]string{}
	for i, name := range names {
		found[name] = lines[min(i, len(lines)-1)]
	}
	return found
}

// same holds the containers to what they showed, and to the data that each found there.
func (b *bench) same(before map[string]string, what string) {
	b.t.Helper()
	now := b.shown()
	if !maps.Equal(now, before) {
		b.t.Fatalf("%s: shown is\n%v\nit was\n%v\n%s", what, now, before, b.said.text())
	}
	for name, got := range b.rows(now) {
		if got != name {
			b.t.Errorf("%s: %s finds the data %q", what, name, got)
		}
	}
}

// What has volumes without names finds them again, however its containers went, and whatever is mounted in their place meanwhile.
func TestVolumesWithoutNamesComeBack(t *testing.T) {
	t.Parallel()
	files := func(volumes string) map[string]string {
		return map[string]string{
			"declared/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nVOLUME /data\n", "host/keep": "",
			"core.yml": unnamedFiles + "  twins: " + keeper(volumes, ", scale: 3") + "  stopped: " + keeper(volumes, "") +
				"  fixed: " + keeper(volumes, ", container_name: FIXED") + "volumes: {named: {}}\n",
		}
	}
	var volumes []string
	t.Cleanup(func() { _ = exec.Command("docker", append([]string{"volume", "rm", "--force"}, volumes...)...).Run() }) // handed on, they have a name to the engine
	b := newBench(t, files("[/data]"))
	t.Cleanup(b.unpin)
	fixed := func(f map[string]string) map[string]string {
		f["core.yml"] = strings.ReplaceAll(f["core.yml"], "FIXED", b.project+"-shop")
		return f
	}
	b.moved(fixed(files("[/data]")))
	b.run(pipeline.Step{Build: &pipeline.Build{Stack: "core"}})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	name := func(s string) string { return b.project + "-" + s }
	all := []string{name("twins-1"), name("twins-2"), name("twins-3"), name("stopped-1"), name("shop"), name("declared-1")}
	b.mark(all...)
	b.engine("stop", name("stopped-1"))
	past, before := b.look(), b.shown()
	for _, c := range past.Containers {
		volumes = append(volumes, c.Volumes[0].Volume)
	}

	t.Run("they are gone", func(t *testing.T) {
		b.engine("rm", "--force", name("twins-1"), name("twins-3"), name("stopped-1"), name("shop"), name("declared-1"))
		b.restore(b.way(past, "*"))
		b.same(before, "after they were gone")
		if state := b.engine("inspect", "--format", "{{.State.Status}}", name("stopped-1")); state != "created" {
			t.Errorf("what was stopped is %s", state)
		}
		if again := b.restore(b.way(past, "*")); len(again) > 0 {
			t.Errorf("repeated it did %v", again)
		}
	})
	t.Run("Compose has scaled it down", func(*testing.T) {
		b.moved(map[string]string{"core.yml": strings.ReplaceAll(fixed(files("[/data]"))["core.yml"], "scale: 3", "scale: 1")})
		b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"twins"}}})
		b.moved(fixed(files("[/data]")))
		b.restore(b.way(past, "*"))
		b.same(before, "after it was scaled down")
	})
	for what, volumes := range map[string]string{
		"a volume with a name": "[named:/data]", "a folder of the host": "[./host:/data]", "memory": "[{type: tmpfs, target: /data}]", "nothing": "[]",
	} {
		t.Run(what+" was mounted there", func(*testing.T) {
			b.moved(fixed(files(volumes)))
			b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
			b.moved(fixed(files("[/data]")))
			b.restore(b.way(past, "*"))
			b.same(before, "after "+what)
		})
	}
	t.Run("they were made anew, with new volumes", func(*testing.T) {
		b.engine("compose", "--project-name", b.project, "--project-directory", b.dir, "--file", b.dir+"/core.yml", "--env-file", "/dev/null",
			"up", "--detach", "--force-recreate", "--renew-anon-volumes", "twins")
		b.restore(b.way(past, "*"))
		b.same(before, "after --renew-anon-volumes")
	})
	t.Run("it was cut off when carriers stood in their places", func(t *testing.T) {
		b.engine("rm", "--force", name("twins-2"), name("shop"))
		r := b.way(past, "*")
		for _, d := range r.Deeds(b.look()) {
			if err := b.putCarriers(t.Context(), d, r.Models[0].Services[d.Service], b.said.output); err != nil {
				t.Fatal(err)
			}
		}
		left := strings.Fields(b.engine("ps", "-aq", "--filter", "label="+labelCarrier, "--filter", "label=com.docker.compose.project="+b.project))
		if len(left) != 2 {
			t.Errorf("%d carriers, want 2", len(left))
		}
		for _, id := range left {
			if err := exec.Command("docker", "start", id).Run(); err == nil {
				t.Error("a carrier could be started")
			}
		}
		b.restore(r)
		b.same(before, "after carriers were left")
	})
}

// What is lost for good is told, and no empty volume stands for it.
func TestVolumesWithoutNamesThatAreGone(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  db: " + keeper("[/data]", "")})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past := b.look()
	volume := past.Containers[0].Volumes[0].Volume
	b.engine("rm", "--force", b.project+"-db-1")
	b.engine("volume", "rm", volume)
	r := b.way(past, "*")
	if _, err := b.restored(r); err == nil || !strings.Contains(err.Error(), "has lost its data at /data") {
		t.Errorf("the data are gone, and it said %v", err)
	}
	if b.look().HasVolume(volume) {
		t.Error("an empty volume stands for the one that is gone")
	}
	b.engine("rm", "--force", b.project+"-db-1")
	r = b.way(past, "*")
	r.DataStay = true
	if told := r.Told(b.look()); len(told) != 1 || !strings.Contains(told[0].Message, "starts empty at /data") {
		t.Errorf("told %+v", told)
	}
	b.restore(r)
}

// A volume that was handed on has a name in the container's settings; they are the same all the same.
func TestSettingsOfHandedVolumes(t *testing.T) {
	t.Parallel()
	of := func(mounts ...mount.Mount) string {
		return settingsOf(container.InspectResponse{
			ContainerJSONBase: &container.ContainerJSONBase{HostConfig: &container.HostConfig{Mounts: mounts}}, Config: &container.Config{},
		}, func(string) bool { return false })
	}
	named, other := mount.Mount{Type: mount.TypeVolume, Source: "rows", Target: "/rows"}, mount.Mount{Type: mount.TypeVolume, Source: "more", Target: "/more"}
	fresh := mount.Mount{Type: mount.TypeVolume, Target: "/data", VolumeOptions: &mount.VolumeOptions{}}
	handed := mount.Mount{Type: mount.TypeVolume, Source: strings.Repeat("ab", 32), Target: "/data"}
	if first, next, none := of(named, other, fresh), of(other, handed, named), of(other, named); first != next || next != none {
		t.Errorf("settings differ: %s, %s, %s", first, next, none)
	}
	if of(named) == of(other) || of(named) == of() {
		t.Error("another volume with a name makes no difference")
	}
	if got := volumesOf([]container.MountPoint{{Type: mount.TypeBind, Destination: "/b"}, {Type: mount.TypeVolume, Name: "x", Destination: "/a"}}); !slices.Equal(got, []picture.Mount{{At: "/a", Volume: "x", ReadOnly: true}}) {
		t.Errorf("volumes are %v", got)
	}
}

// A network that has to be made anew, and volumes of another service, go together with carriers.
func TestCarriersBesideOtherMends(t *testing.T) {
	t.Parallel()
	files := func(label, volumes string) map[string]string {
		return map[string]string{"core.yml": "services:\n  db: " + keeper(volumes, `, networks: [back]`) + "  side: " + keeper("[]", `, networks: [back], volumes_from: [db]`) +
			"  tunnel: " + keeper("[/data]", `, network_mode: "service:db"`) + "networks: {back: {labels: {x: " + label + "}}}\nvolumes: {named: {}}\n"}
	}
	var volumes []string
	t.Cleanup(func() { _ = exec.Command("docker", append([]string{"volume", "rm", "--force"}, volumes...)...).Run() })
	b := newBench(t, files("one", "[/data]"))
	t.Cleanup(b.unpin)
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past, before := b.look(), b.shown()
	for _, c := range past.Containers {
		volumes = append(volumes, c.Volumes[0].Volume)
	}
	if db, side := before[b.project+"-db-1"], before[b.project+"-side-1"]; db == "" || db != side {
		t.Fatalf("db shows %q, side %q", db, side)
	}
	is := func(what string) {
		t.Helper()
		if now := b.shown(); !maps.Equal(now, before) {
			t.Errorf("%s: shown is\n%v\nit was\n%v\n%s", what, now, before, b.said.text())
		}
	}
	b.moved(files("two", "[named:/data]"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.moved(files("one", "[/data]"))
	b.restore(b.way(past, "*"))
	is("after a network and a volume were others")

	b.moved(files("two", "[/data]"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.engine("rm", "--force", b.project+"-db-1", b.project+"-tunnel-1")
	b.moved(files("one", "[/data]"))
	b.restore(b.way(past, "*"))
	is("after the owner was gone and the network another")
}

// The volume comes back also where the image is gone, and is built again.
func TestCarrierOfAnImageThatIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": unnamedFiles, "declared/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nVOLUME /data\n"})
	t.Cleanup(b.unpin)
	b.run(pipeline.Step{Build: &pipeline.Build{Stack: "core"}})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.mark(b.project + "-declared-1")
	past, before := b.look(), b.shown()
	t.Cleanup(func() {
		_ = exec.Command("docker", "volume", "rm", "--force", past.Containers[0].Volumes[0].Volume).Run()
	})
	b.engine("rm", "--force", b.project+"-declared-1")
	b.engine("image", "rm", "--force", past.Containers[0].ImageID)
	write(t, b.dir, map[string]string{"declared/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nVOLUME /data\nENV AGAIN=1\n"})
	b.restore(b.way(past, "*"))
	b.same(before, "after its image was gone")
}
