package cigate_test

import (
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/cigate"
)

// Every case is how a gate of somebody went wrong, or could.
func TestWhatWentWrongForOthers(t *testing.T) {
	t.Parallel()
	const (
		poll  = cigate.DefaultPoll
		first = 20 * time.Second // the moment of the first look
		late  = 20*time.Second + cigate.DefaultTimeout
		lost  = 20*time.Second + ci.Patience
	)
	for name, c := range map[string]struct {
		play func(w *world)
		want ended
	}{
		"the gate looks before the runs are registered": {func(w *world) {
			w.expects(ci.Expected)
			w.after(80*time.Second, func() {
				lint, _ := w.pushes()
				w.after(time.Minute, func() { lint.Complete("success") })
			})
		}, ended{cigate.Pass, 140 * time.Second, 140*time.Second + poll, "lint.yml (success), test.yml (success)"}},
		"the index lags": {func(w *world) {
			w.github.SetIndex(githubtest.Index{Lag: 2 * time.Minute})
			lint, _ := w.pushes()
			w.after(3*time.Minute, func() { lint.Complete("success") })
		}, ended{cigate.Pass, 3 * time.Minute, 5*time.Minute + poll, ""}},
		"the index finds nothing, though everything passed": {func(w *world) {
			w.github.SetIndex(githubtest.Index{Empty: true})
			lint, _ := w.pushes()
			w.after(3*time.Minute, func() { lint.Complete("success") })
		}, ended{cigate.Pass, 3 * time.Minute, 4*time.Minute + poll, ""}},
		"an empty list is no pass": {func(w *world) {
			w.github.SetIndex(githubtest.Index{Empty: true})
			w.expects(ci.NotExpected)
		}, ended{cigate.Timeout, late, late, "the list of runs is behind"}},
		"an empty list is no pass, and what it hides failed": {func(w *world) {
			w.github.SetIndex(githubtest.Index{Empty: true})
			w.expects(ci.NotExpected)
			w.after(2*time.Minute, func() {
				lint, _ := w.pushes()
				lint.Complete("failure")
			})
		}, ended{cigate.Blocked, 2 * time.Minute, 3*time.Minute + poll, "lint.yml (run 2) failed"}},
		"a list that flickers takes nothing back": {func(w *world) {
			w.github.SetIndex(githubtest.Index{Flicker: 2})
			lint, _ := w.pushes()
			w.after(3*time.Minute, func() { lint.Complete("success") })
		}, ended{cigate.Pass, 3 * time.Minute, 3*time.Minute + 2*poll, ""}},
		"a list that flickers proves no absence": {func(w *world) {
			w.github.SetIndex(githubtest.Index{Flicker: 2})
			w.expects(ci.NotExpected)
		}, ended{cigate.Timeout, late, late, "1 of 3 looks"}},
		"the index lost what it had": {func(w *world) {
			w.only()
			lint, _ := w.pushes()
			w.after(time.Minute, func() { w.github.SetIndex(githubtest.Index{Empty: true}) })
			w.after(2*time.Minute, func() { lint.Complete("success") })
		}, ended{cigate.Pass, 2 * time.Minute, 3*time.Minute + poll, ""}},
		"our own run is missing": {func(w *world) {
			w.expects(ci.NotExpected)
			w.own.Hide(true)
			w.after(5*time.Minute, func() { w.own.Hide(false) })
		}, ended{cigate.Pass, 5*time.Minute + 2*poll, 5*time.Minute + 3*poll, "not triggered"}},
		"path filters: nothing ever comes": {func(w *world) {
			w.expects(ci.NotExpected)
		}, ended{cigate.Pass, 90 * time.Second, 90*time.Second + poll, "lint.yml (not triggered), test.yml (not triggered)"}},
		"path filters: one of two": {func(w *world) {
			w.expect["lint.yml"] = ci.Expectation{Expect: ci.NotExpected}
			r := w.test.Start(githubtest.NewRun{SHA: head})
			w.after(2*time.Minute, func() { r.Complete("success") })
		}, ended{cigate.Pass, 2 * time.Minute, 2*time.Minute + poll, "lint.yml (not triggered), test.yml (success)"}},
		"nothing in 90 s, and yet it was triggered": {func(w *world) {
			w.expects(ci.Expected)
			w.after(8*time.Minute, func() {
				lint, _ := w.pushes()
				lint.Complete("failure")
			})
		}, ended{cigate.Blocked, 8 * time.Minute, 8*time.Minute + poll, "lint.yml (run 2) failed"}},
		"triggered, and never run": {func(w *world) {
			w.expects(ci.Expected)
		}, ended{cigate.Blocked, lost, lost + poll, "after 10m0s"}},
		"nobody can tell whether it was triggered": {func(w *world) {
			w.gate.Expect = nil
		}, ended{cigate.Blocked, lost, lost + poll, "no run for the commit yet after 10m0s"}},
		"a skipped workflow is not waited for": {func(w *world) {
			w.only()
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "skipped"})
		}, ended{cigate.Pass, first, first, "lint.yml (skipped)"}},
		"a failure that was run again does not poison": {func(w *world) {
			lint, _ := w.pushes()
			lint.Complete("failure")
			lint.Rerun()
			w.after(2*time.Minute, func() { lint.Complete("success") })
		}, ended{cigate.Pass, 2 * time.Minute, 2*time.Minute + poll, ""}},
		"cancelled, then run again": {func(w *world) {
			lint, _ := w.pushes()
			lint.Complete("cancelled")
			w.clock.Advance(time.Second)
			lint.Rerun()
			w.after(2*time.Minute, func() { lint.Complete("success") })
		}, ended{cigate.Pass, 2 * time.Minute, 2*time.Minute + poll, ""}},
		"cancelled": {func(w *world) {
			lint, _ := w.pushes()
			w.after(2*time.Minute, func() { lint.Complete("cancelled") })
		}, ended{cigate.Blocked, 2 * time.Minute, 2*time.Minute + poll, "was cancelled"}},
		"run again a moment ago, and the index shows the success before": {func(w *world) {
			w.only()
			lint, _ := w.pushes()
			lint.Complete("success")
			w.github.SetIndex(githubtest.Index{Frozen: w.clock.Now()})
			w.clock.Advance(time.Second)
			lint.Rerun()
			w.after(4*time.Minute, func() { lint.Complete("failure") })
		}, ended{cigate.Blocked, 4 * time.Minute, 5*time.Minute + poll, "attempt 2) failed"}},
		"the index stands still": {func(w *world) {
			lint, _ := w.pushes()
			lint.Set("in_progress")
			w.github.SetIndex(githubtest.Index{Frozen: w.clock.Now()})
			w.after(7*time.Minute, func() { lint.Complete("success") })
		}, ended{cigate.Pass, 7 * time.Minute, 10 * time.Minute, ""}},
		"run again a moment ago, and the index shows the failure before": {func(w *world) {
			w.only()
			lint, _ := w.pushes()
			lint.Complete("failure")
			w.github.SetIndex(githubtest.Index{Lag: time.Minute})
			w.clock.Advance(70 * time.Second)
			lint.Rerun()
			w.after(3*time.Minute, func() { lint.Complete("success") })
		}, ended{cigate.Pass, 4 * time.Minute, 6 * time.Minute, "lint.yml (success)"}},
		"several runs of one commit: any failure is not the verdict": {func(w *world) {
			w.only()
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "failure"})
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "failure", Event: "pull_request"})
			w.clock.Advance(time.Second)
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success", Event: "workflow_dispatch"})
		}, ended{cigate.Pass, first, first + time.Second, ""}},
		"two runs in one second, ids the wrong way round": {func(w *world) {
			w.only()
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success", ID: 7_000_000_002})
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "failure", ID: 7_000_000_001})
		}, ended{cigate.Blocked, first, first, "lint.yml (run 3) failed"}},
		"a fork's main passed, ours is not there": {func(w *world) {
			w.only()
			w.expects(ci.Expected)
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success", HeadRepository: "stranger/name"})
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success", HeadRepositoryDeleted: true})
		}, ended{cigate.Blocked, lost, lost + poll, "no run for the commit"}},
		"a pull request's run passed, ours is not there": {func(w *world) {
			w.only()
			w.expects(ci.Expected)
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success", Event: "pull_request"})
		}, ended{cigate.Blocked, lost, lost + poll, "no run for the commit"}},
		"a branch that begins the same passed": {func(w *world) {
			w.only()
			w.expects(ci.Expected)
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success", Branch: "main-2"})
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "success", NoBranch: true})
		}, ended{cigate.Blocked, lost, lost + poll, "no run for the commit"}},
		"a broken file: its run has the path for a name": {func(w *world) {
			w.only()
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "startup_failure"})
		}, ended{cigate.Blocked, first, first, "the workflow file is invalid"}},
		"action_required on a push": {func(w *world) {
			w.only()
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "action_required"})
		}, ended{cigate.Blocked, first, first, "approve"}},
		"disabled": {func(w *world) {
			w.expects(ci.NotExpected)
			w.lint.SetState("disabled_manually")
		}, ended{cigate.Blocked, first, first, "disabled_manually"}},
		"disabled while we wait": {func(w *world) {
			w.expects(ci.NotExpected)
			w.after(30*time.Second, func() { w.lint.SetState("disabled_inactivity") })
		}, ended{cigate.Blocked, 90 * time.Second, 90*time.Second + poll, "disabled_inactivity"}},
		"disabled while we wait for what should have run": {func(w *world) {
			w.expects(ci.Expected)
			w.after(time.Minute, func() { w.lint.SetState("disabled_manually") })
		}, ended{cigate.Blocked, 5 * time.Minute, 6 * time.Minute, "disabled_manually"}},
		"the witness is lost at the last moment": {func(w *world) {
			w.expects(ci.NotExpected)
			w.github.SetIndex(githubtest.Index{Flicker: 7}) // the seventh list confirms what six have shown
		}, ended{cigate.Pass, 95*time.Second + 3*poll, 95*time.Second + 3*poll, "not triggered"}},
		"no such workflow": {func(w *world) {
			w.question.Workflows = []string{"lint.yml", "tset.yml"}
			w.pushes()
		}, ended{cigate.Blocked, first, first, "owner/name has no workflow tset.yml"}},
		"[skip ci]": {func(w *world) {
			w.expects(ci.SkippedByMessage)
		}, ended{cigate.Blocked, first, first, "untested"}},
		"a required workflow that no push starts": {func(w *world) {
			w.expects(ci.NeverOnPush)
		}, ended{cigate.Blocked, first, first, "lint.yml can never pass a push to main"}},
		"fail fast": {func(w *world) {
			lint, test := w.pushes()
			lint.Set("in_progress")
			w.after(30*time.Second, func() { test.Complete("failure") })
		}, ended{cigate.Blocked, 30 * time.Second, 30*time.Second + poll, "test.yml (run 2) failed"}},
		"a run that never ends": {func(w *world) {
			w.gate.Timeout = 605 * time.Second
			lint, _ := w.pushes()
			lint.Set("waiting")
		}, ended{cigate.Timeout, first + 605*time.Second, first + 605*time.Second, "no verdict after 10m5s: lint.yml (run 2) needs approval"}},
		"a word that is not known is no pass": {func(w *world) {
			w.only()
			w.lint.Start(githubtest.NewRun{SHA: head, Conclusion: "victory"})
		}, ended{cigate.Timeout, late, late, `"victory"`}},
		"completed without a conclusion is no pass": {func(w *world) {
			w.only()
			w.lint.Start(githubtest.NewRun{SHA: head, Status: "completed"})
		}, ended{cigate.Timeout, late, late, `""`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.play(w)
			w.must(c.want)
		})
	}
}

// A person asks for a commit that was pushed long ago. Our own run is for the branch's head.
func TestOlderCommit(t *testing.T) {
	t.Parallel()
	const first = 20 * time.Second
	for name, c := range map[string]struct {
		play func(w *world)
		want ended
	}{
		"it passed then": {func(w *world) {
			w.lint.Start(githubtest.NewRun{SHA: elsewhere, Conclusion: "success"})
		}, ended{cigate.Pass, first, first, "success"}},
		"it was not triggered then": {func(w *world) {
			w.expects(ci.NotExpected)
		}, ended{cigate.Pass, first + 30*time.Second, first + 30*time.Second, "other.yml (not triggered)"}},
		"GitHub forgot all of it": {func(w *world) {
			w.expects(ci.NotExpected)
			w.question.SHA = "c0ffee0000000000000000000000000000000003"
		}, ended{cigate.Blocked, first + ci.Patience, first + ci.Patience + 15*time.Second, "other.yml has no run for the commit"}},
		"it failed then, and was dispatched by hand now": {func(w *world) {
			w.lint.Start(githubtest.NewRun{SHA: elsewhere, Conclusion: "failure"})
			w.after(time.Minute, func() {
				w.lint.Start(githubtest.NewRun{SHA: elsewhere, Event: "workflow_dispatch", Conclusion: "success"})
			})
		}, ended{cigate.Blocked, first, first, "failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.question.SHA = elsewhere
			// The workflows of newWorld ran for this commit, so the question is about another one.
			w.lint = w.repo.AddWorkflow("other.yml")
			w.question.Workflows = []string{"other.yml"}
			c.play(w)
			w.must(c.want)
		})
	}
}
