package flow_test

import (
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/picture"

	"ataraxis.dev/landfall/agent/internal/operation"
)

func waiting(message string) operation.ProbeResult {
	return operation.ProbeResult{Outcome: operation.ProbeWaiting, Message: message}
}

func good(message string) operation.ProbeResult {
	return operation.ProbeResult{Outcome: operation.ProbePassed, Message: message}
}

func bad(message string) operation.ProbeResult {
	return operation.ProbeResult{Outcome: operation.ProbeFailed, Message: message, OutputTail: []string{"panic"}}
}

func TestProbesAreTriedAgainWithGrowingPauses(t *testing.T) {
	inBubble(t, func(b *bench) {
		var at []time.Time
		b.Answer("web", func(attempt int) operation.ProbeResult {
			at = append(at, time.Now())
			switch {
			case attempt < 5:
				return waiting("connection refused")
			case attempt < 9:
				return waiting("HTTP 503")
			}
			return good("HTTP 200")
		})
		op := b.judged(b.deploy(b.Head()).ID)
		if op.State != operation.Succeeded {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
		var pauses []time.Duration
		for i := 1; i < len(at); i++ {
			pauses = append(pauses, at[i].Sub(at[i-1]))
		}
		ms := time.Millisecond
		diff(t, "pauses", pauses, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 2000 * ms, 2000 * ms, 2000 * ms})
		var told []string
		for _, e := range b.watch(op.ID, 0, nil) {
			if e.Probe != nil && e.Probe.Name == "web" {
				told = append(told, string(e.Probe.Outcome)+" "+e.Probe.Message)
			}
		}
		diff(t, "only news are told", told, []string{"waiting connection refused", "waiting HTTP 503", "passed HTTP 200"})
		for _, p := range op.Probes {
			if p.Name == "web" && (p.Attempts != 9 || p.Elapsed != 9100*ms) {
				t.Errorf("recorded %d attempts in %s", p.Attempts, p.Elapsed)
			}
		}
	})
}

func TestProbeThatFailsForGoodEndsTheOthers(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Answer("containers", func(attempt int) operation.ProbeResult {
			if attempt < 3 {
				return waiting("health is starting")
			}
			return bad("core/app: crash loop")
		})
		b.Answer("web", func(int) operation.ProbeResult { return waiting("connection refused") })
		began := time.Now()
		op := b.judged(b.deploy(b.Head()).ID)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
		f := op.Failure
		if op.State != operation.RolledBack || f.Reason != "PROBE_FAILED" || f.StepID != "verify/probes" {
			t.Fatalf("ended in %s, %+v", op.State, f)
		}
		if !strings.Contains(f.Message, "core/app: crash loop") || strings.Contains(f.Message, "refused") {
			t.Errorf("the message is %q", f.Message)
		}
		for _, p := range op.Probes {
			if p.Name == "containers" && (p.Outcome != operation.ProbeFailed || len(p.OutputTail) != 1) {
				t.Errorf("recorded %+v", p)
			}
			if p.Name == "web" && p.Outcome != operation.ProbeWaiting {
				t.Errorf("recorded %+v", p)
			}
		}
		if stamp, _, _ := b.Ports().Stamp.Stamp(); stamp != "" {
			t.Errorf("stamp %q", stamp)
		}
	})
}

func TestProbeDeadlineNamesEveryProbeThatDidNotPass(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Answer("containers", func(int) operation.ProbeResult { return waiting("health is starting") })
		b.Answer("web", func(int) operation.ProbeResult { return waiting("connection refused") })
		op := b.judged(b.deploy(b.Head()).ID)
		f := op.Failure
		if op.State != operation.RolledBack || f.Reason != "PROBE_DEADLINE" {
			t.Fatalf("ended in %s, %+v", op.State, f)
		}
		for _, part := range []string{"30s", "containers: health is starting", "web: connection refused"} {
			if !strings.Contains(f.Message, part) {
				t.Errorf("the message %q does not say %q", f.Message, part)
			}
		}
		probes := step(t, op, "verify/probes")
		if took := probes.Ended.Sub(probes.Started); took < 30*time.Second || took > 32*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestSoakSeesAContainerThatDiesAfterItWasGood(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.until(b.deploy(b.Head()).ID, operation.AwaitingVerify)
		time.AfterFunc(1500*time.Millisecond, func() {
			b.ChangeContainer("core", "app", func(c *picture.Container) { c.State, c.ExitCode = "exited", 3 })
		})
		op = b.judged(op.ID)
		f := op.Failure
		if op.State != operation.RolledBack || f.Reason != "SOAK_FAILED" || f.StepID != "verify/soak" || !strings.Contains(f.Message, "app: exited with code 3") {
			t.Errorf("ended in %s, %+v", op.State, f)
		}
		for _, p := range op.Probes {
			if p.Name == "containers" && p.Outcome != operation.ProbeFailed {
				t.Errorf("recorded %+v", p)
			}
		}
	})
}

func TestSoakLooksForAsLongAsItSays(t *testing.T) {
	inBubble(t, func(b *bench) {
		op := b.judged(b.deploy(b.Head()).ID)
		for _, s := range op.Steps {
			if s.ID == "verify/soak" && s.Ended.Sub(s.Started) != 3*time.Second {
				t.Errorf("it took %s", s.Ended.Sub(s.Started))
			}
		}
		// One look of the probe itself, then one a second for three seconds and one at the end,
		// which may fall together.
		if looks := len(b.Calls("Prober.Probe containers")); looks < 5 || looks > 6 {
			t.Errorf("%d looks at the containers", looks)
		}
	})
}

// TestSoakEndsWithALookThatFoundEverythingGood: a container that begins to doubt at the last moment is looked at until it is known.
func TestSoakEndsWithALookThatFoundEverythingGood(t *testing.T) {
	for name, c := range map[string]struct {
		doubts int // looks that are inconclusive, from the end of the soak on
		end    operation.State
	}{
		"it was nothing": {1, operation.Succeeded},
		"it stays so":    {100, operation.RolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				var began time.Time
				doubts := c.doubts
				b.Answer("containers", func(attempt int) operation.ProbeResult {
					if attempt == 1 {
						began = time.Now()
					}
					if time.Since(began) >= 2900*time.Millisecond && doubts > 0 {
						doubts--
						return waiting("health is starting")
					}
					return good("good")
				})
				op := b.judged(b.deploy(b.Head()).ID)
				if op.State != c.end {
					t.Errorf("ended in %s, %+v", op.State, op.Failure)
				}
			})
		})
	}
}
