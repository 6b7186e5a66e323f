package flow_test

import (
	"context"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
)

// keeping lays out a fleet whose database keeps its data in a volume without a name, or otherwise.
func (b *bench) keeping(compose string) string {
	files := small(compose)
	empty := hosttest.Files()
	for path := range empty {
		if _, there := files[path]; !there {
			files[path] = ""
		}
	}
	return b.Push(files)
}

func (b *bench) volumes() string { return b.World().Volumes["core/database"] }

// undoes goes back to what ran before an operation, by hand.
func (b *bench) undoes(id string) operation.Operation {
	b.t.Helper()
	op, _, err := b.engine.Rollback(flow.RollbackRequest{CommandID: "undo " + id, Requester: "operator/test", Operation: id})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.ended(op.ID)
}

const nameless = "app\ndatabase vol:/data\n"

// TestVolumeOfWhatLeftForGood: the deploy tells where the data stay, once; a rollback by hand finds them again.
func TestVolumeOfWhatLeftForGood(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.keeping(nameless))
		before := b.volumes()
		volume, _, _ := strings.Cut(before, "@")
		b.deployed(b.Push(map[string]string{"compose.yml": "app\n"}))
		op := b.operation("")
		if told := warningsOf(b.watch(op.ID, 0, nil), "ANONYMOUS_VOLUME"); len(told) != 1 || !strings.Contains(told[0], "core/database leaves") || !strings.Contains(told[0], volume) {
			t.Errorf("told %q", told)
		}
		if back := b.undoes(op.ID); back.State != operation.Succeeded || len(back.Warnings) > 0 || b.volumes() != before {
			t.Errorf("%s (%+v), told %q; it shows %s, it showed %s", back.State, back.Failure, back.Warnings, b.volumes(), before)
		}
	})
}

// TestVolumeThatTheImageNoLongerDeclares: no compose file tells of it beforehand, so the deploy tells at its end.
func TestVolumeThatTheImageNoLongerDeclares(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.keeping("app\ndatabase declares:/data\n"))
		volume, _, _ := strings.Cut(b.volumes(), "@")
		b.deployed(b.Push(map[string]string{"compose.yml": "app\ndatabase declares:/elsewhere\n"}))
		told := warningsOf(b.watch(b.operation("").ID, 0, nil), "ANONYMOUS_VOLUME")
		if len(told) != 1 || !strings.Contains(told[0], "core/database: what it had at /data stays behind in volume "+volume) {
			t.Errorf("told %q", told)
		}
	})
}

// TestVolumeThatIsPrunedMeanwhile: the rollback does not say that what ran runs.
func TestVolumeThatIsPrunedMeanwhile(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.keeping(nameless))
		target := b.Push(map[string]string{"compose.yml": "app\n"})
		badProbe("web", 1)(b.Host, target)
		b.On("Restorer.Carry recreate", func(context.Context, hosttest.Call) error {
			b.PruneVolumes()
			return nil
		})
		b.On("Checkout.Move", func(context.Context, hosttest.Call) error {
			b.PruneVolumes()
			return nil
		})
		op := b.judged(b.deploy(target).ID)
		if op.State != operation.RollbackFailed || op.Failure.Reason != "NOT_RESTORED" || !strings.Contains(op.Failure.Message, "core/database has lost its data at /data") {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
	})
}

// TestDataThatAreNewerStay: a rollback by hand of what has been good since takes back the code, and leaves a service on the data that it has now.
func TestDataThatAreNewerStay(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.keeping(nameless))
		then := b.volumes()
		b.deployed(b.Push(map[string]string{"app/main.go": "two"}))
		first := b.operation("").ID
		b.ChangeContainer("core", "database", nil) // taken down by hand, and brought up again by the next deploy
		b.deployed(b.Push(map[string]string{"compose.yml": "app\ndatabase vol:/data v2\n"}))
		newer := b.volumes()
		plan, err := b.engine.PlanRollback(t.Context(), flow.RollbackRequest{Operation: first})
		if err != nil || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "goes on at /data with the data that it has now") {
			t.Errorf("the plan tells %q, %v", plan.Warnings, err)
		}
		back := b.undoes(first)
		if back.State != operation.Succeeded || b.volumes() != newer || newer == then || len(back.Warnings) != 1 {
			t.Errorf("%s (%+v), told %q; it shows %s, it showed %s before and %s then", back.State, back.Failure, back.Warnings, b.volumes(), newer, then)
		}
	})
}

// TestRollbackOfAFailedRollback: what failed to come back comes back when a person tries again, though another volume is there meanwhile.
func TestRollbackOfAFailedRollback(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.keeping(nameless))
		then := b.volumes()
		target := b.Push(map[string]string{"compose.yml": "app\ndatabase vol:/data=rows\n"})
		badProbe("web", 1)(b.Host, target)
		b.FailAt("Engine.Carrier core/database", context.DeadlineExceeded)
		op := b.judged(b.deploy(target).ID)
		if op.State != operation.RollbackFailed {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
		b.On("Engine.Carrier core/database", nil)
		if back := b.undoes(op.ID); back.State != operation.Succeeded || b.volumes() != then {
			t.Errorf("%s, %+v; it shows %s, it showed %s", back.State, back.Failure, b.volumes(), then)
		}
	})
}

// TestVolumeOfTheVersionThatIsLeft: what a replica of it wrote is told where it stays.
func TestVolumeOfTheVersionThatIsLeft(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.keeping(nameless))
		then := b.volumes()
		target := b.Push(map[string]string{"compose.yml": "app\ndatabase vol:/data replicas:2\n"})
		badProbe("web", 1)(b.Host, target)
		op := b.judged(b.deploy(target).ID)
		told := warningsOf(b.watch(op.ID, 0, nil), "ANONYMOUS_VOLUME")
		if op.State != operation.RolledBack || b.volumes() != then || len(told) != 1 || !strings.Contains(told[0], "what it had at /data stays behind") {
			t.Errorf("ended in %s, %+v; told %q; it shows %s, it showed %s", op.State, op.Failure, told, b.volumes(), then)
		}
	})
}
