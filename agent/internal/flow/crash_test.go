package flow_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// every is the sample fleet with an action of each kind that changes containers.
func every() map[string]string {
	files := hosttest.Files()
	files["compose.yml"] = "app\ndatabase mount:config\n" // which the plain up of `rest` replaces, too
	files[hosttest.ConfigPath] = `version: 1
project: sample
stacks:
  core: {files: [compose.yml]}
  extra: {files: [compose.extra.yml]}
prepare: {reset: ["runtime/**"]}
migrate: {script: migrate.sh}
flags:
  app:    {paths: ["app/**"], actions: [app]}
  config: {paths: ["config/**"], actions: [config]}
  mail:   {paths: ["mail/**"], actions: [mail]}
  worker: {paths: ["worker/**"], actions: [worker]}
  rest:   {paths: ["compose*.yml"], actions: [rest]}
actions:
  app:    [{build: {stack: core, services: [app]}}, {recreate: {stack: core, services: [app]}}]
  config: [{restart: {stack: core, services: [database]}}, {wait: {probe: web}}]
  mail:   [{script: hook.sh}, {up: {stack: extra, services: [mailer], force_recreate: true}}]
  worker: [{build: {stack: extra, services: [worker]}}, {up: {stack: extra, services: [worker]}}]
  rest:   {after: [app, worker], steps: [{up: {stack: core}}, {up: {stack: extra}}]}
verify:
  deadline: 30s
  soak: 1s
  probes:
    containers: {containers: {stacks: [core, extra]}}
    web: {http: {url: "http://127.0.0.1:8080/"}}
`
	return files
}

// change is a commit that changes something for each action, with a migration and a new service.
func change(h *hosttest.Host) string {
	return h.Push(map[string]string{
		"app/main.go": "two", "config/app.conf": "two", "mail/template": "two", "worker/main.go": "two",
		"migrations/003_third.sql": "select 3;", "compose.extra.yml": "mailer\nsearch\nworker\n",
	})
}

// running is a host that runs the fleet; its last commit waits to be deployed.
func running(h *hosttest.Host) (target string, err error) {
	if _, err = h.Deployed(h.Push(every())); err != nil {
		return "", err
	}
	return change(h), nil
}

// deploying tells the deploy of a commit that changes everything, with trouble on the way.
func deploying(trouble func(h *hosttest.Host, target string), ends ...operation.State) hosttest.Story {
	var req flow.DeployRequest
	return hosttest.Story{
		Before: func(h *hosttest.Host) error {
			target, err := running(h)
			if err != nil {
				return err
			}
			req, err = h.Request("the-deploy", target)
			return err
		},
		Trouble: func(h *hosttest.Host) {
			if trouble != nil {
				trouble(h, req.Target)
			}
		},
		Command: func(_ *hosttest.Host, e *flow.Flows) (operation.Operation, error) {
			op, _, err := e.Deploy(req)
			return op, err
		},
		Ends:   ends,
		Blocks: true,
	}
}

// withdrawing tells a rollback of the last of two deploys.
func withdrawing(request func(op operation.Operation) flow.RollbackRequest) hosttest.Story {
	var req flow.RollbackRequest
	return hosttest.Story{
		Before: func(h *hosttest.Host) error {
			target, err := running(h)
			if err != nil {
				return err
			}
			op, err := h.Deployed(target)
			req = request(op)
			req.CommandID, req.Requester = "the-rollback", "operator/test"
			return err
		},
		Command: func(_ *hosttest.Host, e *flow.Flows) (operation.Operation, error) {
			op, _, err := e.Rollback(req)
			return op, err
		},
		Ends: []operation.State{operation.Succeeded},
	}
}

// cancelling tells a deploy that a person cancels whenever it comes to a call.
func cancelling(label string, ends ...operation.State) hosttest.Story {
	reached := make(chan struct{}, 1)
	s := deploying(func(h *hosttest.Host, _ string) {
		reached = make(chan struct{}, 100)
		h.On(label, func(ctx context.Context, _ hosttest.Call) error {
			reached <- struct{}{}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Minute): // for calls that no context ends
				return nil
			}
		})
	}, ends...)
	s.Blocks = false
	s.Along = func(ctx context.Context, e *flow.Flows, id string) {
		select {
		case <-reached:
			_, _ = e.Cancel(id, "operator/test") // refused by an engine that is dead
		case <-ctx.Done():
		}
	}
	return s
}

// answered tells a deploy that asks whether a newer one is under way, and is told so.
func answered(by string, end operation.State) hosttest.Story {
	var req flow.DeployRequest
	s := deploying(nil, end)
	s.Before = func(h *hosttest.Host) error {
		target, err := running(h)
		if err != nil {
			return err
		}
		req, err = h.Request("the-deploy", target)
		req.AskNewer = true
		return err
	}
	s.Command = func(_ *hosttest.Host, e *flow.Flows) (operation.Operation, error) {
		op, _, err := e.Deploy(req)
		return op, err
	}
	s.Along = func(ctx context.Context, e *flow.Flows, id string) {
		for ctx.Err() == nil {
			_, _ = e.Proceed(id, by) // refused by an engine that is dead
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
	return s
}

func failsAt(label string) func(*hosttest.Host, string) {
	return func(h *hosttest.Host, _ string) {
		h.FailAt(label, fault.New(fault.Failed, "BROKEN", "it broke"))
	}
}

// badProbe makes a probe fail, from an attempt on, while the target is checked out.
func badProbe(name string, from int) func(*hosttest.Host, string) {
	return func(h *hosttest.Host, target string) {
		h.Answer(name, func(attempt int) operation.ProbeResult {
			if attempt >= from && h.Head() == target {
				return bad("crash loop")
			}
			return good("good")
		})
	}
}

func stories() map[string]hosttest.Story {
	rolledBack := operation.RolledBack
	all := smallStories()
	maps.Copy(all, upkeepStories())
	maps.Copy(all, map[string]hosttest.Story{
		"good deploy":   deploying(nil, operation.Succeeded),
		"clean fails":   deploying(failsAt("Checkout.Restore"), operation.FailedUntouched),
		"build fails":   deploying(failsAt("Runtime.Run build/worker/1"), operation.FailedUntouched),
		"image missing": deploying(failsAt("Runtime.Complete"), operation.FailedUntouched),
		"migrate fails": deploying(failsAt("Scripts.Migrate"), rolledBack),
		"apply fails":   deploying(failsAt("Engine.Create extra/worker"), rolledBack),
		"script fails":  deploying(failsAt("Scripts.RunScript"), rolledBack),
		"probe fails":   deploying(badProbe("web", 3), rolledBack),
		"soak fails":    deploying(badProbe("containers", 2), rolledBack),
		"dies once good": deploying(func(h *hosttest.Host, target string) {
			h.Answer("web", func(int) operation.ProbeResult {
				if h.World().Stamp == target {
					return bad("crash loop")
				}
				return good("good")
			})
		}, operation.Succeeded),
		"proof fails": deploying(failsAt("Gauge.Check"), operation.FailedUntouched),
		"superseded": func() hosttest.Story {
			s := deploying(nil, operation.Superseded)
			begin := s.Before
			s.Before = func(h *hosttest.Host) error {
				if err := begin(h); err != nil {
					return err
				}
				_, err := h.Deployed(h.Push(map[string]string{"app/main.go": "three"}))
				return err
			}
			return s
		}(),
		"asks and goes on":        answered("", operation.Succeeded),
		"asks and yields":         answered("feedfeedfeedfeedfeedfeedfeedfeedfeedfeed", operation.Superseded),
		"cancelled untouched":     cancelling("Runtime.Prove", operation.Cancelled),
		"cancelled while pausing": cancelling("Sentinels.ChangePause", operation.Cancelled),
		"cancelled touched":       cancelling("Scripts.Migrate", rolledBack),
		"rollback of an operation": withdrawing(func(op operation.Operation) flow.RollbackRequest {
			return flow.RollbackRequest{Operation: op.ID}
		}),
		"rollback to a commit": withdrawing(func(op operation.Operation) flow.RollbackRequest {
			return flow.RollbackRequest{Target: op.PreDeploy}
		}),
	})
	return all
}

// tellAll runs a test for every story, each on a prepared stage. number tells them apart.
func tellAll(t *testing.T, tell func(t *testing.T, number int, stage *hosttest.Stage) (points int)) {
	all := stories()
	for number, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("%d points", tell(t, number, all[name].Stage(t)))
		})
	}
}

// TestCrashAtEveryPoint kills the agent at every call, and after every change, of every
// story; a new one on the same host brings it to an end that tells the truth. Under the race detector,
// which is slow, the points are shared out among the stories.
func TestCrashAtEveryPoint(t *testing.T) {
	stride := 1
	if raceDetector {
		stride = 5
	}
	tellAll(t, func(t *testing.T, number int, stage *hosttest.Stage) (points int) {
		for _, afterEffect := range []bool{false, true} {
			for n := 1 + number%stride; stage.Play(t, hosttest.Death{At: n, AfterEffect: afterEffect}); n += stride {
				points++
			}
		}
		return points
	})
}

// TestCrashInTheRecovery kills the second engine, too, and sometimes the third. Strides keep
// it short; they are prime to one another, so that over the stories most pairs of places are met.
func TestCrashInTheRecovery(t *testing.T) {
	first, second := 7, 11
	if raceDetector {
		first, second = 19, 23
	}
	tellAll(t, func(t *testing.T, number int, stage *hosttest.Stage) (points int) {
		for n := 1 + number%first; n <= stage.Calls; n += first {
			m := 1 + (n+number)%second
			for stage.Play(t, hosttest.Death{At: n}, hosttest.Death{At: m, AfterEffect: m%3 == 0}) {
				if points++; points%5 == 0 {
					stage.Play(t, hosttest.Death{At: n}, hosttest.Death{At: m}, hosttest.Death{At: 1 + m/2})
				}
				m += second
			}
		}
		return points
	})
}

// TestLostAnswers: a change is made, but the port says that it failed, as when an engine is
// asked over a connection that breaks. The agent lives on, and the end is as true as ever.
func TestLostAnswers(t *testing.T) {
	lost := fault.New(fault.Failed, "ANSWER_LOST", "the connection broke")
	tellAll(t, func(t *testing.T, _ int, stage *hosttest.Stage) (points int) {
		for stage.PlayLosing(t, points+1, lost) != "" {
			points++
		}
		return points
	})
}
