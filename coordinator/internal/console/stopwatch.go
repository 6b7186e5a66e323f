package console

import (
	"fmt"
	"time"
)

// stopwatch gives the time since the beginning of the output. Events carry the agent's
// clock and notes ours, so each operation is anchored at the moment its first event came;
// the result never runs backwards.
type stopwatch struct {
	clock   func() time.Time
	began   time.Time
	anchors map[string]anchor
	last    time.Duration
}

// anchor ties the agent's clock to ours.
type anchor struct {
	event time.Time     // time of the first event, by the agent's clock
	since time.Duration // what the stopwatch showed when it came
}

func newStopwatch(clock func() time.Time) stopwatch {
	return stopwatch{clock: clock, began: clock(), anchors: map[string]anchor{}}
}

// at is the time of an event.
func (s *stopwatch) at(operation string, event time.Time) string {
	if event.IsZero() {
		return s.now()
	}
	a, ok := s.anchors[operation]
	if !ok {
		a = anchor{event, max(s.last, s.clock().Sub(s.began))}
		s.anchors[operation] = a
	}
	return s.show(a.since + event.Sub(a.event))
}

// now is the time of something of our own.
func (s *stopwatch) now() string { return s.show(s.clock().Sub(s.began)) }

func (s *stopwatch) show(d time.Duration) string {
	s.last = max(s.last, d)
	return fmt.Sprintf("%7.1fs", s.last.Seconds())
}

// lag estimates how far the agent's clock is behind ours: the least time that an event
// took to come. It tells how long a step has been running, also when the stream is entered
// in the middle and old events come at once.
type lag struct {
	least time.Duration
	known bool
}

// observe notes an event that came now and returns its time, now's when it has none.
func (l *lag) observe(event, now time.Time) time.Time {
	if event.IsZero() {
		return l.agentTime(now)
	}
	if d := now.Sub(event); !l.known || d < l.least {
		l.least, l.known = d, true
	}
	return event
}

// agentTime is our time by the agent's clock.
func (l *lag) agentTime(now time.Time) time.Time { return now.Add(-l.least) }
