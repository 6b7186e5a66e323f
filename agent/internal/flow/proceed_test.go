package flow_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/ports"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

func asking(r *flow.DeployRequest) { r.AskNewer = true }

// asked waits until the deploy asks.
func (b *bench) asked(id string) {
	b.t.Helper()
	for range 60 {
		op := b.operation(id)
		if slices.ContainsFunc(op.Steps, func(s operation.StepRecord) bool { return s.ID == "prove/newer" && s.Outcome == "" }) {
			return
		}
		time.Sleep(time.Second)
	}
	b.t.Fatal("the deploy does not ask")
}

func TestADeployThatAsksGoesOnWhenToldTo(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.deploy(b.Head(), asking)
		b.asked(op.ID)
		b.untouched()
		for range 2 {
			if _, err := b.engine.Proceed(op.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if op = b.until(op.ID, operation.AwaitingVerify); time.Since(began) > 20*time.Second {
			t.Errorf("it went on after %s", time.Since(began))
		}
		if op = b.judged(op.ID); op.State != operation.Succeeded {
			t.Errorf("ended in %s", op.State)
		}
		if again, err := b.engine.Proceed(op.ID, b.Head()); err != nil || again.State != operation.Succeeded {
			t.Errorf("an answer after the end: %s, %v", again.State, err)
		}
	})
}

func TestADeployThatAsksYields(t *testing.T) {
	inBubble(t, func(b *bench) {
		const newer = "feedfeedfeedfeedfeedfeedfeedfeedfeedfeed"
		op := b.deploy(b.Head(), asking)
		b.asked(op.ID)
		if _, err := b.engine.Proceed(op.ID, newer); err != nil {
			t.Fatal(err)
		}
		if op = b.ended(op.ID); op.State != operation.Superseded || op.SupersededBy != newer {
			t.Errorf("ended in %s by %q", op.State, op.SupersededBy)
		}
		b.untouched()
		if pause, err := b.Ports().Sentinels.Pause(); err != nil || pause != nil {
			t.Errorf("a pause stays: %+v, %v", pause, err)
		}
	})
}

// A coordinator that is gone stops nothing.
func TestADeployThatAsksDoesNotWaitForever(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.deploy(b.Head(), asking)
		b.asked(op.ID)
		began := time.Now()
		op = b.until(op.ID, operation.AwaitingVerify)
		if waited := time.Since(began); waited < 20*time.Second || waited > time.Minute {
			t.Errorf("it waited %s", waited)
		}
		at := slices.IndexFunc(op.Steps, func(s operation.StepRecord) bool { return s.ID == "prove/newer" })
		if at < 0 || !strings.Contains(op.Steps[at].Summary, "nobody answered") {
			t.Errorf("steps: %+v", op.Steps)
		}
	})
}

func TestADeployThatAsksCanBeCancelled(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.deploy(b.Head(), asking)
		b.asked(op.ID)
		if _, err := b.engine.Cancel(op.ID, "deployer/test"); err != nil {
			t.Fatal(err)
		}
		if op = b.ended(op.ID); op.State != operation.Cancelled {
			t.Errorf("ended in %s", op.State)
		}
		b.untouched()
	})
}

func TestProceedOfAnUnknownOperation(t *testing.T) {
	inBubble(t, func(b *bench) {
		if _, err := b.engine.Proceed("op-99", ""); fault.KindOf(err) != fault.NotFound {
			t.Errorf("got %v", err)
		}
	})
}

// A deploy that ends untouched leaves convergence as paused as it was.
func TestThePauseOfAFailureOutlivesAnUntouchedDeploy(t *testing.T) {
	inBubble(t, func(b *bench) {
		failed := &ports.Pause{Reason: "rollback", Owner: "deployer/test", Operation: "op-before", Created: time.Now(), Expires: time.Now().Add(time.Hour)}
		sentinels := b.Ports().Sentinels
		if err := sentinels.ChangePause(becomes(failed)); err != nil {
			t.Fatal(err)
		}
		reached, release := b.HoldAt("Checkout.Restore")
		op := b.deploy(b.Head())
		<-reached
		pause, err := sentinels.Pause()
		if err != nil || pause == nil || pause.Operation != op.ID || pause.Before == nil || pause.Before.Operation != "op-before" {
			t.Fatalf("the deploy's pause is %+v, %v", pause, err)
		}
		release()
		if op = b.judged(op.ID); op.State != operation.Succeeded {
			t.Fatalf("ended in %s", op.State)
		}
		if _, err := b.engine.Finish(op.ID); err != nil {
			t.Fatal(err)
		}
		if pause, _ := sentinels.Pause(); pause != nil {
			t.Errorf("after a success there is a pause: %+v", pause)
		}

		if err := sentinels.ChangePause(becomes(failed)); err != nil {
			t.Fatal(err)
		}
		next := b.Push(map[string]string{"app/main.go": "four"})
		reached, release = b.HoldAt("Sentinels.ChangePause")
		op = b.deploy(next)
		<-reached
		if _, err := b.engine.Cancel(op.ID, "deployer/test"); err != nil {
			t.Fatal(err)
		}
		release()
		if op = b.ended(op.ID); op.State != operation.Cancelled {
			t.Fatalf("ended in %s", op.State)
		}
		if pause, err := sentinels.Pause(); err != nil || pause == nil || pause.Operation != "op-before" || pause.Before != nil {
			t.Errorf("after the cancelled deploy the pause is %+v, %v", pause, err)
		}
	})
}
