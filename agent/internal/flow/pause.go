package flow

import (
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/engine"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

// hold pauses convergence for an operation. A pause that a person made and that lasts is left alone.
func (f *Flows) hold(r *engine.Run, reason string) error {
	now := time.Now()
	return f.ports.Sentinels.ChangePause(func(old *ports.Pause) *ports.Pause {
		if old != nil && old.Operation == "" && old.Expires.After(now) {
			return old
		}
		pause := &ports.Pause{
			Reason: reason, Owner: r.Snapshot().Requester, Operation: r.ID(), Created: now, Expires: now.Add(f.policy.PauseTTL),
		}
		switch {
		case old == nil:
		case old.Operation == r.ID(): // set before a crash
			pause.Before = old.Before
		case old.Expires.After(now): // of an operation that failed
			before := *old
			before.Before = nil
			pause.Before = &before
		}
		return pause
	})
}

// settle takes back the pause of an operation that ends in a state without having touched anything that runs.
func (f *Flows) settle(id string, end operation.State) {
	switch end {
	case operation.FailedUntouched, operation.Superseded, operation.Cancelled:
		f.release(id, true)
	default:
	}
}

// release ends the pause that an operation made, if it still holds; giveBack puts the one before it in force again.
func (f *Flows) release(id string, giveBack bool) {
	now, err := f.ports.Sentinels.Pause()
	if err == nil && (now == nil || now.Operation != id) {
		return
	}
	err = f.ports.Sentinels.ChangePause(func(pause *ports.Pause) *ports.Pause {
		switch {
		case pause == nil || pause.Operation != id:
			return pause
		case giveBack && pause.Before != nil && pause.Before.Expires.After(time.Now()):
			return pause.Before
		}
		return nil
	})
	if err != nil {
		f.log.Warn("the pause of the operation stays until it expires", "operation", id, "error", err)
	}
}

// Finish ends a successful deploy: the pause it made is removed and convergence resumes.
func (f *Flows) Finish(id string) (op operation.Operation, err error) {
	err = f.Quietly(func(*operation.Operation) error { // no deploy may make its own pause between our look and our removal
		if op, err = f.Operation(id); err != nil {
			return err
		}
		if op.State != operation.Succeeded {
			return fault.New(fault.Refused, "NOT_SUCCEEDED", "%s is %s: convergence stays paused", op.ID, op.State).
				WithHint("look at it with: landfall-coordinator show %s", op.ID)
		}
		return f.ports.Sentinels.ChangePause(func(pause *ports.Pause) *ports.Pause {
			if pause != nil && pause.Operation == op.ID {
				return nil
			}
			return pause
		})
	})
	return op, err
}

// Resume removes the pause, whoever made it; refused while an operation runs that needs it.
func (f *Flows) Resume() (was *ports.Pause, err error) {
	err = f.Quietly(func(current *operation.Operation) error {
		if current != nil {
			return fault.New(fault.Refused, "HOST_LOCKED", "%s runs and needs the pause", current.ID).WithHint("wait for its end")
		}
		return f.ports.Sentinels.ChangePause(func(pause *ports.Pause) *ports.Pause {
			was = pause
			return nil
		})
	})
	return was, err
}

// maxBlocks bounds the blocks; the oldest go first.
const maxBlocks = 50

// block keeps a bad commit from being deployed again.
func (f *Flows) block(sha, operation, reason string) error {
	return f.ports.Sentinels.ChangeBlocked(func(blocks []ports.Blocked) []ports.Blocked {
		kept := without(blocks, sha)
		kept = append(kept, ports.Blocked{SHA: sha, Operation: operation, Reason: reason, Created: time.Now()})
		return kept[max(0, len(kept)-maxBlocks):]
	})
}

// blockImage keeps a bad image from being pulled again, until its name means another one in its registry: a name has one block.
func (f *Flows) blockImage(image operation.Image, id, reason string) error {
	prefix := image.Ref + ": "
	return f.ports.Sentinels.ChangeBlocked(func(blocks []ports.Blocked) []ports.Blocked {
		kept := slices.DeleteFunc(without(blocks, image.Digest), func(b ports.Blocked) bool { return b.IsImage() && strings.HasPrefix(b.Reason, prefix) })
		kept = append(kept, ports.Blocked{SHA: image.Digest, Operation: id, Reason: prefix + reason, Created: time.Now()})
		return kept[max(0, len(kept)-maxBlocks):]
	})
}

func without(blocks []ports.Blocked, sha string) []ports.Blocked {
	var kept []ports.Blocked
	for _, b := range blocks {
		if b.SHA != sha {
			kept = append(kept, b)
		}
	}
	return kept
}
