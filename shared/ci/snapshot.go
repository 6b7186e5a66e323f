package ci

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Question asks whether a commit passed the workflows that it needs.
type Question struct {
	Repository string   // owner/name; runs of a fork's commits do not count
	Branch     string   // runs for other branches do not count
	SHA        string   // full
	Workflows  []string // base names of the required workflow files

	// OwnWorkflow is a workflow that the commit's push starts too, so that its run bears
	// witness for a list: the one we run in, deploy.yml. 0 is none, as on the host.
	OwnWorkflow int64
	// Own is the run that we are in; zero outside of Actions. Its SHA is another one when
	// somebody asked for an older commit by hand.
	Own Run
}

// Snapshot is all that is known at one moment. [Judge] looks at nothing else; the order of
// its lists never matters.
type Snapshot struct {
	At       time.Time
	Question Question
	// Since is when the looking began; without OwnWorkflow, when the commit was first seen.
	Since time.Time
	// NotBefore is a moment before which the commit had no run, for questions without a
	// witness: the commit's own date. Zero when nobody knows.
	NotBefore time.Time
	Witness   Witness
	Runs      []Run      // of the commit: what the index lists now, and all that was seen before
	Required  []Required // one for each of the question's workflows
}

// Required is what is known about one required workflow.
type Required struct {
	File        string
	Workflow    Workflow // zero until GitHub was asked
	Missing     bool     // GitHub shows the repository and says that it has no such workflow
	Expectation Expectation

	// Newest are the workflow's newest runs from the list that does not come from the index.
	Newest   []Run
	ListedAt time.Time // zero: never asked for
	Complete bool      // Newest holds all runs that the workflow ever had
}

// Expectation is what the workflow's own file, evaluated in a clone, says about the commit.
type Expectation struct {
	Expect Expect
	Reason string // a sentence's end: `paths: "go.mod" matches go.mod`
}

// Expect says whether the push of a commit starts a workflow.
type Expect int

// The answers.
const (
	Unknown          Expect = iota // it cannot be told
	Expected                       // it does
	NotExpected                    // certainly not: no changed path matches the filter
	SkippedByMessage               // certainly not: the commit's message forbids it, [skip ci] say
	NeverOnPush                    // no push to the branch ever does: a wrong configuration
)

// Witness is the history of a run that GitHub made for the same push as those that we look
// for. While an index list lacks it the list is behind, and what else it lacks proves nothing.
// Recorded lists show the runs of one push created within the same second.
type Witness struct {
	Run     int64 // 0: not seen yet
	Created time.Time
	Streak  int // polls in a row whose list had it, the latest included
}

// Next is the witness after another poll of the index. It is our own run, in the attempt
// that we are in, when that runs for the commit; else the newest push run of our workflow
// for the commit.
func (w Witness) Next(q Question, index []Run) Witness {
	seen, found := q.witness(index)
	switch {
	case !found:
		w.Streak = 0
	case seen.ID != w.Run:
		w = Witness{Run: seen.ID, Created: seen.Created, Streak: 1}
	default:
		w.Streak++
	}
	return w
}

func (q Question) witness(index []Run) (Run, bool) {
	var best Run
	for _, r := range index {
		if !q.keeps(r, q.OwnWorkflow) {
			continue
		}
		if q.ownIsWitness() {
			if r.ID == q.Own.ID && r.Attempt >= q.Own.Attempt {
				return r, true
			}
			continue
		}
		if r.Event == "push" && (best.ID == 0 || newer(r, best)) {
			best = r
		}
	}
	return best, best.ID != 0
}

func (q Question) ownIsWitness() bool { return q.Own.ID != 0 && q.Own.SHA == q.SHA }

// keeps reports whether a run is one of the workflow for the commit on the branch. Filters
// of the API are fuzzy: branch=main lists a fork's main too. Runs of pull requests tested
// a merge that is not the commit.
func (q Question) keeps(r Run, workflow int64) bool {
	switch r.Event {
	case "push", "workflow_dispatch", "schedule", "merge_group":
	default:
		return false
	}
	return workflow != 0 && r.WorkflowID == workflow &&
		q.SHA != "" && r.SHA == q.SHA &&
		q.Branch != "" && r.Branch == q.Branch &&
		q.Repository != "" && strings.EqualFold(r.HeadRepository, q.Repository)
}

// Keeps reports whether the run is one of the workflow that says something about the commit.
func (q Question) Keeps(r Run, workflow Workflow) bool { return q.keeps(r, workflow.ID) }

// newer orders runs of one workflow: by the start of their latest attempt, in the same
// second by number. IDs and the order of lists mean nothing within a second.
func newer(a, b Run) bool {
	return cmp.Or(began(a).Compare(began(b)), cmp.Compare(a.Number, b.Number), cmp.Compare(a.ID, b.ID)) > 0
}

func began(r Run) time.Time {
	if r.Started.IsZero() {
		return r.Created
	}
	return r.Started
}

// Merge joins lists into one without repetitions, ordered by ID. Of two states of a run the
// later attempt counts, then the later update; in the same second the later state.
func Merge(lists ...[]Run) []Run {
	known := map[int64]Run{}
	for _, list := range lists {
		for _, r := range list {
			if old, seen := known[r.ID]; !seen || later(r, old) {
				known[r.ID] = r
			}
		}
	}
	merged := make([]Run, 0, len(known))
	for _, r := range known {
		merged = append(merged, r)
	}
	slices.SortFunc(merged, func(a, b Run) int { return cmp.Compare(a.ID, b.ID) })
	return merged
}

// later reports whether a is what b became. All fields that a verdict depends on break
// ties, so that the order in which states are met never decides.
func later(a, b Run) bool {
	return cmp.Or(
		cmp.Compare(a.Attempt, b.Attempt), a.Updated.Compare(b.Updated), cmp.Compare(progress(a), progress(b)),
		strings.Compare(a.Conclusion, b.Conclusion), strings.Compare(a.Status, b.Status), a.Started.Compare(b.Started),
		cmp.Compare(a.Number, b.Number), a.Created.Compare(b.Created),
		strings.Compare(a.SHA, b.SHA), strings.Compare(a.Branch, b.Branch), strings.Compare(a.Event, b.Event),
		strings.Compare(a.HeadRepository, b.HeadRepository), cmp.Compare(a.WorkflowID, b.WorkflowID),
	) > 0
}

// progress grows within one attempt. A conclusion that does not pass ranks above one that
// does: GitHub never says both of one attempt, and if it did the worse one would count.
func progress(r Run) int {
	switch {
	case r.Status != completed:
		return 0
	case r.Conclusion == "":
		return 1
	case outcomes[r.Conclusion].decision == Pass:
		return 2
	}
	return 3
}
