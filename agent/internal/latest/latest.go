// Package latest answers at once about things that are slow to read.
//
// It promises that a caller waits no longer than its limit whatever the reading does, that no
// two readings of one value run at a time, that an answer which is not fresh says so. Start
// reading at [Value.Get].
package latest

import (
	"context"
	"sync"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Limits bound the readings of a value. All are required.
type Limits struct {
	Wait     time.Duration // how long a caller waits for a reading, counted from its begin
	First    time.Duration // the same while nothing is known yet
	Deadline time.Duration // life of a reading: it goes on when the caller has left
}

// Value is something that is read again and again, by children or over the network. Make
// it with [New]. Safe for concurrent use.
type Value[T any] struct {
	limits Limits
	ctx    context.Context //nolint:containedctx // of the readings, which outlive their callers; Close ends it
	stop   context.CancelFunc
	group  sync.WaitGroup

	mu      sync.Mutex
	known   T
	at      time.Time // when known was read; zero before the first time
	running *reading[T]
}

// reading is one attempt. Its result is there once done is closed.
type reading[T any] struct {
	began  time.Time
	done   chan struct{}
	result T
	err    error
}

// New makes a value of which nothing is known. The caller closes it.
func New[T any](limits Limits) *Value[T] {
	v := &Value[T]{limits: limits}
	v.ctx, v.stop = context.WithCancel(context.Background()) //nolint:gosec // Close calls it
	return v
}

// Close ends the reading that runs and waits for it. After it Get starts none.
func (v *Value[T]) Close() {
	v.mu.Lock()
	v.stop()
	v.mu.Unlock()
	v.group.Wait()
}

// Get reads the value, or joins the reading that runs already. It returns what read
// returned; when that takes longer than the limits allow, what was known before with a
// Deadline/NO_ANSWER error that tells its age. The zero T means that nothing was known. What is
// returned is shared: nobody may change it.
func (v *Value[T]) Get(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	r, limit := v.join(read)
	timer := time.NewTimer(time.Until(r.began.Add(limit)))
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	select {
	case <-r.done:
		return r.result, r.err
	default:
		return v.stale(ctx, limit)
	}
}

// Put remembers what somebody else has read.
func (v *Value[T]) Put(value T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known, v.at = value, time.Now()
}

// join returns the reading that runs, a new one when none does, and how long to wait for it.
func (v *Value[T]) join(read func(context.Context) (T, error)) (*reading[T], time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	limit := v.limits.Wait
	if v.at.IsZero() {
		limit = v.limits.First
	}
	if v.running != nil {
		return v.running, limit
	}
	r := &reading[T]{began: time.Now(), done: make(chan struct{})}
	if err := v.ctx.Err(); err != nil {
		r.err = err
		close(r.done)
		return r, limit
	}
	v.running = r
	v.group.Go(func() {
		ctx, cancel := context.WithTimeout(v.ctx, v.limits.Deadline)
		defer cancel()
		r.result, r.err = read(ctx)
		v.mu.Lock()
		defer v.mu.Unlock()
		v.running = nil
		if r.err == nil {
			v.known, v.at = r.result, time.Now()
		}
		close(r.done)
	})
	return r, limit
}

// stale is the answer when there is no fresh one.
func (v *Value[T]) stale(ctx context.Context, limit time.Duration) (T, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return v.known, context.Cause(ctx)
	case v.at.IsZero():
		return v.known, fault.New(fault.Deadline, "NO_ANSWER", "no answer within %s, and none before", limit)
	}
	return v.known, fault.New(fault.Deadline, "NO_ANSWER", "no answer within %s; this is how it was %s ago", limit, time.Since(v.at).Round(time.Second))
}
