// Package supersede finds out whether a newer deploy makes this one needless.
//
// It promises to look at runs as they are, never at GitHub's search index, at their jobs rather
// than their colour, and to name what it found. Only a newer run's number counts, not its luck:
// who yields to a run that then fails its gate leaves the host as it is until the next push. A
// look is only true when it is made; look again before the first change. Start reading
// at [Check]; [Judge] is the rule.
package supersede

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/fault"
)

const (
	// DefaultJob is the name of the job that deploys, unless the caller says another.
	DefaultJob = "deploy"

	newest = 50  // runs of the first list
	most   = 100 // of the next ones, the most of one request: the first may have been too short
	looks  = 3   // lists until one has our own run
	pause  = 2 * time.Second
)

// Question names our own deploy.
type Question struct {
	Repository string // owner/name
	Branch     string
	SHA        string // the commit that we deploy, which need not be the run's
	Run        int64  // GITHUB_RUN_ID
	Job        string // name of the job that deploys; "" is DefaultJob
	// Own is Result.Own of an earlier check, which spares a request; zero: it is read.
	Own ci.Run
	// Older reports whether a commit comes before SHA in the branch's history. Nil, or an error,
	// leaves it open, and then the newer run counts.
	Older func(ctx context.Context, sha string) (bool, error)
	// Sleep passes the time between looks; nil is the machine's.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Result is what one check found.
type Result struct {
	Superseded bool
	By         ci.Run // the newer deploy: its number, commit, URL; zero when there is none
	Reason     string // one sentence, lower case, without a full stop
	Own        ci.Run
	// Rerun: our own run is a later attempt, so a person asked for it on purpose. Newer
	// deploys count all the same.
	Rerun    bool
	Warnings []string // what could not be found out, and how it was taken
}

// Check looks once. Its errors are those of the source.
func Check(ctx context.Context, source ci.Source, q Question) (Result, error) {
	c := checker{source: source, question: q}
	if err := c.own(ctx); err != nil {
		return Result{}, err
	}
	job := q.Job
	if job == "" {
		job = DefaultJob
	}
	c.evidence = Evidence{
		Repository: q.Repository, Branch: q.Branch, Job: job, Own: c.result.Own,
		Jobs: map[int64][]ci.Job{}, Older: map[string]bool{q.SHA: false},
	}
	if err := c.runs(ctx); err != nil {
		return Result{}, err
	}
	return c.decide(ctx)
}

// checker is one check in the making.
type checker struct {
	source   ci.Source
	question Question
	evidence Evidence
	result   Result
}

func (c *checker) own(ctx context.Context) error {
	own := c.question.Own
	if own.ID == 0 || own.ID != c.question.Run {
		var err error
		if own, err = c.source.Run(ctx, c.question.Run); err != nil {
			return fmt.Errorf("look for newer deploys: %w", err)
		}
	}
	c.result.Own, c.result.Rerun = own, own.Attempt > 1
	return nil
}

// runs reads the list until our own run is in it.
func (c *checker) runs(ctx context.Context) error {
	size := newest
	for look := 1; ; look++ {
		list, err := c.source.RunsOfWorkflow(ctx, c.result.Own.WorkflowID, size)
		if err != nil {
			return fmt.Errorf("look for newer deploys: %w", err)
		}
		c.evidence.Runs = ci.Merge(c.evidence.Runs, list)
		if slices.ContainsFunc(list, func(r ci.Run) bool { return r.ID == c.result.Own.ID }) {
			return nil
		}
		if look == looks {
			c.warn("the newest %d runs of the workflow lack our own, run %d: a newer deploy may be missing, too", len(list), c.result.Own.Number)
			return nil
		}
		size = most
		if err := c.sleep(ctx); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "SUPERSEDE_INTERRUPTED", "look for newer deploys")
		}
	}
}

// decide gathers what the verdict still needs. Each need is about another run or commit of a
// list that has an end, so this ends.
func (c *checker) decide(ctx context.Context) (Result, error) {
	for {
		v := Judge(c.evidence)
		switch {
		case v.NeedOlder != "":
			c.evidence.Older[v.NeedOlder] = c.older(ctx, v.NeedOlder)
		case v.NeedJobs != 0:
			jobs, err := c.source.Jobs(ctx, v.NeedJobs)
			if fault.ReasonOf(err) == "NO_SUCH_RUN" {
				jobs, err = nil, nil // somebody deleted it; without jobs it counts unless it is completed
				c.warn("run %d has no jobs to look at: it was deleted meanwhile", v.NeedJobs)
			}
			if err != nil {
				return Result{}, fmt.Errorf("look for newer deploys: %w", err)
			}
			c.evidence.Jobs[v.NeedJobs] = jobs
		default:
			c.conclude(v)
			return c.result, nil
		}
		if err := ctx.Err(); err != nil {
			return Result{}, fault.Wrap(err, fault.KindOf(err), "SUPERSEDE_INTERRUPTED", "look for newer deploys")
		}
	}
}

func (c *checker) older(ctx context.Context, sha string) bool {
	if c.question.Older == nil {
		c.warn("nobody can tell whether %s is older than %s: it is taken for newer", short(sha), short(c.question.SHA))
		return false
	}
	older, err := c.question.Older(ctx, sha)
	if err != nil {
		c.warn("cannot tell whether %s is older than %s, so it is taken for newer: %s", short(sha), short(c.question.SHA), err)
		return false
	}
	return older
}

func (c *checker) conclude(v Verdict) {
	r := &c.result
	if v.By.ID == 0 {
		r.Reason = "no newer deploy is under way or done"
	} else {
		r.Superseded, r.By = true, v.By
		r.Reason = fmt.Sprintf("a newer deploy, run %d of %s, %s", v.By.Number, short(v.By.SHA), v.Reason)
	}
	if r.Rerun {
		r.Reason += fmt.Sprintf(" (this is attempt %d of run %d)", r.Own.Attempt, r.Own.Number)
	}
}

func (c *checker) warn(format string, args ...any) {
	c.result.Warnings = append(c.result.Warnings, fmt.Sprintf(format, args...))
}

func (c *checker) sleep(ctx context.Context) error {
	if c.question.Sleep != nil {
		return c.question.Sleep(ctx, pause)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// short is a commit as people write it.
func short(sha string) string { return sha[:min(len(sha), 12)] }
