package ci

import (
	"fmt"
	"time"
)

// How long what is absent is waited for. Runs are there within seconds of a push as a
// rule; gates of others give them 90 s, and bad days are known on which they took
// 8, 21 and 30 minutes. So absence alone proves nothing, and these only bound the wait.
const (
	// WitnessPolls is in how many polls in a row the witness must be listed before the
	// list's silence about another run counts.
	WitnessPolls = 3
	// Grace is the least age of the witness before that.
	Grace = 90 * time.Second
	// Patience is how long a run is waited for that should exist, or may; then it is missing.
	Patience = 10 * time.Minute
	// MinimumAge is how long a commit must be known before silence counts where no witness
	// can be had.
	MinimumAge = 5 * time.Minute
	// ListAge is the greatest age at which a list proves absence.
	ListAge = time.Minute

	// batch is how far apart runs of one push may have been created.
	batch = time.Minute

	completed = "completed"
)

// Judge says whether the commit passed, from the snapshot alone. For every workflow:
//
//   - Runs count that are for the commit on the branch, of this workflow, from this
//     repository, by push, workflow_dispatch, schedule or merge_group.
//   - While one of them is active (requested, queued, pending, waiting, in_progress, or a
//     status that is not known): wait.
//   - Else the newest decides, in its latest attempt: success and neutral pass, skipped passes
//     as "nothing ran" unless an older run did run, all other conclusions block. A conclusion
//     that is not known, or none, waits.
//   - Without a run: "not triggered" passes, and only with every proof: the witness in
//     [WitnessPolls] polls in a row and [Grace] old, no run in the list that does not come
//     from the index, the workflow active, and its own file not expecting one. What is
//     expected or unknown is waited for during [Patience], then blocks.
//   - Without a run a workflow that is missing, disabled, never started by a push to the
//     branch, or forbidden by the commit's message blocks at once: nothing would ever come.
//
// Statuses and conclusions are those of
// https://docs.github.com/rest/actions/workflow-runs and its guide on run statuses.
func Judge(s Snapshot) Verdict {
	lists := [][]Run{s.Runs}
	for _, r := range s.Required {
		lists = append(lists, r.Newest)
	}
	runs := Merge(lists...)
	lines := make([]Line, 0, len(s.Question.Workflows))
	for _, file := range s.Question.Workflows {
		lines = append(lines, s.line(file, runs))
	}
	return sum(lines)
}

func (s *Snapshot) line(file string, runs []Run) Line {
	required := Required{File: file}
	for _, r := range s.Required {
		if r.File == file {
			required = r
			break
		}
	}
	var kept []Run
	for _, r := range runs {
		if s.Question.keeps(r, required.Workflow.ID) {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		return s.absent(required)
	}
	return judgeRuns(file, kept)
}

// judgeRuns is the verdict on a workflow's runs for the commit, of which there is at least one.
func judgeRuns(file string, kept []Run) Line {
	var active, newest, ran *Run
	for i := range kept {
		r := &kept[i]
		if r.Status != completed && (active == nil || newer(*r, *active)) {
			active = r
		}
		if newest == nil || newer(*r, *newest) {
			newest = r
		}
		if r.Conclusion != "skipped" && (ran == nil || newer(*r, *ran)) {
			ran = r
		}
	}
	switch {
	case active != nil:
		return judgeActive(file, *active)
	case ran != nil:
		// A run whose jobs were all skipped says nothing about the commit. One that did run does.
		return judgeCompleted(file, *ran)
	}
	return judgeCompleted(file, *newest)
}

func lineOf(file string, r Run) Line {
	return Line{File: file, Run: r.ID, URL: r.URL, Number: r.Number, Attempt: r.Attempt}
}

func judgeActive(file string, r Run) Line {
	l := lineOf(file, r)
	l.Status, l.Since = r.Status, began(r)
	switch r.Status {
	case "waiting":
		l.Reason = named(file, r) + " needs approval: a deployment protection rule holds it"
	case "pending":
		l.Reason = named(file, r) + " is pending: its concurrency group is busy"
	case "requested", "queued", "in_progress":
		l.Reason = named(file, r) + " is " + r.Status
	default:
		l.Status = orNone(r.Status)
		l.Reason = fmt.Sprintf("%s has the status %q, which is not known", named(file, r), r.Status)
	}
	return l
}

// outcome is what a conclusion means.
type outcome struct {
	decision Decision
	words    string // follows the run's name
	hint     string // %s is the run's URL
}

const rerun = "look at it and run it again when it was chance: %s"

// outcomes are all conclusions that GitHub documents.
var outcomes = map[string]outcome{
	"success":         {Pass, "succeeded", ""},
	"neutral":         {Pass, "ended neutral", ""},
	"skipped":         {Pass, "ran nothing: the conditions of all its jobs were false", ""},
	"failure":         {Blocked, "failed", rerun},
	"timed_out":       {Blocked, "timed out", rerun},
	"startup_failure": {Blocked, "could not start: the workflow file is invalid", "correct the file: %s"},
	"cancelled":       {Blocked, "was cancelled", "run it again: %s"},
	"action_required": {Blocked, "ran nothing: it waits for a person to approve it", "approve it, or start it again by hand: %s"},
	"stale":           {Blocked, "is stale: GitHub gave it up after 14 days without an end", "run it again: %s"},
}

func judgeCompleted(file string, r Run) Line {
	l := lineOf(file, r)
	l.Status, l.Since = orNone(r.Conclusion), r.Updated
	o, known := outcomes[r.Conclusion]
	if !known {
		l.Reason = fmt.Sprintf("%s is completed with the conclusion %q, which is not known", named(file, r), r.Conclusion)
		return l
	}
	l.Decision, l.Reason = o.decision, named(file, r)+" "+o.words
	if o.hint != "" {
		l.Hint = fmt.Sprintf(o.hint, r.URL)
	}
	return l
}

// named is a run as a sentence's beginning: "lint.yml (run 12, attempt 2)".
func named(file string, r Run) string {
	if r.Attempt > 1 {
		return fmt.Sprintf("%s (run %d, attempt %d)", file, r.Number, r.Attempt)
	}
	return fmt.Sprintf("%s (run %d)", file, r.Number)
}

func orNone(word string) string {
	if word == "" {
		return "none"
	}
	return word
}
