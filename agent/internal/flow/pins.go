package flow

import (
	"context"
	"slices"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
)

const (
	// DefaultKeepVersions is how many successful operations keep the images to go back to, unless the policy says another number;
	// those that failed in between keep theirs, too.
	DefaultKeepVersions = 3
	// lookBack bounds the search for them.
	lookBack = 50
)

// KeepVersions is how many successful operations keep the images to go back to.
func (f *Flows) KeepVersions() int { return f.policy.KeepVersions }

// Remembered lists the operations whose images are kept, newest first.
func (f *Flows) Remembered() ([]operation.Operation, error) {
	recent, err := f.ports.Records.Operations(0, max(lookBack, 5*f.policy.KeepVersions))
	if err != nil {
		return nil, err
	}
	successful := 0
	for i, op := range recent {
		if op.State == operation.Succeeded && op.Kind.Moves() {
			successful++
		}
		if successful == f.policy.KeepVersions {
			return recent[:i+1], nil
		}
	}
	return recent, nil
}

// tidy drops what a successful operation leaves behind it: blocks that the branch has moved past, the pause of an operation that
// nobody comes to finish, and images nobody goes back to. It fails without consequence.
func (f flow) tidy(ctx context.Context, target string) {
	if op := f.Snapshot(); op.Alone || op.Judge {
		f.release(f.ID(), false)
	}
	if err := f.unblockPast(ctx, target); err != nil {
		f.log.Warn("the blocks stay", "operation", f.ID(), "error", err)
	}
	if err := f.unpin(ctx); err != nil {
		f.log.Warn("images stay that nobody goes back to", "operation", f.ID(), "error", err)
	}
}

// unblockPast lifts the blocks of commits that the target contains.
func (f flow) unblockPast(ctx context.Context, target string) error {
	blocks, err := f.ports.Sentinels.Blocked()
	if err != nil {
		return err
	}
	var past []string
	for _, b := range blocks {
		if b.IsImage() {
			continue
		}
		if contained, err := f.ports.Commits.IsAncestor(ctx, b.SHA, target); err == nil && contained {
			past = append(past, b.SHA)
		}
	}
	if len(past) == 0 {
		return nil
	}
	return f.ports.Sentinels.ChangeBlocked(func(blocks []ports.Blocked) []ports.Blocked {
		return slices.DeleteFunc(blocks, func(b ports.Blocked) bool { return slices.Contains(past, b.SHA) })
	})
}

// unpin lets go of the images that no remembered operation goes back to.
func (f flow) unpin(ctx context.Context) error {
	remembered, err := f.Remembered()
	if err != nil {
		return err
	}
	var keep []string
	for _, op := range remembered {
		facts, err := f.Facts(op.ID)
		if err != nil {
			return err
		}
		if facts.Before != nil {
			keep = append(keep, facts.Before.Images()...)
		}
	}
	slices.Sort(keep)
	return f.ports.Restorer.Unpin(ctx, slices.Compact(keep))
}

// pack keeps the repository small: every fetch leaves objects, and nothing else puts them together.
func (f *Flows) pack(ctx context.Context, op operation.Operation) {
	if err := f.ports.Checkout.Pack(ctx); err != nil && ctx.Err() == nil {
		f.log.Warn("the repository was not packed", "after", op.ID, "error", err)
	}
}

// stamp writes the stamp. One that can be read back is written, whatever the write said: to roll
// back under it would leave it naming what does not run.
func (f flow) stamp(sha string) error {
	err := f.ports.Stamp.SetStamp(sha)
	if err == nil {
		return nil
	}
	if now, _, readErr := f.ports.Stamp.Stamp(); readErr == nil && now == sha {
		f.log.Warn("the stamp is written, but may not survive a power cut", "operation", f.ID(), "error", err)
		return nil
	}
	return err
}
