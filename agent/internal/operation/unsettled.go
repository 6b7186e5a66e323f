package operation

import (
	"context"
	"fmt"
)

// unsettledLook is how far back the last word about what runs is looked for.
const unsettledLook = 200

// Unsettled says why the stamp alone does not tell what runs, "" when it does: an operation
// ended degraded and nothing has succeeded since, or somebody moved the checkout. The next
// deploy must then do everything: a change set measured from the stamp would leave out
// what was left behind.
func (e *Engine) Unsettled(ctx context.Context) (string, error) {
	recent, err := e.ports.Records.Operations(0, unsettledLook)
	if err != nil {
		return "", err
	}
	for _, op := range recent {
		switch op.State {
		case RollbackFailed, Failed:
			return fmt.Sprintf("%s ended in %s, and nothing has succeeded since", op.ID, op.State), nil
		case Succeeded:
			return e.moved(ctx)
		}
	}
	return e.moved(ctx)
}

// moved compares the checkout with the stamp.
func (e *Engine) moved(ctx context.Context) (string, error) {
	stamp, _, err := e.ports.Stamp.Stamp()
	if err != nil || stamp == "" {
		return "", err
	}
	head, err := e.ports.Commits.Head(ctx)
	if err != nil || head == stamp {
		return "", err
	}
	return fmt.Sprintf("the checkout is at %s, the stamp at %s: somebody moved it", short(head), short(stamp)), nil
}
