// Package tick makes the ticks of convergence: it looks, has package converge decide, and begins what was decided.
//
// It promises that a tick with nothing to do writes nothing and is no operation, that ticks may overlap, and that one which cannot look says so
// and touches nothing. Start reading at [Ticker.Tick].
package tick

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// CI tells whether a commit passed.
type CI interface {
	// Of looks once. required are base names of workflow files; what cannot be told is unknown, with a reason.
	Of(ctx context.Context, sha string, required []string) converge.CI
}

// Images tells which newer images registries have.
type Images interface {
	// Newer looks, where it is time to, and else tells what it found last. What it could not learn is among notes, for people.
	Newer(ctx context.Context, config pipeline.ImagesConfig, models []picture.Model, now picture.Picture) (newer []converge.Newer, notes []string)
}

// Settings are what a ticker needs. Engine, Sentinels, Stamp, Commits, Trees and Branch are required.
type Settings struct {
	Engine    *flow.Flows
	Sentinels ports.Sentinels
	Stamp     ports.Stamp
	Commits   ports.Commits
	Trees     ports.Trees
	Branch    string
	Every     time.Duration // between two ticks, as the timer has it
	CI        CI            // nil: new commits are not followed
	Images    Images        // nil: registries are not asked
	// Seen hears of every tick; may be nil. It must not block.
	Seen func(Tick)
}

// Ticker makes ticks. Safe for concurrent use.
type Ticker struct {
	Settings
	log     hclog.Logger
	started time.Time

	turn sync.Mutex // held by the tick that is under way

	mu     sync.Mutex
	last   *Tick
	before []picture.Drift // what the last whole look found
	newest string          // the newest operation then: what was found before one does not confirm what is found after it
}

// New makes a ticker; it does nothing by itself.
func New(s Settings, log hclog.Logger) *Ticker {
	return &Ticker{Settings: s, log: log.Named("tick"), started: time.Now()}
}

// Request asks for a tick.
type Request struct {
	CommandID string // "" for a new one
	Requester string // who asks: "local/root"
	DryRun    bool
	// Begins is called right before something is begun, with what; nil for nobody who wants to know. An error keeps it from being begun; ended is
	// told what became of it.
	Begins func(what string) (ended func(operation string, err error), err error)
}

// Tick is one that was made.
type Tick struct {
	converge.Decision
	Began, Ended time.Time
	Requester    string
	DryRun       bool
	Head         string         // of the branch; "" where nobody could tell
	CI           converge.CI    // the verdict on it, where it was asked for; green where it runs here
	Operation    string         // that it began; "" for none
	Plan         *pipeline.Plan // of what it begins, or would
	Unknown      []string       // what could not be compared, for people
}

// Tick makes one. A second that comes while one is under way is skipped. The error is that of an operation that could not be begun.
func (t *Ticker) Tick(ctx context.Context, req Request) (Tick, *operation.Operation, error) {
	if req.CommandID == "" {
		req.CommandID = "tick-" + rand.Text()
	}
	now := Tick{Began: time.Now(), Requester: req.Requester, DryRun: req.DryRun}
	if !t.turn.TryLock() {
		now.Decision, now.Ended = converge.Decision{Outcome: converge.Skipped, Reason: "BUSY", Message: "another tick is under way"}, time.Now()
		return now, nil, nil
	}
	defer t.turn.Unlock()
	o, newest, seen := t.observe(ctx, &now)
	now.Decision = converge.Decide(o)
	var op *operation.Operation
	var err error
	switch {
	case ctx.Err() != nil: // what could not be looked at for that is not what is wrong
		seen = false
		now.Decision = converge.Decision{
			Outcome: converge.Skipped, Reason: "ABANDONED",
			Message: "whoever asked for it went away after " + time.Since(now.Began).Round(time.Millisecond).String() + ", before it was decided",
		}
	case !req.DryRun:
		op, err = t.begin(ctx, req, &now)
	}
	now.Ended = time.Now()
	t.keep(now, seen, o.Host.Drift, newest)
	level := hclog.Info
	if now.Outcome == converge.Nothing {
		level = hclog.Debug
	}
	t.log.Log(level, "tick", "outcome", now.Outcome, "reason", now.Reason, "message", now.Message, "operation", now.Operation, "who", req.Requester, "dry_run", req.DryRun)
	if t.Seen != nil {
		t.Seen(now)
	}
	return now, op, err
}

// keep remembers a tick. What a dry run sees does not confirm what the next tick finds.
func (t *Ticker) keep(now Tick, seen bool, drift []picture.Drift, newest string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.DryRun {
		return
	}
	t.last = &now
	switch {
	case now.Operation != "", now.Reason == "PAUSED", now.Reason == "BUSY" && !seen:
		t.before = nil // what is found afterwards is found for the first time
	case seen:
		t.before, t.newest = drift, newest
	}
}

// Status is how convergence stands.
type Status struct {
	Last        *Tick // nil before the first since the agent started
	Next        time.Time
	Overdue     bool
	Since       time.Time // of the last tick, or the start of the agent
	NotFollowed string    // why new commits are not followed; "" where they are
}

// overdueAfter is how many times the time between two ticks may pass before the timer counts as dead.
const overdueAfter = 2

// Status tells how convergence stands.
func (t *Ticker) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{Last: t.last, NotFollowed: t.notFollowed()}
	from := t.started
	if t.last != nil {
		from = t.last.Began
	}
	s.Since, s.Next, s.Overdue = from, from.Add(t.Every), time.Since(from) > overdueAfter*t.Every
	return s
}

// Findings are what a person should look at, one line each: a timer that does not fire any more, and a last tick that could not do what it is
// for. That somebody paused, that CI is not through yet, or that a difference is only told, is none.
func (s Status) Findings() []string {
	var found []string
	if s.Overdue {
		found = append(found, "no tick since "+s.Since.UTC().Format(time.RFC3339)+"; does the timer fire? systemctl list-timers landfall-gitops.timer; by hand: landfall-agent converge")
	}
	if s.Last != nil && s.Last.Outcome == converge.Skipped && !converge.Expected(s.Last.Reason) {
		found = append(found, s.Last.Reason+": "+s.Last.Message)
	}
	return found
}

func (t *Ticker) notFollowed() string {
	if t.CI == nil {
		return "agent.yaml has no github, so nobody knows whether a commit passed CI"
	}
	return ""
}

// begin begins what was decided, and tells whoever wants to know before it does.
func (t *Ticker) begin(ctx context.Context, req Request, now *Tick) (op *operation.Operation, err error) {
	if now.Outcome == converge.Skipped || now.Outcome == converge.Nothing {
		return nil, nil
	}
	fresh := converge.Observation{At: time.Now(), Host: converge.Host{Stamp: "looked at before"}} // looking took its time: who paused meanwhile is heard
	t.sentinels(&fresh)
	if d, early := converge.Early(fresh); early {
		d.Drift, now.Decision = now.Drift, d
		return nil, nil
	}
	if req.Begins == nil {
		return t.beginIt(ctx, req, now)
	}
	ended, err := req.Begins(string(now.Outcome) + " " + cmp.Or(operation.Short(now.Target), now.Subject))
	if err != nil {
		return nil, err
	}
	op, err = t.beginIt(ctx, req, now)
	ended(now.Operation, err)
	return op, err
}

func (t *Ticker) beginIt(ctx context.Context, req Request, now *Tick) (*operation.Operation, error) {
	var op operation.Operation
	var err error
	switch d := now.Decision; d.Outcome {
	case converge.Deploy:
		forward, ferr := t.Engine.Forward(ctx, d.Target) // again: asking for the CI's verdict took its time
		if err = cmp.Or(ferr, forward.Obstacle); err == nil && !forward.Comes {
			err = fault.New(fault.Refused, "DIVERGED", "%s does not come after what is here any more", operation.Short(d.Target))
		}
		if err != nil {
			break
		}
		r := forward.Request
		r.CommandID, r.Requester, r.Signature = req.CommandID, converge.Requester, d.Signature
		op, _, err = t.Engine.Deploy(r)
	case converge.Repair, converge.Update:
		op, _, err = t.Engine.Repair(ctx, flow.RepairRequest{
			CommandID: req.CommandID, Requester: converge.Requester, Subject: d.Subject, Signature: d.Signature, Deeds: d.Deeds, Image: d.Image,
		})
	case converge.Skipped, converge.Nothing:
		return nil, nil
	}
	switch {
	case fault.ReasonOf(err) == "HOST_LOCKED": // somebody was faster
		now.Decision = converge.Decision{Outcome: converge.Skipped, Reason: "BUSY", Message: err.Error(), Drift: now.Drift}
		return nil, nil
	case err != nil:
		now.Decision = converge.Decision{Outcome: converge.Skipped, Reason: cmp.Or(fault.ReasonOf(err), "NOT_BEGUN"), Message: err.Error(), Drift: now.Drift}
		return nil, err
	}
	now.Operation = op.ID
	return &op, nil
}

// observe looks, as far as it is needed. newest is the newest operation; seen says that what runs was looked at whole.
func (t *Ticker) observe(ctx context.Context, now *Tick) (o converge.Observation, newest string, seen bool) {
	o = converge.Observation{At: now.Began, Branch: converge.Branch{Name: t.Branch, NotFollowed: t.notFollowed()}}
	t.sentinels(&o)
	if current := t.Engine.Current(); current != nil {
		o.Busy = current.ID + " is under way: " + current.About() + " by " + current.Requester
	}
	if _, early := converge.Early(o); early {
		return o, "", false
	}
	var err error
	if o.Host.Checkout, err = t.Commits.Head(ctx); err != nil {
		o.Host.Error = err
	}
	if o.Past, newest, err = t.past(); err != nil {
		o.Trouble = err
		return o, "", false
	}
	t.branch(ctx, &o, now)
	return o, newest, t.host(ctx, &o, now, newest)
}

func (t *Ticker) sentinels(o *converge.Observation) {
	stamp, _, stampErr := t.Stamp.Stamp()
	pause, pauseErr := t.Sentinels.Pause()
	blocks, blocksErr := t.Sentinels.Blocked()
	o.Host.Stamp, o.Trouble = stamp, errors.Join(stampErr, pauseErr, blocksErr)
	if pause != nil && pause.Expires.After(o.At) {
		o.Pause = &converge.Pause{Reason: pause.Reason, Owner: pause.Owner, Until: pause.Expires}
	}
	for _, b := range blocks {
		if b.IsImage() {
			o.Host.BlockedImages = append(o.Host.BlockedImages, b.SHA)
		}
	}
}

// lookBack is how many operations are looked through for what the agent tried by itself.
const lookBack = 200

// past are what the agent tried by itself, and the newest operation of all.
func (t *Ticker) past() (past []converge.Attempt, newest string, err error) {
	recent, err := t.Engine.Operations(0, lookBack)
	if err != nil {
		return nil, "", err
	}
	for i, op := range recent {
		if i == 0 {
			newest = op.ID
		}
		signature := op.Signature
		if op.Kind == operation.KindDeploy { // what failed for somebody else is no better when we try it
			signature = converge.DeploySignature(op.Target)
		}
		if signature != "" && op.State.Terminal() {
			past = append(past, converge.Attempt{Operation: op.ID, Signature: signature, State: op.State, Ended: op.Ended})
		}
	}
	return past, newest, nil
}

// branch looks at the branch, and asks for the CI's verdict where there is something that it decides.
func (t *Ticker) branch(ctx context.Context, o *converge.Observation, now *Tick) {
	b := &o.Branch
	if b.NotFollowed != "" {
		return
	}
	if b.Head, b.Error = t.Commits.RemoteHead(ctx); b.Error != nil {
		return
	}
	now.Head = b.Head
	if b.Head == o.Host.Stamp && o.Host.Checkout == o.Host.Stamp {
		b.Forward, now.CI = true, converge.CI{Verdict: converge.CIGreen}
		return
	}
	blocks, err := t.Sentinels.Blocked()
	if err != nil {
		b.Error = err
		return
	}
	if i := slices.IndexFunc(blocks, func(x ports.Blocked) bool { return x.SHA == b.Head }); i >= 0 {
		b.Blocked = blocks[i].Reason
	}
	forward, err := t.Engine.Forward(ctx, b.Head)
	if err != nil {
		b.Error = err
		return
	}
	b.Forward, b.Obstacle = forward.Comes, forward.Obstacle
	b.Deploys = forward.Obstacle != nil || (forward.Plan != nil && forward.Plan.AnyDeploy)
	if !converge.NewCommit(*o) {
		return
	}
	now.Plan = forward.Plan
	config, err := t.Trees.Pipeline(ctx, b.Head)
	if err != nil {
		b.CI = converge.CI{Reason: err.Error()}
		return
	}
	b.CI = t.CI.Of(ctx, b.Head, config.CI.Required)
	now.CI = b.CI
}

// host looks at what runs, unless a deploy replaces it anyway.
func (t *Ticker) host(ctx context.Context, o *converge.Observation, now *Tick, newest string) (seen bool) {
	h := &o.Host
	if h.Error == nil {
		h.Degraded, _, h.Error = t.Engine.Unsettled(ctx)
	}
	if h.Error != nil || (converge.NewCommit(*o) && o.Branch.CI.Verdict == converge.CIGreen) {
		return false
	}
	drifted, err := t.Engine.Drift(ctx)
	if err != nil {
		h.Error = err
		return false
	}
	h.Drift, h.Config, now.Unknown = drifted.Drift, drifted.Config, drifted.Unknown
	t.mu.Lock()
	if t.newest == newest {
		h.Before = t.before
	}
	t.mu.Unlock()
	if t.Images != nil && h.Config.Images != nil {
		var notes []string
		h.Updates, notes = t.Images.Newer(ctx, *h.Config.Images, touchable(drifted.Models, h.Config.LeaveOut), drifted.Now)
		now.Unknown = append(now.Unknown, notes...)
	}
	if d := converge.Decide(*o); d.Outcome == converge.Repair || d.Outcome == converge.Update {
		h.Obstacle = t.Engine.Obstacle(ctx) // asked only where something would be made from it
		now.Plan, _ = drifted.Plan(d.Deeds) // what cannot be planned is refused by the operation
	}
	return true
}

// touchable are models without the services that convergence never touches.
func touchable(models []picture.Model, leaveOut []string) []picture.Model {
	if len(leaveOut) == 0 {
		return models
	}
	left := slices.Clone(models)
	for i, m := range left {
		left[i].Services = maps.Clone(m.Services)
		maps.DeleteFunc(left[i].Services, func(name string, _ picture.Spec) bool { return pipeline.Names(leaveOut, m.Stack, name) })
	}
	return left
}
