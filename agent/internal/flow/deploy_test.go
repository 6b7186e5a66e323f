package flow_test

import (
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/ports"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

func oneAtATime(p *flow.Policy) { p.Parallelism = 1 }

func TestGoodDeploy(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		b.deployed(first)
		target := b.Push(map[string]string{"app/main.go": "two", "migrations/003_third.sql": "select 3;", "elsewhere.txt": "x"})
		other, _ := b.Container("extra", "worker")
		before, _ := b.Container("core", "app")
		b.Edit("runtime/dashboard.json", "{\"changed\": true}")
		b.Print("Runtime.Run build/app/1", "#1 building", "#1 done")
		b.apart("Prober.Probe containers", 10*time.Millisecond)
		b.apart("Prober.Probe web", 20*time.Millisecond)

		op := b.judged(b.deploy(target).ID)
		diff(t, "the events", hosttest.Lines(b.watch(op.ID, 0, nil)), []string{
			"accepted deploy by deployer/test",
			"state PROVING",
			"step prove/fetch: fetch " + target[:7],
			"was at " + first[:7],
			"done prove/fetch",
			"step prove/plan: compile the plan",
			"plan of 3 steps",
			"done prove/plan",
			"step prove/checkout: check the checkout for what would be lost",
			"done prove/checkout",
			"step prove/compose: check the compose files of the target",
			"done prove/compose",
			"step prove/host: check disk and memory",
			"done prove/host",
			"step prove/runs: compare with what runs, keep its images",
			"was at " + first[:7],
			"done prove/runs",
			"state PAUSING",
			"state CLEANING",
			"step clean: restore files that change at run time",
			"done clean",
			"state RESETTING",
			"step reset: move the checkout to " + target[:7],
			"done reset",
			"state BUILDING",
			"step policy: check the compose files where they will run",
			"done policy",
			"step build/app/1: core: build app",
			"out build/app/1: #1 building",
			"out build/app/1: #1 done",
			"done build/app/1",
			"step build/complete: look for images that are missing",
			"done build/complete",
			"state MIGRATING",
			"step migrate/script/1: migrate: migrate.sh",
			"out migrate/script/1: applied 003_third",
			"migration 003_third",
			"done migrate/script/1",
			"state APPLYING",
			"step apply/app/2: core: recreate app",
			"done apply/app/2",
			"state AWAITING_VERIFY",
			"state VERIFYING",
			"step verify/probes: 2 probes",
			"probe containers passed: 4 services, 4 containers",
			"probe web passed: good",
			"done verify/probes",
			"step verify/soak: watch the containers for 3s",
			"done verify/soak",
			"step stamp: write the stamp",
			"done stamp",
			"state SUCCEEDED",
		})
		if op.PreDeploy != first || op.Target != target || op.Base != first || op.Failure != nil || op.Ended.IsZero() {
			t.Errorf("the record: %+v", op)
		}
		diff(t, "flags", op.Flags, []string{"app"})
		diff(t, "migrations", op.Migrations, []string{"003_third"})
		if b.Head() != target {
			t.Errorf("checked out is %s", b.Head())
		}
		after, _ := b.Container("core", "app")
		if after.ID == before.ID || after.ImageID != hosttest.ImageAt(target, "core", "app") {
			t.Errorf("the container was not replaced by the built one: %+v", after)
		}
		if now, _ := b.Container("extra", "worker"); now.ID != other.ID {
			t.Error("a service that nothing changed was replaced")
		}
		if stamp, _, err := b.Ports().Stamp.Stamp(); stamp != target || err != nil {
			t.Errorf("stamp %q, %v", stamp, err)
		}
	}, oneAtATime)
}

func TestFactsAreInTheJournalBeforeAnyoneHears(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.deploy(b.Head())
		journal := b.Ports().Journal
		err := b.engine.Watch(b.t.Context(), op.ID, 0, func(events []operation.Event) error {
			for _, e := range events {
				stored, err := journal.Events(op.ID, e.Sequence-1, 1)
				if err != nil || len(stored) != 1 || !stored[0].Time.Equal(e.Time) {
					t.Errorf("event %d was heard of before it was stored", e.Sequence)
				}
			}
			return nil
		}, func(s operation.State) bool {
			if s == operation.AwaitingVerify {
				_, _ = b.engine.Verify(op.ID)
			}
			return true
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestWorkFollowsItsRecord: no port changes the host before the state that stands for
// the change is in the journal.
func TestWorkFollowsItsRecord(t *testing.T) {
	inBubble(t, func(b *bench) {
		want := map[string]operation.State{
			"Sentinels.ChangePause": operation.Pausing, "Checkout.Restore": operation.Cleaning, "Checkout.Move": operation.Resetting,
			"Runtime.Run build/app/1": operation.Building, "Scripts.Migrate migrate.sh": operation.Migrating,
			"Runtime.Run apply/app/2": operation.Applying, "Prober.Probe web": operation.Verifying, "Stamp.SetStamp": operation.Verifying,
		}
		seen := map[string]bool{}
		records := b.Ports().Records
		b.OnCall = func(_ int, label string) error {
			if state, ok := want[label]; ok && !seen[label] {
				seen[label] = true
				if op, err := records.Operation(""); err != nil || op.State != state {
					t.Errorf("%s was called in %s, %v; want %s", label, op.State, err, state)
				}
			}
			return nil
		}
		target := b.Head()
		op := b.deploy(target)
		b.judged(op.ID)
		if len(seen) != len(want) {
			t.Errorf("seen only %v", seen)
		}
	}, oneAtATime)
}

func TestPauseIsSetBeforeTheResetAndRemovedByFinishOnly(t *testing.T) {
	inBubble(t, func(b *bench) {
		sentinels := b.Ports().Sentinels
		reached, release := b.HoldAt("Checkout.Move")
		op := b.deploy(b.Head())
		<-reached
		pause, err := sentinels.Pause()
		if err != nil || pause == nil {
			t.Fatalf("at the reset there is no pause: %v", err)
		}
		if pause.Operation != op.ID || pause.Owner != "deployer/test" || !strings.HasPrefix(pause.Reason, "deploy of ") || pause.Expires.Sub(pause.Created) != 4*time.Hour {
			t.Errorf("the pause is %+v", pause)
		}
		if _, err := b.engine.Finish(op.ID); fault.KindOf(err) != fault.Refused || fault.ReasonOf(err) != "NOT_SUCCEEDED" {
			t.Errorf("Finish of a running deploy: %v", err)
		}
		release()
		b.judged(op.ID)
		if pause, _ = sentinels.Pause(); pause == nil {
			t.Error("the success removed the pause; that is for Finish")
		}
		for range 2 { // repeating it changes nothing
			if _, err := b.engine.Finish(op.ID); err != nil {
				t.Error(err)
			}
			if pause, _ = sentinels.Pause(); pause != nil {
				t.Errorf("after Finish there is a pause: %+v", pause)
			}
		}
		mine := &ports.Pause{Owner: "operator/ada", Created: time.Now(), Expires: time.Now().Add(time.Hour)}
		if err := sentinels.ChangePause(becomes(mine)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.engine.Finish(op.ID); err != nil {
			t.Error(err)
		}
		if pause, _ = sentinels.Pause(); pause == nil {
			t.Error("Finish removed somebody else's pause")
		}
	})
}

func TestVerifyWithin(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.until(b.deploy(b.Head()).ID, operation.AwaitingVerify)
		began := time.Now()
		if op.VerifyBy.Sub(began).Abs() > time.Minute+15*time.Minute {
			t.Errorf("verify by %v", op.VerifyBy)
		}
		op = b.ended(op.ID)
		if op.State != operation.Succeeded {
			t.Errorf("ended in %s", op.State)
		}
		if waited := time.Since(began); waited < 15*time.Minute || waited > 16*time.Minute {
			t.Errorf("judged after %s", waited)
		}
		if len(op.Warnings) != 1 || !strings.Contains(op.Warnings[0], "verifies by itself") {
			t.Errorf("warnings %q", op.Warnings)
		}
	})
}

func TestVerifyMayBeAskedForTooEarlyAndAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		reached, release := b.HoldAt("Checkout.Move")
		op := b.deploy(b.Head())
		<-reached
		for range 3 {
			if _, err := b.engine.Verify(op.ID); err != nil {
				t.Error(err)
			}
		}
		release()
		if op = b.ended(op.ID); op.State != operation.Succeeded || len(op.Warnings) != 0 {
			t.Errorf("ended in %s, warnings %q", op.State, op.Warnings)
		}
		if again, err := b.engine.Verify(op.ID); err != nil || again.State != operation.Succeeded {
			t.Errorf("Verify after the end: %s, %v", again.State, err)
		}
		_, err := b.engine.Verify("op-99")
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("Verify of an unknown operation: %v", err)
		}
	})
}
