package engine

import (
	"ataraxis.dev/landfall/agent/internal/operation"
)

// Proceed answers an operation that asks whether a newer one is under way: by names the commit of a newer one, which ends it
// superseded; with "" it goes on. Where nothing is asked it changes nothing.
func (e *Engine) Proceed(id, by string) (operation.Operation, error) {
	op, err := e.Operation(id)
	if err != nil || op.State.Terminal() {
		return op, err
	}
	r, op, err := e.runOf(op)
	if r == nil {
		return op, err
	}
	select {
	case r.proceed <- by:
	default: // an answer is there already
	}
	return r.Snapshot(), nil
}
