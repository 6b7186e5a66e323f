package flow_test

import (
	"testing"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// TestACheckoutThatSomebodyMoved: a git pull by hand makes the next change set one of two commits, not of everything.
func TestACheckoutThatSomebodyMoved(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		b.deployed(first)
		mailer, _ := b.Container("extra", "mailer")
		pulled := b.Push(map[string]string{"worker/main.go": "pulled"})
		b.Checkout(pulled)
		everything, moved, err := b.engine.Unsettled(t.Context())
		if everything != "" || moved != pulled || err != nil {
			t.Errorf("unsettled %q, moved %q, %v", everything, moved, err)
		}
		target := b.Push(map[string]string{"app/main.go": "two"})
		op := b.ended(b.deploy(target).ID)
		if op.State != operation.FailedUntouched || op.Failure.Reason != "CHECKOUT_MOVED" || op.Failure.Kind != fault.Refused {
			t.Fatalf("a change set of the stamp alone: ended in %s, %+v", op.State, op.Failure)
		}
		op = b.movedDeploy(first, pulled, target)
		if op.State != operation.Succeeded {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
		diff(t, "flags", op.Flags, []string{"app", "worker"})
		w := b.World()
		if w.Images["core/app"] != hosttest.ImageAt(target, "core", "app") || w.Images["extra/worker"] != hosttest.ImageAt(target, "extra", "worker") {
			t.Errorf("images: %v", w.Images)
		}
		if now, _ := b.Container("extra", "mailer"); now.ID != mailer.ID {
			t.Error("a service that neither changed was replaced")
		}
	})
}

func (b *bench) movedDeploy(stamp, moved, target string) operation.Operation {
	b.t.Helper()
	if _, err := b.Ports().Commits.Fetch(b.t.Context(), target, nil); err != nil {
		b.t.Fatal(err)
	}
	plan, err := b.engine.PlanAt(b.t.Context(), flow.PlanRequest{Base: stamp, Moved: moved, Target: target})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.judged(b.deploy(target, func(r *flow.DeployRequest) {
		r.CommandID, r.Moved, r.PlanDigest = "moved", moved, plan.Digest()
	}).ID)
}

// TestARevertMovesTheStamp: a commit that changes nothing against what runs is deployed all the same, and lifts what an earlier failure left.
func TestARevertMovesTheStamp(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		ids := b.ContainerIDs()
		b.FailAt("Scripts.Migrate", fault.New(fault.Failed, "BROKEN", "it broke"))
		bad := next(b)
		if op := b.judged(b.deploy(bad).ID); op.State != operation.RolledBack {
			t.Fatalf("ended in %s", op.State)
		}
		b.On("Scripts.Migrate", nil)
		revert := b.Push(map[string]string{"app/main.go": "one"})
		op := b.judged(b.deploy(revert, func(r *flow.DeployRequest) { r.Judge = true }).ID)
		if op.State != operation.Succeeded {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
		if w := b.World(); w.Stamp != revert || w.Head != revert || len(w.Blocked) != 0 || w.Pause != "" {
			t.Errorf("the host: %+v", w)
		}
		diff(t, "containers", b.ContainerIDs(), ids)
	})
}
