package hosttest

import (
	"context"
	"time"
)

// atRest waits until no container is on its way to its end any more.
func (h *Host) atRest(ctx context.Context) error {
	for {
		h.mu.Lock()
		h.fleet.catchUp()
		var last time.Time
		for _, at := range h.fleet.stopping {
			if at.After(last) {
				last = at
			}
		}
		h.mu.Unlock()
		if last.IsZero() {
			return nil
		}
		select {
		case <-time.After(time.Until(last)):
		case <-ctx.Done():
			return stopped(ctx)
		}
	}
}
