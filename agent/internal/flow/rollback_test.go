package flow_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// TestMigrationsStayIsSaidLoudly: a rollback brings back code, not data.
func TestMigrationsStayIsSaidLoudly(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		target := b.Push(map[string]string{
			"app/main.go": "two", "migrations/003_third.sql": "select 3;", "migrations/004_fourth.sql": "select 4;",
		})
		b.Answer("web", func(int) operation.ProbeResult {
			if b.Head() == target {
				return bad("crash loop")
			}
			return good("good")
		})
		op := b.judged(b.deploy(target).ID)
		if op.State != operation.RolledBack {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
		said := warningsOf(b.watch(op.ID, 0, nil), "MIGRATIONS_STAY")
		if len(said) != 1 || !strings.Contains(said[0], "003_third, 004_fourth") || !strings.Contains(said[0], "code only") {
			t.Errorf("said %q", said)
		}
		if calls := len(b.Calls("Scripts.Migrate")); calls != 2 {
			t.Errorf("migrations were run %d times in two deploys and a rollback", calls)
		}
	})
}

func TestNoMigrationsNoWarning(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		b.FailAt("Runtime.Run apply/app/2", fault.New(fault.Failed, "UP_FAILED", "exit code 1"))
		op := b.judged(b.deploy(next(b)).ID)
		if op.State != operation.RolledBack || len(op.Warnings) != 0 {
			t.Errorf("ended in %s, warnings %q", op.State, op.Warnings)
		}
	})
}

func warningsOf(events []operation.Event, reason string) []string {
	var messages []string
	for _, e := range events {
		if e.Warning != nil && e.Warning.Reason == reason {
			messages = append(messages, e.Warning.Message)
		}
	}
	return messages
}

// TestRollbackThatFailsTellsAll: why it failed, why it began, what runs, what does not, what to do.
func TestRollbackThatFailsTellsAll(t *testing.T) {
	for label, reason := range map[string]string{
		"Trees.SideTree":             "DISK_FULL",
		"Checkout.Move":              "DISK_FULL",
		"Restorer.Carry":             "DISK_FULL",
		"Restorer.Look":              "DISK_FULL",
		"Prober.Probe web":           "PROBE_DEADLINE",
		"Sentinels.ChangeBlocked":    "DISK_FULL",
		"Sentinels.ChangePause":      "DISK_FULL",
		"Trees.Pipeline":             "DISK_FULL",
		"Prober.Probe containers":    "PROBE_DEADLINE",
		"Engine.Tag core/app":        "DISK_FULL",
		"Runtime.Prove":              "DISK_FULL",
		"Engine.Restart core/mailer": "",
	} {
		t.Run(label, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.deployed(b.Head())
				target := next(b)
				op := b.until(b.deploy(target).ID, operation.AwaitingVerify)
				b.ChangeContainer("core", "app", func(c *picture.Container) { c.State, c.ExitCode = "exited", 3 })
				b.Answer("containers", func(int) operation.ProbeResult {
					if b.Head() == target {
						b.FailAt(label, fault.New(fault.Failed, "DISK_FULL", "no space left"))
						return bad("app: exited with code 3")
					}
					return good("good")
				})
				op = b.judged(op.ID)
				if reason == "" {
					if op.State != operation.RolledBack {
						t.Errorf("ended in %s, %+v", op.State, op.Failure)
					}
					return
				}
				if op.State != operation.RollbackFailed {
					t.Fatalf("ended in %s, %+v", op.State, op.Failure)
				}
				f := *op.Failure
				if f.Reason != reason || f.Kind != fault.Degraded || fault.ExitCode(operation.ResultOf(op.State, op.Failure)) != 5 {
					t.Errorf("failure %+v", f)
				}
				for _, part := range []string{"the rollback failed: ", "it began because ", "app: exited with code 3", "; running: ", "extra/worker", "not running: "} {
					if !strings.Contains(f.Message, part) {
						t.Errorf("the message does not say %q: %s", part, f.Message)
					}
				}
				if !strings.Contains(f.Hint, "landfall-coordinator show "+op.ID) {
					t.Errorf("hint %q", f.Hint)
				}
			})
		})
	}
}

func TestRollbackThatFailsWhileTheEngineIsGone(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		b.On("Scripts.Migrate", func(context.Context, hosttest.Call) error {
			gone := fault.New(fault.Failed, "ENGINE_DOWN", "the engine does not answer")
			b.FailAt("Runtime.Ready", gone)
			b.FailAt("Inspector.Services", gone)
			return gone
		})
		began := time.Now()
		op := b.judged(b.deploy(next(b)).ID)
		if op.State != operation.RollbackFailed || op.Failure.Reason != "ENGINE_DOWN" || !strings.Contains(op.Failure.Message, "what runs is not known: the engine does not answer") {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
		if took := time.Since(began); took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("it waited %s for the engine", took)
		}
	})
}

// TestRollbackOutlastsAnEngineThatEnds: an engine that is about to end still answers, and what it
// is asked next is lost.
func TestRollbackOutlastsAnEngineThatEnds(t *testing.T) {
	for label, c := range map[string]struct {
		times int // that it fails
		err   error
		end   operation.State
	}{
		"Runtime.Prove":  {2, fault.New(fault.Failed, "COMPOSE_CONFIG", "exit code 1"), operation.RolledBack},
		"Restorer.Look":  {1, fault.New(fault.Failed, "ENGINE_DOWN", "it does not answer"), operation.RolledBack},
		"Restorer.Carry": {2, fault.New(fault.Failed, "ROLLBACK_UP_FAILED", "exit code 1"), operation.RolledBack},
		"Runtime.Ready":  {50, fault.New(fault.Failed, "ENGINE_DOWN", "it does not answer"), operation.RolledBack},
		"a deadline":     {1, fault.New(fault.Deadline, "CHILD_DEADLINE", "not within 5m"), operation.RolledBack},
		"for good":       {1000, fault.New(fault.Deadline, "CHILD_DEADLINE", "not within 5m"), operation.RollbackFailed},
	} {
		t.Run(label, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.deployed(b.Head())
				before := b.World()
				op := b.until(b.deploy(next(b)).ID, operation.AwaitingVerify)
				b.Answer("web", func(int) operation.ProbeResult {
					if b.Head() == before.Head {
						return good("good")
					}
					return bad("crash loop")
				})
				if label == "for good" || label == "a deadline" {
					label = "Restorer.Carry"
				}
				failed := 0
				b.On(label, func(context.Context, hosttest.Call) error {
					if failed++; failed <= c.times {
						return c.err
					}
					return nil
				})
				op = b.judged(op.ID)
				if op.State != c.end || failed == 0 || (failed < c.times && c.end == operation.RolledBack) {
					t.Fatalf("ended in %s after %d failures, %+v", op.State, failed, op.Failure)
				}
				if w := b.World(); c.end == operation.RolledBack && (w.Head != before.Head || w.Images["core/app"] != before.Images["core/app"]) {
					t.Errorf("the host: %+v", w)
				}
			})
		})
	}
}

// TestTargetOfARollbackIsCheckedBeforeAnythingIsStopped, automatic and by hand.
func TestTargetOfARollbackIsCheckedBeforeAnythingIsStopped(t *testing.T) {
	t.Run("automatic", func(t *testing.T) {
		inBubble(t, func(b *bench) {
			b.deployed(b.Head())
			op := b.until(b.deploy(next(b)).ID, operation.AwaitingVerify)
			ids, head := b.ContainerIDs(), b.Head()
			b.FailAt("Runtime.Prove", fault.New(fault.Invalid, "COMPOSE_INVALID", "no such env file"))
			b.Answer("web", func(int) operation.ProbeResult { return bad("HTTP 500") })
			op = b.judged(op.ID)
			if op.State != operation.RollbackFailed || op.Failure.Reason != "COMPOSE_INVALID" {
				t.Errorf("ended in %s, %+v", op.State, op.Failure)
			}
			diff(t, "containers", b.ContainerIDs(), ids)
			if b.Head() != head {
				t.Error("the checkout moved")
			}
		})
	})
	for label, reason := range map[string]string{
		"Runtime.Prove": "BROKEN", "Trees.SideTree": "BROKEN", "Trees.Pipeline": "BROKEN", "Checkout.Look": "BROKEN", "Restorer.Look": "BROKEN", "Restorer.Pin": "BROKEN", "Commits.Head": "BROKEN",
	} {
		t.Run("by hand "+label, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				first := b.Head()
				b.deployed(first)
				b.deployed(next(b))
				before, ids := b.World(), b.ContainerIDs()
				b.FailAt(label, fault.New(fault.Failed, "BROKEN", "it broke"))
				op := b.ended(b.rollback(flow.RollbackRequest{Target: first}).ID)
				if op.State != operation.FailedUntouched || op.Failure.Reason != reason {
					t.Errorf("ended in %s, %+v", op.State, op.Failure)
				}
				diff(t, "the host", b.World(), before)
				diff(t, "containers", b.ContainerIDs(), ids)
			})
		})
	}
}

// TestRollbackWithoutConfiguration: the old commit's landfall.yaml is broken, so the one
// that was just deployed says how the old version is to be run.
func TestRollbackWithoutConfiguration(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		target := next(b)
		op := b.until(b.deploy(target).ID, operation.AwaitingVerify)
		asked := 0
		b.On("Trees.Pipeline", func(context.Context, hosttest.Call) error {
			if asked++; asked == 1 {
				return fault.New(fault.Invalid, "NO_CONFIG", "the commit has no landfall.yaml")
			}
			return nil
		})
		b.Answer("web", func(int) operation.ProbeResult {
			if b.Head() == target {
				return bad("HTTP 500")
			}
			return good("good")
		})
		if op = b.judged(op.ID); op.State != operation.RolledBack {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
	})
}

func (b *bench) rollback(req flow.RollbackRequest) operation.Operation {
	b.t.Helper()
	if req.CommandID == "" {
		req.CommandID = "rollback"
	}
	req.Requester = canceller
	op, repeated, err := b.engine.Rollback(req)
	if err != nil || repeated {
		b.t.Fatalf("rollback: repeated %v, %v", repeated, err)
	}
	return op
}

// TestARollbackByHandForgivesNothingOfToday: what is down now is what the rollback is for. Nor is what its own steps make forgiven.
func TestARollbackByHandForgivesNothingOfToday(t *testing.T) {
	for name, remembered := range map[string]bool{"what somebody remembers": true, "what nobody remembers": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				first := b.Head()
				b.deployed(first)
				if !remembered { // a commit between two deploys: nobody has seen it run
					first = b.Push(map[string]string{"app/main.go": "between"})
				}
				b.deployed(next(b))
				b.ChangeContainer("core", "app", func(c *picture.Container) { c.State, c.ExitCode = "exited", 7 })
				b.On("Inspector.Services", func(context.Context, hosttest.Call) error {
					if b.Head() == first { // the old version does not live either
						b.ChangeContainer("core", "app", func(c *picture.Container) { c.State, c.ExitCode = "exited", 7 })
					}
					return nil
				})
				op := b.ended(b.rollback(flow.RollbackRequest{Target: first}).ID)
				if op.State != operation.RollbackFailed || !strings.Contains(op.Failure.Message, "exited with code 7") {
					t.Errorf("ended in %s, %q, %+v", op.State, op.Summary, op.Failure)
				}
			})
		})
	}
}

// TestRollbackByHand brings back what ran before, from memory or by building it again.
func TestRollbackByHand(t *testing.T) {
	for name, request := range map[string]func(first string, last operation.Operation) flow.RollbackRequest{
		"by operation": func(_ string, last operation.Operation) flow.RollbackRequest {
			return flow.RollbackRequest{Operation: last.ID}
		},
		"by number": func(_ string, last operation.Operation) flow.RollbackRequest {
			return flow.RollbackRequest{Operation: "2"}
		},
		"by a remembered commit": func(first string, _ operation.Operation) flow.RollbackRequest {
			return flow.RollbackRequest{Target: first}
		},
		"by an unremembered one": nil,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				first := b.Head()
				b.deployed(first)
				before := b.World()
				target := next(b)
				b.deployed(target)
				last := b.operation("")
				to := first
				req := flow.RollbackRequest{}
				if request != nil {
					req = request(first, last)
				} else { // a commit between two deploys: nobody has seen it run
					to = b.Push(map[string]string{"app/main.go": "between"})
					b.deployed(b.Push(map[string]string{"app/main.go": "newest"}))
					target = b.Head()
					req.Target = to
				}
				builds := len(b.Calls("Engine.Build"))
				op := b.ended(b.rollback(req).ID)
				if op.State != operation.Succeeded || op.Kind != operation.KindRollback || op.Target != to || op.PreDeploy != target {
					t.Fatalf("ended in %s: %+v", op.State, op)
				}
				if request == nil {
					before.Images["core/app"] = hosttest.ImageAt(to, "core", "app")
					diff(t, "images", b.World().Images, before.Images)
				} else {
					diff(t, "images", b.World().Images, before.Images)
					if again := len(b.Calls("Engine.Build")); again != builds {
						t.Error("what is remembered was built again")
					}
				}
				w := b.World()
				if w.Head != to || w.Stamp != to || !slices.Equal(w.Blocked, []string{target}) || w.Pause != op.ID {
					t.Errorf("the host: %+v", w)
				}
				_, _, err := b.engine.Deploy(b.request("convergence-would", target))
				if err != nil {
					t.Fatal(err)
				}
				if op := b.ended(b.operation("").ID); op.State != operation.FailedUntouched || op.Failure.Reason != "SHA_BLOCKED" {
					t.Errorf("the commit that was left can be deployed: %s, %+v", op.State, op.Failure)
				}
			})
		})
	}
}

func TestRollbackThatIsRefused(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		b.deployed(first)
		b.deployed(next(b))
		before := b.World()

		rollback := func(req flow.RollbackRequest) error {
			req.CommandID = "refused"
			_, _, err := b.engine.Rollback(req)
			return err
		}
		if err := rollback(flow.RollbackRequest{Operation: "op-99"}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown operation: %v", err)
		}
		for name, c := range map[string]struct {
			target, reason string
			kind           fault.Kind
		}{
			"unknown commit": {strings.Repeat("d", 40), "UNKNOWN_COMMIT", fault.NotFound},
			"not earlier": {func() string {
				sha := b.Stray(first, map[string]string{"app/main.go": "stray"})
				if _, err := b.Ports().Commits.Fetch(t.Context(), sha, nil); err != nil {
					t.Fatal(err)
				}
				return sha
			}(), "NOT_EARLIER", fault.Refused},
		} {
			op := b.ended(b.rollback(flow.RollbackRequest{CommandID: name, Target: c.target}).ID)
			if op.State != operation.FailedUntouched || op.Failure.Reason != c.reason || op.Failure.Kind != c.kind {
				t.Errorf("%s: ended in %s, %+v", name, op.State, op.Failure)
			}
		}
		diff(t, "the host", b.World(), before)

		pending, _, err := b.Ports().Journal.Create(hosttest.Accepted("nothing"))
		if err != nil {
			t.Fatal(err)
		}
		if err := rollback(flow.RollbackRequest{Operation: pending.ID}); fault.ReasonOf(err) != "NOTHING_BEFORE" {
			t.Errorf("one that knows of nothing before: %v", err)
		}
		running := b.until(b.deploy(b.Push(map[string]string{"app/main.go": "newest"})).ID, operation.AwaitingVerify)
		if err := rollback(flow.RollbackRequest{Operation: running.ID}); fault.ReasonOf(err) != "STILL_RUNNING" || !strings.Contains(err.Error(), "cancel "+running.ID) {
			t.Errorf("one that runs: %v", err)
		}
		if err := rollback(flow.RollbackRequest{Target: first}); fault.ReasonOf(err) != "HOST_LOCKED" || !strings.Contains(err.Error(), running.ID) {
			t.Errorf("while another runs: %v", err)
		}
		b.judged(running.ID)
	})
}

func TestRollbackIsOneOperationACommand(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		b.deployed(first)
		b.deployed(next(b))
		req := flow.RollbackRequest{CommandID: "the-command", Requester: canceller, Target: first}
		op, repeated, err := b.engine.Rollback(req)
		if err != nil || repeated {
			t.Fatal(repeated, err)
		}
		for range 2 { // while it runs, and after
			again, repeated, err := b.engine.Rollback(req)
			if err != nil || !repeated || again.ID != op.ID {
				t.Errorf("again: %s, repeated %v, %v", again.ID, repeated, err)
			}
			b.ended(op.ID)
			synctest.Wait()
		}
		b.engine.Close()
		b.start()
		if again, repeated, err := b.engine.Rollback(req); err != nil || !repeated || again.ID != op.ID || again.State != operation.Succeeded {
			t.Errorf("after a restart: %s, repeated %v, %v", again.ID, repeated, err)
		}
	})
}

// TestOperatorsPauseSurvives a deploy, its Finish, a rollback.
func TestOperatorsPauseSurvives(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		mine := &ports.Pause{Reason: "backup", Owner: canceller, Created: time.Now(), Expires: time.Now().Add(24 * time.Hour)}
		if err := b.Ports().Sentinels.ChangePause(becomes(mine)); err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			if now, err := b.Ports().Sentinels.Pause(); err != nil || now == nil || *now != *mine {
				t.Errorf("%s the pause is %+v, %v", when, now, err)
			}
		}
		b.deployed(first)
		check("after a deploy and its Finish")
		b.FailAt("Runtime.Run apply/app/2", fault.New(fault.Failed, "UP_FAILED", "exit code 1"))
		if op := b.judged(b.deploy(next(b)).ID); op.State != operation.RolledBack {
			t.Errorf("ended in %s", op.State)
		}
		check("after a deploy that was rolled back")
		b.On("Runtime.Run apply/app/2", nil)
		b.deployed(b.Push(map[string]string{"app/main.go": "three"}))
		if op := b.ended(b.rollback(flow.RollbackRequest{Target: first}).ID); op.State != operation.Succeeded {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
		check("after a rollback")
		mine.Expires = time.Now().Add(-time.Second)
		if err := b.Ports().Sentinels.ChangePause(becomes(mine)); err != nil {
			t.Fatal(err)
		}
		op := b.until(b.deploy(b.Push(map[string]string{"app/main.go": "four"})).ID, operation.AwaitingVerify)
		if w := b.World(); w.Pause != op.ID {
			t.Errorf("a pause that is over keeps the deploy from making its own: %+v", w)
		}
		b.judged(op.ID)
	})
}
