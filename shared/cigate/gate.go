// Package cigate waits until the required workflows of one commit have a verdict.
//
// It promises to end: by a verdict of [ci.Judge], confirmed by a second look at lists that
// do not come from GitHub's search index, by its time, by a newer deploy, or at once when it is
// interrupted or may not look. What GitHub does not answer is never taken for an
// answer. Start reading at [Gate.Wait].
package cigate

import (
	"context"
	"fmt"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/fault"
)

// Defaults of [Gate] fields that are left zero.
const (
	DefaultPoll    = 15 * time.Second
	DefaultTimeout = 45 * time.Minute
)

const (
	// stateAge is how long the state of a workflow (active, disabled) is believed.
	stateAge = 5 * time.Minute
	// listEvery is how often a workflow's own list is read while the index lacks a run or
	// shows an old state of one.
	listEvery = time.Minute
	// trustIndex is how often it is read while the index seems to follow. Indexes were seen to
	// stand still.
	trustIndex = 3 * time.Minute
	// yieldEvery is how often a newer deploy is looked for.
	yieldEvery = time.Minute
	// heartbeat is the longest silence of Progress.
	heartbeat = time.Minute
	// ownRunGrace is how long GitHub may not know the run we are in.
	ownRunGrace = 2 * time.Minute
	// listed is how many runs a workflow's own list is asked for, the most of one request.
	listed = 100
)

// Gate waits. Its Wait may be called once at a time.
type Gate struct {
	Source  ci.Source
	Clock   Clock         // nil: the machine's
	Poll    time.Duration // between two looks; 0 is DefaultPoll
	Timeout time.Duration // of the whole wait, requests included; 0 is DefaultTimeout
	// Since is when the commit was first seen, for one who looks again and again; zero is now.
	Since time.Time
	// Expect says whether the commit's push starts a workflow, by its file; see [Expecter].
	// nil: it cannot be told.
	Expect func(ctx context.Context, file string) ci.Expectation
	// Yield says by which newer deploy we are superseded, "" by none. Nil: nobody looks. A
	// fault of kind Invalid ends the wait, other errors are tried again.
	Yield func(ctx context.Context) (reason string, err error)
	// Progress hears what is waited for: at every change, else about once a minute. May be nil.
	Progress func(Report)
}

// Clock is time. A Sleep ends early with ctx's error.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// Question names the commit, and who asks.
type Question struct {
	Repository string   // owner/name
	Branch     string   // main
	SHA        string   // full
	Workflows  []string // base names of required workflow files: lint.yml
	OwnRun     int64    // GITHUB_RUN_ID; 0 outside of Actions
	// OwnWorkflow is the base name of a workflow that a push starts, too, deploy.yml say,
	// whose run bears witness. Needed only without OwnRun; "" then waits longer instead.
	OwnWorkflow string
	// NotBefore is the commit's date, needed only without either; zero when nobody knows.
	NotBefore time.Time
}

// The outcomes, as the output `verdict` tells them.
const (
	Pass       = "pass"
	Blocked    = "blocked"
	Timeout    = "timeout"
	Superseded = "superseded"
)

// Result is how a wait ended.
type Result struct {
	Outcome string    // Pass, Blocked, Timeout or Superseded
	Reason  string    // one sentence, lower case, without a full stop
	Hint    string    // what a person does about it; "" when there is nothing
	Lines   []ci.Line // one for each required workflow: the last that was known
	Polls   int       // lists of the commit's runs that GitHub answered
	Waited  time.Duration
	// Settled is the time from the end of the last workflow to the verdict; 0 when no run
	// decided. GitHub's clock and ours both count.
	Settled time.Duration
}

// Wait waits for the verdict. Errors are faults: Invalid when the question, the token or its
// permission is wrong (nothing is waited for then), Interrupted when ctx ended. Everything
// else GitHub does is waited out until Timeout.
func (g Gate) Wait(ctx context.Context, q Question) (Result, error) {
	if err := q.check(); err != nil {
		return Result{}, err
	}
	if g.Clock == nil {
		g.Clock = machine{}
	}
	if g.Poll <= 0 {
		g.Poll = DefaultPoll
	}
	if g.Timeout <= 0 {
		g.Timeout = DefaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, g.Timeout) // a request that hangs ends with the wait
	defer cancel()
	l := newLoop(g, q)
	for {
		result, err := l.look(limited)
		if ctx.Err() != nil {
			return l.result("interrupted", ""), fault.Wrap(context.Cause(ctx), fault.Interrupted, "GATE_INTERRUPTED", "wait for the workflows of %s", q.SHA)
		}
		if err != nil || result.Outcome != "" {
			return result, err
		}
		l.report()
		if l.over(limited) {
			return l.timeout(), nil
		}
		if err := l.rest(limited); err != nil && ctx.Err() == nil {
			return l.timeout(), nil //nolint:nilerr // our own deadline, which is a result
		}
	}
}

func (q Question) check() error {
	switch {
	case len(q.Workflows) == 0:
		return fault.New(fault.Invalid, "NO_WORKFLOWS", "no workflow is required, so nothing can show that %s passed", q.SHA).
			WithHint("name them with --workflows or in ci.required of landfall.yaml, or deploy with --no-gate")
	case q.Repository == "" || q.Branch == "" || q.SHA == "":
		return fault.New(fault.Invalid, "GATE_INCOMPLETE", "the gate needs a repository, a branch and a commit; it has %q, %q, %q", q.Repository, q.Branch, q.SHA)
	}
	return nil
}

// machine is the machine's clock.
type machine struct{}

func (machine) Now() time.Time { return time.Now() }

func (machine) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sleep: %w", context.Cause(ctx))
	}
}
