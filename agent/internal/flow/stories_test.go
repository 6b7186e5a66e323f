package flow_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// small is a fleet of one stack, or two where there is a second compose file: a changed compose file brings the stacks up, a change in
// app/ builds and recreates the service app.
func small(compose ...string) map[string]string {
	files := map[string]string{"compose.yml": compose[0], "app/main.go": "one", "config/app.conf": "one"}
	stacks, ups := "  core: {files: [compose.yml]}\n", "    - up: {stack: core}\n"
	if len(compose) > 1 {
		files["compose.extra.yml"] = compose[1]
		stacks, ups = stacks+"  extra: {files: [compose.extra.yml]}\n", ups+"    - up: {stack: extra}\n"
	}
	files[hosttest.ConfigPath] = fmt.Sprintf(`version: 1
project: sample
stacks:
%sflags:
  app:     {paths: ["app/**"], actions: [app]}
  compose: {paths: ["compose*.yml", "landfall.yaml"], actions: [all]}
actions:
  app:
    - build: {stack: core, services: [app]}
    - recreate: {stack: core, services: [app]}
  all:
%sverify:
  deadline: 30s
  soak: 1s
  probes:
    containers: {containers: {}}
    web: {http: {url: "http://127.0.0.1:8080/"}}
`, stacks, ups)
	return files
}

// tale is a deploy of a small change to a small fleet.
type tale struct {
	files  map[string]string                  // that run
	first  map[string]string                  // another good deploy before, when set
	change map[string]string                  // that is deployed
	since  func(h *hosttest.Host)             // what somebody did to the host before
	along  func(h *hosttest.Host, sha string) // what goes wrong, or is done meanwhile
	bad    bool                               // the target never answers
	end    operation.State
	spare  int // see [hosttest.Story]
}

func (c tale) story() hosttest.Story {
	s := deploying(nil, c.end)
	s.Spare = c.spare
	var req flow.DeployRequest
	s.Before = func(h *hosttest.Host) error {
		empty := hosttest.Files()
		for path := range empty {
			empty[path] = ""
		}
		maps.Copy(empty, c.files)
		if _, err := h.Deployed(h.Push(empty)); err != nil {
			return err
		}
		if c.first != nil {
			if _, err := h.Deployed(h.Push(c.first)); err != nil {
				return err
			}
		}
		if c.since != nil {
			c.since(h)
		}
		target := h.Push(c.change)
		var err error
		req, err = h.Request("the-deploy", target)
		return err
	}
	s.Trouble = func(h *hosttest.Host) {
		if c.bad {
			badProbe("web", 1)(h, req.Target)
		}
		if c.along != nil {
			c.along(h, req.Target)
		}
	}
	s.Command = func(_ *hosttest.Host, e *flow.Flows) (operation.Operation, error) {
		op, _, err := e.Deploy(req)
		return op, err
	}
	return s
}

// cancelledWhileItStops is a deploy that is cancelled while the engine stops a container, which takes longer than anybody waits for.
func cancelledWhileItStops() hosttest.Story {
	reached := make(chan struct{}, 1)
	s := tale{
		files: small("app grace:30s\ndatabase\n"), change: map[string]string{"app/main.go": "two"}, end: operation.RolledBack, spare: 2,
		along: func(h *hosttest.Host, _ string) {
			reached = make(chan struct{}, 100)
			h.On("Engine.Stop core/app", func(context.Context, hosttest.Call) error {
				reached <- struct{}{}
				return nil
			})
		},
	}.story()
	s.Blocks = false
	s.Ends = append(s.Ends, operation.Succeeded) // nobody cancels while no agent lives
	s.Along = func(ctx context.Context, e *flow.Flows, id string) {
		select {
		case <-reached:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(3 * time.Second):
			_, _ = e.Cancel(id, "operator/test") // refused by an engine that is dead, and by a rollback
		case <-ctx.Done():
		}
	}
	return s
}

// repeatedRollback goes back by hand to where the host has gone back to by hand already.
func repeatedRollback() hosttest.Story {
	var req flow.RollbackRequest
	s := withdrawing(nil)
	s.Before = func(h *hosttest.Host) error {
		first := h.Push(small("app\ndatabase mount:config\n"))
		if _, err := h.Deployed(first); err != nil {
			return err
		}
		op, err := h.Deployed(h.Push(map[string]string{"app/main.go": "two", "config/app.conf": "two"}))
		if err != nil {
			return err
		}
		req = flow.RollbackRequest{CommandID: "before", Requester: "operator/test", Operation: op.ID}
		e := h.Engine()
		defer e.Close()
		op, _, err = e.Rollback(req)
		if err != nil {
			return err
		}
		req.CommandID = "the-rollback"
		return e.Watch(context.Background(), op.ID, 0, func([]operation.Event) error { return nil }, nil)
	}
	s.Command = func(_ *hosttest.Host, e *flow.Flows) (operation.Operation, error) {
		op, _, err := e.Rollback(req)
		return op, err
	}
	return s
}

func smallStories() map[string]hosttest.Story {
	rolledBack, untouched := operation.RolledBack, operation.FailedUntouched
	plain := small("app\ndatabase\n")
	renamed := strings.ReplaceAll(small("name core\napp\ndatabase\n")[hosttest.ConfigPath], "core", "store")
	code := map[string]string{"app/main.go": "two"}
	compose := func(text string) map[string]string {
		return map[string]string{"compose.yml": text, "app/main.go": "two"}
	}
	edited := tale{files: plain, change: code, end: untouched, along: func(h *hosttest.Host, _ string) {
		h.On("Sentinels.ChangePause", func(context.Context, hosttest.Call) error {
			if len(h.Calls("Checkout.Move")) == 0 {
				h.Edit("app/main.go", "mine")
			}
			return nil
		})
	}}.story()
	edited.Meanwhile = func(w *hosttest.World) { w.Edits = map[string]string{"app/main.go": "mine"} }
	edited.Ends = append(edited.Ends, operation.Succeeded) // a move that was cut off goes on, and saves what is in its way
	edited.Spare = 1
	late := tale{
		files: small("app grace:30s\ndatabase\n"), change: code, end: rolledBack, spare: 2, along: func(h *hosttest.Host, _ string) { h.Patience = 5 * time.Second },
	}.story()
	late.Ends = append(late.Ends, operation.Succeeded) // it goes on where the container has stopped while no agent lived
	stories := map[string]hosttest.Story{
		"stack renamed": tale{
			files: small("name core\napp\ndatabase\n"), change: map[string]string{hosttest.ConfigPath: renamed, "app/main.go": "two"}, bad: true, end: rolledBack,
		}.story(),
		"service removed":                   tale{files: plain, change: compose("app\n"), bad: true, end: rolledBack}.story(),
		"service removed for good":          tale{files: plain, change: compose("app\n"), end: operation.Succeeded}.story(),
		"service renamed with a fixed name": tale{files: small("app fixed:shop\ndatabase\n"), change: map[string]string{"compose.yml": "web fixed:shop\ndatabase\n"}, bad: true, end: rolledBack}.story(),
		"shared image name, one of two rebuilt": tale{
			files: small("app image:one\nworker image:one\n"), first: map[string]string{"app/main.go": "1.5"}, change: code, bad: true, end: rolledBack,
		}.story(),
		"namespace sharer":                tale{files: small("app\nside shares:app\nlog shares:side\n"), change: code, bad: true, end: rolledBack}.story(),
		"replicas 3":                      tale{files: small("app replicas:3\ndatabase\n"), change: code, bad: true, end: rolledBack, spare: 2}.story(),
		"replicas 3, good":                tale{files: small("app replicas:3\ndatabase\n"), change: code, end: operation.Succeeded, spare: 2}.story(),
		"replicas 1 to 3":                 tale{files: plain, change: compose("app replicas:3\ndatabase\n"), bad: true, end: rolledBack, spare: 2}.story(),
		"cancelled in a stop of 30 s":     cancelledWhileItStops(),
		"step deadline in a stop of 30 s": late,
		"one-shot":                        tale{files: small("app\njob oneshot\n"), change: compose("app\njob oneshot v2\n"), bad: true, end: rolledBack}.story(),
		"service stopped before": tale{
			files: plain, change: code, bad: true, end: rolledBack,
			since: func(h *hosttest.Host) {
				h.ChangeContainer("core", "database", func(c *picture.Container) { c.State, c.ExitCode = "exited", 143 })
			},
		}.story(),
		"network definition changes in one up": tale{
			files: small("network back x=1\napp net:back\ndatabase net:back\nweb\n"), change: map[string]string{"compose.yml": "network back x=2\napp net:back\ndatabase net:back\nweb\n"},
			bad: true, end: rolledBack,
		}.story(),
		"network definition changes under another stack": tale{
			files: small("network back x=1\napp net:back\n", "network back external\nworker net:back\n"), change: map[string]string{"compose.yml": "network back x=2\napp net:back\n"},
			end: untouched,
		}.story(),
		"untracked file in the way": tale{
			files: plain, change: map[string]string{"app/main.go": "two", ".env": "theirs"}, end: untouched, since: func(h *hosttest.Host) { h.Drop(".env", "mine") },
		}.story(),
		"edit between proof and reset": edited,
		"manual rollback repeated":     repeatedRollback(),
		"service with volumes without names removed": tale{
			files: small("app\ndatabase vol:/data declares:/cache\n"), change: compose("app\n"), bad: true, end: rolledBack,
		}.story(),
		"service with volumes without names removed for good": tale{
			files: small("app\ndatabase vol:/data\n"), change: compose("app\n"), end: operation.Succeeded,
		}.story(),
		"replicas 3 to 1 with volumes without names": tale{
			files: small("app vol:/data replicas:3\ndatabase\n"), change: compose("app vol:/data\ndatabase\n"), bad: true, end: rolledBack, spare: 2,
		}.story(),
		"replicas 1 to 3 with volumes without names": tale{
			files: small("app vol:/data\ndatabase\n"), change: compose("app vol:/data replicas:3\ndatabase\n"), bad: true, end: rolledBack, spare: 2,
		}.story(),
		"volume without a name gets one": tale{
			files: small("app\ndatabase vol:/data\n"), change: compose("app\ndatabase vol:/data=rows\n"), bad: true, end: rolledBack,
		}.story(),
		"image no longer declares a volume": tale{
			files: small("app\ndatabase declares:/data grace:1s\n"), change: compose("app\ndatabase declares:/other\n"), bad: true, end: rolledBack, spare: 1,
		}.story(),
	}
	maps.Copy(stories, sharerStories())
	maps.Copy(stories, probeStories())
	maps.Copy(stories, standStories())
	maps.Copy(stories, pausedStories())
	maps.Copy(stories, byHandStories())
	return stories
}
