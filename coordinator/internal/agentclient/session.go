package agentclient

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// Watcher hears of an operation's events, each once, in order.
type Watcher interface {
	Event(operationID string, e *landfallv1.Event)
	// Warn tells of trouble with the connection.
	Warn(text string)
}

const (
	// retryFirst and retryMost bound the pause between two attempts to re-attach.
	retryFirst = 200 * time.Millisecond
	retryMost  = 5 * time.Second
	// patience is how long the agent may stay away before we give up watching: longer
	// than a reboot of a small machine. The operation does not depend on it. An agent that
	// is silent because nothing happens is not away.
	patience = 5 * time.Minute
)

// reasonEnded is the reason of an error: the agent closed the stream, as it does when the
// operation has ended.
const reasonEnded = "STREAM_ENDED"

// Session follows one operation over as many connections as it takes. Not safe for
// concurrent use.
type Session struct {
	client  *Client
	watcher Watcher

	operation string
	state     landfallv1.OperationState
	last      uint64 // sequence of the last event delivered
	kind      landfallv1.OperationKind
	judges    bool // the agent judges by itself as soon as everything is applied

	told  string        // the last warning, which is not repeated
	lost  time.Time     // when the agent was lost; zero while it answers
	pause time.Duration // before the next attempt to re-attach; 0 is retryFirst

	stream grpc.BidiStreamingClient[landfallv1.ExecuteRequest, landfallv1.ExecuteResponse]
	cancel context.CancelFunc
}

// Session starts without an operation; [Session.Send] or [Session.Attach] gives it one.
func (c *Client) Session(w Watcher) *Session { return &Session{client: c, watcher: w} }

// Close ends the stream; the operation goes on.
func (s *Session) Close() {
	if s.cancel != nil {
		s.cancel()
	}
	s.stream, s.cancel = nil, nil
}

// OperationID is the operation that is followed, "" before there is one.
func (s *Session) OperationID() string { return s.operation }

// State is the state that the delivered events have led to.
func (s *Session) State() landfallv1.OperationState { return s.state }

// AwaitsVerify reports whether the operation is a deploy that waits for a Verify command once it is applied.
func (s *Session) AwaitsVerify() bool {
	return s.kind == landfallv1.OperationKind_OPERATION_KIND_DEPLOY && !s.judges
}

// Judges reports whether the operation is a deploy that the agent judges by itself as soon as it is applied.
func (s *Session) Judges() bool { return s.judges }

// NewCommandID makes an identifier for a command.
func NewCommandID(kind string) string { return kind + "-" + rand.Text() }

// Send sends a command and returns when the agent has recorded it. After a broken
// connection it is sent again: the same command_id is the same command. An agent that has
// never answered is an error at once.
func (s *Session) Send(ctx context.Context, req *landfallv1.ExecuteRequest) error {
	sent := false
	return s.retry(ctx, func() error {
		err := s.offer(ctx, req, &sent)
		if fault.ReasonOf(err) == reasonEnded && Terminal(s.state) {
			// The operation came to its end, and the stream with it, before the command was heard.
			s.Close()
			err = s.offer(ctx, req, &sent)
		}
		return err
	})
}

// offer sends a command on the stream, on a new one when there is none. sent is set once
// the agent may have it.
func (s *Session) offer(ctx context.Context, req *landfallv1.ExecuteRequest, sent *bool) error {
	fresh := s.stream == nil
	if err := s.open(ctx); err != nil {
		if !*sent && !s.client.met.Load() {
			return &giveUp{err} // nothing was sent: the person should hear of it now
		}
		return err
	}
	*sent = true // perhaps: who knows where the stream breaks
	// What has ended and was delivered is not attached to: the stream would end before the command.
	if fresh && s.operation != "" && !Terminal(s.state) {
		if err := s.resume(); err != nil {
			return err
		}
	}
	return s.roundTrip(req)
}

// Attach follows an operation from after an event on; "" is the running one.
func (s *Session) Attach(ctx context.Context, operation string, after uint64) error {
	s.operation, s.last = operation, after
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.resume()
}

// Follow delivers events until the operation is terminal or until says that its state
// is enough. It re-attaches as often as it must.
func (s *Session) Follow(ctx context.Context, until func(landfallv1.OperationState) bool) error {
	for !Terminal(s.state) && !until(s.state) {
		err := s.retry(ctx, func() error {
			if s.stream != nil {
				return s.receive()
			}
			if err := s.open(ctx); err != nil {
				return err
			}
			return s.resume()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Operation reads the operation that is followed, over as many connections as it takes.
func (s *Session) Operation(ctx context.Context) (op *landfallv1.Operation, err error) {
	err = s.retry(ctx, func() (err error) {
		op, _, err = s.client.Operation(ctx, s.operation)
		return err
	})
	return op, err
}

// giveUp is an error that is not worth another attempt.
type giveUp struct{ error }

func (g *giveUp) Unwrap() error { return g.error }

// retry repeats do while the agent cannot be reached.
func (s *Session) retry(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		if s.lost.IsZero() {
			s.lost = time.Now()
		}
		var final *giveUp
		switch {
		case ctx.Err() != nil:
			s.Close()
			return context.Cause(ctx)
		case errors.As(err, &final):
			s.Close()
			return final.error
		case fault.KindOf(err) != fault.Unreachable:
			s.Close()
			return err
		case time.Since(s.lost) > patience:
			s.Close()
			return s.lostFor(err)
		}
		s.Close()
		if text := err.Error(); text != s.told {
			s.told = text
			s.watcher.Warn(fmt.Sprintf("connection to %s lost, trying again: %s", s.client.address, text))
		}
		s.pause = max(s.pause, retryFirst)
		select {
		case <-time.After(s.pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.pause = min(2*s.pause, retryMost)
	}
}

// lostFor is the error of an agent that stayed away too long.
func (s *Session) lostFor(err error) error {
	if s.operation == "" {
		return err
	}
	return fault.Wrap(err, fault.Unreachable, "AGENT_LOST", "lost %s for %s; the operation does not depend on us", s.operation, patience).
		WithHint("watch it again with: landfall-coordinator attach %s", s.operation)
}

// open makes a stream when there is none.
func (s *Session) open(ctx context.Context) error {
	if s.stream != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := s.client.deploy.Execute(ctx)
	if err != nil {
		cancel()
		return s.client.explain(err)
	}
	s.stream, s.cancel = stream, cancel
	return nil
}

// resume attaches a new stream to the operation after the last event we have.
func (s *Session) resume() error {
	return s.roundTrip(&landfallv1.ExecuteRequest{
		CommandId: NewCommandID("attach"),
		Command:   &landfallv1.ExecuteRequest_Attach{Attach: &landfallv1.AttachCommand{OperationId: s.operation, AfterSequence: s.last}},
	})
}

// roundTrip sends a command and takes what comes until its acknowledgement.
func (s *Session) roundTrip(req *landfallv1.ExecuteRequest) error {
	if err := s.stream.Send(req); err != nil && !errors.Is(err, io.EOF) {
		return s.client.explain(err) // io.EOF means that Recv knows why
	}
	for {
		acknowledged, err := s.take(req.GetCommandId())
		if err != nil || acknowledged {
			return err
		}
	}
}

// receive takes one message.
func (s *Session) receive() error {
	_, err := s.take("")
	return err
}

// take receives one message: events are delivered, the acknowledgement of a command is reported.
func (s *Session) take(commandID string) (acknowledged bool, err error) {
	resp, err := s.stream.Recv()
	if errors.Is(err, io.EOF) {
		return false, fault.New(fault.Unreachable, reasonEnded, "the agent ended the stream")
	}
	if err != nil {
		return false, s.client.explain(err)
	}
	s.lost = time.Time{}
	s.client.met.Store(true)
	switch p := resp.GetPayload().(type) {
	case *landfallv1.ExecuteResponse_Accepted:
		op := p.Accepted.GetOperation()
		s.operation, s.kind, s.judges = op.GetId(), op.GetKind(), op.GetJudge()
		if op.GetLastSequence() <= s.last {
			s.state = op.GetState() // no event that is still to come tells it
		}
		return p.Accepted.GetCommandId() == commandID, nil
	case *landfallv1.ExecuteResponse_Batch:
		return false, s.deliver(p.Batch)
	}
	return false, nil
}

// deliver hands events on, exactly once and without a gap.
func (s *Session) deliver(batch *landfallv1.EventBatch) error {
	for _, e := range batch.GetEvents() {
		switch {
		case e.GetSequence() <= s.last:
			continue
		case e.GetSequence() != s.last+1:
			return fault.New(fault.Internal, "EVENT_GAP", "event %d of %s follows event %d", e.GetSequence(), batch.GetOperationId(), s.last)
		}
		s.last, s.pause = e.GetSequence(), 0
		if change := e.GetStateChanged(); change != nil {
			s.state = change.GetState()
		}
		s.watcher.Event(batch.GetOperationId(), e)
	}
	return nil
}
