package flow

import (
	"context"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// tellStrays tells of the volumes without a name that ran with what was there before and that nothing shows any more, as far as the proof
// has not told of them. The verdict stands without it.
func (f flow) tellStrays(ctx context.Context, before *picture.Picture) {
	if before == nil || len(before.Strays(picture.Picture{})) == 0 {
		return
	}
	now, err := f.ports.Restorer.Look(ctx, before.Projects, nil, true)
	if err != nil {
		f.log.Warn("volumes that may have been left behind are not known", "operation", f.ID(), "error", err)
		return
	}
	f.warnOf(before.Strays(now))
}

// warnOf tells of volumes without a name that nothing shows any more, each once.
func (f flow) warnOf(strays []picture.Stray) {
	told := f.Snapshot().Warnings
	for _, s := range strays {
		is := s.Finding()
		said := slices.ContainsFunc(told, func(w string) bool {
			return strings.Contains(w, is.Message) || (!s.Gone && strings.Contains(w, s.Volume))
		})
		if !said {
			_ = f.Warn(is.Reason, warningText(is)) // a broken journal has ended ctx
		}
	}
}

// goodSince reports whether an operation, or one after it, ended well: then what runs now may hold data that are newer than what ran before
// it, and going back leaves them where they are. self is the operation that asks.
func (f *Flows) goodSince(undone, self string) (bool, error) {
	recent, err := f.ports.Records.Operations(0, lookBack)
	if err != nil {
		return false, err
	}
	for _, op := range recent {
		switch {
		case op.ID == self:
		case op.State == operation.Succeeded:
			return true, nil
		case op.ID == undone:
			return false, nil
		}
	}
	return true, nil // so long ago that nobody knows
}
