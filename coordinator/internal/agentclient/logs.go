package agentclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// LogReader takes what a tail of logs answers, each line once.
type LogReader interface {
	// Take takes a line or a notice. An error ends the tail.
	Take(*landfallv1.TailLogsResponse) error
	// Warn tells of trouble with the connection.
	Warn(text string)
}

// maxPositions bounds the containers whose place is remembered, as the agent does: those that were silent for longest are forgotten.
const maxPositions = 1000

// logTail is one tail over as many connections as it takes.
type logTail struct {
	client    *Client
	reader    LogReader
	req       *landfallv1.TailLogsRequest
	began     time.Time
	positions map[string]*landfallv1.LogPosition // by container
	following *timestamppb.Timestamp             // when the agent began to look; nil until all old lines have come

	unreadable map[string]bool // notices that were told, which each connection brings again

	lost  time.Time     // when the agent was lost; zero while it answers
	pause time.Duration // before the next attempt
	told  string        // the last warning, which is not repeated
}

// Logs hands the lines that a request asks for to a reader, until there are no more, or, with follow, until ctx ends. When the connection
// breaks it goes on where it broke. An agent that has never answered is an error at once.
func (c *Client) Logs(ctx context.Context, req *landfallv1.TailLogsRequest, r LogReader) error {
	t := &logTail{client: c, reader: r, req: req, began: time.Now(), positions: map[string]*landfallv1.LogPosition{}, unreadable: map[string]bool{}}
	for {
		err := t.once(ctx)
		var final *giveUp
		switch {
		case err == nil:
			return nil
		case errors.As(err, &final):
			return final.error
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case fault.KindOf(err) != fault.Unreachable, !c.met.Load():
			return err
		}
		if err := t.wait(ctx, err); err != nil {
			return err
		}
	}
}

// wait waits before the next attempt: not at all after the first break, because an agent ends the connection of who did not read for a while.
func (t *logTail) wait(ctx context.Context, broken error) error {
	if t.lost.IsZero() {
		t.lost, t.pause = time.Now(), 0
		return nil
	}
	if time.Since(t.lost) > patience {
		return broken
	}
	if text := broken.Error(); text != t.told {
		t.told = text
		t.reader.Warn(fmt.Sprintf("connection to %s lost, trying again: %s", t.client.address, text))
	}
	t.pause = min(max(2*t.pause, retryFirst), retryMost)
	select {
	case <-time.After(t.pause):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// request is the request from where the tail is.
func (t *logTail) request() *landfallv1.TailLogsRequest {
	req := proto.CloneOf(t.req)
	if since := req.GetSince(); since != nil && !t.lost.IsZero() { // it is measured from now
		req.Since = durationpb.New(since.AsDuration() + time.Since(t.began))
	}
	for _, p := range t.positions {
		req.Positions = append(req.Positions, p)
	}
	req.FollowTime = t.following
	return req
}

// once reads over one connection.
func (t *logTail) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := t.client.diagnostics.TailLogs(ctx, t.request())
	if err != nil {
		return t.client.explain(err)
	}
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && t.req.GetFollow():
			return fault.New(fault.Unreachable, reasonEnded, "the agent ended the stream")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return t.client.explain(err)
		}
		t.lost, t.told = time.Time{}, ""
		t.client.met.Store(true)
		if err := t.take(resp); err != nil {
			return &giveUp{err}
		}
	}
}

// take remembers where to go on, once the reader has the line.
func (t *logTail) take(resp *landfallv1.TailLogsResponse) error {
	switch n := resp.GetNotice(); n.GetKind() {
	case landfallv1.LogNoticeKind_LOG_NOTICE_KIND_FOLLOWING:
		if t.following == nil {
			t.following = n.GetFollowTime()
		}
		return nil
	case landfallv1.LogNoticeKind_LOG_NOTICE_KIND_UNREADABLE:
		if t.unreadable[n.GetMessage()] {
			return nil
		}
		if len(t.unreadable) < maxPositions {
			t.unreadable[n.GetMessage()] = true
		}
	default:
	}
	if err := t.reader.Take(resp); err != nil {
		return err
	}
	if p := resp.GetPosition(); p != nil {
		t.positions[p.GetContainerId()] = p
		if len(t.positions) > maxPositions {
			t.forget()
		}
	}
	return nil
}

// forget forgets the container that was silent for longest.
func (t *logTail) forget() {
	var oldest *landfallv1.LogPosition
	for _, p := range t.positions {
		if oldest == nil || p.GetLastTime().AsTime().Before(oldest.GetLastTime().AsTime()) {
			oldest = p
		}
	}
	delete(t.positions, oldest.GetContainerId())
}
