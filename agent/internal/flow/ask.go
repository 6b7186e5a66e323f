package flow

import (
	"context"
	"fmt"
	"time"

	"ataraxis.dev/landfall/agent/internal/engine"
	"ataraxis.dev/landfall/agent/internal/ports"
)

// DefaultAskWithin is how long a deploy that asks whether a newer one is under way waits for
// the answer, unless the policy says another time. Who started it looked already when it began, so
// without an answer it goes on: a coordinator that is gone stops nothing.
const DefaultAskWithin = 30 * time.Second

// askStep is the last step before anything is changed, of a deploy that asks.
const askStep = "prove/newer"

// askNewer is the caller's last moment to say that a newer deploy makes this one needless.
func (d *deployment) askNewer(ctx context.Context, _ ports.Output) (string, error) {
	within := d.policy.AskWithin
	if within <= 0 {
		within = DefaultAskWithin
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case by := <-d.Answered():
		if by != "" {
			return "", &engine.Superseded{By: by}
		}
		return "none", nil
	case <-timer.C:
		return fmt.Sprintf("nobody answered within %s", within), nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
