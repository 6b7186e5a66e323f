package engine

import (
	"slices"

	"ataraxis.dev/landfall/agent/internal/operation"
)

// nothingSecret is the redactor of an engine that was given none.
type nothingSecret struct{}

func (nothingSecret) Text(text string) string                    { return text }
func (nothingSecret) Lines(before, line string) (string, string) { return before, line }

// source is where a line comes from.
type source struct {
	step   string
	stream operation.Stream
}

// line is the last line of a stream, as it was printed.
type line struct {
	raw     string
	begun   bool                  // its beginning belongs to a secret that began on the line before
	pending *operation.OutputLine // nil once it is on disk
}

// cutLine stands for a line between two secrets.
const cutLine = "[redacted]"

// redacted is a line without secrets, also those that began on the line before, which is mended where it still waits for the disk; r.mu is held.
func (r *Run) redacted(from source, text string, t *tail) string {
	last := r.lines[from]
	if last == nil {
		r.lines[from] = &line{raw: text}
		return r.engine.redact.Text(text)
	}
	before, now := r.engine.redact.Lines(last.raw, text)
	alone := r.engine.redact.Text(last.raw)
	if last.pending != nil && before != alone {
		if last.begun { // a secret on either side: what is left between them is not worth telling
			before = cutLine
		}
		last.pending.Text = before
		t.replaceLast(before)
	}
	r.lines[from] = &line{raw: text, begun: now != r.engine.redact.Text(text)}
	return now
}

// redactEvent takes secrets out of everything that children, containers and tools have said. Output lines are redacted already.
func redactEvent(e operation.Event, text func(string) string) operation.Event {
	failure := func(f *operation.Failure) *operation.Failure {
		if f == nil {
			return nil
		}
		own := *f
		own.Message, own.Hint, own.OutputTail = text(f.Message), text(f.Hint), texts(f.OutputTail, text)
		return &own
	}
	switch {
	case e.State != nil:
		own := *e.State
		own.Failure, own.Summary = failure(own.Failure), text(own.Summary)
		e.State = &own
	case e.StepFinished != nil:
		own := *e.StepFinished
		own.Failure, own.Summary = failure(own.Failure), text(own.Summary)
		e.StepFinished = &own
	case e.Probe != nil:
		own := *e.Probe
		own.Message, own.OutputTail = text(own.Message), texts(own.OutputTail, text)
		e.Probe = &own
	case e.Warning != nil:
		own := *e.Warning
		own.Message = text(own.Message)
		e.Warning = &own
	case e.Migration != nil:
		own := *e.Migration
		own.Name = text(own.Name)
		e.Migration = &own
	case e.PreDeploy != nil && e.PreDeploy.Proven != nil:
		own, proven := *e.PreDeploy, *e.PreDeploy.Proven
		proven.Excused = slices.Clone(proven.Excused)
		for i := range proven.Excused {
			proven.Excused[i].Why = text(proven.Excused[i].Why)
		}
		proven.FailedBefore = slices.Clone(proven.FailedBefore)
		for i := range proven.FailedBefore {
			proven.FailedBefore[i].Why = text(proven.FailedBefore[i].Why)
		}
		own.Proven = &proven
		e.PreDeploy = &own
	}
	return e
}

func texts(lines []string, text func(string) string) []string {
	if lines == nil {
		return nil
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = text(l)
	}
	return out
}
