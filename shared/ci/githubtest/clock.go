package githubtest

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Clock is time that passes only when somebody sleeps in it. What is planned for a moment
// ([Clock.After]) happens when it is reached.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	planned []plan
}

type plan struct {
	at time.Time
	do func()
}

// NewClock starts at a moment.
func NewClock(start time.Time) *Clock { return &Clock{now: start} }

// Now is the moment reached.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After plans do for d from now. do may use the clock, but must not sleep in it.
func (c *Clock) After(d time.Duration, do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.planned = append(c.planned, plan{c.now.Add(d), do})
	slices.SortStableFunc(c.planned, func(a, b plan) int { return a.at.Compare(b.at) })
}

// Sleep lets d pass at once, and what was planned for that time happen at its moment. It fails
// as a real sleep would when ctx has ended, or ends by something planned.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.Advance(d)
	return ctx.Err()
}

// Advance lets d pass; see [Clock.Sleep].
func (c *Clock) Advance(d time.Duration) {
	end := c.Now().Add(d)
	for {
		c.mu.Lock()
		if len(c.planned) == 0 || c.planned[0].at.After(end) {
			if c.now.Before(end) {
				c.now = end
			}
			c.mu.Unlock()
			return
		}
		next := c.planned[0]
		c.planned = c.planned[1:]
		if c.now.Before(next.at) {
			c.now = next.at
		}
		c.mu.Unlock()
		next.do()
	}
}

// Set jumps, as a clock does that is corrected; nothing planned happens.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}
