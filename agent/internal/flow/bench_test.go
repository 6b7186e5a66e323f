package flow_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
)

// bench is an engine over a host in memory, inside a bubble of fake time.
type bench struct {
	*hosttest.Host
	t      *testing.T
	engine *flow.Flows
}

// inBubble runs a test on a bench. synctest ends it in failure when a goroutine is left.
func inBubble(t *testing.T, test func(b *bench), policy ...func(*flow.Policy)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{Host: hosttest.NewHost(), t: t}
		b.start(policy...)
		defer func() { b.engine.Close() }()
		test(b)
	})
}

// start puts a new engine on the host, as a start of the agent does.
func (b *bench) start(policy ...func(*flow.Policy)) {
	b.t.Helper()
	b.engine = b.Engine(policy...)
	if err := b.engine.Start(); err != nil {
		b.t.Fatal(err)
	}
}

// request is what a coordinator sends to deploy target.
func (b *bench) request(commandID, target string) flow.DeployRequest {
	b.t.Helper()
	req, err := b.Request(commandID, target)
	if err != nil {
		b.t.Fatal(err)
	}
	return req
}

// deploy starts a deploy of target, changed as told.
func (b *bench) deploy(target string, change ...func(*flow.DeployRequest)) operation.Operation {
	b.t.Helper()
	req := b.request("deploy-"+target, target)
	for _, c := range change {
		c(&req)
	}
	op, repeated, err := b.engine.Deploy(req)
	if err != nil || repeated {
		b.t.Fatalf("deploy: repeated %v, %v", repeated, err)
	}
	return op
}

// deployed brings target to SUCCEEDED and resumes convergence.
func (b *bench) deployed(target string) {
	b.t.Helper()
	op := b.judged(b.deploy(target).ID)
	if op.State != operation.Succeeded {
		b.t.Fatalf("the deploy of %s ended in %s: %+v", target, op.State, op.Failure)
	}
	if _, err := b.engine.Finish(op.ID); err != nil {
		b.t.Fatal(err)
	}
}

// judged waits for the end, asking for the verification when it is awaited.
func (b *bench) judged(id string) operation.Operation {
	b.t.Helper()
	events := b.watch(id, 0, func(s operation.State) bool {
		if s == operation.AwaitingVerify {
			if _, err := b.engine.Verify(id); err != nil {
				b.t.Error(err)
			}
		}
		return true
	})
	b.checkSequence(events)
	return b.operation(id)
}

// until waits for the operation to have nothing to say in a state.
func (b *bench) until(id string, state operation.State) operation.Operation {
	b.t.Helper()
	b.watch(id, 0, func(s operation.State) bool { return s != state })
	return b.operation(id)
}

// ended waits for the end without asking for anything.
func (b *bench) ended(id string) operation.Operation {
	b.t.Helper()
	b.checkSequence(b.watch(id, 0, nil))
	return b.operation(id)
}

func (b *bench) operation(id string) operation.Operation {
	b.t.Helper()
	op, err := b.engine.Operation(id)
	if err != nil {
		b.t.Fatal(err)
	}
	return op
}

func (b *bench) watch(id string, after uint64, idle func(operation.State) bool) []operation.Event {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	var all []operation.Event
	if err := b.engine.Watch(ctx, id, after, func(events []operation.Event) error {
		all = append(all, events...)
		return nil
	}, idle); err != nil {
		b.t.Fatalf("watch: %v", err)
	}
	return all
}

func (b *bench) checkSequence(events []operation.Event) {
	b.t.Helper()
	for i, e := range events {
		if e.Sequence != uint64(i+1) {
			b.t.Fatalf("event %d has sequence %d", i+1, e.Sequence)
		}
	}
}

// untouched fails the test when anything was changed.
func (b *bench) untouched() {
	b.t.Helper()
	for _, label := range []string{"Runtime.Run", "Checkout.Move", "Checkout.Restore", "Sentinels.ChangePause", "Scripts.", "Stamp.SetStamp"} {
		if calls := b.Calls(label); len(calls) > 0 {
			b.t.Errorf("the host was touched: %q", calls)
		}
	}
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// apart gives the calls of a label a duration of their own, so that side by side they
// end in a known order.
func (b *bench) apart(label string, d time.Duration) {
	b.On(label, func(ctx context.Context, _ hosttest.Call) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// gauge counts how many calls of a label go on at once.
type gauge struct {
	mu        sync.Mutex
	now, most int
}

func (g *gauge) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now++
	g.most = max(g.most, g.now)
}

func (g *gauge) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now--
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// step is the first record of a step.
func step(t *testing.T, op operation.Operation, id string) operation.StepRecord {
	t.Helper()
	i := slices.IndexFunc(op.Steps, func(s operation.StepRecord) bool { return s.ID == id })
	if i < 0 {
		t.Fatalf("step %s did not run", id)
	}
	return op.Steps[i]
}
