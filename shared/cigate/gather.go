package cigate

import (
	"context"
	"slices"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/fault"
)

// own finds out which run and workflow bear witness.
func (l *loop) own(ctx context.Context, now time.Time) error {
	if l.asked {
		return nil
	}
	if l.question.OwnRun == 0 {
		w, err := l.gate.Source.Workflow(ctx, l.question.OwnWorkflow)
		if err != nil {
			return err
		}
		l.snapshot.Question.OwnWorkflow, l.asked = w.ID, true
		return nil
	}
	run, err := l.gate.Source.Run(ctx, l.question.OwnRun)
	if fault.ReasonOf(err) == "NO_SUCH_RUN" && now.Sub(l.began) < ownRunGrace {
		return fault.Wrap(err, fault.Failed, "OWN_RUN_UNKNOWN", "read the run we are in")
	}
	if err != nil {
		return err
	}
	l.snapshot.Question.Own, l.snapshot.Question.OwnWorkflow, l.asked = run, run.WorkflowID, true
	return nil
}

// resolve finds the ids and states of the required workflows, again when they are old.
func (l *loop) resolve(ctx context.Context, now time.Time) error {
	for i := range l.snapshot.Required {
		if !l.resolved[i].IsZero() && now.Sub(l.resolved[i]) < stateAge {
			continue
		}
		if err := l.resolveOne(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) resolveOne(ctx context.Context, i int) error {
	r := &l.snapshot.Required[i]
	w, err := l.gate.Source.Workflow(ctx, r.File)
	switch {
	case fault.ReasonOf(err) == "NO_SUCH_WORKFLOW":
		r.Workflow, r.Missing = ci.Workflow{}, true
	case err != nil:
		return err
	default:
		r.Workflow, r.Missing = w, false
	}
	l.resolved[i] = l.gate.Clock.Now()
	return nil
}

// poll reads the one list that covers all workflows.
func (l *loop) poll(ctx context.Context, _ time.Time) error {
	witness, err := l.index(ctx)
	if err == nil {
		l.polls++
		l.snapshot.Witness = witness
	}
	return err
}

// index reads the list and returns the witness after it.
func (l *loop) index(ctx context.Context) (ci.Witness, error) {
	index, err := l.gate.Source.RunsOfCommit(ctx, l.question.SHA)
	if err != nil {
		return ci.Witness{}, err
	}
	l.remember(index)
	for i, r := range l.snapshot.Required {
		l.indexed[i] = l.hasRun(r, index) && !l.behind(r, index)
	}
	return l.snapshot.Witness.Next(l.snapshot.Question, index), nil
}

func (l *loop) remember(runs []ci.Run) {
	of := slices.DeleteFunc(slices.Clone(runs), func(r ci.Run) bool { return r.SHA != l.question.SHA })
	l.snapshot.Runs = ci.Merge(l.snapshot.Runs, of)
}

// behind reports whether the index shows a run as it was before, or lacks one.
func (l *loop) behind(r ci.Required, index []ci.Run) bool {
	for _, run := range l.snapshot.Runs {
		same := func(listed ci.Run) bool {
			return listed.ID == run.ID && listed.Attempt == run.Attempt && listed.Status == run.Status && listed.Conclusion == run.Conclusion
		}
		if l.snapshot.Question.Keeps(run, r.Workflow) && !slices.ContainsFunc(index, same) {
			return true
		}
	}
	return false
}

// lists reads, now and then, the own lists of workflows that are waited for: often while the
// index has no run, or an old state of one; else rarely, since it may stand still.
func (l *loop) lists(ctx context.Context, now time.Time) error {
	for i, r := range l.snapshot.Required {
		last, every := r.ListedAt, listEvery
		if l.indexed[i] {
			every = trustIndex
			if last.IsZero() {
				last = l.began
			}
		}
		if l.verdict.Lines[i].Decision != ci.Wait || (!last.IsZero() && now.Sub(last) < every) {
			continue
		}
		if err := l.list(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// list reads the own list of one workflow, and what its file says while that is not known.
func (l *loop) list(ctx context.Context, i int) error {
	r := &l.snapshot.Required[i]
	if r.Workflow.ID == 0 {
		return nil
	}
	runs, err := l.gate.Source.RunsOfWorkflow(ctx, r.Workflow.ID, listed)
	if err != nil {
		return err
	}
	r.Newest, r.ListedAt, r.Complete = runs, l.gate.Clock.Now(), len(runs) < listed
	l.remember(runs)
	if r.Expectation.Expect == ci.Unknown && !l.hasRun(*r, l.snapshot.Runs) && l.gate.Expect != nil {
		r.Expectation = l.gate.Expect(ctx, r.File)
	}
	return nil
}

func (l *loop) hasRun(r ci.Required, runs []ci.Run) bool {
	return slices.ContainsFunc(runs, func(run ci.Run) bool { return l.snapshot.Question.Keeps(run, r.Workflow) })
}
