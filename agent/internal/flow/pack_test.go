package flow_test

import (
	"context"
	"testing"
	"testing/synctest"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
)

// TestTheRepositoryIsPackedBetweenOperations: after each, never during one, and it makes room for the next.
func TestTheRepositoryIsPackedBetweenOperations(t *testing.T) {
	inBubble(t, func(b *bench) {
		var during []operation.State
		var ended error
		hold := make(chan struct{})
		b.On("Checkout.Pack", func(ctx context.Context, _ hosttest.Call) error {
			if current := b.engine.Current(); current != nil {
				during = append(during, current.State)
			}
			select {
			case <-ctx.Done():
				ended = context.Cause(ctx)
				return ended
			case <-hold:
				return nil
			}
		})
		b.judged(b.deploy(b.Head()).ID)
		synctest.Wait()
		if n := len(b.Calls("Checkout.Pack")); n != 1 {
			t.Fatalf("packed %d times after one deploy", n)
		}
		b.judged(b.deploy(next(b)).ID)
		if ended == nil {
			t.Error("packing went on while the next deploy ran")
		}
		close(hold)
		synctest.Wait()
		if n := len(b.Calls("Checkout.Pack")); n != 2 || len(during) > 0 {
			t.Errorf("packed %d times after two deploys, during %v", n, during)
		}
	})
}
