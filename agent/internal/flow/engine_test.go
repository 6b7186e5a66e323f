package flow_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"ataraxis.dev/landfall/agent/internal/flow"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

func TestACommandIsOneOperation(t *testing.T) {
	inBubble(t, func(b *bench) {
		target := b.Head()
		req := b.request("the-command", target)
		const callers = 20
		var fresh atomic.Int32
		ids := make([]string, callers)
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				op, repeated, err := b.engine.Deploy(req)
				if err != nil {
					t.Errorf("caller %d: %v", i, err)
				}
				if !repeated {
					fresh.Add(1)
				}
				ids[i] = op.ID
			})
		}
		group.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("several operations: %q", ids)
			}
		}
		if fresh.Load() != 1 {
			t.Errorf("%d callers believe that they started it", fresh.Load())
		}
		b.judged(ids[0])
		op, repeated, err := b.engine.Deploy(req)
		if err != nil || !repeated || op.ID != ids[0] || op.State != operation.Succeeded {
			t.Errorf("after the end: %s in %s, repeated %v, %v", op.ID, op.State, repeated, err)
		}
		if ops, err := b.engine.Operations(0, 10); err != nil || len(ops) != 1 {
			t.Errorf("%d operations, %v", len(ops), err)
		}
	})
}

func TestOneOperationAtATime(t *testing.T) {
	inBubble(t, func(b *bench) {
		early := b.request("early", b.Head())
		b.deployed(b.Head())
		early.CommandID = "deploy-" + b.Head()
		running := b.until(b.deploy(next(b)).ID, operation.AwaitingVerify)
		_, _, err := b.engine.Deploy(b.request("other", next(b)))
		if fault.KindOf(err) != fault.Refused || fault.ReasonOf(err) != "HOST_LOCKED" {
			t.Fatalf("a second deploy: %v", err)
		}
		for _, part := range []string{running.ID, "deployer/test", string(operation.AwaitingVerify), running.Target[:12]} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the message does not name %s: %v", part, err)
			}
		}
		op, repeated, err := b.engine.Deploy(early)
		if err != nil || !repeated || op.State != operation.Succeeded {
			t.Errorf("a command that ended before: %s, repeated %v, %v", op.State, repeated, err)
		}
		if current := b.engine.Current(); current == nil || current.ID != running.ID {
			t.Errorf("current is %+v", current)
		}
		b.judged(running.ID)
		synctest.Wait()
		if current := b.engine.Current(); current != nil {
			t.Errorf("after the end %s is current", current.ID)
		}
	})
}

func TestNothingStartsAfterClose(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.engine.Close()
		_, _, err := b.engine.Deploy(b.request("late", b.Head()))
		if fault.KindOf(err) != fault.Unreachable || fault.ReasonOf(err) != "SHUTTING_DOWN" {
			t.Errorf("deploy after Close: %v", err)
		}
		if len(b.Calls("Journal.Create")) != 0 {
			t.Error("an operation was recorded")
		}
	})
}

func TestCreationThatFailsLeavesTheHostFree(t *testing.T) {
	inBubble(t, func(b *bench) {
		full := errors.New("no space left on device")
		b.FailAt("Journal.Create", full)
		if _, _, err := b.engine.Deploy(b.request("a", b.Head())); !errors.Is(err, full) {
			t.Errorf("deploy: %v", err)
		}
		b.FailAt("Journal.Known", full)
		b.On("Journal.Create", nil)
		op := b.deploy(b.Head())
		if _, _, err := b.engine.Deploy(b.request("b", b.Head())); !errors.Is(err, full) {
			t.Errorf("deploy while another runs and the journal cannot be read: %v", err)
		}
		b.judged(op.ID)
	})
}

// TestJournalFailureStopsTheWork: for each append in turn, the one that fails is the end:
// nothing is done that is not recorded.
func TestJournalFailureStopsTheWork(t *testing.T) {
	for nth := 1; ; nth++ {
		reached := false
		inBubble(t, func(b *bench) {
			full := errors.New("no space left on device")
			appends, after := 0, []string(nil)
			b.OnCall = func(_ int, label string) error {
				if label == "Journal.Append" {
					if appends++; appends >= nth {
						reached = true
						return full
					}
				} else if reached && !strings.HasPrefix(label, "Prober.") && !strings.HasPrefix(label, "Inspector.") {
					// Probes go on side by side, so one may begin at this moment; they change nothing.
					after = append(after, label)
				}
				return nil
			}
			op := b.deploy(b.Head())
			_, _ = b.engine.Verify(op.ID)
			err := b.engine.Watch(b.t.Context(), op.ID, 0, func([]operation.Event) error { return nil }, nil)
			if reached && (fault.KindOf(err) != fault.Degraded || fault.ReasonOf(err) != "NOT_RUNNING") {
				t.Errorf("append %d: a watcher is told %v", nth, err)
			}
			synctest.Wait()
			if len(after) > 0 {
				t.Errorf("after append %d failed, the engine called %q", nth, after)
			}
			if reached && b.engine.Current() != nil {
				t.Errorf("append %d: the operation still counts as running", nth)
			}
		}, oneAtATime)
		if !reached {
			if nth < 20 {
				t.Errorf("a deploy has only %d appends", nth-1)
			}
			return
		}
	}
}

func TestPlans(t *testing.T) {
	inBubble(t, func(b *bench) {
		ctx := context.Background()
		first := b.Head()
		b.deployed(first)
		target := next(b)
		if _, err := b.engine.PlanAt(ctx, flow.PlanRequest{Base: first, Target: target}); fault.ReasonOf(err) != "UNKNOWN_COMMIT" {
			t.Errorf("a plan of a commit that was not fetched: %v", err)
		}
		op := b.judged(b.deploy(target).ID)
		plan, err := b.engine.PlanAt(ctx, flow.PlanRequest{Base: first, Target: target})
		if err != nil || plan.Digest() != op.PlanDigest {
			t.Errorf("PlanAt: %v", err)
		}
		recorded, err := b.engine.Plan(op.ID)
		if err != nil || recorded == nil || recorded.Digest() != op.PlanDigest {
			t.Errorf("Plan: %v", err)
		}
		now, err := b.engine.PlanNow(ctx)
		if err != nil || now.Target != target || now.Everything == "" {
			t.Errorf("PlanNow: %+v, %v", now, err)
		}
		op = b.ended(b.deploy(strings.Repeat("e", 40)).ID)
		if recorded, err = b.engine.Plan(op.ID); recorded != nil || err != nil {
			t.Errorf("the plan of an operation without one: %+v, %v", recorded, err)
		}
		b.FailAt("Commits.Head", errors.New("x"))
		if _, err = b.engine.PlanNow(ctx); err == nil {
			t.Error("a plan of an unknown commit")
		}
	})
}

// TestTheEndUnlocksTheHost: whoever sees the last event may begin the next operation at once.
func TestTheEndUnlocksTheHost(t *testing.T) {
	inBubble(t, func(b *bench) {
		for n := range 50 {
			op := b.judged(b.deploy(b.Push(map[string]string{"docs/page.md": strings.Repeat("x", n+1)})).ID)
			if op.State != operation.Succeeded {
				t.Fatalf("ended in %s, %+v", op.State, op.Failure)
			}
		}
	})
}
