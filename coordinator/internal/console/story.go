package console

import (
	"fmt"
	"strings"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// tailLength is the number of last output lines shown with a failure.
const tailLength = 20

// acceptedLine introduces an operation.
func acceptedLine(operationID string, a *landfallv1.Accepted) string {
	text := clean(operationID) + ": " + KindWord(a.GetKind())
	if a.GetTargetSha() != "" {
		text += " " + short(a.GetTargetSha())
	}
	if who := clean(a.GetRequester()); who != "" {
		text += ", asked by " + who
	}
	return text
}

// stateLine names a state that was entered at a time; a terminal one with what it means.
func stateLine(s *landfallv1.StateChanged, at time.Time) string {
	text := stateWord(s.GetState())
	if sha := s.GetSupersededBy(); sha != "" {
		text += " by " + short(sha)
	}
	if meaning := headline(s.GetState(), s.GetSummary()); meaning != "" {
		text += ": " + meaning
	}
	if t := s.GetVerifyByTime(); t != nil {
		if wait := t.AsTime().Sub(at); !at.IsZero() && wait > 0 {
			return text + ": without verify within " + Duration(wait) + " the agent verifies by itself"
		}
		text += ": without verify the agent verifies by itself"
	}
	return text
}

// turnOf tells of an event that changes the course of an operation: somebody wants its end, a restarted agent took it up,
// nobody came to verify. "" for any other.
func turnOf(e *landfallv1.Event) string {
	switch f := e.GetFact().(type) {
	case *landfallv1.Event_CancelRequested:
		who := clean(f.CancelRequested.GetRequester())
		if who == "" {
			who = "somebody"
		}
		return who + " asked for its end"
	case *landfallv1.Event_TakenUp:
		text := "the agent was restarted and takes it up in " + stateWord(f.TakenUp.GetState())
		if n := f.TakenUp.GetEndedProcesses(); n > 0 {
			text += "; it ended what was left of its predecessor: " + count(n, "child program")
		}
		return text
	case *landfallv1.Event_JudgedAlone:
		text := "nobody came to verify"
		if d := f.JudgedAlone.GetWaited(); d.AsDuration() > 0 {
			text += " within " + durationOf(d)
		}
		return text + "; the agent judges by itself"
	}
	return ""
}

// planLine sums a plan up that is being carried out.
func planLine(p *landfallv1.Plan) string {
	var set []string
	for _, f := range p.GetFlags() {
		if f.GetSet() {
			set = append(set, clean(f.GetName()))
		}
	}
	text := "plan: " + count(len(p.GetSteps()), "step")
	if len(p.GetSteps()) == 0 {
		text = "plan: no step, checkout and stamp move"
	}
	if len(set) > 0 {
		text += " for " + strings.Join(set, ", ")
	}
	return text + " (" + shortDigest(p.GetDigest()) + ")"
}

// shortDigest keeps the algorithm and twelve digits.
func shortDigest(digest string) string {
	algorithm, hex, ok := strings.Cut(digest, ":")
	if !ok {
		return short(digest)
	}
	return clean(algorithm) + ":" + short(hex)
}

// probeLine is one finding.
func probeLine(p *landfallv1.ProbeResult) string {
	text := "probe " + clean(p.GetName()) + " " + probeWord(p.GetOutcome())
	if message := clean(p.GetMessage()); message != "" {
		text += ": " + message
	}
	if details := probeEffort(p); details != "" {
		text += " (" + details + ")"
	}
	return text
}

// probeEffort is what a probe cost: "3 attempts, 1.2s".
func probeEffort(p *landfallv1.ProbeResult) string {
	var parts []string
	if n := p.GetAttempts(); n > 1 {
		parts = append(parts, count(n, "attempt"))
	}
	if d := durationOf(p.GetElapsed()); d != "" {
		parts = append(parts, d)
	}
	return strings.Join(parts, ", ")
}

func warningText(w *landfallv1.Warning) string {
	text := clean(w.GetMessage())
	if reason := clean(w.GetReason()); reason != "" {
		text += " [" + reason + "]"
	}
	return text
}

// outputText is a line of a child, harmless.
func outputText(o *landfallv1.OutputLine) string {
	text := clean(o.GetText())
	if o.GetTruncated() {
		text += "…"
	}
	return text
}

// failureText is the one line of a failure.
func failureText(f *landfallv1.Failure) string {
	text := clean(f.GetMessage())
	if reason := clean(f.GetReason()); reason != "" && !isSuperseded(f) {
		text = strings.TrimSpace(text + " [" + reason + "]")
	}
	return text
}

// isSuperseded reports whether a step ended because what runs is newer: nothing is wrong then. An older agent calls it INTERNAL.
func isSuperseded(f *landfallv1.Failure) bool {
	return f.GetReason() == "SUPERSEDED" || (f.GetReason() == "INTERNAL" && strings.HasPrefix(f.GetMessage(), "superseded by "))
}

// failureLines are a failure with its hint and, when asked for, its last output.
func failureLines(f *landfallv1.Failure, depth int, withTail bool) []line {
	if f == nil {
		return nil
	}
	out := []line{{text: "why: " + failureText(f), depth: depth, colour: red, loud: true}}
	if hint := clean(f.GetHint()); hint != "" {
		out = append(out, line{text: "hint: " + hint, depth: depth, loud: true})
	}
	if withTail {
		out = append(out, tailLines(f.GetOutputTail(), depth)...)
	}
	return out
}

// tailLines are the last lines of a child's output.
func tailLines(tail []string, depth int) []line {
	if len(tail) == 0 {
		return nil
	}
	left := len(tail) - tailLength
	tail = tail[max(0, left):]
	out := make([]line, 0, len(tail)+1)
	title := "last line of output:"
	if len(tail) > 1 {
		title = fmt.Sprintf("last %d lines of output:", len(tail))
	}
	out = append(out, line{text: title, depth: depth, loud: true})
	for _, text := range tail {
		out = append(out, line{text: "| " + clean(text), depth: depth, loud: true})
	}
	return out
}
