package console

import (
	"fmt"
	"slices"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// board knows what runs now: the part of the story that a line about a later event needs.
type board struct {
	running []*runningStep       // in order of their start
	probes  map[probeKey]finding // last finding of each probe
	told    map[string]bool      // steps whose last output was shown
}

type probeKey struct{ operation, probe string }

type finding struct {
	outcome landfallv1.ProbeOutcome
	message string
}

// runningStep is a step between its start and its end.
type runningStep struct {
	operation, id, title string
	started              time.Time
	last                 string // last line of output
}

// label names a step by identifier and title.
func (s *runningStep) label() string {
	if s.title == "" || s.title == s.id {
		return s.id
	}
	return s.id + ": " + s.title
}

func (b *board) start(operation string, f *landfallv1.StepStarted, at time.Time) *runningStep {
	s := &runningStep{operation: operation, id: clean(f.GetStepId()), title: clean(f.GetTitle()), started: at}
	b.remove(operation, s.id) // after a crash of the agent a step starts again without having ended
	delete(b.told, s.id)
	b.running = append(b.running, s)
	return s
}

// finish takes a step off the board. One that was never seen, because the stream was
// entered later, is known by its identifier only.
func (b *board) finish(operation string, f *landfallv1.StepFinished) *runningStep {
	if s := b.remove(operation, clean(f.GetStepId())); s != nil {
		return s
	}
	return &runningStep{operation: operation, id: clean(f.GetStepId())}
}

func (b *board) remove(operation, id string) *runningStep {
	i := slices.IndexFunc(b.running, func(s *runningStep) bool { return s.operation == operation && s.id == id })
	if i < 0 {
		return nil
	}
	s := b.running[i]
	b.running = slices.Delete(b.running, i, i+1)
	return s
}

func (b *board) find(operation, id string) *runningStep {
	for _, s := range b.running {
		if s.operation == operation && s.id == id {
			return s
		}
	}
	return nil
}

// end takes what an operation left behind off the board and returns it.
func (b *board) end(operation string) []*runningStep {
	var left []*runningStep
	b.running = slices.DeleteFunc(b.running, func(s *runningStep) bool {
		if s.operation == operation {
			left = append(left, s)
			return true
		}
		return false
	})
	return left
}

// prefix tells whose output a line is: the step's identifier when several run.
func (b *board) prefix(o *landfallv1.OutputLine) string {
	if len(b.running) > 1 {
		return clean(o.GetStepId()) + " | "
	}
	return "| "
}

// news reports whether a probe found something else than before.
func (b *board) news(operation string, p *landfallv1.ProbeResult) bool {
	key, now := probeKey{operation, p.GetName()}, finding{p.GetOutcome(), p.GetMessage()}
	if before, seen := b.probes[key]; seen && before == now {
		return false
	}
	if b.probes == nil {
		b.probes = map[probeKey]finding{}
	}
	b.probes[key] = now
	return true
}

// unseen reports whether the last output of a failure was not shown yet, and marks it as shown:
// a step's failure comes back as the failure of the operation.
func (b *board) unseen(f *landfallv1.Failure) bool {
	id := clean(f.GetStepId())
	if id == "" {
		return true
	}
	if b.told[id] {
		return false
	}
	if b.told == nil {
		b.told = map[string]bool{}
	}
	b.told[id] = true
	return true
}

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
