package console

import (
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
	started              time.Time // by the agent's clock
	last                 string    // last line of output
}

// label names a step by identifier and title.
func (s *runningStep) label() string {
	if s.title == "" || s.title == s.id {
		return s.id
	}
	return s.id + ": " + s.title
}

// name is what a person calls the step.
func (s *runningStep) name() string {
	if s.title == "" {
		return s.id
	}
	return s.title
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

// end takes the steps that an operation left behind off the board.
func (b *board) end(operation string) {
	b.running = slices.DeleteFunc(b.running, func(s *runningStep) bool { return s.operation == operation })
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

// why tells the failure of a state when it is new. One that a step has told is not told again: the program's last
// words repeat it.
func (b *board) why(s *landfallv1.StateChanged) []line {
	f := s.GetFailure()
	if f == nil || isSuperseded(f) || !b.unseen(f) {
		return nil
	}
	return failureLines(f, 1, true)
}
