package compose

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/pipeline"
)

// muchMemory is for tests that ask for what has just happened, beside others that fill the engine's memory of events.
const muchMemory = 1 << 20

// stubborn is a service whose first process ignores SIGTERM.
func stubborn(grace string) string {
	return "{image: \"${IMAGE}\", stop_grace_period: " + grace + ", command: [sh, -c, \"trap '' TERM; while true; do sleep 1; done\"]}\n"
}

// compose begins a docker compose of the project's core stack.
func (b *bench) begin(args ...string) *exec.Cmd {
	b.t.Helper()
	cmd := exec.Command("docker", append([]string{"compose", "--project-name", b.project, "--file", "core.yml"}, args...)...)
	cmd.Dir, cmd.Env = b.dir, b.environ(b.plan.Environment)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// state is a container's, as docker tells it: "running 1234".
func state(t *testing.T, id string) string {
	t.Helper()
	out, err := exec.Command("docker", "inspect", "--format", "{{.State.Status}}", id).CombinedOutput()
	if err != nil {
		return "gone"
	}
	return strings.TrimSpace(string(out))
}

// signalled waits until a container was sent a signal since a moment.
func signalled(t *testing.T, id string, since time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	watch := exec.CommandContext(ctx, "docker", "events", "--since", fmt.Sprint(since.Unix()), "--filter", "event=kill", "--filter", "container="+id, "--format", "{{.ID}}")
	pipe, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Read(make([]byte, 1)); err != nil {
		t.Fatalf("%.12s was not asked to stop: %v", id, err)
	}
	cancel()
	_ = watch.Wait() // killed on purpose
}

// A docker compose that is killed while a container is being stopped leaves the engine stopping it: after Rest it has really stopped.
func TestRestWaitsForStops(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		grace string
		args  []string
		after string // of the container that was being stopped
	}{
		{"1s", []string{"stop", "app"}, "exited"},
		{"1s", []string{"up", "--detach", "--force-recreate", "app"}, "exited"},
		{"10s", []string{"stop", "app"}, "exited"},
		{"3s", []string{"restart", "app"}, "running"},
	} {
		t.Run(c.args[0]+" "+c.grace, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, map[string]string{"core.yml": "services:\n  app: " + stubborn(c.grace) + "  other: " + sleeper})
			b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
			b.keptEvents = muchMemory
			before := b.ids()
			started := b.services()["app"].Containers[0].Started
			began := time.Now()
			child := b.begin(c.args...)
			signalled(t, before["app"], began)
			_ = child.Process.Kill()
			_ = child.Wait()
			if got := state(t, before["app"]); got != "running" {
				t.Fatalf("it is %s before it was waited for", got)
			}
			cut := ports.Cut{Projects: []string{b.project}, Began: began, Reaches: []picture.Reach{{Project: b.project}}}
			if err := b.Rest(t.Context(), cut, b.said.output); err != nil {
				t.Fatal(err)
			}
			if got := state(t, before["app"]); got != c.after {
				t.Errorf("afterwards it is %s, want %s\n%s", got, c.after, b.said.text())
			}
			if c.after == "running" {
				if now := b.services()["app"].Containers[0].Started; !now.After(started) {
					t.Errorf("it runs since %s, as before", now)
				}
			}
			if !strings.Contains(b.said.text(), b.project+"/app is being stopped; it has "+c.grace) {
				t.Errorf("it is not told:\n%s", b.said.text())
			}
			if got := state(t, before["other"]); got != "running" {
				t.Errorf("its neighbour is %s", got)
			}
		})
	}
}

// A recreate that is killed anywhere comes to rest, and the next up has one container of the service.
func TestRestAfterARecreateThatWasKilledAnywhere(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  app: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	for _, after := range []time.Duration{100 * time.Millisecond, 250 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond} {
		began := time.Now()
		child := b.begin("up", "--detach", "--force-recreate", "app")
		time.AfterFunc(after, func() { _ = child.Process.Kill() })
		_ = child.Wait()
		cut := ports.Cut{Projects: []string{b.project}, Began: began, Reaches: []picture.Reach{{Project: b.project}}}
		if err := b.Rest(t.Context(), cut, b.said.output); err != nil {
			t.Fatal(err)
		}
		one, two := b.look().Brief(), b.look().Brief()
		if fmt.Sprint(one) != fmt.Sprint(two) {
			t.Errorf("killed after %s it is not at rest: %+v, then %+v", after, one, two)
		}
		b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
		now := b.services()["app"].Containers
		if len(now) != 1 || now[0].State != "running" || now[0].Name != b.project+"-app-1" {
			t.Errorf("killed after %s: %+v", after, now)
		}
	}
}

// Where nothing is being stopped nothing is waited for, whatever its grace; a signal that ends nothing is no stop.
func TestRestOfWhatIsAtRest(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  app: " + strings.Replace(sleeper, "1s", "50s", 1) + "  hung: " + strings.Replace(stubborn("50s"), "'' TERM", "'' HUP", 1)})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	docker(t, "kill", "--signal", "HUP", b.project+"-hung-1")
	began := time.Now()
	cut := ports.Cut{Projects: []string{b.project, "landfall-no-such-project"}, Began: began.Add(-time.Minute), Reaches: []picture.Reach{{Project: b.project}}}
	b.keptEvents = muchMemory
	asked, certain, err := b.asked(t.Context(), 55*time.Second)
	if err != nil || !certain || len(asked[b.ids()["hung"]]) != 1 {
		t.Fatalf("asked %v, %v, %v", asked, certain, err)
	}
	if err := b.Rest(t.Context(), cut, b.said.output); err != nil || time.Since(began) > 20*time.Second || strings.Contains(b.said.text(), "being stopped") {
		t.Errorf("after %s: %v\n%s", time.Since(began), err, b.said.text())
	}
}

// Two projects come to rest together, not one after the other.
func TestRestOfSeveralProjects(t *testing.T) {
	t.Parallel()
	files := map[string]string{"core.yml": "services:\n  a: " + stubborn("4s") + "  b: " + stubborn("4s")}
	one, two := newBench(t, files), newBench(t, files)
	began := time.Now()
	var projects []string
	var reaches []picture.Reach
	var ids []string
	for _, b := range []*bench{one, two} {
		b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
		projects, reaches = append(projects, b.project), append(reaches, picture.Reach{Project: b.project})
		for _, id := range b.ids() {
			ids = append(ids, id)
		}
	}
	for _, b := range []*bench{one, two} {
		b.begin("stop")
	}
	var group sync.WaitGroup
	for _, id := range ids {
		group.Go(func() { signalled(t, id, began) })
	}
	group.Wait()
	one.keptEvents = muchMemory
	asked := time.Now()
	if err := one.Rest(t.Context(), ports.Cut{Projects: projects, Reaches: reaches, Began: began}, one.said.output); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if got := state(t, id); got != "exited" {
			t.Errorf("%.12s is %s", id, got)
		}
	}
	if took := time.Since(asked); took > 12*time.Second {
		t.Errorf("four containers with 4s each took %s", took)
	}
}

// Where the engine may have forgotten events, whatever was reached is given its time.
func TestRestWhereTheEngineHasForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  app: " + strings.Replace(sleeper, "1s", "2s", 1)})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	app := b.look().Containers[0]
	b.keptEvents = eventsMargin + 1 // less than the two starts
	docker(t, "restart", app.Name)
	app = b.look().Containers[0]
	if _, certain, err := b.asked(t.Context(), time.Minute); certain || err != nil {
		t.Fatalf("certain: %v, %v", certain, err)
	}
	began := time.Now()
	if err := b.awaitStop(t.Context(), app, nil, false, b.said.output); err != nil || time.Since(began) < app.Grace {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	go func() { // it ends while it is waited for
		timeout := 0
		_ = b.docker.ContainerStop(context.Background(), app.ID, container.StopOptions{Timeout: &timeout})
	}()
	if err := b.awaitStop(t.Context(), app, nil, false, b.said.output); err != nil || state(t, app.ID) != "exited" {
		t.Errorf("it is %s, %v", state(t, app.ID), err)
	}
}
