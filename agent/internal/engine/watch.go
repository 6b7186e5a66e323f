package engine

import (
	"context"
	"sync"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// broadcast wakes any number of waiters, each at least once after a change.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{ch: make(chan struct{})} }

// next returns a channel that is closed at the next change.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *broadcast) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}

// watchPage is how many events one look at the journal takes: enough to stream a long
// build log, little enough not to hold much memory for a slow watcher.
const watchPage = 512

// Watch calls deliver with the events of an operation after a sequence, in order and
// without gaps, until the operation is terminal and everything is delivered, or ctx
// ends. It reads from the journal only, so a slow watcher slows nobody. Once everything
// recorded has been delivered, idle is asked with the operation's state whether to go on
// waiting; nil means always. An operation that nobody works on, because its record
// could not be kept, is Degraded/NOT_RUNNING instead of a wait without end.
func (e *Engine) Watch(ctx context.Context, id string, after uint64, deliver func([]operation.Event) error, idle func(operation.State) bool) error {
	for {
		// Both before reading: what is written afterwards is announced on changed.
		changed, worked := e.changed.next(), e.worksOn(id)
		events, err := e.journal.Events(id, after, watchPage)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			if err := deliver(events); err != nil {
				return err
			}
			after = events[len(events)-1].Sequence
			continue
		}
		op, err := e.records.Operation(id)
		if err != nil {
			return err
		}
		if op.LastSequence > after {
			continue
		}
		if op.State.Terminal() || (idle != nil && !idle(op.State)) {
			return nil
		}
		if !worked && e.shutdown.Err() == nil {
			return fault.New(fault.Degraded, "NOT_RUNNING", "%s stands in %s and nobody works on it", op.ID, op.State).
				WithHint("look at the agent's log, then restart the agent: it ends what was left")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.shutdown.Done():
			return fault.New(fault.Unreachable, "SHUTTING_DOWN", "the agent is stopping; the operation is taken up by its next start")
		}
	}
}

// worksOn reports whether the operation is the one that runs. It waits for one that is
// in the journal but not launched yet.
func (e *Engine) worksOn(id string) bool {
	e.starting.Lock()
	defer e.starting.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current != nil && e.current.id == id
}
