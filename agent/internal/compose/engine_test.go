package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// The tests of this file use the machine's own Docker Engine and Compose. -short leaves
// them out; a missing engine is a failure, not a reason to skip.

// busybox is the image of every service here; the script builds it once and finds it afterwards.
var busybox = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("../../../scripts/images/busybox.sh")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, errs.String())
	}
	return strings.TrimSpace(string(out)), nil
})

// bench is a checkout with compose files under a project of its own.
type bench struct {
	*Compose
	t       *testing.T
	project string
	others  []string // further projects
	plan    *pipeline.Plan
	said    *said
}

// newBench lays compose files out, one stack a file and named after it; ${IMAGE} is the
// image. Whatever the project makes is removed when the test ends.
func newBench(t *testing.T, files map[string]string) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Docker Engine, and -short leaves it out")
	}
	if out, err := exec.Command("docker", "info", "--format", "{{.ServerVersion}}").CombinedOutput(); err != nil {
		t.Fatalf("the Docker Engine does not answer: %v\n%s\nrun: make setup", err, out)
	}
	image, err := busybox()
	if err != nil {
		t.Fatalf("scripts/images/busybox.sh: %v\nrun: make setup", err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, files)
	b := &bench{Compose: newCompose(t, dir), t: t, project: fmt.Sprintf("landfall-compose-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9), said: &said{}}
	b.plan = &pipeline.Plan{Project: "test", Environment: map[string]string{"IMAGE": image}}
	var names []string
	for path := range files {
		if strings.HasSuffix(path, ".yml") {
			names = append(names, path)
		}
	}
	slices.Sort(names)
	for _, path := range names {
		b.plan.Stacks = append(b.plan.Stacks, pipeline.Stack{Name: strings.TrimSuffix(path, ".yml"), Files: []string{path}, Project: b.project})
	}
	t.Cleanup(b.remove)
	return b
}

// remove removes the project's containers, networks, volumes and images.
func (b *bench) remove() {
	for _, project := range append(slices.Clone(b.others), b.project) { // who lives with others first
		b.removeProject(project)
	}
}

func (b *bench) removeProject(project string) {
	label := "label=com.docker.compose.project=" + project
	for _, kind := range [][]string{{"container", "ls", "-aq"}, {"network", "ls", "-q"}, {"volume", "ls", "-q"}, {"image", "ls", "-q"}} {
		list := exec.Command("docker", append(kind, "--filter", label)...)
		out, err := list.Output()
		if err != nil {
			b.t.Errorf("docker %s: %v", kind[0], err)
			continue
		}
		if ids := strings.Fields(string(out)); len(ids) > 0 {
			args := []string{kind[0], "rm"}
			if kind[0] != "network" {
				args = append(args, "--force")
			}
			if out, err := exec.Command("docker", append(args, ids...)...).CombinedOutput(); err != nil {
				b.t.Errorf("docker %s rm: %v\n%s", kind[0], err, out)
			}
		}
	}
}

// run does a step; the test ends when it fails.
func (b *bench) run(step pipeline.Step) string {
	b.t.Helper()
	summary, err := b.Run(b.t.Context(), b.plan, ports.Work{Step: step}, b.said.output)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.said.text())
	}
	return summary
}

// services are those of every stack by name.
func (b *bench) services() map[string]picture.Service {
	b.t.Helper()
	list, err := b.Services(b.t.Context(), b.plan, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	by := map[string]picture.Service{}
	for _, s := range list {
		by[s.Name] = s
	}
	return by
}

// ids are the containers of every service: "web" to "0123...".
func (b *bench) ids() map[string]string {
	b.t.Helper()
	ids := map[string]string{}
	for name, s := range b.services() {
		for _, c := range s.Containers {
			ids[name] += c.ID
		}
	}
	return ids
}

// eventually asks until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("after a minute it still does not hold: %s", what)
		}
	}
}

// sleeper is a service that runs and stops at once when told to.
const sleeper = "{image: \"${IMAGE}\", init: true, stop_grace_period: 1s, command: [sleep, \"1000\"]}\n"

func TestVerdictsOfRealContainers(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": `services:
  web:
    image: ${IMAGE}
    init: true
    command: [sleep, "1000"]
    restart: always
    deploy: {replicas: 2}
  fine:
    image: ${IMAGE}
    init: true
    command: [sleep, "1000"]
    healthcheck: {test: [CMD, "true"], interval: 1s}
  sick:
    image: ${IMAGE}
    init: true
    command: [sleep, "1000"]
    healthcheck: {test: [CMD-SHELL, "echo no database; exit 1"], interval: 1s, retries: 1}
  once: {image: "${IMAGE}", command: [sh, -c, "echo printed; echo complained >&2"]}
  broken: {image: "${IMAGE}", command: [sh, -c, "exit 3"]}
  loop: {image: "${IMAGE}", command: [sh, -c, "exit 4"], restart: always}
  absent: ` + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web", "fine", "sick", "once", "broken", "loop"}}})
	want := map[string]struct {
		outcome picture.Verdict
		says    string
	}{
		"web": {picture.Passed, ""}, "fine": {picture.Passed, ""}, "once": {picture.Passed, ""},
		"sick":   {picture.Waiting, "sick: unhealthy: no database"},
		"broken": {picture.Failed, "broken: exited with code 3"},
		"loop":   {picture.Failed, "loop: crash loop: restarted"},
		"absent": {picture.Failed, "absent: 0 of 1 containers exist"},
	}
	for name, w := range want {
		var message string
		eventually(t, fmt.Sprint(name, " is ", w.outcome, " ", w.says), func() bool {
			outcome, m, _ := b.services()[name].Verdict()
			message = m
			return outcome == w.outcome && strings.HasPrefix(m, w.says)
		})
		if (message == "") != (w.says == "") {
			t.Errorf("%s says %q", name, message)
		}
	}
	all := b.services()
	if web := all["web"]; len(web.Containers) != 2 || web.Replicas != 2 || web.OneShot || web.Project != b.project || web.Stack != "core" {
		t.Errorf("web: %+v", web)
	}
	if once := all["once"]; !once.OneShot || once.Containers[0].State != "exited" || once.Containers[0].ExitCode != 0 {
		t.Errorf("once: %+v", once)
	}
	for _, c := range all["fine"].Containers {
		if len(c.ID) != 64 || !strings.HasPrefix(c.ImageID, "sha256:") || c.Health != "healthy" || time.Since(c.Started) > 10*time.Minute || c.Name != b.project+"-fine-1" {
			t.Errorf("fine: %+v", c)
		}
	}
	lines, err := b.LastLines(t.Context(), all["once"].Containers[0].ID, 10)
	if slices.Sort(lines); err != nil || !slices.Equal(lines, []string{"complained", "printed"}) {
		t.Errorf("last lines: %q, %v", lines, err)
	}
	if _, err := b.LastLines(t.Context(), "no-such-container", 10); err == nil {
		t.Error("lines of no container")
	}
}

func TestChangesOfRealContainers(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  mcp-a: " + sleeper + "  mcp-b: " + sleeper + "  other: " + sleeper})
	changed := func(before map[string]string) []string {
		var names []string
		for name, id := range b.ids() {
			if before[name] != id {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	requireChanged := func(what string, before map[string]string, want ...string) {
		t.Helper()
		if got := changed(before); !slices.Equal(got, want) {
			t.Errorf("%s gave %v a new container, want %v", what, got, want)
		}
	}
	if got := b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}}); got != "new: mcp-a mcp-b other; 0 kept" {
		t.Errorf("up: %q", got)
	}
	first := b.ids()
	if got := b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}}); got != "nothing to change, 3 containers kept" {
		t.Errorf("up again: %q", got)
	}
	requireChanged("up again", first)
	if got := b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"mcp-*"}, NoDeps: true}}); got != "new: mcp-a mcp-b; 1 kept" {
		t.Errorf("recreate: %q", got)
	}
	requireChanged("recreate mcp-*", first, "mcp-a", "mcp-b")
	second := b.ids()
	if got := b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"other"}, ForceRecreate: true}}); got != "new: other; 2 kept" {
		t.Errorf("up --force-recreate: %q", got)
	}
	requireChanged("up of other", second, "other")

	third, started := b.ids(), b.services()["mcp-a"].Containers[0].Started
	if got := b.run(pipeline.Step{Restart: &pipeline.Restart{Stack: "core", Services: []string{"mcp-a"}}}); got != "restarted mcp-a" {
		t.Errorf("restart: %q", got)
	}
	requireChanged("restart", third)
	if again := b.services()["mcp-a"].Containers[0].Started; !again.After(started) {
		t.Errorf("restarted at %s, it ran since %s", again, started)
	}

	_, err := b.Run(t.Context(), b.plan, ports.Work{Step: pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"mpc-*"}}}}, b.said.output)
	if fault.ReasonOf(err) != "UNKNOWN_SERVICE" || !strings.Contains(err.Error(), "mcp-a mcp-b other") {
		t.Errorf("a pattern that matches nothing: %v", err)
	}
	requireChanged("a refused step", third)
}

func TestExec(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  web: " + sleeper + "  absent: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web"}}})
	run := func(ctx context.Context, service string, command ...string) (int, string, error) {
		s := &said{}
		code, err := b.Exec(ctx, b.plan, pipeline.Exec{Stack: "core", Service: service, Command: command}, s.output)
		return code, s.text(), err
	}
	code, text, err := run(t.Context(), "web", "sh", "-c", "printf 'a\\nb'; printf 'c\\n' >&2; exit 7")
	lines := strings.Split(text, "\n")
	if slices.Sort(lines); code != 7 || err != nil || !slices.Equal(lines, []string{"err c", "out a", "out b"}) {
		t.Errorf("exit code %d, %q, %v", code, lines, err)
	}
	if code, _, err := run(t.Context(), "web", "true"); code != 0 || err != nil {
		t.Errorf("true: %d, %v", code, err)
	}
	if _, _, err := run(t.Context(), "absent", "true"); fault.ReasonOf(err) != "NOT_RUNNING" {
		t.Errorf("exec in a service that does not run: %v", err)
	}
	// An engine that cannot start a command ends the exec with 126 or 127, or refuses it.
	if code, _, err := run(t.Context(), "web", "no-such-program"); err == nil && code == 0 {
		t.Error("a program that does not exist succeeded")
	}

	ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errors.New("out of time"))
	defer cancel()
	began := time.Now()
	if _, text, err := run(ctx, "web", "sh", "-c", "echo begun; sleep 600"); fault.KindOf(err) != fault.Deadline || time.Since(began) > 20*time.Second || !strings.HasPrefix(text, "out begun\n") {
		t.Errorf("a hung command after %s: %q, %v", time.Since(began), text, err)
	}

	if got := docker(t, "top", b.project+"-web-1", "-eo", "pid,args"); strings.Contains(got, "600") {
		t.Errorf("after the deadline there runs\n%s", got)
	}

	_, err = b.Run(t.Context(), b.plan, ports.Work{Step: pipeline.Step{Exec: &pipeline.Exec{Stack: "core", Service: "web", Command: []string{"false"}}}}, b.said.output)
	if fault.ReasonOf(err) != "EXEC_FAILED" || !strings.Contains(err.Error(), "false in web ended with exit code 1") {
		t.Errorf("a step whose command fails: %v", err)
	}
	if got := b.run(pipeline.Step{Exec: &pipeline.Exec{Stack: "core", Service: "web", Command: []string{"true"}}}); got != "exit code 0" {
		t.Errorf("a step whose command succeeds: %q", got)
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{
		"core.yml":       "services:\n  app: {build: {context: app, args: {IMAGE: \"${IMAGE}\"}}, init: true, command: [sleep, \"1000\"]}\n",
		"app/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nARG REVISION=none\nRUN echo \"built $REVISION\" && echo $REVISION >/revision\n",
	})
	step := pipeline.Step{Build: &pipeline.Build{Stack: "core", Services: []string{"a*"}, Args: map[string]string{"REVISION": "42"}}}
	if got := b.run(step); got != "app" || !strings.Contains(b.said.text(), "built 42") {
		t.Errorf("build: %q\n%s", got, b.said.text())
	}
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	s := &said{}
	if code, err := b.Exec(t.Context(), b.plan, pipeline.Exec{Stack: "core", Service: "app", Command: []string{"cat", "/revision"}}, s.output); code != 0 || err != nil || s.text() != "out 42" {
		t.Errorf("the build argument: %q, %d, %v", s.text(), code, err)
	}
	before := b.ids()
	write(t, b.dir, map[string]string{"app/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nRUN echo wrong && exit 9\n"})
	_, err := b.Run(t.Context(), b.plan, ports.Work{Step: step}, b.said.output)
	if fault.ReasonOf(err) != "BUILD_FAILED" || !strings.Contains(err.Error(), "build of stack core failed") {
		t.Errorf("a build that fails: %v", err)
	}
	if after := b.ids(); after["app"] != before["app"] {
		t.Error("a failed build touched a container")
	}
}

// Two stacks of one project, begun at the same moment: unlocked, both would make the network.
func TestTwoStacksOfOneProject(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  a: " + sleeper, "extra.yml": "services:\n  b: " + sleeper})
	var group sync.WaitGroup
	for _, stack := range []string{"core", "extra"} {
		group.Go(func() {
			if _, err := b.Run(t.Context(), b.plan, ports.Work{Step: pipeline.Step{Up: &pipeline.Up{Stack: stack}}}, b.said.output); err != nil {
				t.Errorf("stack %s: %v", stack, err)
			}
		})
	}
	group.Wait()
	if ids := b.ids(); len(ids["a"]) != 64 || len(ids["b"]) != 64 {
		t.Errorf("containers: %v\n%s", ids, b.said.text())
	}
}

func TestProve(t *testing.T) {
	t.Parallel()
	const good = "services:\n  web: " + sleeper
	const envFile = "services:\n  web:\n    image: ${IMAGE}\n    env_file: [secrets/web.env, {path: optional.env, required: false}]\n"
	for name, tt := range map[string]struct {
		host, target map[string]string
		steps        []pipeline.Step
		change       func(*pipeline.Plan)
		kind         fault.Kind
		reason       string
		says         string
	}{
		"good":      {host: map[string]string{"core.yml": good}, target: map[string]string{"core.yml": good}, says: "services web"},
		"new stack": {host: map[string]string{"core.yml": ""}, target: map[string]string{"core.yml": good}, says: "services web"},
		"broken": {
			host: map[string]string{"core.yml": good}, target: map[string]string{"core.yml": "services: [\n"},
			kind: fault.Invalid, reason: "COMPOSE_CONFIG", says: "the target's compose files are not valid",
		},
		"missing file": {
			host: map[string]string{"core.yml": good}, target: map[string]string{"other.yml": good},
			kind: fault.Invalid, reason: "COMPOSE_CONFIG", says: "core.yml",
		},
		"unknown service": {
			host: map[string]string{"core.yml": good}, target: map[string]string{"core.yml": good},
			steps: []pipeline.Step{{ID: "apply/x/1", Up: &pipeline.Up{Stack: "core", Services: []string{"wep"}}}},
			kind:  fault.Invalid, reason: "UNKNOWN_SERVICE", says: "did you mean web?",
		},
		"variables of an untracked .env": {
			host:   map[string]string{"core.yml": good, ".env": "IMAGE=from-the-host\n"},
			target: map[string]string{"core.yml": strings.ReplaceAll(good, "${IMAGE}", "${IMAGE:?missing}")},
			change: func(p *pipeline.Plan) { p.Environment = nil },
			says:   "services web",
		},
		"untracked env_file of a service": {
			host: map[string]string{"core.yml": envFile, "secrets/web.env": "PASSWORD=x\n"}, target: map[string]string{"core.yml": envFile},
			says: "services web",
		},
		"env_file that is nowhere": {
			host: map[string]string{"core.yml": envFile}, target: map[string]string{"core.yml": envFile},
			kind: fault.Invalid, reason: "ENV_FILE_MISSING", says: "service web needs",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.host)
			b.plan.Steps = tt.steps
			if tt.change != nil {
				tt.change(b.plan)
			}
			side, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			write(t, side, tt.target)
			models, err := b.Prove(t.Context(), b.plan, side, b.said.output)
			if tt.reason == "" {
				if err != nil || !strings.Contains(b.said.text(), tt.says) || len(models) != 1 || models[0].Project != b.project {
					t.Errorf("%v\n%s", err, b.said.text())
				}
				return
			}
			if err == nil || fault.KindOf(err) != tt.kind || fault.ReasonOf(err) != tt.reason || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v %s: %v", fault.KindOf(err), fault.ReasonOf(err), err)
			}
		})
	}
}

func TestVersionOfTheEngine(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	engine, compose, err := b.Version(t.Context())
	if err != nil || engine == "" || compose == "" {
		t.Errorf("engine %q, compose %q, %v", engine, compose, err)
	}
}
