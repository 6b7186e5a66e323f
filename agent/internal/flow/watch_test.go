package flow_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
)

func TestWatchersSeeTheSameAndSlowNobody(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.On("Runtime.Run build/app/1", func(_ context.Context, c hosttest.Call) error {
			for n := range 600 {
				c.Out(operation.Stdout, fmt.Sprint(n), false)
			}
			return nil
		})
		op := b.deploy(b.Head())
		var seen [3][]operation.Event
		var group sync.WaitGroup
		for i, pause := range []time.Duration{0, 0, time.Hour} {
			group.Go(func() {
				if err := b.engine.Watch(b.t.Context(), op.ID, 0, func(events []operation.Event) error {
					time.Sleep(pause)
					seen[i] = append(seen[i], events...)
					return nil
				}, nil); err != nil {
					t.Errorf("watcher %d: %v", i, err)
				}
			})
		}
		began := time.Now()
		b.judged(op.ID)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("with a slow watcher the deploy took %s", took)
		}
		group.Wait()
		b.checkSequence(seen[0])
		diff(t, "the second watcher", seen[1], seen[0])
		diff(t, "the slow watcher", seen[2], seen[0])
		for after := range uint64(len(seen[0]) + 2) {
			if after > 100 && after < uint64(len(seen[0]))-100 {
				continue
			}
			rest := b.watch(op.ID, after, nil)
			want := seen[0][min(int(after), len(seen[0])):]
			if len(rest) != len(want) || (len(rest) > 0 && rest[0].Sequence != after+1) {
				t.Errorf("after %d there are %d events, want %d", after, len(rest), len(want))
			}
		}
	})
}

func TestWatchEnds(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.until(b.deploy(b.Head()).ID, operation.AwaitingVerify)
		gone := errors.New("the caller went away")
		if err := b.engine.Watch(b.t.Context(), op.ID, 0, func([]operation.Event) error { return gone }, nil); !errors.Is(err, gone) {
			t.Errorf("a delivery that fails: %v", err)
		}
		ctx, cancel := context.WithCancelCause(b.t.Context())
		cancel(gone)
		if err := b.engine.Watch(ctx, op.ID, op.LastSequence, func([]operation.Event) error { return nil }, nil); !errors.Is(err, gone) {
			t.Errorf("a context that ended: %v", err)
		}
		if err := b.engine.Watch(b.t.Context(), "op-99", 0, func([]operation.Event) error { return nil }, nil); err == nil {
			t.Error("an unknown operation can be watched")
		}
		ended := make(chan error)
		go func() {
			ended <- b.engine.Watch(b.t.Context(), op.ID, 0, func([]operation.Event) error { return nil }, nil)
		}()
		synctest.Wait()
		b.engine.Close()
		if err := <-ended; err == nil {
			t.Error("the end of the agent looks like the end of the operation")
		}
		broken := errors.New("broken")
		b.FailAt("Records.Operation", broken)
		if err := b.engine.Watch(b.t.Context(), op.ID, 0, func([]operation.Event) error { return nil }, nil); !errors.Is(err, broken) {
			t.Errorf("a record that cannot be read: %v", err)
		}
	})
}

// TestALongBuildLogIsCompleteInOrderAndBatched streams as many lines as the largest
// builds print, on both streams, from two steps side by side.
func TestALongBuildLogIsCompleteInOrderAndBatched(t *testing.T) {
	inBubble(t, func(b *bench) {
		const lines = 100_000
		flood := func(_ context.Context, c hosttest.Call) error {
			for n := range lines {
				c.Out(operation.Stream(1+n%2), fmt.Sprint(n), n%1000 == 0)
			}
			return nil
		}
		b.On("Runtime.Run build/app/1", flood)
		b.On("Runtime.Run build/worker/1", flood)
		op := b.deploy(b.Head())
		counts := map[string]int{}
		var last uint64
		if err := b.engine.Watch(b.t.Context(), op.ID, 0, func(events []operation.Event) error {
			for _, e := range events {
				if last++; e.Sequence != last {
					return fmt.Errorf("event %d follows %d", e.Sequence, last-1)
				}
				if o := e.Output; o != nil && o.StepID != "migrate/script/1" {
					n := counts[o.StepID]
					if o.Text != fmt.Sprint(n) || o.Stream != operation.Stream(1+n%2) || o.Truncated != (n%1000 == 0) {
						return fmt.Errorf("line %d of %s is %+v", n, o.StepID, o)
					}
					counts[o.StepID]++
				}
			}
			return nil
		}, func(s operation.State) bool {
			if s == operation.AwaitingVerify {
				_, _ = b.engine.Verify(op.ID)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		diff(t, "lines of each step", counts, map[string]int{"build/app/1": lines, "build/worker/1": lines})
		if appends := len(b.Calls("Journal.Append")); appends > 2*lines/100 {
			t.Errorf("%d appends for %d lines", appends, 2*lines)
		}
		for _, s := range b.operation(op.ID).Steps {
			if want, ok := counts[s.ID]; ok && s.OutputLines != uint64(want) {
				t.Errorf("the record counts %d lines of %s", s.OutputLines, s.ID)
			}
		}
	})
}

// TestOutputArrivesWhileTheStepRuns: a line waits for the disk no longer than the batch
// interval, however little follows it.
func TestOutputArrivesWhileTheStepRuns(t *testing.T) {
	inBubble(t, func(b *bench) {
		printed, arrived := time.Time{}, time.Time{}
		b.On("Runtime.Run build/app/1", func(_ context.Context, c hosttest.Call) error {
			printed = time.Now()
			c.Out(operation.Stdout, "only line", false)
			time.Sleep(time.Minute)
			return nil
		})
		op := b.deploy(b.Head())
		_, _ = b.engine.Verify(op.ID)
		if err := b.engine.Watch(b.t.Context(), op.ID, 0, func(events []operation.Event) error {
			for _, e := range events {
				if e.Output != nil && e.Output.Text == "only line" {
					arrived = time.Now()
				}
			}
			return nil
		}, nil); err != nil {
			t.Fatal(err)
		}
		if wait := arrived.Sub(printed); wait < 0 || wait > 100*time.Millisecond {
			t.Errorf("the line arrived after %s", wait)
		}
	})
}

// TestAWatcherBetweenTheRecordAndTheRun: an operation that is in the journal and is about to begin is not one that nobody works on.
func TestAWatcherBetweenTheRecordAndTheRun(t *testing.T) {
	inBubble(t, func(b *bench) {
		watched := make(chan error, 1)
		b.OnEffect = func(label string) error {
			if label != "Journal.Create" {
				return nil
			}
			go func() {
				watched <- b.engine.Watch(context.Background(), "op-1-memory", 0, func([]operation.Event) error { return nil }, nil)
			}()
			for range 1000 { // no fake time passes while somebody waits for a lock
				runtime.Gosched()
			}
			return nil
		}
		b.judged(b.deploy(b.Head()).ID)
		if err := <-watched; err != nil {
			t.Errorf("the watcher is told %v", err)
		}
	})
}
