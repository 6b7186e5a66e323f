package flow_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

const canceller = "operator/ada"

// TestCancelInEveryState: what has touched neither a container nor the database ends CANCELLED and gives the pause and the checkout
// back; what has is rolled back, without a block: the commit did nothing wrong.
func TestCancelInEveryState(t *testing.T) {
	for label, c := range map[string]struct {
		state, end operation.State
		back       bool // by ROLLING_BACK
	}{
		"Commits.Fetch":           {operation.Proving, operation.Cancelled, false},
		"Runtime.Prove":           {operation.Proving, operation.Cancelled, false},
		"Sentinels.ChangePause":   {operation.Pausing, operation.Cancelled, false},
		"Checkout.Restore":        {operation.Cleaning, operation.Cancelled, true},
		"Checkout.Move":           {operation.Resetting, operation.Cancelled, true},
		"Runtime.Run build/app/1": {operation.Building, operation.Cancelled, true},
		"Runtime.Complete":        {operation.Building, operation.Cancelled, true},
		"Scripts.Migrate":         {operation.Migrating, operation.RolledBack, true},
		"Runtime.Run apply/app/2": {operation.Applying, operation.RolledBack, true},
		"":                        {operation.AwaitingVerify, operation.RolledBack, true},
		"Prober.Probe web":        {operation.Proving, operation.Cancelled, false}, // as what runs answers
		"Prober.Probe containers": {operation.Verifying, operation.RolledBack, true},
	} {
		t.Run(string(c.state)+" "+label, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.deployed(b.Head())
				before := b.World()
				target := next(b)
				var ended error // cause of the child's context
				first := true
				if label != "" {
					b.On(label, func(ctx context.Context, _ hosttest.Call) error {
						if !first {
							return nil
						}
						first = false
						select {
						case <-ctx.Done():
							ended = context.Cause(ctx)
							return ended
						case <-time.After(time.Minute): // of a call that takes no context
							return nil
						}
					})
				}
				op := b.deploy(target)
				if label != "" && c.state == operation.Verifying {
					_, _ = b.engine.Verify(op.ID)
				}
				synctest.Wait()
				if op = b.operation(op.ID); op.State != c.state {
					t.Fatalf("it stands in %s", op.State)
				}
				b.apart("Restorer.Gone", time.Minute)
				for range 3 { // again changes nothing
					if _, err := b.engine.Cancel(op.ID, canceller); err != nil {
						t.Error(err)
					}
				}
				if c.back { // also when the rollback has begun
					for range 100 {
						if b.operation(op.ID).State == operation.RollingBack {
							break
						}
						time.Sleep(time.Second) // fake time
					}
					if _, err := b.engine.Cancel(op.ID, canceller); err != nil {
						t.Errorf("asked for again in the rollback: %v", err)
					}
				}
				op = b.judged(op.ID)
				if op.State != c.end || op.Failure == nil || op.Failure.Reason != "CANCELLED" {
					t.Fatalf("ended in %s, %+v", op.State, op.Failure)
				}
				for _, part := range []string{canceller, string(c.state)} {
					if !strings.Contains(op.Failure.Message, part) {
						t.Errorf("the message %q does not name %s", op.Failure.Message, part)
					}
				}
				if label != "" && label != "Sentinels.ChangePause" && (ended == nil || !strings.Contains(ended.Error(), canceller)) {
					t.Errorf("the child's context ended by %v", ended)
				}
				for _, s := range op.Steps {
					if s.Outcome == "" || s.Outcome == operation.StepFailed {
						t.Errorf("step %s: outcome %q: a cancelled step has not failed", s.ID, s.Outcome)
					}
				}
				if c.end == operation.RolledBack {
					before.Pause = op.ID
				}
				diff(t, "the host", b.World(), before)
				if again, err := b.engine.Cancel(op.ID, canceller); err != nil || again.State != c.end {
					t.Errorf("Cancel after the end: %s, %v", again.State, err)
				}
				if op = b.judged(b.deploy(target, func(r *flow.DeployRequest) { r.CommandID = "again" }).ID); op.State != operation.Succeeded {
					t.Errorf("the same commit afterwards ends in %s, %+v", op.State, op.Failure)
				}
			})
		})
	}
}

func TestRollingBackIsNotCancelled(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		b.FailAt("Scripts.Migrate", fault.New(fault.Failed, "BROKEN", "it broke"))
		reached, release := b.HoldAt("Engine.Tag core/app")
		op := b.deploy(next(b))
		<-reached
		for range 2 {
			if _, err := b.engine.Cancel(op.ID, canceller); fault.KindOf(err) != fault.Refused || fault.ReasonOf(err) != "ROLLING_BACK" {
				t.Errorf("Cancel: %v", err)
			}
		}
		release()
		if op = b.judged(op.ID); op.State != operation.RolledBack || op.Failure.Reason != "BROKEN" {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
	})
}

func TestCancelOfWhatDoesNotRun(t *testing.T) {
	inBubble(t, func(b *bench) {
		if _, err := b.engine.Cancel("op-99", canceller); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown operation: %v", err)
		}
		b.deployed(b.Head())
		done := b.operation("")
		running := b.until(b.deploy(next(b)).ID, operation.AwaitingVerify)
		if op, err := b.engine.Cancel(done.ID, canceller); err != nil || op.State != operation.Succeeded {
			t.Errorf("one that ended, while another runs: %s, %v", op.State, err)
		}
		if op := b.judged(running.ID); op.State != operation.Succeeded {
			t.Errorf("the one that runs ended in %s", op.State)
		}
	})
}

// TestVerdictOutranksCancel: once the stamp is being written, the deploy has succeeded.
func TestVerdictOutranksCancel(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		target := next(b)
		b.apart("Stamp.SetStamp", time.Minute)
		op := b.deploy(target)
		_, _ = b.engine.Verify(op.ID)
		for len(b.Calls("Stamp.SetStamp")) < 2 {
			time.Sleep(time.Second) // fake time
		}
		if _, err := b.engine.Cancel(op.ID, canceller); err != nil {
			t.Error(err)
		}
		if op = b.judged(op.ID); op.State != operation.Succeeded || b.World().Stamp != target {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
	})
}

// TestCancelledRollback: a rollback that a person asked for can be called off until it begins.
func TestCancelledRollback(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		b.deployed(first)
		b.deployed(next(b))
		before := b.World()
		reached, release := b.HoldAt("Restorer.Pin")
		defer release()
		op, _, err := b.engine.Rollback(flow.RollbackRequest{CommandID: "r", Requester: canceller, Target: first})
		if err != nil {
			t.Fatal(err)
		}
		<-reached
		if _, err := b.engine.Cancel(op.ID, canceller); err != nil {
			t.Error(err)
		}
		if op = b.ended(op.ID); op.State != operation.Cancelled {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
		diff(t, "the host", b.World(), before)
	})
}
