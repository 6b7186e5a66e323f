package flow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// TestWhatLeavesIsKnownFromTheRecord: a service that the last deploy's commit names leaves, though the checkout does not tell of it any more.
func TestWhatLeavesIsKnownFromTheRecord(t *testing.T) {
	withoutMailer := map[string]string{"compose.extra.yml": "worker\n"}
	for name, deploy := range map[string]func(b *bench, first string) operation.Operation{
		"the checkout does not render": func(b *bench, first string) operation.Operation {
			b.On("Runtime.Models", func(context.Context, hosttest.Call) error {
				if b.Head() == first {
					return fault.New(fault.Failed, "COMPOSE_CONFIG", "EXTRA is not set")
				}
				return nil
			})
			return b.judged(b.deploy(b.Push(withoutMailer)).ID)
		},
		"the checkout was moved past it": func(b *bench, first string) operation.Operation {
			pulled := b.Push(withoutMailer)
			b.Checkout(pulled)
			return b.movedDeploy(first, pulled, b.Push(map[string]string{"app/main.go": "two"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				first := b.Head()
				b.deployed(first)
				op := deploy(b, first)
				if op.State != operation.Succeeded || len(op.Warnings) > 0 {
					t.Errorf("ended in %s, %+v, warned %v", op.State, op.Failure, op.Warnings)
				}
				if _, there := b.Container("extra", "mailer"); there {
					t.Error("a service that left runs on")
				}
				if _, there := b.Container("extra", "worker"); !there {
					t.Error("a service that stayed is gone")
				}
			})
		})
	}
}

// TestWhatNobodyCanMakeAgainIsTold: what left is gone when the deploy fails, and the commit to go back to does not name it.
func TestWhatNobodyCanMakeAgainIsTold(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		b.deployed(first)
		pulled := b.Push(map[string]string{"compose.extra.yml": "worker\n"})
		b.Checkout(pulled)
		b.Answer("web", func(int) operation.ProbeResult {
			if b.Head() == pulled {
				return good("good")
			}
			return bad("502")
		})
		op := b.movedDeploy(first, pulled, b.Push(map[string]string{"app/main.go": "two"}))
		if op.State != operation.RollbackFailed || !strings.Contains(op.Summary+fmt.Sprint(op.Failure, op.Warnings), "extra/mailer has 0 containers, it had 1") {
			t.Errorf("ended in %s, %q, %+v", op.State, op.Summary, op.Failure)
		}
	})
}
