package flow

import (
	"context"
	"fmt"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// unsettledLook is how far back the last word about what runs is looked for.
const unsettledLook = 200

// Unsettled says why the stamp alone does not tell what runs. everything is the reason why the next deploy must do everything, "" when it need
// not: an operation ended degraded and nothing has succeeded since. moved is the commit that somebody moved the checkout to, "" where it
// stands at the stamp: the next change set is then that of both.
func (f *Flows) Unsettled(ctx context.Context) (everything, moved string, err error) {
	recent, err := f.ports.Records.Operations(0, unsettledLook)
	if err != nil {
		return "", "", err
	}
	for _, op := range recent {
		if op.State == operation.Succeeded && op.Kind.Moves() {
			break
		}
		if op.State == operation.RollbackFailed || op.State == operation.Failed {
			return fmt.Sprintf("%s ended in %s, and nothing has succeeded since", op.ID, op.State), "", nil
		}
	}
	return f.moved(ctx)
}

// moved compares the checkout with the stamp. Where the stamp's commit is not known any more, nobody can say what differs.
func (f *Flows) moved(ctx context.Context) (everything, moved string, err error) {
	stamp, _, err := f.ports.Stamp.Stamp()
	if err != nil || stamp == "" {
		return "", "", err
	}
	head, err := f.ports.Commits.Head(ctx)
	if err != nil || head == stamp {
		return "", "", err
	}
	if _, err := f.ports.Commits.IsAncestor(ctx, stamp, head); fault.KindOf(err) == fault.NotFound && err != nil {
		return fmt.Sprintf("the checkout is at %s, and the stamp's %s is not known any more", short(head), short(stamp)), "", nil
	} else if err != nil {
		return "", "", err
	}
	return "", head, nil
}
