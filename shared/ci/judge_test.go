package ci_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/ci"
)

const (
	repository = "owner/name"
	head       = "c0ffee0000000000000000000000000000000001"
	elsewhere  = "c0ffee0000000000000000000000000000000002"

	lintID   = 101
	testID   = 102
	deployID = 103
	ownRunID = 9000
)

// pushed is when the push made its runs.
var pushed = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// run is a completed push run of lint.yml; with changes it.
func run(id int64, with ...func(*ci.Run)) ci.Run {
	r := ci.Run{
		ID: id, WorkflowID: lintID, Number: int(id), Attempt: 1, Event: "push", Branch: "main", SHA: head, HeadRepository: repository,
		Status: "completed", Conclusion: "success", URL: "https://github.com/owner/name/actions/runs/1",
		Created: pushed, Started: pushed, Updated: pushed.Add(time.Minute),
	}
	for _, change := range with {
		change(&r)
	}
	return r
}

func status(word string) func(*ci.Run) {
	return func(r *ci.Run) { r.Status, r.Conclusion = word, "" }
}

func conclusion(word string) func(*ci.Run) {
	return func(r *ci.Run) { r.Status, r.Conclusion = "completed", word }
}

func started(after time.Duration) func(*ci.Run) {
	return func(r *ci.Run) { r.Started, r.Updated = pushed.Add(after), pushed.Add(after+time.Minute) }
}

func attempt(n int) func(*ci.Run) {
	return func(r *ci.Run) {
		r.Attempt = n
		started(time.Duration(n) * time.Minute)(r)
	}
}

// proven is a snapshot in which lint.yml provably was not triggered.
func proven() ci.Snapshot {
	return ci.Snapshot{
		At: pushed.Add(4 * time.Minute), Since: pushed.Add(20 * time.Second),
		Question: ci.Question{
			Repository: repository, Branch: "main", SHA: head, Workflows: []string{"lint.yml"}, OwnWorkflow: deployID,
			Own: ci.Run{ID: ownRunID, WorkflowID: deployID, SHA: head, Attempt: 1},
		},
		Witness: ci.Witness{Run: ownRunID, Created: pushed, Streak: 3},
		Required: []ci.Required{{
			File: "lint.yml", Workflow: ci.Workflow{ID: lintID, File: "lint.yml", State: ci.Active},
			Expectation: ci.Expectation{Expect: ci.NotExpected, Reason: "paths: none of 2 changed paths matches"},
			Newest:      []ci.Run{run(1, func(r *ci.Run) { r.SHA, r.Created = elsewhere, pushed.Add(-time.Hour) })},
			ListedAt:    pushed.Add(4 * time.Minute),
		}},
	}
}

// row is one case: what differs from the proven snapshot, and what is made of it.
type row struct {
	name     string
	change   func(*ci.Snapshot)
	decision ci.Decision
	status   string
	reason   string // a part of it
	ask      bool
}

func (r row) check(t *testing.T) {
	t.Helper()
	s := proven()
	r.change(&s)
	v := ci.Judge(s)
	l := v.Lines[0]
	if v.Decision != r.decision || l.Decision != r.decision || l.Status != r.status || l.Ask != r.ask || !strings.Contains(l.Reason, r.reason) {
		t.Errorf("got %s, status %q, ask %t, reason %q\nwant %s, status %q, ask %t, reason with %q",
			v.Decision, l.Status, l.Ask, l.Reason, r.decision, r.status, r.ask, r.reason)
	}
	if v.Decision == ci.Blocked && v.Hint == "" {
		t.Error("it blocks without saying what to do")
	}
	if !strings.Contains(v.Reason, "lint.yml") {
		t.Errorf("the reason %q names no workflow", v.Reason)
	}
}

// runs replaces the runs seen and what hangs on there being none.
func runs(list ...ci.Run) func(*ci.Snapshot) {
	return func(s *ci.Snapshot) { s.Runs = list }
}

func TestJudgeRuns(t *testing.T) {
	t.Parallel()
	later := started(10 * time.Minute)
	for _, r := range []row{
		{"requested", runs(run(5, status("requested"))), ci.Wait, "requested", "is requested", false},
		{"queued", runs(run(5, status("queued"))), ci.Wait, "queued", "is queued", false},
		{"pending", runs(run(5, status("pending"))), ci.Wait, "pending", "concurrency group", false},
		{"waiting", runs(run(5, status("waiting"))), ci.Wait, "waiting", "needs approval", false},
		{"in_progress", runs(run(5, status("in_progress"))), ci.Wait, "in_progress", "is in_progress", false},
		{"unknown status", runs(run(5, status("paused"))), ci.Wait, "paused", "not known", false},
		{"no status", runs(run(5, status(""))), ci.Wait, "none", "not known", false},
		{"success", runs(run(5)), ci.Pass, "success", "succeeded", false},
		{"neutral", runs(run(5, conclusion("neutral"))), ci.Pass, "neutral", "neutral", false},
		{"skipped", runs(run(5, conclusion("skipped"))), ci.Pass, "skipped", "ran nothing", false},
		{"failure", runs(run(5, conclusion("failure"))), ci.Blocked, "failure", "failed", false},
		{"timed_out", runs(run(5, conclusion("timed_out"))), ci.Blocked, "timed_out", "timed out", false},
		{"startup_failure", runs(run(5, conclusion("startup_failure"))), ci.Blocked, "startup_failure", "invalid", false},
		{"cancelled", runs(run(5, conclusion("cancelled"))), ci.Blocked, "cancelled", "was cancelled", false},
		{"action_required", runs(run(5, conclusion("action_required"))), ci.Blocked, "action_required", "approve", false},
		{"stale", runs(run(5, conclusion("stale"))), ci.Blocked, "stale", "14 days", false},
		{"null conclusion", runs(run(5, conclusion(""))), ci.Wait, "none", "not known", false},
		{"unknown conclusion", runs(run(5, conclusion("odd"))), ci.Wait, "odd", "not known", false},

		{"a newer success decides over a failure", runs(run(5, conclusion("failure")), run(6, later)), ci.Pass, "success", "run 6", false},
		{"a newer failure decides over a success", runs(run(6, later, conclusion("failure")), run(5)), ci.Blocked, "failure", "run 6", false},
		{"a newer success decides over a cancelled one", runs(run(5, conclusion("cancelled")), run(6, later)), ci.Pass, "success", "run 6", false},
		{"a newer cancelled one decides over a success", runs(run(5), run(6, later, conclusion("cancelled"))), ci.Blocked, "cancelled", "run 6", false},
		{"within one second the number decides, not the id", runs(
			run(5, conclusion("failure"), func(r *ci.Run) { r.ID = 99 }), run(6, func(r *ci.Run) { r.ID = 98 })), ci.Pass, "success", "run 6", false},
		{"an old run that was run again is the newest", runs(run(5, attempt(20), conclusion("failure")), run(6, later)), ci.Blocked, "failure", "run 5, attempt 20", false},
		{"a re-run under way takes a success back", runs(run(5), run(5, attempt(2), status("queued"))), ci.Wait, "queued", "attempt 2", false},
		{"cancelled, then run again", runs(run(5, conclusion("cancelled")), run(5, attempt(2))), ci.Pass, "success", "attempt 2", false},
		{"any active run is waited for", runs(run(6, later), run(5, status("in_progress"))), ci.Wait, "in_progress", "run 5", false},
		{"a failure waits for an active run, too", runs(run(6, later, conclusion("failure")), run(5, status("in_progress"))), ci.Wait, "in_progress", "run 5", false},
		{"what ran nothing does not hide a failure", runs(run(5, conclusion("failure")), run(6, later, conclusion("skipped"))), ci.Blocked, "failure", "run 5", false},
		{"what ran nothing does not hide a success", runs(run(5), run(6, later, conclusion("skipped"))), ci.Pass, "success", "run 5", false},
		{"two that ran nothing", runs(run(5, conclusion("skipped")), run(6, later, conclusion("skipped"))), ci.Pass, "skipped", "run 6", false},
		{"dispatch, schedule and merge queue count", runs(
			run(5, conclusion("failure")),
			run(6, started(2*time.Minute), func(r *ci.Run) { r.Event = "schedule" }, conclusion("failure")),
			run(7, started(3*time.Minute), func(r *ci.Run) { r.Event = "merge_group" }, conclusion("failure")),
			run(8, started(4*time.Minute), func(r *ci.Run) { r.Event = "workflow_dispatch" })), ci.Pass, "success", "run 8", false},
		{"the repository's name has no case", runs(run(5, func(r *ci.Run) { r.HeadRepository = "Owner/NAME" })), ci.Pass, "success", "run 5", false},
		{"a run of the unfiltered list alone", func(s *ci.Snapshot) {
			s.Required[0].Newest = append(s.Required[0].Newest, run(5, conclusion("failure")))
		}, ci.Blocked, "failure", "run 5", false},
		{"a disabled workflow that ran before", func(s *ci.Snapshot) {
			s.Runs, s.Required[0].Workflow.State = []ci.Run{run(5)}, "disabled_manually"
		}, ci.Pass, "success", "run 5", false},
		{"[skip ci], then run by hand", func(s *ci.Snapshot) {
			s.Runs, s.Required[0].Expectation.Expect = []ci.Run{run(5, func(r *ci.Run) { r.Event = "workflow_dispatch" })}, ci.SkippedByMessage
		}, ci.Pass, "success", "run 5", false},
		{"a skipped one needs no witness", func(s *ci.Snapshot) {
			s.Runs, s.Witness = []ci.Run{run(5, conclusion("skipped"))}, ci.Witness{}
		}, ci.Pass, "skipped", "ran nothing", false},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			r.check(t)
		})
	}
}

// What the API lists though it says nothing about the commit on the branch. Every one of them
// succeeded; taking one for ours would pass.
func TestJudgeDropsOtherRuns(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*ci.Run){
		"pull_request tests a merge":     func(r *ci.Run) { r.Event = "pull_request" },
		"pull_request_target":            func(r *ci.Run) { r.Event = "pull_request_target" },
		"an event that is not known":     func(r *ci.Run) { r.Event = "repository_dispatch" },
		"a fork's main":                  func(r *ci.Run) { r.HeadRepository = "stranger/name" },
		"a deleted fork":                 func(r *ci.Run) { r.HeadRepository = "" },
		"a branch that begins the same":  func(r *ci.Run) { r.Branch = "main-2" },
		"no branch":                      func(r *ci.Run) { r.Branch = "" },
		"another commit":                 func(r *ci.Run) { r.SHA = elsewhere },
		"another workflow":               func(r *ci.Run) { r.WorkflowID = testID },
		"a workflow that GitHub removed": func(r *ci.Run) { r.WorkflowID = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row{name, func(s *ci.Snapshot) {
				s.Required[0].Expectation.Expect = ci.Expected
				s.Runs = []ci.Run{run(5, change)}
			}, ci.Wait, "no run", "no run for the commit yet", false}.check(t)
		})
	}
}

func TestJudgeAbsence(t *testing.T) {
	t.Parallel()
	expect := func(e ci.Expect) func(*ci.Snapshot) {
		return func(s *ci.Snapshot) { s.Required[0].Expectation.Expect = e }
	}
	// at moves the moment, and keeps the list fresh.
	at := func(after time.Duration) func(*ci.Snapshot) {
		return func(s *ci.Snapshot) { s.At, s.Required[0].ListedAt = pushed.Add(after), pushed.Add(after) }
	}
	both := func(changes ...func(*ci.Snapshot)) func(*ci.Snapshot) {
		return func(s *ci.Snapshot) {
			for _, change := range changes {
				change(s)
			}
		}
	}
	unlisted := func(s *ci.Snapshot) { s.Required[0].ListedAt = time.Time{} }
	state := func(word string) func(*ci.Snapshot) {
		return func(s *ci.Snapshot) { s.Required[0].Workflow.State = word }
	}
	hidden := func(s *ci.Snapshot) { s.Witness.Streak = 0 }
	longAgo := func(s *ci.Snapshot) { s.Question.Own.SHA = elsewhere } // we were dispatched for an older commit
	full := func(s *ci.Snapshot) { s.Required[0].Newest[0].Created = pushed.Add(-30 * time.Second) }
	alone := func(s *ci.Snapshot) {
		s.Question.OwnWorkflow, s.Question.Own, s.Witness = 0, ci.Run{}, ci.Witness{}
		s.Required[0].Complete = true
	}
	for _, r := range []row{
		{"every proof", both(), ci.Pass, "not triggered", "paths: none of 2", false},
		{"exactly 90 s", at(ci.Grace), ci.Pass, "not triggered", "", false},
		{"a new workflow without runs", func(s *ci.Snapshot) { s.Required[0].Newest, s.Required[0].Complete = nil, true }, ci.Pass, "not triggered", "", false},

		{"89 s", at(ci.Grace - time.Second), ci.Wait, "no run", "silence counts after", false},
		{"two looks", func(s *ci.Snapshot) { s.Witness.Streak = 2 }, ci.Wait, "no run", "2 of 3 looks", false},
		{"the list lacks our own run", hidden, ci.Wait, "no run", "the list of runs is behind", false},
		{"the list still lacks our own run", both(hidden, at(time.Hour)), ci.Wait, "no run", "the list of runs is behind", false},
		{"an empty list proves nothing", both(hidden, func(s *ci.Snapshot) { s.Required[0].Newest, s.Required[0].Complete = nil, true }), ci.Wait, "no run", "behind", false},
		{"the own list was never read", unlisted, ci.Wait, "no run", "its own list must agree", true},
		{"the own list is old", func(s *ci.Snapshot) { s.Required[0].ListedAt = s.At.Add(-ci.ListAge - time.Second) }, ci.Wait, "no run", "its own list must agree", true},
		{"the own list is from before the grace was over", func(s *ci.Snapshot) {
			s.At, s.Required[0].ListedAt = pushed.Add(ci.Grace+time.Second), pushed.Add(ci.Grace-time.Second)
		}, ci.Wait, "no run", "its own list must agree", true},
		{"the own list is too short", full, ci.Wait, "no run", "do not go back", false},
		{"not looked up yet", func(s *ci.Snapshot) { s.Required = nil }, ci.Wait, "unresolved", "lint.yml", false},
		{"a state that is not known", state("sleeping"), ci.Wait, "no run", `"sleeping"`, false},

		{"expected", expect(ci.Expected), ci.Wait, "no run", "no run for the commit yet", false},
		{"cannot be told", expect(ci.Unknown), ci.Wait, "no run", "no run for the commit yet", false},
		{"expected, in vain", both(expect(ci.Expected), at(11*time.Minute)), ci.Blocked, "no run", "after 10m0s", false},
		{"cannot be told, in vain", both(expect(ci.Unknown), at(11*time.Minute)), ci.Blocked, "no run", "after 10m0s", false},
		{"expected, in vain, without the own list", both(expect(ci.Expected), at(11*time.Minute), unlisted), ci.Wait, "no run", "after 10m0s", true},

		{"an older commit without a witness", both(longAgo, hidden), ci.Wait, "no run", "behind", false},
		{"an older commit without a witness, in vain", both(longAgo, hidden, at(11*time.Minute)), ci.Blocked, "no run", "after 10m0s", false},
		{"an older commit with a witness", longAgo, ci.Pass, "not triggered", "", false},
		{"an older commit beyond the own list, in vain", both(longAgo, full, at(11*time.Minute)), ci.Blocked, "no run", "do not go back", false},

		{"[skip ci]", expect(ci.SkippedByMessage), ci.Blocked, "no run", "untested", false},
		{"[skip ci], the own list not read", both(expect(ci.SkippedByMessage), unlisted), ci.Wait, "no run", "untested", true},
		{"no push ever starts it", expect(ci.NeverOnPush), ci.Blocked, "no run", "never pass a push to main", false},
		{"no push ever starts it, the own list not read", both(expect(ci.NeverOnPush), unlisted), ci.Wait, "no run", "never", true},
		{"missing", func(s *ci.Snapshot) { s.Required[0].Missing, s.Required[0].Workflow = true, ci.Workflow{} }, ci.Blocked, "missing", "owner/name has no workflow lint.yml", false},
		{"disabled_manually", state("disabled_manually"), ci.Blocked, "disabled", "disabled_manually", false},
		{"disabled_inactivity", state("disabled_inactivity"), ci.Blocked, "disabled", "disabled_inactivity", false},
		{"disabled_fork", state("disabled_fork"), ci.Blocked, "disabled", "disabled_fork", false},
		{"deleted", state("deleted"), ci.Blocked, "disabled", "deleted", false},
		{"disabled, the own list not read", both(state("disabled_manually"), unlisted), ci.Wait, "disabled", "disabled_manually", true},

		{"without Actions", both(alone, at(6*time.Minute)), ci.Pass, "not triggered", "", false},
		{"without Actions, known for a moment", both(alone, at(5*time.Minute)), ci.Wait, "no run", "silence counts after 5m0s", false},
		{"without Actions, list too short", both(alone, at(6*time.Minute), func(s *ci.Snapshot) { s.Required[0].Complete = false }), ci.Wait, "no run", "do not go back", false},
		{"without Actions, list back to the commit's date", both(alone, at(6*time.Minute), func(s *ci.Snapshot) {
			s.Required[0].Complete, s.NotBefore = false, pushed
		}), ci.Pass, "not triggered", "", false},
		{"without Actions, own list not read", both(alone, at(6*time.Minute), unlisted), ci.Wait, "no run", "must agree", true},
		{"without Actions, expected", both(alone, expect(ci.Expected), at(6*time.Minute)), ci.Wait, "no run", "yet", false},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			r.check(t)
		})
	}
}

func TestJudgeSeveralWorkflows(t *testing.T) {
	t.Parallel()
	of := func(lint, test ci.Run) ci.Snapshot {
		s := proven()
		s.Question.Workflows = []string{"lint.yml", "test.yml"}
		s.Required = append(s.Required, ci.Required{File: "test.yml", Workflow: ci.Workflow{ID: testID, State: ci.Active}})
		test.WorkflowID, test.ID = testID, test.ID+1000
		s.Runs = []ci.Run{lint, test}
		return s
	}
	type short struct {
		Decision ci.Decision
		Reason   string
	}
	for name, c := range map[string]struct {
		s    ci.Snapshot
		want short
	}{
		"both passed":  {of(run(5), run(6)), short{ci.Pass, "passed: lint.yml (success), test.yml (success)"}},
		"one is left":  {of(run(5), run(6, status("queued"))), short{ci.Wait, "waiting for test.yml (queued)"}},
		"fail fast":    {of(run(5, status("in_progress")), run(6, conclusion("failure"))), short{ci.Blocked, "test.yml (run 6) failed"}},
		"both failed":  {of(run(5, conclusion("failure")), run(6, conclusion("cancelled"))), short{ci.Blocked, "lint.yml (run 5) failed; test.yml (run 6) was cancelled"}},
		"none is left": {ci.Snapshot{Question: ci.Question{Repository: repository, SHA: head}}, short{ci.Blocked, "no workflow is required, so nothing shows that the commit passed"}},
	} {
		v := ci.Judge(c.s)
		if diff := cmp.Diff(c.want, short{v.Decision, v.Reason}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestJudgeLine(t *testing.T) {
	t.Parallel()
	s := proven()
	s.Runs = []ci.Run{run(5, attempt(2), conclusion("failure"))}
	want := ci.Line{
		File: "lint.yml", Decision: ci.Blocked, Status: "failure", Run: 5, URL: "https://github.com/owner/name/actions/runs/1", Number: 5, Attempt: 2,
		Since: pushed.Add(3 * time.Minute), Reason: "lint.yml (run 5, attempt 2) failed",
		Hint: "look at it and run it again when it was chance: https://github.com/owner/name/actions/runs/1",
	}
	v := ci.Judge(s)
	if diff := cmp.Diff(want, v.Lines[0]); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	if !v.Completed().Equal(want.Since) {
		t.Errorf("completed %s, want %s", v.Completed(), want.Since)
	}
}

func TestWitness(t *testing.T) {
	t.Parallel()
	deploy := func(id int64, with ...func(*ci.Run)) ci.Run {
		return run(id, append([]func(*ci.Run){func(r *ci.Run) { r.WorkflowID = deployID }}, with...)...)
	}
	own := deploy(ownRunID)
	q := ci.Question{Repository: repository, Branch: "main", SHA: head, OwnWorkflow: deployID, Own: own}
	again := q
	again.Own.Attempt = 2
	older := q
	older.Own.SHA = elsewhere
	noRun := q
	noRun.Own = ci.Run{}

	for name, c := range map[string]struct {
		q     ci.Question
		polls [][]ci.Run
		want  ci.Witness
	}{
		"seen three times":                    {q, [][]ci.Run{{own}, {run(1), own}, {own, run(1)}}, ci.Witness{Run: ownRunID, Created: pushed, Streak: 3}},
		"a flicker begins anew":               {q, [][]ci.Run{{own}, {own}, {}, {own}}, ci.Witness{Run: ownRunID, Created: pushed, Streak: 1}},
		"lost":                                {q, [][]ci.Run{{own}, {}}, ci.Witness{Run: ownRunID, Created: pushed}},
		"never there":                         {q, [][]ci.Run{{run(1)}, {}}, ci.Witness{}},
		"another run of ours is not our own":  {q, [][]ci.Run{{deploy(8)}}, ci.Witness{}},
		"our attempt before is a stale list":  {again, [][]ci.Run{{own}}, ci.Witness{}},
		"our second attempt":                  {again, [][]ci.Run{{deploy(ownRunID, attempt(2))}}, ci.Witness{Run: ownRunID, Created: pushed, Streak: 1}},
		"older commit: its push run":          {older, [][]ci.Run{{deploy(7)}, {deploy(7), own}}, ci.Witness{Run: ownRunID, Created: pushed, Streak: 1}},
		"older commit: a dispatch is none":    {older, [][]ci.Run{{deploy(7, func(r *ci.Run) { r.Event = "workflow_dispatch" })}}, ci.Witness{}},
		"older commit: a fork's run is none":  {older, [][]ci.Run{{deploy(7, func(r *ci.Run) { r.HeadRepository = "stranger/name" })}}, ci.Witness{}},
		"at a prompt: the push run of deploy": {noRun, [][]ci.Run{{deploy(7)}, {deploy(7)}}, ci.Witness{Run: 7, Created: pushed, Streak: 2}},
		"no workflow bears witness":           {ci.Question{Repository: repository, Branch: "main", SHA: head}, [][]ci.Run{{own}}, ci.Witness{}},
	} {
		var w ci.Witness
		for _, poll := range c.polls {
			w = w.Next(c.q, poll)
		}
		if diff := cmp.Diff(c.want, w); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	first, second := run(5), run(5, attempt(2), status("queued"))
	if diff := cmp.Diff([]ci.Run{run(4), second}, ci.Merge([]ci.Run{second, first}, nil, []ci.Run{first, run(4)})); diff != "" {
		t.Errorf("the later attempt counts (-want +got):\n%s", diff)
	}
	second.Updated = first.Updated.Add(-time.Second) // written late about the attempt before
	if diff := cmp.Diff([]ci.Run{second}, ci.Merge([]ci.Run{second, first})); diff != "" {
		t.Errorf("the later attempt counts, whenever it was updated (-want +got):\n%s", diff)
	}
	// GitHub tells whole seconds, in which a run can begin and end.
	begun, ended := run(5, status("in_progress")), run(5)
	for _, lists := range [][][]ci.Run{{{begun}, {ended}}, {{ended}, {begun}}} {
		if diff := cmp.Diff([]ci.Run{ended}, ci.Merge(lists...)); diff != "" {
			t.Errorf("the later state counts (-want +got):\n%s", diff)
		}
	}
}
