package operation

import (
	"context"
	"fmt"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// DefaultAskWithin is how long a deploy that asks whether a newer one is under way waits for
// the answer, unless the policy says another time. Who started it looked already when it began, so
// without an answer it goes on: a coordinator that is gone stops nothing.
const DefaultAskWithin = 30 * time.Second

// askStep is the last step before anything is changed, of a deploy that asks.
const askStep = "prove/newer"

// Proceed answers a deploy that asks: by names the commit of a newer deploy, which ends it
// superseded; with "" it goes on. Where nothing is asked it changes nothing.
func (e *Engine) Proceed(id, by string) (Operation, error) {
	op, err := e.Operation(id)
	if err != nil || op.State.Terminal() {
		return op, err
	}
	e.mu.Lock()
	r := e.current
	e.mu.Unlock()
	if r == nil || r.id != op.ID {
		return op, fault.New(fault.Refused, "NOT_RUNNING", "%s is %s but does not run in this agent", op.ID, op.State)
	}
	select {
	case r.proceed <- by:
	default: // an answer is there already
	}
	return r.snapshot(), nil
}

// askNewer is the caller's last moment to say that a newer deploy makes this one needless.
func (d *deployment) askNewer(ctx context.Context, _ Output) (string, error) {
	within := d.engine.policy.AskWithin
	if within <= 0 {
		within = DefaultAskWithin
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case by := <-d.proceed:
		if by != "" {
			return "", &errSuperseded{by: by}
		}
		return "none", nil
	case <-timer.C:
		return fmt.Sprintf("nobody answered within %s", within), nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
