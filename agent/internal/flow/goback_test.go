package flow_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
)

// TestARollbackToWhatRunsTouchesNothing, and does not block the commit that it leaves running.
func TestARollbackToWhatRunsTouchesNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		b.deployed(first)
		b.deployed(next(b))
		bad := b.operation("")
		for n, command := range []string{"once", "again"} {
			ids, engine := b.ContainerIDs(), len(b.Calls("Engine."))
			op, _, err := b.engine.Rollback(flow.RollbackRequest{CommandID: command, Requester: "operator/test", Operation: bad.ID})
			if err != nil {
				t.Fatal(err)
			}
			if op = b.ended(op.ID); op.State != operation.Succeeded {
				t.Fatalf("%s: ended in %s, %+v", command, op.State, op.Failure)
			}
			diff(t, "blocked", b.World().Blocked, []string{bad.Target})
			if n == 0 {
				continue
			}
			diff(t, "containers", b.ContainerIDs(), ids)
			if calls := b.Calls("Engine.")[engine:]; len(calls) > 0 {
				t.Errorf("the engine was asked for %q", calls)
			}
		}
	})
}

// TestNeighboursAreNotRestarted: what no step that began speaks of, and the engine restarted meanwhile, is left alone by a rollback.
func TestNeighboursAreNotRestarted(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		target := b.Push(map[string]string{"app/main.go": "two", "worker/main.go": "two"})
		b.On("Engine.Create core/app", func(context.Context, hosttest.Call) error {
			if b.Head() != target {
				return nil
			}
			b.ChangeContainer("extra", "worker", func(c *picture.Container) { c.Started = time.Now() })
			return fault.New(fault.Failed, "BROKEN", "it broke")
		})
		worker, _ := b.Container("extra", "worker")
		op := b.judged(b.deploy(target).ID)
		if op.State != operation.RolledBack || slices.ContainsFunc(op.Steps, func(s operation.StepRecord) bool { return s.ID == "apply/worker/2" }) {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
		if calls := b.Calls("Engine.Restart extra/worker"); len(calls) > 0 {
			t.Errorf("the worker was restarted: %q", calls)
		}
		if now, _ := b.Container("extra", "worker"); now.ID != worker.ID {
			t.Error("the worker was replaced")
		}
	}, oneAtATime)
}

// TestWhatFailsTogetherIsTriedApartOnceTheEngineRests: what a call that failed had asked for may still be under way.
func TestWhatFailsTogetherIsTriedApartOnceTheEngineRests(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		badProbe("web", 1)(b.Host, next(b))
		target := b.Push(map[string]string{"compose.yml": "app v2\ndatabase v2\n"})
		badProbe("web", 1)(b.Host, target)
		failed := false
		b.On("Engine.Create core/database", func(context.Context, hosttest.Call) error {
			if b.Head() == target || failed {
				return nil
			}
			failed = true
			return fault.New(fault.Failed, "BROKEN", "it broke once")
		})
		op := b.judged(b.deploy(target).ID)
		if op.State != operation.RolledBack || !failed {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
		calls := b.Calls("Restorer.")
		first := slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "Restorer.Carry") })
		second := first + 1 + slices.IndexFunc(calls[first+1:], func(c string) bool { return strings.HasPrefix(c, "Restorer.Carry") })
		if second == first || !slices.Contains(calls[first:second], "Restorer.Rest") {
			t.Errorf("nobody waited between the calls that failed and those that followed: %q", calls[first:])
		}
	})
}

// TestWhatWasStoppedStaysStopped, also where the deploy that failed spoke of it and started it; and it is not judged.
func TestWhatWasStoppedStaysStopped(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		b.ChangeContainer("core", "database", func(c *picture.Container) { c.State, c.ExitCode = "exited", 143 })
		before, _ := b.Container("core", "database")
		target := b.Push(map[string]string{"compose.yml": "app\ndatabase v2\n"})
		badProbe("web", 1)(b.Host, target)
		op := b.judged(b.deploy(target).ID)
		if op.State != operation.RolledBack {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
		if c, there := b.Container("core", "database"); !there || c.Running() || c.ImageID != before.ImageID || c.Config != before.Config {
			t.Errorf("the database is %+v", c)
		}
	})
}
