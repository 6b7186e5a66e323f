package flow

import (
	"context"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

const (
	// enginePatience is how long a rollback, or an operation that is taken up, waits for an
	// engine that restarts; engineLook is how often it looks.
	enginePatience = 2 * time.Minute
	engineLook     = time.Second
	// engineTries is how often a part of a rollback is tried that fails for a reason which may
	// pass: an engine that is about to end still answers, and what it was asked last is lost.
	engineTries = 3
)

// awaitEngine waits for an engine that restarts.
func (f *Flows) awaitEngine(ctx context.Context) error {
	deadline := time.NewTimer(enginePatience)
	defer deadline.Stop()
	for {
		err := f.ports.Runtime.Ready(ctx)
		if fault.ReasonOf(err) != "ENGINE_DOWN" {
			return err
		}
		select {
		case <-time.After(engineLook):
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// persist tries a part of a rollback again when it fails for a reason that may pass, once the
// engine answers. What it does may be repeated.
func (f *Flows) persist(ctx context.Context, do func(context.Context) error) error {
	began := time.Now()
	for try := 1; ; try++ {
		err := do(ctx)
		if err == nil || try == engineTries || !mayPass(err) || time.Since(began) >= enginePatience {
			return err
		}
		select {
		case <-time.After(engineLook):
		case <-ctx.Done():
			return err
		}
		if f.awaitEngine(ctx) != nil {
			return err
		}
	}
}

// mayPass tells failures that are worth another try: not those of the configuration, not one that took all the
// time there was, and not that the result was looked at and is wrong.
func mayPass(err error) bool {
	if fault.ReasonOf(err) == notRestored {
		return false
	}
	switch fault.KindOf(err) {
	case fault.Failed, fault.Degraded, fault.Unreachable:
		return true
	default:
		return false
	}
}
