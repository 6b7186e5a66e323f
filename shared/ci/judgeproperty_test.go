package ci_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/ci"
)

// FuzzJudge holds what must be true of every snapshot, likely or not:
//
//   - it passes only with a run that passed, or with every proof, for each workflow;
//   - with an active run of a required workflow it does not pass;
//   - no list's order matters.
func FuzzJudge(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		for range 100 {
			checkProperties(t, random, randomSnapshot(random))
		}
	})
}

func checkProperties(t *testing.T, random *rand.Rand, s ci.Snapshot) {
	t.Helper()
	v := ci.Judge(s)
	for i, l := range v.Lines {
		if l.Decision == ci.Pass && !hasPassed(s, s.Required[i]) && !isProven(s, s.Required[i]) {
			t.Errorf("passed without a run and without proof: %+v\n%+v", l, s)
		}
		if v.Decision == ci.Pass && l.Decision != ci.Pass {
			t.Errorf("passed though %s did not", l.File)
		}
	}
	more := s
	more.Runs = append(slices.Clone(s.Runs), run(77, status(pick(random, "queued", "pending", "in_progress", "waiting", "odd")), started(time.Duration(random.IntN(60))*time.Minute)))
	if got := ci.Judge(more); got.Decision == ci.Pass {
		t.Errorf("passed though a run is active\n%+v", more)
	}
	if diff := cmp.Diff(v, ci.Judge(shuffled(random, s))); diff != "" {
		t.Errorf("the order of lists matters (-as it was +shuffled):\n%s", diff)
	}
}

// hasPassed says, apart from Judge, whether a run lets the workflow pass.
func hasPassed(s ci.Snapshot, r ci.Required) bool {
	passed, all := false, slices.Clone(s.Runs)
	for _, each := range s.Required { // a list that answers another question counts, too
		all = append(all, each.Newest...)
	}
	for _, run := range all {
		if run.WorkflowID != r.Workflow.ID || run.SHA != s.Question.SHA || run.Branch != "main" || !strings.EqualFold(run.HeadRepository, repository) || strings.HasPrefix(run.Event, "pull") {
			continue
		}
		passed = passed || (run.Status == "completed" && slices.Contains([]string{"success", "neutral", "skipped"}, run.Conclusion))
	}
	return passed
}

// isProven says, apart from Judge, whether nothing is left but that no run was triggered.
func isProven(s ci.Snapshot, r ci.Required) bool {
	return s.Witness.Streak >= 3 && s.At.Sub(s.Witness.Created) >= 90*time.Second &&
		!r.Missing && r.Workflow.State == "active" && r.Expectation.Expect == ci.NotExpected &&
		!r.ListedAt.IsZero() && s.At.Sub(r.ListedAt) <= time.Minute
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// randomSnapshot is near the snapshots that pass, so that many do.
func randomSnapshot(random *rand.Rand) ci.Snapshot {
	s := proven()
	second := s.Required[0]
	second.File, second.Workflow.ID = "test.yml", testID
	s.Required = append(s.Required, second)
	s.Question.Workflows = []string{"lint.yml", "test.yml"}
	s.At = pushed.Add(pick(random, time.Minute, 90*time.Second, 4*time.Minute, 20*time.Minute))
	s.Witness.Streak = pick(random, 0, 2, 3, 3, 9)
	for i := range s.Required {
		r := &s.Required[i]
		r.ListedAt = pick(random, time.Time{}, s.At, s.At, s.At.Add(-time.Hour))
		r.Expectation.Expect = pick(random, ci.NotExpected, ci.NotExpected, ci.NotExpected, ci.Unknown, ci.Expected, ci.SkippedByMessage, ci.NeverOnPush)
		r.Workflow.State = pick(random, "active", "active", "active", "active", "disabled_manually", "deleted", "odd")
		r.Missing = random.IntN(20) == 0
		r.Complete = random.IntN(2) == 0
		for range random.IntN(3) {
			r.Newest = append(r.Newest, randomRun(random))
		}
	}
	for range random.IntN(5) {
		s.Runs = append(s.Runs, randomRun(random))
	}
	return s
}

func randomRun(random *rand.Rand) ci.Run {
	return run(int64(1+random.IntN(6)), func(r *ci.Run) {
		r.WorkflowID = pick[int64](random, lintID, lintID, testID, testID, deployID)
		r.Attempt = 1 + random.IntN(2)
		r.Event = pick(random, "push", "push", "push", "workflow_dispatch", "pull_request")
		r.Branch = pick(random, "main", "main", "main", "main-2")
		r.SHA = pick(random, head, head, head, head, elsewhere)
		r.HeadRepository = pick(random, repository, repository, "OWNER/name", "stranger/name")
		r.Status = pick(random, "completed", "completed", "completed", "completed", "in_progress", "queued", "odd")
		if r.Status == "completed" {
			r.Conclusion = pick(random, "success", "success", "success", "neutral", "skipped", "failure", "cancelled", "", "odd")
		} else {
			r.Conclusion = ""
		}
		r.Started = pushed.Add(time.Duration(random.IntN(3)) * time.Second)
		r.Updated = pushed.Add(time.Duration(random.IntN(3)) * time.Second)
	})
}

func shuffled(random *rand.Rand, s ci.Snapshot) ci.Snapshot {
	mix := func(list []ci.Run) []ci.Run {
		list = slices.Clone(list)
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return list
	}
	s.Runs, s.Required = mix(s.Runs), slices.Clone(s.Required)
	for i := range s.Required {
		s.Required[i].Newest = mix(s.Required[i].Newest)
	}
	slices.Reverse(s.Required)
	return s
}

// The property test would say little if nothing passed, or everything.
func TestRandomSnapshotsAreMixed(t *testing.T) {
	t.Parallel()
	seen := map[ci.Decision]int{}
	notTriggered := 0
	for seed := range uint64(3000) {
		v := ci.Judge(randomSnapshot(rand.New(rand.NewPCG(seed, 1))))
		seen[v.Decision]++
		for _, l := range v.Lines {
			if l.Status == "not triggered" {
				notTriggered++
			}
		}
	}
	for _, d := range []ci.Decision{ci.Wait, ci.Pass, ci.Blocked} {
		if seen[d] < 60 {
			t.Errorf("only %d of 3000 random snapshots come to %s", seen[d], d)
		}
	}
	if notTriggered < 60 {
		t.Errorf("only %d workflows were not triggered", notTriggered)
	}
}
