package flow_test

import (
	"fmt"
	"testing"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// TestPausesDoNotNest: each failure remembers the pause before its own, and not all before that.
func TestPausesDoNotNest(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		b.FailAt("Scripts.Migrate", fault.New(fault.Failed, "BROKEN", "it broke"))
		for n := range 3 {
			target := b.Push(map[string]string{"app/main.go": fmt.Sprint(n), fmt.Sprintf("migrations/1%d.sql", n): "select 1;"})
			if op := b.judged(b.deploy(target).ID); op.State != operation.RolledBack {
				t.Fatalf("ended in %s, %+v", op.State, op.Failure)
			}
		}
		pause, err := b.Ports().Sentinels.Pause()
		if err != nil || pause == nil || pause.Before == nil {
			t.Fatalf("pause %+v, %v", pause, err)
		}
		if pause.Before.Before != nil {
			t.Errorf("a pause within a pause within a pause: %+v", pause.Before.Before)
		}
	})
}
