package flow_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// TestCloseLeavesTheRecordForTheNextStart stops the agent in every state; the next start
// goes on as if nothing had been.
func TestCloseLeavesTheRecordForTheNextStart(t *testing.T) {
	for label, state := range map[string]operation.State{
		"Commits.Fetch": operation.Proving, "Runtime.Prove": operation.Proving, "Sentinels.ChangePause": operation.Pausing,
		"Checkout.Restore": operation.Cleaning, "Checkout.Move": operation.Resetting, "Runtime.Run build/app/1": operation.Building,
		"Scripts.Migrate": operation.Migrating, "Runtime.Run apply/app/2": operation.Applying, "": operation.AwaitingVerify,
		"Prober.Probe web": operation.Proving, "Prober.Probe containers": operation.Verifying, "Stamp.SetStamp": operation.Verifying,
	} {
		t.Run(string(state)+" "+label, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.deployed(b.Head())
				target, made := next(b), len(b.Created("core", "app"))
				id := b.stopIn(label, target)
				left, err := b.Ports().Records.Operation(id)
				if err != nil || left.State != state || !left.Ended.IsZero() || left.Failure != nil {
					t.Fatalf("left in %s, %+v, %v; want %s", left.State, left.Failure, err, state)
				}
				b.On(label, nil)
				b.start()
				op := b.judged(id)
				if op.State != operation.Succeeded || op.Restarts != 1 {
					t.Fatalf("ended in %s after %d restarts, %+v", op.State, op.Restarts, op.Failure)
				}
				if len(op.Warnings) == 0 || !strings.Contains(op.Warnings[0], "restarted in "+string(state)) {
					t.Errorf("warnings %q", op.Warnings)
				}
				if w := b.World(); w.Stamp != target || w.Head != target {
					t.Errorf("the host: %+v", w)
				}
				if made = len(b.Created("core", "app")) - made; made != 1 {
					t.Errorf("%d containers were made for the app", made)
				}
			})
		})
	}
}

// stopIn deploys target, closes the engine while the call of a label goes on (in
// AWAITING_VERIFY when there is none) and returns the operation.
func (b *bench) stopIn(label, target string) string {
	b.t.Helper()
	if label == "" {
		op := b.until(b.deploy(target).ID, operation.AwaitingVerify)
		b.engine.Close()
		return op.ID
	}
	reached := make(chan struct{}, 100)
	stopping := make(chan struct{})
	b.On(label, func(ctx context.Context, _ hosttest.Call) error {
		reached <- struct{}{}
		<-stopping // like a call that heeds no context, then like one that does
		<-time.After(time.Second)
		return ctx.Err()
	})
	op := b.deploy(target)
	_, _ = b.engine.Verify(op.ID)
	<-reached
	time.AfterFunc(time.Second, func() { close(stopping) })
	b.engine.Close()
	return op.ID
}

// TestOrphansAreEndedBeforeAnythingIsEnteredAgain: a child of the dead agent may still be
// changing what the new one is about to look at.
func TestOrphansAreEndedBeforeAnythingIsEnteredAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		id := b.stopIn("Runtime.Run apply/app/2", next(b))
		b.On("Runtime.Run apply/app/2", nil)
		b.Leave(id, 3)
		seen := len(b.Calls(""))
		b.start()
		op := b.judged(id)
		calls := b.Calls("")[seen:]
		if calls[0] != "Orphans.End "+id {
			t.Errorf("the new agent begins with %q", calls[:3])
		}
		if op.State != operation.Succeeded || !strings.Contains(op.Warnings[0], "3 processes of its predecessor were ended") {
			t.Errorf("ended in %s, warnings %q", op.State, op.Warnings)
		}
	})
}

func TestOrphansThatCannotBeEndedKeepTheAgentFromStarting(t *testing.T) {
	inBubble(t, func(b *bench) {
		id := b.stopIn("Checkout.Move", b.Head())
		b.Leave(id, -1)
		seen := len(b.Calls("Checkout."))
		b.engine = b.Engine()
		if err := b.engine.Start(); fault.ReasonOf(err) != "ORPHANS_LEFT" {
			t.Errorf("Start: %v", err)
		}
		synctest.Wait()
		if calls := b.Calls("Checkout.")[seen:]; len(calls) > 0 {
			t.Errorf("the checkout was touched: %q", calls)
		}
	})
}

// TestChildrenCarryTheOperation: the mark by which orphans are found is in the context of every child.
func TestChildrenCarryTheOperation(t *testing.T) {
	inBubble(t, func(b *bench) {
		seen := map[string]string{}
		labels := []string{"Commits.Fetch", "Checkout.Move", "Runtime.Prove", "Runtime.Run", "Runtime.Complete", "Scripts.Migrate", "Restorer.Pin"}
		mark := func(ctx context.Context, c hosttest.Call) error {
			seen[c.Label] = hosttest.MarkOf(ctx)
			return nil
		}
		for _, label := range labels {
			b.On(label, mark)
		}
		check := func(id string) {
			t.Helper()
			if len(seen) < len(labels) {
				t.Errorf("seen only %v", seen)
			}
			for label, got := range seen {
				if got != id {
					t.Errorf("%s is marked %q, want %s", label, got, id)
				}
			}
		}
		check(b.judged(b.deploy(b.Head()).ID).ID)
		id := b.stopIn("Gauge.Check", next(b))
		b.On("Gauge.Check", nil)
		clear(seen)
		b.start()
		check(b.judged(id).ID)
	}, oneAtATime)
}

// TestHeadThatMoved: somebody reset the checkout while no agent ran. What the record says is
// not there any more, so the deploy goes back.
func TestHeadThatMoved(t *testing.T) {
	for label, end := range map[string]operation.State{
		"Runtime.Prove": "", "Checkout.Move": operation.FailedUntouched, "Runtime.Run build/app/1": operation.FailedUntouched,
		"Scripts.Migrate": operation.RolledBack, "Runtime.Run apply/app/2": operation.RolledBack, "": operation.RolledBack, "Prober.Probe web": "", "Prober.Probe containers": operation.RolledBack,
	} {
		t.Run(label, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				elsewhere := b.Head()
				first := b.Push(map[string]string{"app/main.go": "first"})
				b.deployed(first)
				before := b.World()
				target := next(b)
				id := b.stopIn(label, target)
				b.On(label, nil)
				b.Checkout(elsewhere)
				b.start()
				op := b.judged(id)
				if end == "" { // nothing had been touched: it begins again and goes on from where the checkout is
					if op.State != operation.Succeeded && op.State != operation.FailedUntouched {
						t.Errorf("ended in %s, %+v", op.State, op.Failure)
					}
					return
				}
				if op.State != end || op.Failure.Reason != "HEAD_MOVED" || !strings.Contains(op.Failure.Message, elsewhere[:12]) {
					t.Fatalf("ended in %s, %+v", op.State, op.Failure)
				}
				if end == operation.RolledBack {
					before.Blocked, before.Pause = []string{target}, id
				}
				before.Migrations = b.World().Migrations
				diff(t, "the host", b.World(), before)
			})
		})
	}
}

// TestRestartLoop: an operation whose work takes the agent down each time is not tried for ever.
func TestRestartLoop(t *testing.T) {
	for label, want := range map[string]operation.State{
		"Commits.Fetch": operation.FailedUntouched, "Runtime.Run apply/app/2": operation.RolledBack,
	} {
		inBubble(t, func(b *bench) {
			b.deployed(b.Head())
			before := b.World()
			target := next(b)
			id := b.stopIn(label, target)
			for starts := 1; ; starts++ {
				reached, release := b.HoldAt(label)
				b.start()
				synctest.Wait()
				if len(reached) == 0 {
					release()
					if starts != 4 {
						t.Errorf("%s: given up at start %d", label, starts)
					}
					break
				}
				b.engine.Close()
				release()
			}
			op := b.judged(id)
			if op.State != want || op.Failure.Reason != "RESTART_LOOP" || op.Restarts != 4 {
				t.Fatalf("%s: ended in %s after %d restarts, %+v", label, op.State, op.Restarts, op.Failure)
			}
			if want == operation.RolledBack {
				before.Blocked, before.Pause = []string{target}, id
			}
			diff(t, "the host", b.World(), before)
		})
	}
}

func TestOnlyTheNewestOfSeveralIsTakenUp(t *testing.T) {
	for label, want := range map[string]operation.State{"": operation.Failed, "Sentinels.ChangePause": operation.FailedUntouched} {
		inBubble(t, func(b *bench) {
			id := b.stopIn(label, b.Head())
			b.On(label, nil)
			journal := b.Ports().Journal
			first := hosttest.Accepted("newer")
			first.Accepted.Target = b.Head()
			newer, _, err := journal.Create(first)
			if err != nil {
				t.Fatal(err)
			}
			events, err := journal.Events(id, 1, 1000)
			if err != nil || journal.Append(newer.ID, events) != nil {
				t.Fatal(err)
			}
			b.start()
			op := b.operation(id)
			if op.State != want || op.Failure.Reason != "AGENT_RESTARTED" || op.Failure.Message == "" || op.Failure.Hint == "" {
				t.Errorf("the older one is %s, %+v", op.State, op.Failure)
			}
			if want == operation.Failed && !strings.Contains(op.Failure.Message, newer.ID+" came after it") {
				t.Errorf("what came after is not named: %s", op.Failure.Message)
			}
			b.judged(newer.ID)
			if calls := b.Calls("Orphans.End"); !slices.Equal(calls, []string{"Orphans.End " + id, "Orphans.End " + newer.ID}) {
				t.Errorf("orphans ended: %q", calls)
			}
		})
	}
}

// TestEngineThatIsDownAtTheStartIsWaitedFor: after a power cut the agent may be up first.
func TestEngineThatIsDownAtTheStartIsWaitedFor(t *testing.T) {
	down := fault.New(fault.Failed, "ENGINE_DOWN", "the engine does not answer")
	for outage, want := range map[time.Duration]operation.State{time.Minute: operation.Succeeded, time.Hour: operation.RollbackFailed} {
		inBubble(t, func(b *bench) {
			b.deployed(b.Head())
			id := b.stopIn("Runtime.Run apply/app/2", next(b))
			b.On("Runtime.Run apply/app/2", nil)
			began := time.Now()
			b.On("Runtime.Ready", func(context.Context, hosttest.Call) error {
				if time.Since(began) < outage {
					return down
				}
				return nil
			})
			b.start()
			if took := time.Since(began); took > 0 {
				t.Errorf("Start waits %s: diagnostics would not be served meanwhile", took)
			}
			op := b.judged(id)
			if op.State != want {
				t.Errorf("down for %s: ended in %s, %+v", outage, op.State, op.Failure)
			}
			if want == operation.RollbackFailed && (op.Failure.Reason != "ENGINE_DOWN" || time.Since(began) > 5*time.Minute) {
				t.Errorf("after %s: %+v", time.Since(began), op.Failure)
			}
		})
	}
}

func TestVerifyByIsKeptOverTheRestart(t *testing.T) {
	inBubble(t, func(b *bench) {
		began := time.Now()
		id := b.stopIn("", b.Head())
		by := must(b.Ports().Records.Operation(id)).VerifyBy
		time.Sleep(10 * time.Minute) // while no agent runs
		b.start()
		if op := b.until(id, operation.AwaitingVerify); !op.VerifyBy.Equal(by) {
			t.Errorf("the deadline moved from %s to %s", by, op.VerifyBy)
		}
		op := b.ended(id)
		if took := time.Since(began); op.State != operation.Succeeded || took < 15*time.Minute || took > 16*time.Minute {
			t.Errorf("ended in %s after %s", op.State, took)
		}
	})
}

// TestClockJumpsWhileNoAgentRuns: a machine without a battery for its clock starts in the
// past, then jumps. The recorded deadline is then hours ahead, or long over; the verdict comes in time all the same.
func TestClockJumpsWhileNoAgentRuns(t *testing.T) {
	for name, c := range map[string]struct {
		promised, away, least, most time.Duration
	}{
		"back":  {promised: 10 * time.Hour, least: 15 * time.Minute, most: 16 * time.Minute},
		"ahead": {promised: 15 * time.Minute, away: 100 * time.Hour, most: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				id := b.stopIn("", b.Head())
				time.Sleep(c.away)
				began := time.Now()
				b.start(func(p *flow.Policy) { p.VerifyWithin = 15 * time.Minute })
				op := b.ended(id)
				if took := time.Since(began); op.State != operation.Succeeded || took < c.least || took > c.most {
					t.Errorf("ended in %s after %s", op.State, took)
				}
			}, func(p *flow.Policy) { p.VerifyWithin = c.promised })
		})
	}
}

// TestTimesOfAnOperationNeverGoBack: an operation that a clock set back finds recorded an hour
// ahead goes on from there, and says how long things take.
func TestTimesOfAnOperationNeverGoBack(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		id := b.stopIn("", next(b))
		left := must(b.Ports().Records.Operation(id))
		ahead := left.States[len(left.States)-1].Entered.Add(time.Hour)
		if err := b.Ports().Journal.Append(id, []operation.Event{{
			Sequence: left.LastSequence + 1, Time: ahead, StepStarted: &operation.StepStarted{ID: "cut off", Title: "cut off"},
		}}); err != nil {
			t.Fatal(err)
		}
		b.start()
		op := b.judged(id)
		if op.State != operation.Succeeded {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
		var last time.Time
		for _, e := range must(b.Ports().Journal.Events(id, 0, 1<<20)) {
			if e.Time.Before(last) {
				t.Errorf("event %d is of %s, the one before it of %s", e.Sequence, e.Time, last)
			}
			last = e.Time
		}
		if took := op.Ended.Sub(ahead); took < 0 || took > 10*time.Minute {
			t.Errorf("it ended %s after the last record of the dead agent", took)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestJournalFailureRefusesMore: what could not be recorded to its end is taken up by the
// next start; until then nothing else is begun over it.
func TestJournalFailureRefusesMore(t *testing.T) {
	inBubble(t, func(b *bench) {
		full := errors.New("no space left on device")
		b.On("Checkout.Move", func(context.Context, hosttest.Call) error {
			b.FailAt("Journal.Append", full)
			return nil
		})
		target := b.Head()
		id := b.deploy(target).ID
		synctest.Wait()
		b.On("Journal.Append", nil) // the disk has room again, but the record has a hole
		b.On("Checkout.Move", nil)
		_, _, err := b.engine.Deploy(b.request("another", target))
		if fault.KindOf(err) != fault.Degraded || fault.ReasonOf(err) != "JOURNAL_FAILED" || !errors.Is(err, full) || !strings.Contains(err.Error(), "restart the agent") {
			t.Errorf("another deploy: %v", err)
		}
		if _, _, err := b.engine.Rollback(flow.RollbackRequest{CommandID: "r", Target: target}); fault.ReasonOf(err) != "JOURNAL_FAILED" {
			t.Errorf("a rollback: %v", err)
		}
		if _, err := b.engine.Cancel(id, "operator/test"); fault.ReasonOf(err) != "NOT_RUNNING" {
			t.Errorf("Cancel: %v", err)
		}
		b.engine.Close()
		b.start()
		if op := b.judged(id); op.State != operation.Succeeded || op.Restarts != 1 {
			t.Errorf("the next start ends it in %s, %+v", op.State, op.Failure)
		}
		b.judged(b.deploy(next(b)).ID)
	})
}

func TestStartFailsWhenTheJournalCannotBeRead(t *testing.T) {
	for _, label := range []string{"Records.Unfinished", "Journal.Events"} {
		inBubble(t, func(b *bench) {
			b.stopIn("Prober.Probe web", b.Head())
			broken := errors.New("broken")
			b.FailAt(label, broken)
			b.engine = b.Engine()
			if err := b.engine.Start(); !errors.Is(err, broken) {
				t.Errorf("%s fails, but Start says %v", label, err)
			}
		})
	}
}

// TestRecordOfAnOlderAgentEndsNamed: without what ran before, there is nothing to go back to.
func TestRecordOfAnOlderAgentEndsNamed(t *testing.T) {
	inBubble(t, func(b *bench) {
		journal := b.Ports().Journal
		first := hosttest.Accepted("old")
		first.Accepted.Target = b.Head()
		op, _, err := journal.Create(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := journal.Append(op.ID, []operation.Event{
			{Sequence: 2, PreDeploy: &operation.PreDeploy{SHA: b.Head()}}, hosttest.Entered(3, operation.Building),
		}); err != nil {
			t.Fatal(err)
		}
		b.start()
		op = b.ended(op.ID)
		if op.State != operation.Failed || op.Failure.Reason != "AGENT_RESTARTED" || !strings.Contains(op.Failure.Message, "BUILDING") ||
			!strings.Contains(op.Failure.Message, "does not tell what ran before") || !strings.Contains(op.Failure.Message, "not running: ") || fault.ExitCode(operation.ResultOf(op.State, op.Failure)) != 5 {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
	})
}
