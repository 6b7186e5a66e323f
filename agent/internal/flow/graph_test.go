package flow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// wide is a configuration of n independent actions, each a build and a recreate of a
// stack of its own, and one action that is after the first.
func wide(n int) map[string]string {
	files := map[string]string{}
	var stacks, flags, actions strings.Builder
	for i := range n {
		fmt.Fprintf(&stacks, "  s%d: {files: [c%d.yml]}\n", i, i)
		fmt.Fprintf(&flags, "  f%d: {paths: [\"d%d/**\"], actions: [a%d]}\n", i, i, i)
		after := "[]"
		if i == n-1 {
			after = "[a0]"
		}
		fmt.Fprintf(&actions, "  a%d: {after: %s, steps: [{build: {stack: s%d}}, {recreate: {stack: s%d}}]}\n", i, after, i, i)
		files[fmt.Sprintf("c%d.yml", i)] = fmt.Sprintf("service%d\n", i)
	}
	actions.WriteString("  hook: {after: [a0], steps: [{script: hook.sh}, {wait: {probe: tcp, timeout: 10s}}]}\n")
	flags.WriteString("  hook: {paths: [\"hook/**\"], actions: [hook]}\n")
	files[hosttest.ConfigPath] = "version: 1\nproject: wide\nstacks:\n" + stacks.String() + "flags:\n" + flags.String() + "actions:\n" + actions.String() +
		"verify: {deadline: 30s, soak: 0s, probes: {tcp: {tcp: {address: \"127.0.0.1:1\"}}}}\n"
	return files
}

func TestStepsRunSideBySideWithinTheBound(t *testing.T) {
	for _, parallelism := range []int{0, 1, 3, 100} {
		inBubble(t, func(b *bench) {
			var at gauge
			b.On("Runtime.Run", func(context.Context, hosttest.Call) error {
				at.enter()
				defer at.leave()
				time.Sleep(time.Second)
				return nil
			})
			op := b.judged(b.deploy(b.Push(wide(6))).ID)
			if op.State != operation.Succeeded {
				t.Fatalf("ended in %s, %+v", op.State, op.Failure)
			}
			// Of six builds five are independent: one is after the first.
			if want := min(max(1, parallelism), 5); at.most != want {
				t.Errorf("parallelism %d: %d steps at once, want %d", parallelism, at.most, want)
			}
		}, func(p *flow.Policy) { p.Parallelism = parallelism })
	}
}

func TestStepsWaitForThoseTheyAreAfter(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.apart("Runtime.Run", time.Second)
		op := b.judged(b.deploy(b.Push(wide(4))).ID)
		if op.State != operation.Succeeded {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
		plan, err := b.engine.Plan(op.ID)
		if err != nil {
			t.Fatal(err)
		}
		edges := 0
		for _, s := range plan.Steps {
			for _, before := range s.After {
				edges++
				if step(t, op, s.ID).Started.Before(step(t, op, before).Ended) {
					t.Errorf("%s began before %s had ended", s.ID, before)
				}
			}
		}
		if edges < 3 {
			t.Errorf("the plan has only %d edges", edges)
		}
		if got := b.Calls("Scripts.RunScript"); len(got) != 1 || got[0] != "Scripts.RunScript hook.sh" {
			t.Errorf("scripts run: %q", got)
		}
	}, func(p *flow.Policy) { p.Parallelism = 10 })
}

func TestFailingBuildInterruptsItsSiblings(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.apart("Runtime.Run", time.Minute)
		b.On("Runtime.Run build/a1/1", func(context.Context, hosttest.Call) error {
			time.Sleep(time.Second)
			return fault.New(fault.Failed, "BUILD_FAILED", "exit code 1")
		})
		began := time.Now()
		op := b.ended(b.deploy(b.Push(wide(5))).ID)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s: the siblings were not stopped", took)
		}
		if op.State != operation.FailedUntouched || op.Failure.StepID != "build/a1/1" || op.Failure.Reason != "BUILD_FAILED" {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
		diff(t, "outcomes of the builds", outcomes(op, "build/"), []string{
			"build/a0/1 interrupted", "build/a1/1 failed", "build/a2/1 interrupted",
		})
	}, func(p *flow.Policy) { p.Parallelism = 3 })
}

func TestFailingApplyLetsRunningStepsEndAndStartsNoNewOne(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.apart("Runtime.Run", time.Minute)
		b.On("Runtime.Run apply/a1/2", func(context.Context, hosttest.Call) error {
			time.Sleep(time.Second)
			return fault.New(fault.Failed, "UP_FAILED", "exit code 1")
		})
		op := b.ended(b.deploy(b.Push(wide(5))).ID)
		if op.State != operation.RolledBack || op.Failure.StepID != "apply/a1/2" {
			t.Errorf("ended in %s, %+v", op.State, op.Failure)
		}
		diff(t, "outcomes", outcomes(op, "apply/"), []string{"apply/a0/2 done", "apply/a1/2 failed", "apply/a2/2 done"})
	}, func(p *flow.Policy) { p.Parallelism = 3 })
}

func outcomes(op operation.Operation, prefix string) []string {
	var all []string
	for _, s := range op.Steps {
		if strings.HasPrefix(s.ID, prefix) {
			all = append(all, fmt.Sprintf("%s %s", s.ID, s.Outcome))
		}
	}
	return sorted(all)
}

func TestWaitStepThatRunsOutOfTime(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Answer("tcp", func(int) operation.ProbeResult {
			return operation.ProbeResult{Outcome: operation.ProbeWaiting, Message: "connection refused"}
		})
		op := b.ended(b.deploy(b.Push(wide(2))).ID)
		f := op.Failure
		if op.State != operation.RolledBack || f.StepID != "apply/hook/2" || f.Reason != "PROBE_DEADLINE" || !strings.Contains(f.Message, "10s") || !strings.Contains(f.Message, "connection refused") {
			t.Errorf("ended in %s, %+v", op.State, f)
		}
		wait := step(t, op, "apply/hook/2")
		if took := wait.Ended.Sub(wait.Started); took != 10*time.Second {
			t.Errorf("it waited %s", took)
		}
	}, func(p *flow.Policy) { p.Parallelism = 10 })
}
