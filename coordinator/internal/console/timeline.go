package console

import (
	"math"
	"strings"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

const (
	barWidth      = 30 // cells of the whole operation
	leastForTitle = 12
)

// timeline writes the steps by the state they ran in, each with a bar that shows when it
// ran within the operation.
func (p *page) timeline(op *landfallv1.Operation) {
	states := stretches(op, p.Now)
	if len(states) == 0 {
		return
	}
	p.heading("timeline")
	whole := span{timeOf(op.GetCreateTime()), timeOf(op.GetEndTime())}
	if whole.end.IsZero() {
		whole.end = p.Now
	}
	widest := 0
	for _, s := range op.GetSteps() {
		widest = max(widest, cellsOf(stepLabel(s)))
	}
	const fixed = len("    ✔ ") - len("✔") + 1 + columnGap + barWidth + columnGap + len("1234ms") + columnGap
	widest = max(leastForTitle, min(widest, p.Width-fixed))
	for _, s := range states {
		p.printf("  %s  %s\n", p.paint(bold, stateWord(s.state)), p.paint(dim, Duration(s.length())))
		for _, step := range s.steps {
			p.timelineStep(step, whole, widest)
		}
	}
}

func (p *page) timelineStep(s *landfallv1.StepRecord, whole span, widest int) {
	sign, c := "✔", green
	switch s.GetOutcome() {
	case landfallv1.StepOutcome_STEP_OUTCOME_FAILED:
		sign, c = "✘", red
	case landfallv1.StepOutcome_STEP_OUTCOME_INTERRUPTED:
		sign, c = "◌", yellow
	case landfallv1.StepOutcome_STEP_OUTCOME_UNSPECIFIED:
		sign, c = "▸", cyan
	case landfallv1.StepOutcome_STEP_OUTCOME_DONE:
	}
	label := padRight(fit(stepLabel(s), widest), widest)
	took := span{timeOf(s.GetStartTime()), timeOf(s.GetEndTime())}
	if took.end.IsZero() {
		took.end = whole.end
	}
	p.printf("    %s %s  %s  %s", p.paint(c, sign), label, p.paint(c, took.bar(whole)), padLeft(Duration(took.length()), 6))
	details := clean(s.GetSummary())
	if n := s.GetOutputLines(); n > 0 {
		details = strings.TrimPrefix(details+", "+count(n, "line"), ", ")
	}
	if details != "" {
		p.printf("  %s", p.paint(dim, details))
	}
	p.printf("\n")
}

// stepLabel names a step by identifier and title.
func stepLabel(s *landfallv1.StepRecord) string {
	r := runningStep{id: clean(s.GetId()), title: clean(s.GetTitle())}
	return r.label()
}

// span is a stretch of time.
type span struct{ start, end time.Time }

func (s span) length() time.Duration { return max(0, s.end.Sub(s.start)) }

// bar draws s within whole, never without a cell, so that the shortest step is seen.
func (s span) bar(whole span) string {
	total := whole.length().Seconds()
	if total == 0 {
		return strings.Repeat("█", barWidth)
	}
	at := func(t time.Time) int {
		return min(max(int(math.Round(t.Sub(whole.start).Seconds()/total*barWidth)), 0), barWidth)
	}
	from := min(at(s.start), barWidth-1)
	to := max(at(s.end), from+1)
	return strings.Repeat("·", from) + strings.Repeat("█", to-from) + strings.Repeat("·", barWidth-to)
}

// stretch is one stay of an operation in a state that is not terminal.
type stretch struct {
	state landfallv1.OperationState
	span
	steps []*landfallv1.StepRecord
}

// stretches splits an operation by its states. A state can be entered twice, after a crash
// of the agent; a step belongs to the last stay in its state that began before it did.
func stretches(op *landfallv1.Operation, now time.Time) []stretch {
	var out []stretch
	records := op.GetStates()
	for i, r := range records {
		if terminal(r.GetState()) {
			continue
		}
		end := now
		if i+1 < len(records) {
			end = timeOf(records[i+1].GetEnterTime())
		} else if op.GetEndTime() != nil {
			end = timeOf(op.GetEndTime())
		}
		out = append(out, stretch{state: r.GetState(), span: span{timeOf(r.GetEnterTime()), end}})
	}
	for _, s := range op.GetSteps() {
		at := -1
		for i := range out {
			if out[i].state == s.GetState() && (at < 0 || !out[i].start.After(timeOf(s.GetStartTime()))) {
				at = i
			}
		}
		if at < 0 { // a state that is not on record
			out = append(out, stretch{state: s.GetState(), span: span{timeOf(s.GetStartTime()), timeOf(s.GetStartTime())}})
			at = len(out) - 1
		}
		out[at].steps = append(out[at].steps, s)
	}
	return out
}
