package flow_test

import (
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/ports"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

func everything(r *flow.DeployRequest) {
	r.Everything, r.CommandID = "the host is unsettled", r.CommandID+"-everything"
}

// TestUnsettledHostIsDeployedInFull: where the stamp does not tell what runs, a change set
// measured from it is not enough.
func TestUnsettledHostIsDeployedInFull(t *testing.T) {
	for name, unsettle := range map[string]func(b *bench){
		"a rollback that failed": func(b *bench) {
			b.FailAt("Runtime.Run apply/app/2", fault.New(fault.Failed, "UP_FAILED", "exit code 1"))
			b.FailAt("Engine.Tag core/app", fault.New(fault.Failed, "ENGINE", "it broke"))
			if op := b.judged(b.deploy(next(b)).ID); op.State != operation.RollbackFailed {
				b.t.Fatalf("ended in %s", op.State)
			}
			b.On("Runtime.Run apply/app/2", nil)
			b.On("Engine.Tag core/app", nil)
		},
		"a stamp that nobody knows": func(b *bench) {
			if err := b.Ports().Stamp.SetStamp(strings.Repeat("d", 40)); err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.deployed(b.Head())
				if why, _, err := b.engine.Unsettled(t.Context()); why != "" || err != nil {
					t.Errorf("after a success: %q, %v", why, err)
				}
				unsettle(b)
				if why, _, err := b.engine.Unsettled(t.Context()); why == "" || err != nil {
					t.Errorf("nothing is said: %v", err)
				}
				target := b.Push(map[string]string{"app/main.go": "fixed"})
				op := b.ended(b.deploy(target).ID)
				if op.State != operation.FailedUntouched || op.Failure.Reason != "UNSETTLED" || op.Failure.Kind != fault.Refused {
					t.Errorf("a change set: ended in %s, %+v", op.State, op.Failure)
				}
				if op = b.deployAll(target); op.State != operation.Succeeded {
					t.Errorf("everything: ended in %s, %+v", op.State, op.Failure)
				}
				if why, _, err := b.engine.Unsettled(t.Context()); why != "" || err != nil {
					t.Errorf("after the next success: %q, %v", why, err)
				}
			})
		})
	}
}

// deployAll deploys target with every flag set.
func (b *bench) deployAll(target string) operation.Operation {
	b.t.Helper()
	if _, err := b.Ports().Commits.Fetch(b.t.Context(), target, nil); err != nil {
		b.t.Fatal(err)
	}
	plan, err := b.engine.PlanAt(b.t.Context(), flow.PlanRequest{Base: b.World().Stamp, Target: target, Everything: "the host is unsettled"})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.judged(b.deploy(target, everything, func(r *flow.DeployRequest) { r.PlanDigest = plan.Digest() }).ID)
}

func TestACommandIDStandsForOneThing(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		running := b.until(b.deploy(first).ID, operation.AwaitingVerify)
		other := next(b)
		reused := func(when string) {
			t.Helper()
			req := b.request(running.CommandID, other)
			if _, _, err := b.engine.Deploy(req); fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "COMMAND_ID_REUSED" {
				t.Errorf("%s, a deploy of something else: %v", when, err)
			}
			if _, _, err := b.engine.Rollback(flow.RollbackRequest{CommandID: running.CommandID, Target: first}); fault.ReasonOf(err) != "COMMAND_ID_REUSED" {
				t.Errorf("%s, a rollback: %v", when, err)
			}
		}
		reused("while it runs")
		b.judged(running.ID)
		reused("after its end")
		b.until(b.deploy(other).ID, operation.AwaitingVerify)
		reused("while another runs")
	})
}

func TestResume(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.until(b.deploy(b.Head()).ID, operation.AwaitingVerify)
		if _, err := b.engine.Resume(); fault.ReasonOf(err) != "HOST_LOCKED" || !strings.Contains(err.Error(), op.ID) {
			t.Errorf("while a deploy needs the pause: %v", err)
		}
		b.judged(op.ID)
		if was, err := b.engine.Resume(); err != nil || was == nil || was.Operation != op.ID {
			t.Errorf("Resume: %+v, %v", was, err)
		}
		if was, err := b.engine.Resume(); err != nil || was != nil || b.World().Pause != "" {
			t.Errorf("again: %+v, %v", was, err)
		}
	})
}

// TestNobodyComesToFinish: a deploy that nobody came to verify is not finished by anybody either.
func TestNobodyComesToFinish(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.ended(b.deploy(b.Head()).ID)
		if w := b.World(); op.State != operation.Succeeded || w.Pause != "" {
			t.Errorf("ended in %s, paused by %q", op.State, w.Pause)
		}
		mine := &ports.Pause{Owner: canceller, Created: time.Now(), Expires: time.Now().Add(time.Hour)}
		if err := b.Ports().Sentinels.ChangePause(becomes(mine)); err != nil {
			t.Fatal(err)
		}
		op = b.ended(b.deploy(next(b)).ID)
		if w := b.World(); op.State != operation.Succeeded || w.Pause != canceller {
			t.Errorf("ended in %s, paused by %q", op.State, w.Pause)
		}
	})
}
