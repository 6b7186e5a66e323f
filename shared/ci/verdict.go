package ci

import (
	"fmt"
	"strings"
	"time"
)

// Decision is what a verdict comes to.
type Decision int

// The decisions.
const (
	Wait    Decision = iota // nothing is proven yet
	Pass                    // every required workflow passed, or provably has nothing to say
	Blocked                 // at least one required workflow did not pass
)

func (d Decision) String() string {
	switch d {
	case Wait:
		return "wait"
	case Pass:
		return "pass"
	case Blocked:
		return "blocked"
	}
	return fmt.Sprintf("decision(%d)", int(d))
}

// Verdict is a decision that explains itself.
type Verdict struct {
	Decision Decision
	Reason   string // one sentence, lower case, without a full stop
	Hint     string // what a person does about it; "" when there is nothing
	Lines    []Line // one for each required workflow, in the question's order
}

// Line is the verdict on one required workflow.
type Line struct {
	File     string
	Decision Decision
	// Status is GitHub's word, the conclusion of a completed run, else its status; or one
	// of ours: "no run", "not triggered", "missing", "disabled", "unresolved".
	Status  string
	Run     int64  // the run that decides or is waited for; 0 is none
	URL     string // of the run, for a browser
	Number  int    // of the run
	Attempt int    // of the run
	// Since is when the run's latest attempt started, when it was last updated once it is
	// completed, when the looking began where there is no run.
	Since  time.Time
	Reason string // one sentence
	Hint   string
	// Ask: the workflow's list that does not come from the index decides next.
	Ask bool
}

// Completed is when the latest of the deciding runs ended; zero when no run decides.
func (v Verdict) Completed() time.Time {
	var last time.Time
	for _, l := range v.Lines {
		if l.Run != 0 && l.Decision != Wait && l.Since.After(last) {
			last = l.Since
		}
	}
	return last
}

// sum is the verdict over its lines. One blocked workflow blocks at once: what the others
// will say cannot change that.
func sum(lines []Line) Verdict {
	v := Verdict{Decision: Pass, Lines: lines}
	var blocked, waiting, passed []string
	for _, l := range lines {
		switch l.Decision {
		case Blocked:
			blocked = append(blocked, l.Reason)
			if v.Hint == "" {
				v.Hint = l.Hint
			}
		case Pass:
			passed = append(passed, l.File+" ("+l.Status+")")
		default:
			waiting = append(waiting, l.File+" ("+l.Status+")")
		}
	}
	switch {
	case len(lines) == 0:
		v.Decision, v.Reason = Blocked, "no workflow is required, so nothing shows that the commit passed"
		v.Hint = "name the workflows that test a commit: ci: {required: [...]} of landfall.yaml, or --workflows"
	case len(blocked) > 0:
		v.Decision, v.Reason = Blocked, strings.Join(blocked, "; ")
	case len(waiting) > 0:
		v.Decision, v.Reason, v.Hint = Wait, "waiting for "+strings.Join(waiting, ", "), ""
	default:
		v.Reason = "passed: " + strings.Join(passed, ", ")
	}
	return v
}
