package flow_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
)

// TestOutputIsBoundedInBytes: a few long lines fill a disk as well as many short ones.
func TestOutputIsBoundedInBytes(t *testing.T) {
	inBubble(t, func(b *bench) {
		const lines = 140
		b.deployed(b.Head())
		b.On("Runtime.Run apply/app/2", func(_ context.Context, c hosttest.Call) error {
			mebibyte := strings.Repeat("x", 1<<20)
			for range lines {
				c.Out(operation.Stdout, mebibyte, false)
			}
			return nil
		})
		id := b.deploy(next(b)).ID
		verify := func(s operation.State) bool {
			if s == operation.AwaitingVerify {
				_, _ = b.engine.Verify(id)
			}
			return true
		}
		told, dropped := 0, 0
		for _, e := range b.watch(id, 0, verify) {
			if e.Output != nil && e.Output.StepID == "apply/app/2" {
				told++
			}
			if e.Warning != nil && e.Warning.Reason == "OUTPUT_DROPPED" {
				dropped++
			}
		}
		if told < 100 || told > 128 || dropped != 1 {
			t.Errorf("%d lines of a MiB are recorded, %d warnings", told, dropped)
		}
	})
}

// TestTheLastLinesOutliveAStop: what a child says while it is ended is recorded before the agent goes, and its step stays open: whether its
// work is done is for the next start to find out.
func TestTheLastLinesOutliveAStop(t *testing.T) {
	inBubble(t, func(b *bench) {
		reached := make(chan struct{})
		b.On("Runtime.Run build/app/1", func(ctx context.Context, c hosttest.Call) error {
			close(reached)
			<-ctx.Done()
			c.Out(operation.Stderr, "last words", false)
			return context.Cause(ctx)
		})
		op := b.deploy(b.Head())
		<-reached
		b.engine.Close()
		events, err := b.Ports().Journal.Events(op.ID, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(events, func(e operation.Event) bool { return e.Output != nil && e.Output.Text == "last words" }) {
			t.Error("the last words are lost")
		}
		if slices.ContainsFunc(events, func(e operation.Event) bool { return e.StepFinished != nil && e.StepFinished.ID == "build/app/1" }) {
			t.Error("the step that was cut off is recorded as ended")
		}
		b.On("Runtime.Run build/app/1", nil)
		b.start()
		if op = b.judged(op.ID); op.State != operation.Succeeded {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
	})
}
