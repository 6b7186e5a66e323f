package cli

import (
	"context"
	"errors"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// following is one command that follows an operation: connection, session, progress.
type following struct {
	*globals
	client  *agentclient.Client
	session *agentclient.Session
	show    console.Renderer
	asked   *asked // between session and show

	ending      bool                    // the operation is being cancelled
	pauseBefore *landfallv1.GitOpsPause // what kept convergence from running before a deploy was sent; nil: nothing
}

// follow connects, runs do, and takes everything down again. When the person stops
// waiting it says how to go on watching: the operation does not stop.
func (g *globals) follow(ctx context.Context, do func(context.Context, *following) error) error {
	ctx, cancel := g.limit(ctx)
	defer cancel()
	show, err := g.renderer()
	if err != nil {
		return err
	}
	client, err := g.dial()
	if err != nil {
		return errors.Join(err, show.Close())
	}
	f := &following{globals: g, client: client, show: show, asked: &asked{Renderer: show}}
	f.session = client.Session(f.asked)
	err = do(ctx, f)
	f.session.Close()
	cancelled := ctx.Err() != nil
	cancel() // whoever still answers the agent
	f.asked.answers.Wait()
	if cancelled && err != nil {
		err = f.interrupted(ctx)
	}
	// Closing the renderer and the connection can fail only in ways that change nothing.
	_, _ = show.Close(), client.Close()
	return err
}

// interrupted is the error of a person who stopped waiting.
func (f *following) interrupted(ctx context.Context) error {
	why := "interrupted"
	if errors.Is(context.Cause(ctx), errTimeout) {
		why = errTimeout.Message
	}
	id := f.session.OperationID()
	if id == "" {
		return fault.New(fault.Interrupted, "INTERRUPTED", "%s before an operation was started", why)
	}
	return fault.New(fault.Interrupted, "INTERRUPTED", "%s; %s goes on", why, id).WithHint("%s", f.afterUs())
}

// afterUs says what becomes of the operation when nobody watches it, and how to watch it again.
func (f *following) afterUs() string {
	id := f.session.OperationID()
	watch := "watch it with: landfall-coordinator attach " + id
	switch {
	case f.ending || f.session.State() > landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY: // its verdict is being made, or not wanted
	case f.session.Judges():
		return "the agent judges it by itself as soon as it is applied; " + watch
	case f.session.AwaitsVerify():
		return "once applied it awaits: landfall-coordinator verify --operation " + id + "; without that the agent judges it by itself after a while; " + watch
	}
	return watch
}
