package ci

import (
	"fmt"
	"strings"
	"time"
)

// absent is the verdict on a workflow without a run for the commit.
func (s *Snapshot) absent(r Required) Line {
	l := Line{File: r.File, Status: "no run", Since: s.Since}
	state := r.Workflow.State
	switch {
	case r.Missing:
		l.Decision, l.Status = Blocked, "missing"
		l.Reason = fmt.Sprintf("%s has no workflow %s", s.Question.Repository, r.File)
		l.Hint = "ci.required of landfall.yaml (or --workflows) must name files of .github/workflows that were pushed"
	case r.Workflow.ID == 0:
		l.Status, l.Reason = "unresolved", r.File+" was not found out yet"
	case strings.HasPrefix(state, "disabled_") || state == "deleted":
		l.Status = "disabled"
		s.block(&l, r, fmt.Sprintf("%s is not run by GitHub: its state is %s", r.File, state),
			"enable it (Actions, the workflow, Enable workflow) and run it for the commit, or take it out of ci.required")
	case state != Active:
		l.Reason = fmt.Sprintf("%s is in the state %q, which is not known", r.File, state)
	default:
		s.expected(&l, r)
	}
	return l
}

// expected judges an active workflow without a run by what its file says.
func (s *Snapshot) expected(l *Line, r Required) {
	switch r.Expectation.Expect {
	case NeverOnPush:
		s.block(l, r, fmt.Sprintf("%s can never pass a push to %s%s", r.File, s.Question.Branch, because(r)),
			"correct its triggers, or take it out of ci.required; a run for the commit that was started by hand counts")
	case SkippedByMessage:
		s.block(l, r, fmt.Sprintf("%s did not run, the commit is untested%s", r.File, because(r)),
			byHand(r.File))
	case NotExpected:
		s.notTriggered(l, r)
	default:
		l.Reason = fmt.Sprintf("%s has no run for the commit yet%s", r.File, because(r))
		s.giveUp(l, r)
	}
}

// notTriggered passes a workflow that its file does not expect, once nothing is left that
// could make a run's absence a delay.
func (s *Snapshot) notTriggered(l *Line, r Required) {
	start, lacking := s.witnessed()
	switch {
	case lacking != "":
	case !s.listed(r) || r.ListedAt.Before(start.Add(s.grace())):
		l.Ask, lacking = true, "its own list must agree"
	case !s.reaches(r, start):
		lacking = fmt.Sprintf("the newest %d runs do not go back to the commit", len(r.Newest))
	default:
		l.Decision, l.Status = Pass, "not triggered"
		l.Reason = r.File + " was not triggered" + because(r)
		return
	}
	l.Reason = fmt.Sprintf("%s has no run for the commit, and none is expected; %s", r.File, lacking)
	if !s.Question.ownIsWitness() {
		// Of a commit that was pushed long ago GitHub may have forgotten everything. When it is
		// our own run that a list lacks, the list is behind, and will catch up.
		s.giveUp(l, r)
	}
}

// witnessed says since when runs of the commit can exist, and what is lacking before
// silence about them counts; "" is nothing.
func (s *Snapshot) witnessed() (start time.Time, lacking string) {
	if s.Question.OwnWorkflow == 0 {
		if age := s.At.Sub(s.Since); age < MinimumAge {
			return s.NotBefore, fmt.Sprintf("the commit is known for %s, silence counts after %s", age.Round(time.Second), MinimumAge)
		}
		return s.NotBefore, ""
	}
	w := s.Witness
	age := s.At.Sub(w.Created)
	switch {
	case w.Streak == 0:
		lacking = "the list of runs is behind: it lacks the run that the same push started here"
	case w.Streak < WitnessPolls:
		lacking = fmt.Sprintf("the list had the run that the same push started in %d of %d looks", w.Streak, WitnessPolls)
	case age < Grace:
		lacking = fmt.Sprintf("runs of this push began to come %s ago, silence counts after %s", age.Round(time.Second), Grace)
	}
	return w.Created, lacking
}

// grace is how long after the start a list must have been taken.
func (s *Snapshot) grace() time.Duration {
	if s.Question.OwnWorkflow == 0 {
		return 0
	}
	return Grace
}

// reaches reports whether the newest runs go back beyond the commit's push.
func (s *Snapshot) reaches(r Required, start time.Time) bool {
	if r.Complete {
		return true
	}
	for _, run := range r.Newest {
		if !start.IsZero() && !run.Created.IsZero() && run.Created.Before(start.Add(-batch)) {
			return true
		}
	}
	return false
}

// listed reports whether the workflow's own list is fresh enough to prove absence.
func (s *Snapshot) listed(r Required) bool {
	return !r.ListedAt.IsZero() && s.At.Sub(r.ListedAt) <= ListAge
}

// giveUp blocks what has been waited for in vain.
func (s *Snapshot) giveUp(l *Line, r Required) {
	if s.At.Sub(s.Since) < Patience {
		return
	}
	s.block(l, r, fmt.Sprintf("%s after %s", l.Reason, Patience), byHand(r.File))
}

// block blocks once the list that does not come from the index agrees that there is no run.
func (s *Snapshot) block(l *Line, r Required, reason, hint string) {
	l.Reason = reason
	if !s.listed(r) {
		l.Ask = true
		return
	}
	l.Decision, l.Hint = Blocked, hint
}

func because(r Required) string {
	if r.Expectation.Reason == "" {
		return ""
	}
	return " (" + r.Expectation.Reason + ")"
}

func byHand(file string) string {
	return fmt.Sprintf("run %s by hand for that commit, or deploy with --no-gate if you know that it is good", file)
}
