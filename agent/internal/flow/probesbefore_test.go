package flow_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// probeStories are of a probe that failed before anything was done: something that the host does not have is down, say.
func probeStories() map[string]hosttest.Story {
	down := func(h *hosttest.Host, _ string) {
		h.Answer("web", func(int) operation.ProbeResult { return waiting("HTTP 503") })
	}
	plain := small("app\ndatabase\n")
	restart := upkeepStory(restartOf(), nil, func(h *hosttest.Host) { down(h, "") }, operation.RolledBack)
	return map[string]hosttest.Story{
		"probe down before":               tale{files: plain, change: map[string]string{"app/main.go": "two"}, along: down, end: operation.RolledBack}.story(),
		"probe down before, nothing done": tale{files: plain, change: map[string]string{"README": "two"}, along: down, end: operation.Succeeded}.story(),
		"probe down before, restart":      restart,
	}
}

// TestAProbeThatFailedBefore: going back is not judged by it, and says so; what goes forward is, unless it does nothing that could change the answer.
func TestAProbeThatFailedBefore(t *testing.T) {
	app := map[string]string{"app/main.go": "two"}
	broken := func() func(string, int) operation.ProbeResult {
		return func(string, int) operation.ProbeResult { return waiting("HTTP 503") }
	}
	for name, c := range map[string]struct {
		change map[string]string
		answer func(head string, attempt int) operation.ProbeResult // nil stands for one that is never good
		target bool                                                 // the probe is good at the target
		end    operation.State
		told   []string // in the warnings
		last   string   // in the last word
		never  string   // in neither
	}{
		"goes on failing": {
			change: app, end: operation.RolledBack,
			told: []string{"failed before: web: HTTP 503; going back would not be judged by it", "not judged by what failed before as well: web: HTTP 503"},
			last: "4 of 4 services run what ran before; not judged by what failed before: web: HTTP 503",
		},
		"is mended": {change: app, target: true, end: operation.Succeeded, told: []string{"failed before: web: HTTP 503"}, never: "not judged"},
		"nothing is done": {
			change: map[string]string{"docs/a.md": "two"}, end: operation.Succeeded,
			told: []string{"nor is what is to be done, which does not speak of what web asks", "not judged by what failed before as well: web: HTTP 503"},
			last: "; not judged by what failed before: web: HTTP 503",
		},
		"a migration is applied": {change: map[string]string{"migrations/003_third.sql": "select 3;"}, end: operation.RolledBack, told: []string{"failed before: web: HTTP 503"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.deployed(b.Head())
				target := b.Push(c.change)
				answer := broken()
				b.Answer("web", func(attempt int) operation.ProbeResult {
					if c.target && b.Head() == target {
						return good("HTTP 200")
					}
					return answer(b.Head(), attempt)
				})
				op := b.judged(b.deploy(target).ID)
				said := strings.Join(warningsOf(b.watch(op.ID, 0, nil), "PROBE_DOWN_BEFORE"), " | ")
				if op.State != c.end {
					t.Fatalf("ended in %s, %+v", op.State, op.Failure)
				}
				for _, told := range c.told {
					if !strings.Contains(said, told) {
						t.Errorf("%q is not said: %q", told, said)
					}
				}
				if !strings.Contains(op.Summary, c.last) || (c.never != "" && strings.Contains(op.Summary, c.never)) {
					t.Errorf("the last word is %q", op.Summary)
				}
				if c.end != operation.RolledBack {
					return
				}
				// By hand as well, whenever: what is remembered is remembered with what failed.
				again := b.ended(b.rollback(flow.RollbackRequest{CommandID: "by hand", Operation: op.ID}).ID)
				if again.State != operation.Succeeded || !strings.Contains(again.Summary, c.last) {
					t.Errorf("by hand it ended in %s, %q, %+v", again.State, again.Summary, again.Failure)
				}
			})
		})
	}
}

// TestAProbeThatIsGoodBeforeJudgesTheRollback: also when it fails for the first time meanwhile, and where nobody knows how it was.
func TestAProbeThatIsGoodBeforeJudgesTheRollback(t *testing.T) {
	for name, before := range map[string]func(b *bench){
		"it was good": func(*bench) {},
		"it did not answer in time": func(b *bench) {
			first := true
			b.On("Prober.Probe web", func(ctx context.Context, _ hosttest.Call) error {
				if !first {
					return nil
				}
				first = false
				<-ctx.Done()
				return context.Cause(ctx)
			})
		},
		"no landfall.yaml told of it": func(b *bench) {
			calls := 0
			b.On("Trees.Pipeline", func(context.Context, hosttest.Call) error {
				if calls++; calls >= 2 && len(b.Calls("Sentinels.ChangePause")) < 3 {
					return fault.New(fault.Invalid, "NO_CONFIG", "no landfall.yaml")
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.deployed(b.Head())
				target := next(b)
				before(b)
				reached := false
				b.Answer("web", func(int) operation.ProbeResult {
					if reached = reached || b.Head() == target; reached {
						return waiting("HTTP 503")
					}
					return good("HTTP 200")
				})
				began := time.Now()
				op := b.judged(b.deploy(target).ID)
				if op.State != operation.RollbackFailed || len(warningsOf(b.watch(op.ID, 0, nil), "PROBE_DOWN_BEFORE")) > 0 {
					t.Errorf("ended in %s, %q, warnings %q", op.State, op.Summary, op.Warnings)
				}
				if took := time.Since(began); took > 80*time.Second { // two deadlines of 30 s
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// TestProbesAreAskedOnceBefore, side by side, and not on a host on which nothing ran.
func TestProbesAreAskedOnceBefore(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.until(b.deploy(b.Head()).ID, operation.AwaitingVerify)
		if calls := b.Calls("Prober.Probe"); len(calls) > 0 {
			t.Errorf("nothing ran, and yet %q", calls)
		}
		if op = b.judged(op.ID); op.State != operation.Succeeded {
			t.Fatalf("ended in %s", op.State)
		}
		asked, containers := len(b.Calls("Prober.Probe web")), len(b.Calls("Prober.Probe containers"))
		b.until(b.deploy(next(b)).ID, operation.AwaitingVerify)
		if n := len(b.Calls("Prober.Probe web")) - asked; n != 1 {
			t.Errorf("it was asked %d times", n)
		}
		if n := len(b.Calls("Prober.Probe containers")) - containers; n != 0 {
			t.Errorf("containers were asked for %d times: each service has a past of its own", n)
		}
	})
}

// TestWhatAProbeSaidBeforeIsRedacted: it is recorded in three places, none of which may hold a secret.
func TestWhatAProbeSaidBeforeIsRedacted(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		b.engine.Close()
		f := &forgetful{secret: "hunter2hunter2"}
		b.Redactor, b.Teacher = f, f
		f.taught.Store(true)
		b.start()
		b.Answer("web", func(int) operation.ProbeResult { return waiting("HTTP 503: no route for hunter2hunter2") })
		op := b.judged(b.deploy(next(b)).ID)
		if op.State != operation.RolledBack {
			t.Fatalf("ended in %s: %+v", op.State, op.Failure)
		}
		events, err := b.Ports().Journal.Events(op.ID, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(events)
		if err != nil || strings.Contains(string(raw), f.secret) || !strings.Contains(string(raw), `"failed_before":[{"name":"web","why":"HTTP 503: no route for [redacted]"`) {
			t.Errorf("the journal has the secret, or not what was found: %v\n%s", err, raw)
		}
	})
}
