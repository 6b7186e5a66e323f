package flow_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
)

// lodging is a fleet whose second stack lives in the namespaces of a container of the first.
func lodging() map[string]string {
	return small("app fixed:tunnel\nweb\n", "side within:tunnel\nlog shares:side\nother\n")
}

// restarting is lodging with an app that is restarted where its files change.
func restarting() map[string]string {
	files := lodging()
	files[hosttest.ConfigPath] = strings.Replace(files[hosttest.ConfigPath], "recreate: {stack: core, services: [app]}", "restart: {stack: core, services: [app]}", 1)
	return files
}

// stopped ends a service, as an operator does.
func stopped(project, service string) func(h *hosttest.Host) {
	return func(h *hosttest.Host) {
		h.ChangeContainer(project, service, func(c *picture.Container) { c.State, c.ExitCode = "exited", 143 })
	}
}

// sharerStories are deploys that replace or restart the owner of namespaces in which another stack lives.
func sharerStories() map[string]hosttest.Story {
	code := map[string]string{"app/main.go": "two"}
	leftStopped := tale{files: lodging(), change: code, since: stopped("extra", "log"), bad: true, end: operation.RolledBack, spare: 1}.story()
	leftStopped.Meanwhile = func(w *hosttest.World) { // made again, and not started
		w.States["extra/log"], w.Loaded["extra/log"] = "created", ""
	}
	return map[string]hosttest.Story{
		"sharer of another stack":                       tale{files: lodging(), change: code, bad: true, end: operation.RolledBack, spare: 1}.story(),
		"sharer of another stack, good":                 tale{files: lodging(), change: code, end: operation.Succeeded, spare: 1}.story(),
		"sharer of another stack, restarted":            tale{files: restarting(), change: code, bad: true, end: operation.RolledBack, spare: 1}.story(),
		"sharer of another stack, restarted, good":      tale{files: restarting(), change: code, end: operation.Succeeded, spare: 1}.story(),
		"sharer of another stack that is stopped":       leftStopped,
		"sharer of another stack that is stopped, good": tale{files: lodging(), change: code, since: stopped("extra", "log"), end: operation.Succeeded, spare: 1}.story(),
		"sharer of another stack, on a network made anew": tale{
			files:  small("network back x=1\napp net:back fixed:tunnel\nweb net:back\n", "side within:tunnel\nlog shares:side\n"),
			change: map[string]string{"compose.yml": "network back x=2\napp net:back fixed:tunnel\nweb net:back\n"}, bad: true, end: operation.RolledBack, spare: 1,
		}.story(),
		"a stranger in a namespace": tale{
			files: lodging(), change: code, end: operation.FailedUntouched, since: func(h *hosttest.Host) { stranger(h, "core", "app") },
		}.story(),
	}
}

// stranger starts a container of nobody's in the namespaces of a service.
func stranger(h *hosttest.Host, project, service string) {
	owner, _ := h.Container(project, service)
	h.Start(picture.Container{Name: "hand", State: "running", Started: owner.Started, Shares: []picture.Share{{Namespace: "network", Container: owner.ID}}})
}

// lives makes sure that a service lives in the namespaces of the container that another has.
func (b *bench) lives(service, owner string) {
	b.t.Helper()
	of := func(key string) picture.Container {
		project, name, _ := strings.Cut(key, "/")
		c, there := b.Container(project, name)
		if !there {
			b.t.Fatalf("%s has no container", key)
		}
		return c
	}
	if s, o := of(service), of(owner); len(s.Shares) != 1 || s.Shares[0].Container != o.ID || s.Running() && s.Started.Before(o.Started) {
		b.t.Errorf("%s lives in %+v since %s; %s is %.12s since %s", service, s.Shares, s.Started, owner, o.ID, o.Started)
	}
}

// TestSharersOfOtherStacks: who lives in namespaces of another stack's container goes with it, and who lives with those; forward and back. Others stay.
func TestSharersOfOtherStacks(t *testing.T) {
	for name, files := range map[string]map[string]string{"recreated": lodging(), "restarted": restarting()} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.deployed(b.Push(files))
				before := b.ContainerIDs()
				op := b.judged(b.deploy(b.Push(map[string]string{"app/main.go": "two"})).ID)
				if op.State != operation.Succeeded || len(op.Warnings) > 0 {
					t.Fatalf("ended in %s: %+v, warned %v", op.State, op.Failure, op.Warnings)
				}
				b.lives("extra/side", "core/app")
				b.lives("extra/log", "extra/side")
				after := b.ContainerIDs()
				if after["extra/other"] != before["extra/other"] || after["core/web"] != before["core/web"] {
					t.Error("others were touched")
				}
				if op = b.ended(b.rollback(flow.RollbackRequest{Operation: op.ID}).ID); op.State != operation.Succeeded {
					t.Fatalf("the rollback ended in %s: %+v", op.State, op.Failure)
				}
				b.lives("extra/side", "core/app")
				b.lives("extra/log", "extra/side")
			})
		})
	}
}

// TestStoppedSharers: who was stopped is made again with the owner of its namespace, because it could not be started any more, and stays stopped.
func TestStoppedSharers(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Push(lodging()))
		stopped("extra", "log")(b.Host)
		if op := b.judged(b.deploy(b.Push(map[string]string{"app/main.go": "two"})).ID); op.State != operation.Succeeded {
			t.Fatalf("ended in %s: %+v", op.State, op.Failure)
		}
		b.lives("extra/log", "extra/side")
		if c, _ := b.Container("extra", "log"); c.Running() {
			t.Error("it was stopped, and runs")
		}
	})
}

// TestSharersThatWereBrokenBefore: who had lost its namespace before a deploy about something else is left alone, told, and not judged; a deploy
// about the owner mends it.
func TestSharersThatWereBrokenBefore(t *testing.T) {
	inBubble(t, func(b *bench) {
		files := lodging()
		files[hosttest.ConfigPath] = strings.Replace(files[hosttest.ConfigPath], "  compose: {paths", "  web: {paths: [\"web/**\"], actions: [web]}\n  compose: {paths", 1)
		files[hosttest.ConfigPath] = strings.Replace(files[hosttest.ConfigPath], "  all:\n", "  web:\n    - recreate: {stack: core, services: [web]}\n  all:\n", 1)
		b.deployed(b.Push(files))
		b.ChangeContainer("extra", "side", func(c *picture.Container) { c.Shares[0].Container = strings.Repeat("0", 64) })
		before := b.ContainerIDs()
		op := b.judged(b.deploy(b.Push(map[string]string{"web/index": "two"})).ID)
		if told := strings.Join(op.Warnings, "; "); op.State != operation.Succeeded || !strings.Contains(told, "side: shares the network namespace of container 000000000000, which is gone") {
			t.Errorf("ended in %s: %+v, warned %s", op.State, op.Failure, told)
		}
		if after := b.ContainerIDs(); after["extra/side"] != before["extra/side"] || after["core/web"] == before["core/web"] {
			t.Errorf("before %v, after %v", before, after)
		}
		if op := b.judged(b.deploy(b.Push(map[string]string{"app/main.go": "two"})).ID); op.State != operation.Succeeded {
			t.Errorf("ended in %s: %+v", op.State, op.Failure)
		}
		b.lives("extra/side", "core/app")
		b.lives("extra/log", "extra/side")
	})
}

// TestStrangersInNamespaces: nobody's container that lives with a service stands against what replaces that, and against nothing else; a rollback
// that leaves the service alone is done.
func TestStrangersInNamespaces(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Push(lodging()))
		last := b.judged(b.deploy(b.Push(map[string]string{"app/main.go": "two"})).ID)
		stranger(b.Host, "core", "web")
		b.deployed(b.Push(map[string]string{"app/main.go": "three"}))
		op := b.deploy(b.Push(map[string]string{"compose.yml": "app fixed:tunnel\nweb two\n"}))
		if op = b.ended(op.ID); op.State != operation.FailedUntouched || op.Failure.Reason != "NAMESPACE_IN_USE" || !strings.Contains(op.Failure.Message, "core/web") || !strings.Contains(op.Failure.Message, "hand") {
			t.Errorf("ended in %s: %+v", op.State, op.Failure)
		}
		if plan, err := b.engine.PlanRollback(b.t.Context(), flow.RollbackRequest{Operation: last.ID}); err != nil || len(plan.Warnings) > 0 {
			t.Errorf("a rollback that leaves web alone warns: %q, %v", plan.Warnings, err)
		}
		app, _ := b.Container("core", "app")
		b.Start(picture.Container{Name: "other", State: "running", Started: app.Started, Shares: []picture.Share{{Namespace: "pid", Container: app.ID}}})
		if plan, err := b.engine.PlanRollback(b.t.Context(), flow.RollbackRequest{Operation: last.ID}); err != nil || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "NAMESPACE_IN_USE") || !strings.Contains(plan.Warnings[0], "but other,") {
			t.Errorf("a rollback that would cut somebody off does not say so: %q, %v", plan.Warnings, err)
		}
		if op = b.ended(b.rollback(flow.RollbackRequest{CommandID: "refused", Operation: last.ID}).ID); op.State != operation.FailedUntouched || op.Failure.Reason != "NAMESPACE_IN_USE" {
			t.Errorf("a rollback that would cut somebody off ended in %s: %+v", op.State, op.Failure)
		}
		b.Remove("other")
		if op = b.ended(b.rollback(flow.RollbackRequest{Operation: last.ID}).ID); op.State != operation.Succeeded {
			t.Errorf("a rollback that leaves web alone ended in %s: %+v", op.State, op.Failure)
		}
		stranger(b.Host, "core", "app")
		if plan, err := b.engine.PlanRollback(b.t.Context(), flow.RollbackRequest{Operation: last.ID}); err != nil || len(plan.Warnings) > 0 {
			t.Errorf("nothing is to be brought back, and yet it warns: %q, %v", plan.Warnings, err)
		}
		before := b.ContainerIDs()
		if op = b.ended(b.rollback(flow.RollbackRequest{CommandID: "again", Operation: last.ID}).ID); op.State != operation.Succeeded || b.ContainerIDs()["core/app"] != before["core/app"] {
			t.Errorf("a rollback with nothing to bring back ended in %s: %+v", op.State, op.Failure)
		}
	})
}

// TestSharersAreWaitedFor: a step that was cut off may have left who lives with what it names on its way, too.
func TestSharersAreWaitedFor(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Push(lodging()))
		b.FailAt("Engine.Create extra/side", fault.New(fault.Deadline, "STEP_DEADLINE", "too late"))
		op := b.deploy(b.Push(map[string]string{"app/main.go": "two"}))
		b.On("Restorer.Rest", func(context.Context, hosttest.Call) error {
			b.On("Engine.Create extra/side", nil)
			return nil
		})
		if op = b.judged(op.ID); op.State != operation.RolledBack {
			t.Errorf("ended in %s: %+v", op.State, op.Failure)
		}
		if reached := b.WaitedFor(); !slices.Contains(reached, "core/app") || !slices.Contains(reached, "extra/side") || slices.Contains(reached, "extra/other") {
			t.Errorf("waited for %q", reached)
		}
		b.lives("extra/side", "core/app")
		b.lives("extra/log", "extra/side")
	})
}
