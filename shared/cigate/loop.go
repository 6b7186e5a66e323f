package cigate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/fault"
)

// loop is the memory of one wait: evidence is added to it, never taken away, so that a list
// that flickers takes nothing back.
type loop struct {
	gate     Gate
	question Question

	began    time.Time
	snapshot ci.Snapshot
	resolved []time.Time // when the state of each required workflow was read
	indexed  []bool      // whether the index listed its runs, and none as it was before, in the last look
	asked    bool        // our own run is known, or there is none
	yielded  time.Time   // when a newer deploy was last looked for

	polls   int
	verdict ci.Verdict
	trouble *trouble // what kept the last look from its end; nil: nothing

	told   string // what Progress knows
	toldAt time.Time
}

// trouble is an error that another look may not have.
type trouble struct {
	err   error
	until time.Time // when GitHub allows the next request; zero: any time
}

func newLoop(g Gate, q Question) *loop {
	now := g.Clock.Now()
	q.Workflows = unique(q.Workflows)
	l := &loop{
		gate: g, question: q, began: now, asked: q.OwnRun == 0 && q.OwnWorkflow == "",
		resolved: make([]time.Time, len(q.Workflows)), indexed: make([]bool, len(q.Workflows)),
	}
	l.snapshot = ci.Snapshot{Since: now, NotBefore: q.NotBefore, Question: ci.Question{
		Repository: q.Repository, Branch: q.Branch, SHA: q.SHA, Workflows: q.Workflows,
	}}
	if !g.Since.IsZero() && g.Since.Before(now) {
		l.snapshot.Since = g.Since
	}
	for _, file := range q.Workflows {
		l.snapshot.Required = append(l.snapshot.Required, ci.Required{File: file})
	}
	l.verdict = l.judge()
	return l
}

// look looks once. It returns a Result without Outcome when the wait goes on.
func (l *loop) look(ctx context.Context) (Result, error) {
	l.trouble = nil
	outcome, reason, err := l.decide(ctx)
	if err == nil {
		if outcome == "" {
			return Result{}, nil
		}
		return l.result(outcome, reason), nil
	}
	// Invalid is what waiting does not cure: the token, its permission, the repository's name.
	if fault.KindOf(err) == fault.Invalid {
		return Result{}, err
	}
	// What was found out before the error counts already, but is no confirmed verdict.
	if l.verdict = l.judge(); l.verdict.Decision != ci.Wait {
		l.verdict.Decision, l.verdict.Reason = ci.Wait, "not confirmed yet: "+l.verdict.Reason
	}
	l.trouble = &trouble{err: err}
	if at, limited := ci.RetryAt(err); limited {
		l.trouble.until = at
	}
	return Result{}, nil
}

// decide gathers evidence and judges it; outcome "" is to be continued.
func (l *loop) decide(ctx context.Context) (outcome, reason string, err error) {
	started := l.gate.Clock.Now()
	for _, gather := range []func(context.Context, time.Time) error{l.own, l.resolve, l.poll, l.lists} {
		if err := gather(ctx, started); err != nil {
			return "", "", err
		}
	}
	l.verdict = l.judge()
	if err := l.ask(ctx, started, func(line ci.Line) bool { return line.Ask }); err != nil {
		return "", "", err
	}
	if l.verdict.Decision != ci.Wait {
		if err := l.confirm(ctx, started); err != nil {
			return "", "", err
		}
	}
	switch l.verdict.Decision {
	case ci.Blocked:
		return Blocked, l.verdict.Reason, nil
	case ci.Pass:
		l.yielded = time.Time{} // what comes next deploys: look again
	}
	by, err := l.yield(ctx)
	switch {
	case err != nil:
		return "", "", err
	case by != "":
		return Superseded, by, nil
	case l.verdict.Decision == ci.Pass:
		return Pass, l.verdict.Reason, nil
	}
	return "", "", nil
}

func (l *loop) judge() ci.Verdict {
	l.snapshot.At = l.gate.Clock.Now()
	return ci.Judge(l.snapshot)
}

// ask reads the own lists of the workflows whose lines are wanted, unless this look did, and
// judges again.
func (l *loop) ask(ctx context.Context, started time.Time, wanted func(ci.Line) bool) error {
	for i, line := range l.verdict.Lines {
		if !wanted(line) || !l.snapshot.Required[i].ListedAt.Before(started) {
			continue
		}
		if err := l.list(ctx, i); err != nil {
			return err
		}
	}
	l.verdict = l.judge()
	return nil
}

// confirm looks a second time before a verdict counts: the index may show a run as it was
// before somebody ran it again, a workflow may just have been registered or disabled.
func (l *loop) confirm(ctx context.Context, started time.Time) error {
	decision := l.verdict.Decision
	decides := func(line ci.Line) bool { return line.Decision == decision }
	witness, err := l.index(ctx)
	if err != nil {
		return err
	}
	if witness.Streak == 0 { // two looks at one moment are one: this one may only take back
		l.snapshot.Witness = witness
	}
	for i, line := range l.verdict.Lines {
		if line.Run != 0 || !decides(line) || !l.resolved[i].Before(started) {
			continue
		}
		if err := l.resolveOne(ctx, i); err != nil {
			return err
		}
	}
	return l.ask(ctx, started, decides)
}

// yield looks for a newer deploy, now and then.
func (l *loop) yield(ctx context.Context) (string, error) {
	now := l.gate.Clock.Now()
	if l.gate.Yield == nil || (!l.yielded.IsZero() && now.Sub(l.yielded) < yieldEvery) {
		return "", nil
	}
	by, err := l.gate.Yield(ctx)
	if err == nil {
		l.yielded = now
	}
	return by, err
}

// over reports whether the time is up, or GitHub will not answer within it.
func (l *loop) over(ctx context.Context) bool {
	end := l.deadline()
	return ctx.Err() != nil || !l.gate.Clock.Now().Before(end) || (l.trouble != nil && l.trouble.until.After(end))
}

func (l *loop) deadline() time.Time { return l.began.Add(l.gate.Timeout) }

// rest lets the time until the next look pass, with signs of life.
func (l *loop) rest(ctx context.Context) error {
	for pause := l.pause(); pause > 0; pause -= heartbeat {
		if err := l.gate.Clock.Sleep(ctx, min(pause, heartbeat)); err != nil {
			return err
		}
		if pause > heartbeat {
			l.report()
		}
	}
	return nil
}

// pause is how long until the next look.
func (l *loop) pause() time.Duration {
	now := l.gate.Clock.Now()
	pause := l.gate.Poll
	if l.trouble != nil {
		pause = max(pause, l.trouble.until.Sub(now))
	}
	return min(pause, l.deadline().Sub(now))
}

func (l *loop) result(outcome, reason string) Result {
	now := l.gate.Clock.Now()
	r := Result{Outcome: outcome, Reason: reason, Lines: l.verdict.Lines, Polls: l.polls, Waited: now.Sub(l.began)}
	if outcome == Blocked {
		r.Hint = l.verdict.Hint
	}
	if last := l.verdict.Completed(); !last.IsZero() && (outcome == Pass || outcome == Blocked) {
		r.Settled = max(0, now.Sub(last))
	}
	return r
}

func (l *loop) timeout() Result {
	var open []string
	for _, line := range l.verdict.Lines {
		if line.Decision == ci.Wait {
			open = append(open, line.Reason)
		}
	}
	if len(open) == 0 { // a verdict that could not be confirmed
		open = append(open, l.verdict.Reason)
	}
	if l.trouble != nil {
		open = append(open, l.trouble.String())
	}
	r := l.result(Timeout, fmt.Sprintf("no verdict after %s: %s", brief(l.gate.Clock.Now().Sub(l.began)), strings.Join(open, "; ")))
	r.Hint = "run the job again once they are done, or give them longer: ci.timeout of landfall.yaml, --timeout"
	return r
}

// String tells the trouble as a part of a sentence; of a rate limit it says until when.
func (t *trouble) String() string {
	var f *fault.Error
	if errors.As(t.err, &f) {
		return f.WithHint("").Error()
	}
	return t.err.Error()
}

func unique(names []string) []string {
	var list []string
	for _, name := range names {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}
