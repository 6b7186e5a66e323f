package cigate

import (
	"fmt"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/fault"
)

// Report is what Progress hears while the wait goes on.
type Report struct {
	At       time.Time
	Began    time.Time
	Deadline time.Time
	Polls    int
	Verdict  ci.Verdict // of what is known; its decision is Wait
	Trouble  string     // why the last look came to no end, and until when none is made; "" when it did
	Changed  bool       // something is other than in the last report; false: a sign of life
}

// String is the report as one line: what is waited for, in which status, for how long.
func (r Report) String() string {
	var waiting []string
	for _, l := range r.Verdict.Lines {
		if l.Decision != ci.Wait {
			waiting = append(waiting, fmt.Sprintf("%s %s", l.File, l.Status))
			continue
		}
		waiting = append(waiting, fmt.Sprintf("%s %s for %s", l.File, l.Status, brief(r.At.Sub(l.Since))))
	}
	text := fmt.Sprintf("%s (%s of %s)", strings.Join(waiting, ", "), brief(r.At.Sub(r.Began)), brief(r.Deadline.Sub(r.Began)))
	if r.Trouble != "" {
		text += "; " + r.Trouble
	}
	return text
}

// brief is a duration in whole seconds, never negative: two clocks count.
func brief(d time.Duration) string { return max(0, d).Round(time.Second).String() }

// report tells Progress what changed, or after a while that nothing did.
func (l *loop) report() {
	if l.gate.Progress == nil {
		return
	}
	var state strings.Builder
	for _, line := range l.verdict.Lines {
		fmt.Fprintf(&state, "%s %d %s %d %d\n", line.File, line.Decision, line.Status, line.Run, line.Attempt)
	}
	r := Report{At: l.gate.Clock.Now(), Began: l.began, Deadline: l.deadline(), Polls: l.polls, Verdict: l.verdict}
	if l.trouble != nil {
		r.Trouble = l.trouble.String()
		// The text of an error may name a request, so only its kind tells one trouble from another.
		fmt.Fprintf(&state, "%s %d", fault.ReasonOf(l.trouble.err), l.trouble.until.Unix())
	}
	r.Changed = state.String() != l.told
	if !r.Changed && r.At.Sub(l.toldAt) < heartbeat {
		return
	}
	l.told, l.toldAt = state.String(), r.At
	l.gate.Progress(r)
}
