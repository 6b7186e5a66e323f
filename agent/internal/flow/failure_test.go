package flow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/ports"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// TestProveFailures: whatever the proof finds, the deploy ends untouched, with the reason
// that the finding has.
func TestProveFailures(t *testing.T) {
	type request = flow.DeployRequest
	same := func(*request) {}
	for name, c := range map[string]struct {
		prepare func(b *bench) (target string)
		change  func(*request)
		kind    fault.Kind
		reason  string
		step    string
	}{
		"unknown commit": {func(*bench) string { return strings.Repeat("e", 40) }, same, fault.NotFound, "UNKNOWN_COMMIT", "prove/fetch"},
		"not on the branch": {func(b *bench) string {
			return b.Stray(b.Head(), map[string]string{"app/main.go": "stray"})
		}, same, fault.Refused, "NOT_ON_BRANCH", "prove/fetch"},
		"blocked": {func(b *bench) string {
			sha := b.Push(map[string]string{"app/main.go": "bad"})
			_ = b.Ports().Sentinels.ChangeBlocked(func([]ports.Blocked) []ports.Blocked {
				return []ports.Blocked{{SHA: sha, Reason: "it crashed", Created: time.Now()}}
			})
			return sha
		}, same, fault.Refused, "SHA_BLOCKED", "prove/fetch"},
		"base is not the stamp": {next, func(r *request) { r.Base, r.Everything = r.Target, "" }, fault.Refused, "BASE_NOT_STAMP", "prove/fetch"},
		"other plan":            {next, func(r *request) { r.PlanDigest = "sha256:other" }, fault.Refused, "PLAN_DIGEST_MISMATCH", "prove/plan"},
		"broken landfall.yaml": {func(b *bench) string {
			return b.Push(map[string]string{hosttest.ConfigPath: "version: 1\nproject: [\n"})
		}, same, fault.Invalid, "CONFIG_INVALID", "prove/plan"},
		"no landfall.yaml": {func(b *bench) string {
			return b.Push(map[string]string{hosttest.ConfigPath: ""})
		}, same, fault.Invalid, "NO_CONFIG", "prove/plan"},
		"edited by hand": {func(b *bench) string {
			b.Edit("app/main.go", "hacked")
			return next(b)
		}, same, fault.Refused, "DIRTY_TREE", "prove/checkout"},
		"invalid compose file": {func(b *bench) string {
			return b.Push(map[string]string{"compose.yml": "app\ninvalid\n"})
		}, same, fault.Invalid, "COMPOSE_INVALID", "prove/compose"},
		"missing compose file": {func(b *bench) string {
			return b.Push(map[string]string{"compose.extra.yml": ""})
		}, same, fault.Invalid, "COMPOSE_INVALID", "prove/compose"},
		"disk low": {func(b *bench) string {
			b.FailAt("Gauge.Check", fault.New(fault.Failed, "DISK_LOW", "1 MiB free"))
			return next(b)
		}, same, fault.Failed, "DISK_LOW", "prove/host"},
		"remote does not answer": {func(b *bench) string {
			b.FailAt("Commits.Fetch", fault.New(fault.Failed, "REMOTE_UNREACHABLE", "no route"))
			return next(b)
		}, same, fault.Failed, "REMOTE_UNREACHABLE", "prove/fetch"},
		"head unknown": {func(b *bench) string {
			b.FailAt("Commits.Head", fault.New(fault.Failed, "GIT_FAILED", "x"))
			return next(b)
		}, same, fault.Failed, "GIT_FAILED", "prove/fetch"},
		"ancestry unknown": {func(b *bench) string {
			b.FailAt("Commits.IsAncestor", fault.New(fault.Failed, "SHALLOW_HISTORY", "x"))
			return next(b)
		}, same, fault.Failed, "SHALLOW_HISTORY", "prove/fetch"},
		"broken blocked-sha": {func(b *bench) string {
			b.FailAt("Sentinels.Blocked", fault.New(fault.Degraded, "SENTINEL_BROKEN", "x"))
			return next(b)
		}, same, fault.Degraded, "SENTINEL_BROKEN", "prove/fetch"},
		"broken stamp": {func(b *bench) string {
			b.FailAt("Stamp.Stamp", fault.New(fault.Degraded, "STAMP_BROKEN", "x"))
			return next(b)
		}, same, fault.Degraded, "STAMP_BROKEN", "prove/fetch"},
		"no side tree": {func(b *bench) string {
			b.FailAt("Trees.SideTree", fault.New(fault.Failed, "SIDE_TREE", "x"))
			return next(b)
		}, same, fault.Failed, "SIDE_TREE", "prove/compose"},
		"unclassified": {func(b *bench) string {
			b.FailAt("Checkout.Look", fmt.Errorf("something"))
			return next(b)
		}, same, fault.Internal, "INTERNAL", "prove/checkout"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				head := b.Head()
				target := c.prepare(b)
				set := len(b.Calls("Sentinels.ChangePause"))
				op := b.ended(b.deploy(target, c.change).ID)
				if op.State != operation.FailedUntouched || op.Failure == nil {
					t.Fatalf("ended in %s, %+v", op.State, op.Failure)
				}
				f := *op.Failure
				if f.Hint != "" && strings.Contains(f.Message, f.Hint) {
					t.Errorf("the hint is told twice: %+v", f)
				}
				if f.Kind != c.kind || f.Reason != c.reason || f.StepID != c.step || f.Message == "" {
					t.Errorf("failure %+v; want %v, %s in %s", f, c.kind, c.reason, c.step)
				}
				if last := op.Steps[len(op.Steps)-1]; last.ID != c.step || last.Outcome != operation.StepFailed || last.Failure == nil {
					t.Errorf("the last step is %+v", last)
				}
				b.untouched()
				if b.Head() != head || len(b.Calls("Sentinels.ChangePause")) != set {
					t.Error("the host is not as it was")
				}
			})
		})
	}
}

// next pushes a commit that could be deployed.
func next(b *bench) string { return b.Push(map[string]string{"app/main.go": "next"}) }

func TestPauseThatCannotBeSetEndsUntouched(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.FailAt("Sentinels.ChangePause", fault.New(fault.Degraded, "STATE_FILE", "disk full"))
		op := b.ended(b.deploy(b.Head()).ID)
		if op.State != operation.FailedUntouched || op.Failure.Reason != "STATE_FILE" {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
		if calls := b.Calls("Checkout.Re"); len(calls) > 0 {
			t.Errorf("the checkout was touched: %q", calls)
		}
	})
}

// TestFailuresAfterTheFirstWrite: whatever fails then, the deploy names the step, shows the end of its output, and the host is
// as before. Where a container or the database may have been touched it ends ROLLED_BACK, the commit blocked, convergence paused; before that
// it ends FAILED_UNTOUCHED, and the same commit can be deployed again at once.
func TestFailuresAfterTheFirstWrite(t *testing.T) {
	for label, c := range map[string]struct {
		step string
		end  operation.State
		code int
	}{
		"Checkout.Restore":           {"clean", operation.FailedUntouched, 1},
		"Checkout.Move":              {"reset", operation.FailedUntouched, 1},
		"Runtime.Run build/app/1":    {"build/app/1", operation.FailedUntouched, 1},
		"Runtime.Complete":           {"build/complete", operation.FailedUntouched, 1},
		"Scripts.Migrate migrate.sh": {"migrate/script/1", operation.RolledBack, 4},
		"Runtime.Run apply/app/2":    {"apply/app/2", operation.RolledBack, 4},
		"Stamp.SetStamp":             {"stamp", operation.RolledBack, 4},
	} {
		t.Run(label, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				first := b.Head()
				b.deployed(first)
				before := b.World()
				target := next(b)
				broken := false // once: what fails for ever is another test's
				b.On(label, func(_ context.Context, call hosttest.Call) error {
					if broken {
						return nil
					}
					broken = true
					if call.Out != nil {
						for n := range 100 {
							call.Out(operation.Stderr, fmt.Sprint("line ", n), false)
						}
					}
					return fault.New(fault.Failed, "BROKEN", "it broke").WithHint("mend it")
				})
				op := b.judged(b.deploy(target).ID)
				if op.State != c.end || op.Failure == nil {
					t.Fatalf("ended in %s, %+v", op.State, op.Failure)
				}
				f := *op.Failure
				if f.StepID != c.step || f.Reason != "BROKEN" || f.Kind != fault.Failed || f.Hint != "mend it" {
					t.Errorf("failure %+v", f)
				}
				if n := len(f.OutputTail); n > 0 && (n != 40 || f.OutputTail[0] != "line 60" || f.OutputTail[39] != "line 99") {
					t.Errorf("the tail has %d lines: %q", n, f.OutputTail)
				}
				if fault.ExitCode(operation.ResultOf(op.State, op.Failure)) != c.code {
					t.Error("the caller is told something else")
				}
				if c.end == operation.FailedUntouched {
					diff(t, "the host", b.World(), before)
					again := b.judged(b.deploy(target, func(r *flow.DeployRequest) { r.CommandID = "again" }).ID)
					if again.State != operation.Succeeded {
						t.Errorf("the same commit again: %s, %+v", again.State, again.Failure)
					}
					return
				}
				before.Blocked, before.Pause = []string{target}, op.ID
				diff(t, "the host", b.World(), before)
				if blocked, _ := b.Ports().Sentinels.Blocked(); len(blocked) != 1 || blocked[0].Operation != op.ID || blocked[0].Reason != "it broke" {
					t.Errorf("blocked %+v", blocked)
				}
				if _, err := b.engine.Finish(op.ID); fault.ReasonOf(err) != "NOT_SUCCEEDED" {
					t.Errorf("Finish: %v", err)
				}
			})
		})
	}
}

func TestOlderTargetIsSuperseded(t *testing.T) {
	inBubble(t, func(b *bench) {
		older := b.Head()
		newer := next(b)
		b.deployed(newer)
		op := b.ended(b.deploy(older).ID)
		if op.State != operation.Superseded || op.SupersededBy != newer || op.Failure != nil {
			t.Fatalf("ended in %s by %q, %+v", op.State, op.SupersededBy, op.Failure)
		}
		if b.Head() != newer {
			t.Error("the checkout moved")
		}
		op = b.judged(b.deploy(older, func(r *flow.DeployRequest) { r.CommandID, r.AllowOlder = "again", true }).ID)
		if op.State != operation.Succeeded || b.Head() != older {
			t.Errorf("allowed: ended in %s, %+v", op.State, op.Failure)
		}
	})
}

func TestTheSameCommitMayBeDeployedAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		target := b.Head()
		b.deployed(target)
		op := b.judged(b.deploy(target, func(r *flow.DeployRequest) { r.CommandID = "again" }).ID)
		if op.State != operation.Succeeded {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
	})
}

// TestStampThatTheRemoteLost: after a force-push nothing is older or newer than the
// stamp; with everything to do, the deploy goes on.
func TestStampThatTheRemoteLost(t *testing.T) {
	inBubble(t, func(b *bench) {
		if err := b.Ports().Stamp.SetStamp(strings.Repeat("d", 40)); err != nil {
			t.Fatal(err)
		}
		op := b.judged(b.deploy(next(b), func(r *flow.DeployRequest) { r.Everything = "the base is gone" }).ID)
		if op.State != operation.Succeeded {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
	})
}

func TestAncestryIsNotAskedForWhereThePolicySaysSo(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.judged(b.deploy(b.Stray(b.Head(), map[string]string{"app/main.go": "stray"})).ID)
		if op.State != operation.Succeeded {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
	}, func(p *flow.Policy) { p.RequireAncestry = false })
}
