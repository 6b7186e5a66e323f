package flow_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
)

// listener hears of ends, and looks at once whether they are on disk.
type listener struct {
	records ports.Records
	mu      sync.Mutex
	heard   []operation.Operation
	kept    []operation.State
}

func (l *listener) Ended(op operation.Operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept, _ := l.records.Operation(op.ID)
	l.heard, l.kept = append(l.heard, op), append(l.kept, kept.State)
}

// TestWhoListensHearsOfEveryEnd: once each, after the end is on disk; of one that is left for the next start, by that.
func TestWhoListensHearsOfEveryEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{Host: hosttest.NewHost(), t: t}
		p := b.Ports()
		l := &listener{records: p.Records}
		p.Listener = l
		start := func() {
			b.engine = flow.New(p, hosttest.Policy(), hclog.NewNullLogger())
			if err := b.engine.Start(); err != nil {
				t.Fatal(err)
			}
		}
		start()
		good := b.deploy(b.Head())
		b.judged(good.ID)
		b.On("Runtime.Run build/app/1", func(context.Context, hosttest.Call) error { return errors.New("no") })
		bad := b.deploy(b.Push(map[string]string{"app/main.go": "bad"}))
		b.watch(bad.ID, 0, nil)
		b.On("Runtime.Run build/app/1", func(ctx context.Context, _ hosttest.Call) error { <-ctx.Done(); return context.Cause(ctx) })
		left := b.deploy(b.Push(map[string]string{"app/main.go": "left"}))
		time.Sleep(time.Minute)
		b.engine.Close()
		l.mu.Lock()
		if n := len(l.heard); n != 2 {
			t.Errorf("%d ends are heard of before the restart: %+v", n, l.kept)
		}
		l.mu.Unlock()
		b.On("Runtime.Run build/app/1", func(context.Context, hosttest.Call) error { return errors.New("no") })
		start()
		b.watch(left.ID, 0, nil)
		b.engine.Close()
		want := []string{good.ID, bad.ID, left.ID}
		if len(l.heard) != len(want) {
			t.Fatalf("%d ends are heard of", len(l.heard))
		}
		for i, op := range l.heard {
			if op.ID != want[i] || !op.State.Terminal() || l.kept[i] != op.State {
				t.Errorf("end %d is %s %s, on disk %s", i, op.ID, op.State, l.kept[i])
			}
		}
	})
}
