package operation_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// FuzzFold: whatever events come in whatever batches, what the journal keeps as the
// record is the fold of the events it returns.
func FuzzFold(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, batch uint8) {
		dice := rand.New(rand.NewPCG(seed, 1))
		h := hosttest.NewHost()
		ports := h.Ports()
		op, _, err := ports.Journal.Create(hosttest.Accepted("c"))
		if err != nil {
			t.Fatal(err)
		}
		var pending []operation.Event
		for n := uint64(2); n < 150; n++ {
			pending = append(pending, randomEvent(dice, n))
			if len(pending) > int(batch%20) {
				if err := ports.Journal.Append(op.ID, pending); err != nil {
					t.Fatal(err)
				}
				pending = nil
			}
		}
		events, err := ports.Journal.Events(op.ID, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := ports.Records.Operation(op.ID)
		if err != nil {
			t.Fatal(err)
		}
		folded := operation.Fold(op.ID, op.Number, events)
		if asJSON(t, folded) != asJSON(t, stored) {
			t.Errorf("the fold is\n%s\nstored is\n%s", asJSON(t, folded), asJSON(t, stored))
		}
		clone := folded.Clone()
		before := asJSON(t, clone)
		folded.Apply(randomEvent(dice, folded.LastSequence+1))
		if asJSON(t, clone) != before {
			t.Error("a clone changes with its original")
		}
	})
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// randomEvent makes any event, sensible in its place or not.
func randomEvent(dice *rand.Rand, n uint64) operation.Event {
	e := operation.Event{Sequence: n, Time: time.Unix(int64(n), 0).UTC()}
	name := func() string { return fmt.Sprint("step/", dice.IntN(4)) }
	failure := func() *operation.Failure {
		if dice.IntN(2) == 0 {
			return nil
		}
		return &operation.Failure{Kind: fault.Failed, Reason: "R", Message: "m", OutputTail: []string{"a"}}
	}
	all := []operation.State{operation.Proving, operation.Building, operation.AwaitingVerify, operation.Verifying, operation.Succeeded, operation.Failed}
	switch dice.IntN(9) {
	case 0:
		e.State = &operation.StateChange{State: all[dice.IntN(len(all))], Failure: failure(), VerifyBy: e.Time.Add(time.Hour)}
	case 1:
		e.Plan = &pipeline.Plan{Version: 1, Target: "t", Flags: []pipeline.FlagState{{Name: "f", Set: true}}}
	case 2:
		e.PreDeploy = &operation.PreDeploy{SHA: "p"}
	case 3:
		e.StepStarted = &operation.StepStarted{ID: name(), Title: "title"}
	case 4:
		e.StepFinished = &operation.StepFinished{ID: name(), Outcome: operation.StepDone, Failure: failure(), Summary: "s"}
	case 5:
		e.Output = &operation.OutputLine{StepID: name(), Stream: operation.Stdout, Text: "line"}
	case 6:
		e.Probe = &operation.ProbeResult{Name: name(), Outcome: operation.ProbeWaiting, Attempts: dice.IntN(9)}
	case 7:
		e.Warning = &operation.Warning{Reason: "W", Message: "w"}
	default:
		e.Migration = &operation.Migration{Name: name()}
	}
	return e
}

func TestWarningsOfTheRecordAreBounded(t *testing.T) {
	var op operation.Operation
	for n := range uint64(1000) {
		op.Apply(operation.Event{Sequence: n + 1, Warning: &operation.Warning{Message: "w"}})
	}
	if len(op.Warnings) != 100 || op.LastSequence != 1000 {
		t.Errorf("%d warnings, sequence %d", len(op.Warnings), op.LastSequence)
	}
}
