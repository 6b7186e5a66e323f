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

// stateLine names a state; a terminal one with what it means.
func stateLine(s *landfallv1.StateChanged) string {
	text := stateWord(s.GetState())
	if sha := s.GetSupersededBy(); sha != "" {
		text += " by " + short(sha)
	}
	if meaning := meanings[s.GetState()]; meaning != "" {
		text += ": " + meaning
	}
	if t := s.GetVerifyByTime(); t != nil {
		text += ", the agent verifies by itself at " + t.AsTime().Format(time.RFC3339)
	}
	return text
}

// planLine sums a plan up.
func planLine(p *landfallv1.Plan) string {
	if !p.GetAnyDeploy() {
		return "plan: nothing to deploy"
	}
	var set []string
	for _, f := range p.GetFlags() {
		if f.GetSet() {
			set = append(set, clean(f.GetName()))
		}
	}
	text := "plan: " + count(len(p.GetSteps()), "step")
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
	if reason := clean(f.GetReason()); reason != "" {
		text = strings.TrimSpace(text + " [" + reason + "]")
	}
	return text
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
