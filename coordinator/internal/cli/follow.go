package cli

import (
	"context"
	"errors"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	"ataraxis.dev/landfall/shared/fault"
)

// following is one command that follows an operation: connection, session, progress.
type following struct {
	*globals
	client  *agentclient.Client
	session *agentclient.Session
	show    console.Renderer
	asked   *asked // between session and show
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
	return fault.New(fault.Interrupted, "INTERRUPTED", "%s; %s goes on", why, id).WithHint("%s", attachHint(id))
}

func attachHint(id string) string { return "watch it with: landfall-coordinator attach " + id }
