package compose

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// A source is found in the checkout by its own path and by every symbolic link on its way, also where the checkout
// itself is reached by one.
func TestPlaces(t *testing.T) {
	t.Parallel()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, outside := filepath.Join(top, "checkout"), filepath.Join(top, "outside")
	write(t, dir, map[string]string{"conf/a.conf": "", "real/b.conf": ""})
	write(t, outside, map[string]string{"c.conf": ""})
	for link, target := range map[string]string{
		"conf/link.conf": "../real/b.conf", "folder": "real", "chain": "folder/b.conf", "absolute": filepath.Join(dir, "real"), "away": outside, "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "conf"), filepath.Join(outside, "back")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(top, "current")); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{dir, filepath.Join(top, "current")} {
		c := tree{root, root}
		for source, want := range map[string]string{
			"conf/a.conf": "conf/a.conf", "conf": "conf", "conf/": "conf", ".": ".", "none/yet": "none/yet", "conf/link.conf": "conf/link.conf real/b.conf",
			"folder/b.conf": "folder/b.conf real/b.conf", "chain": "chain folder/b.conf real/b.conf", "absolute/b.conf": "absolute/b.conf real/b.conf",
			"away/c.conf": "away/c.conf", "../outside/c.conf": "", "../outside/back/a.conf": "conf/a.conf", "..": "",
		} {
			got := slices.Compact(c.places(filepath.Join(root, source)))
			slices.Sort(got)
			if got = slices.Compact(got); strings.Join(got, " ") != want {
				t.Errorf("from %s, %s has the places %q, want %q", filepath.Base(root), source, got, want)
			}
		}
		if got := c.places(filepath.Join(root, "loop")); len(got) == 0 {
			t.Error("a link to itself has no place")
		}
	}
}

// mountFiles is a fleet that shows files in every way.
const mountFiles = `services:
  file: {image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sleep, "1000"], volumes: ["./conf/file.conf:/conf:ro"]}
  folder: {image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sleep, "1000"], volumes: ["./site:/site"]}
  config: {image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sleep, "1000"], configs: [settings], secrets: [key]}
  plain: {image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sleep, "1000"], volumes: ["./data:/data", "/etc/hostname:/h:ro"]}
  needy: {image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sleep, "1000"], depends_on: [file]}
  job: {image: "${IMAGE}", command: [sh, -c, "cat /job/run >>/log/runs"], volumes: ["./job:/job:ro", "./log:/log"]}
configs: {settings: {file: ./conf/settings.conf}}
secrets: {key: {file: ./conf/key}}
`

func mountBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, map[string]string{
		"core.yml": mountFiles, "conf/file.conf": "one\n", "conf/settings.conf": "one\n", "conf/key": "one\n", "site/index.html": "one\n", "data/keep": "", "job/run": "one\n", "log/keep": "",
	})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	return b
}

// replace changes a file as git does: another file takes its name, so a mount of the file shows the old one.
func (b *bench) replace(path, content string) {
	b.t.Helper()
	write(b.t, b.dir, map[string]string{path + ".new": content})
	if err := os.Rename(filepath.Join(b.dir, path+".new"), filepath.Join(b.dir, path)); err != nil {
		b.t.Fatal(err)
	}
}

// ups brings services up in an operation that changed paths; the result are those with a new container.
func (b *bench) ups(u pipeline.Up, past *picture.Picture, changed ...string) []string {
	b.t.Helper()
	before := b.ids()
	work, _ := b.work(pipeline.Step{ID: "apply/x/1", Up: &u})
	slices.Sort(changed)
	work.Ground = ports.Ground{Past: past, Changed: changed}
	if _, err := b.Run(b.t.Context(), b.plan, work, b.said.output); err != nil {
		b.t.Fatalf("%v\n%s", err, b.said.text())
	}
	return replacedSince(before, b.ids())
}

func replacedSince(before, after map[string]string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	return names
}

// An up gives new containers to the services it names whose mounted files changed, and to no others.
func TestUpRecreatesWhatShowsChangedFiles(t *testing.T) {
	t.Parallel()
	b := mountBench(t)
	core := pipeline.Up{Stack: "core"}
	for _, c := range []struct {
		name    string
		up      pipeline.Up
		changed []string
		want    string
	}{
		{"nothing", core, nil, ""},
		{"elsewhere", core, []string{"docs/a.md", "conf/other.conf", "sites"}, ""},
		{"a mounted file", core, []string{"conf/file.conf"}, "file"},
		{"a file in a mounted folder", core, []string{"site/deep/er.html"}, "folder"},
		{"a config", core, []string{"conf/settings.conf"}, "config"},
		{"a secret", core, []string{"conf/key", "docs/a.md"}, "config"},
		{"a folder that became a file", core, []string{"conf"}, "config file"},
		{"another service is named", pipeline.Up{Stack: "core", Services: []string{"plain", "fold*"}}, []string{"conf/file.conf"}, ""},
		{"a dependency is not named", pipeline.Up{Stack: "core", Services: []string{"needy"}}, []string{"conf/file.conf"}, ""},
		{"named by a pattern", pipeline.Up{Stack: "core", Services: []string{"fi*", "needy"}, NoDeps: true}, []string{"conf/file.conf"}, "file"},
		{"what is there is to stay", pipeline.Up{Stack: "core", NoRecreate: true}, []string{"conf/file.conf"}, ""},
		{"anything may have changed", core, []string{picture.AnyPath}, "config file folder job plain"},
	} {
		if got := strings.Join(b.ups(c.up, b.lookNow(), c.changed...), " "); got != c.want {
			t.Errorf("%s: new containers for %q, want %q", c.name, got, c.want)
		}
	}
	if got := b.ups(core, &picture.Picture{Projects: []string{b.project}}, "conf/file.conf"); len(got) > 0 {
		t.Errorf("containers that the operation made itself are made again: %v", got)
	}

	b.replace("conf/file.conf", "two\n")
	s := &said{}
	cat := pipeline.Exec{Stack: "core", Service: "file", Command: []string{"cat", "/conf"}}
	if _, err := b.Exec(t.Context(), b.plan, cat, s.output); err != nil || s.text() != "out one" {
		t.Fatalf("a mount of a file that was replaced shows %q, %v: the test has no point", s.text(), err)
	}
	b.ups(core, b.lookNow(), "conf/file.conf")
	s = &said{}
	if _, err := b.Exec(t.Context(), b.plan, cat, s.output); err != nil || s.text() != "out two" {
		t.Errorf("after the up it shows %q, %v", s.text(), err)
	}
}

// An up that is entered again after a crash recreates nothing twice, and a job whose files changed runs once.
func TestUpOfChangedFilesIsRepeated(t *testing.T) {
	t.Parallel()
	b := mountBench(t)
	runs := func() int {
		var n int
		eventually(t, "the job has ended", func() bool {
			raw, err := os.ReadFile(filepath.Join(b.dir, "log/runs"))
			n = strings.Count(string(raw), "\n")
			return err == nil && b.services()["job"].Containers[0].State == "exited"
		})
		return n
	}
	ran := runs()
	past := b.lookNow()
	work, _ := b.work(pipeline.Step{ID: "apply/x/1", Up: &pipeline.Up{Stack: "core", Services: []string{"job", "file", "folder", "plain"}, NoDeps: true}})
	work.Ground = ports.Ground{Past: past, Changed: picture.Paths{"conf/file.conf", "job/run", "site/index.html"}}
	before := b.ids()
	b.recreateByHand("file") // as far as the dead agent came
	made := b.ids()["file"]
	summary, err := b.Run(t.Context(), b.plan, work, b.said.output)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.said.text())
	}
	after := b.ids()
	if got, want := replacedSince(before, after), []string{"file", "folder", "job"}; !slices.Equal(got, want) || after["file"] != made {
		t.Errorf("%s: new containers for %v, want %v; the one that was made already is replaced: %v", summary, got, want, after["file"] != made)
	}
	if n := runs() - ran; n != 1 {
		t.Errorf("the job ran %d times", n)
	}
	if summary, err = b.Run(t.Context(), b.plan, work, b.said.output); err != nil {
		t.Fatal(err)
	}
	if got := replacedSince(after, b.ids()); len(got) > 0 {
		t.Errorf("once more, %s: new containers for %v", summary, got)
	}
	if n := runs() - ran; n != 1 {
		t.Errorf("after a repetition the job has run %d times", n)
	}
}

// A service that did not get its new container fails the step.
func TestUpMakesSureOfTheNewContainer(t *testing.T) {
	b := mountBench(t)
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Fatal(err)
	}
	// A Compose whose up does nothing, and says that all is well.
	dir := t.TempDir()
	script := "#!/bin/sh\ncase \" $* \" in *' up '*) exit 0 ;; esac\nexec " + docker + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for name, step := range map[string]pipeline.Step{
		"recreate":               {Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"file"}}},
		"up of what was changed": {Up: &pipeline.Up{Stack: "core", Services: []string{"file"}}},
	} {
		work, _ := b.work(step)
		work.Ground = ports.Ground{Past: work.Before, Changed: picture.Paths{"conf/file.conf"}}
		_, err := b.Run(t.Context(), b.plan, work, b.said.output)
		if fault.ReasonOf(err) != "NOT_RECREATED" || !strings.Contains(err.Error(), "file still has its old container") {
			t.Errorf("%s, and the old container is there: %v", name, err)
		}
	}
}
