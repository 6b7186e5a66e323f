package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/agent/internal/redact"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/pipeline"
)

// logs plays what containers print. Nothing is played by nobody.
type logs struct {
	play func(ctx context.Context, q ports.LogQuery, out func(ports.LogLine) error) error
	asks ports.LogQuery
	aims []string
}

// Tail asks for the targets as the adapter does, and plays.
func (l *logs) Tail(ctx context.Context, q ports.LogQuery, out func(ports.LogLine) error) error {
	if err := q.Learn(ctx); err != nil {
		return err
	}
	targets, err := q.Targets(ctx)
	if err != nil {
		return err
	}
	l.asks, l.aims = q, nil
	for _, t := range targets {
		l.aims = append(l.aims, t.Stack+"/"+t.Service)
	}
	if l.play == nil {
		return nil
	}
	return l.play(ctx, q, out)
}

// printedAt is a line of a container.
func printedAt(n int, text string) ports.LogLine {
	t := time.Unix(1e9+int64(n), 0)
	return ports.LogLine{
		LogTarget: ports.LogTarget{Key: picture.Key{Project: "sample", Service: "app"}, Stack: "core"}, Container: "sample-app-1", ID: "c0ffee", Number: 1,
		Time: t, Stream: operation.Stdout, Text: text, After: ports.LogPosition{From: t, Skip: 1, Last: t},
	}
}

// tailed is everything that a tail answers.
func (b *bench) tailed(req *landfallv1.TailLogsRequest) ([]*landfallv1.TailLogsResponse, error) {
	b.t.Helper()
	stream, err := b.diagnostics().TailLogs(b.context(), req)
	if err != nil {
		b.t.Fatal(err)
	}
	var all []*landfallv1.TailLogsResponse
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, resp)
	}
}

func TestLogsOfServicesByName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.verifyingDeploy(b.dial(identity.RoleDeployer), b.next(1))
	all := []string{"core/app", "core/database", "extra/mailer", "extra/worker"}
	for _, tt := range []struct {
		names, want []string
		reason      string
		says        string
	}{
		{nil, all, "", ""},
		{[]string{"app"}, all[:1], "", ""},
		{[]string{"*a*"}, all[:3], "", ""},
		{[]string{"extra/*", "database"}, all[1:], "", ""},
		{[]string{"core/mailer"}, nil, "UNKNOWN_SERVICE", "there is no service \"core/mailer\""},
		{[]string{"app", "databse"}, nil, "UNKNOWN_SERVICE", "did you mean database?"},
		{[]string{"extra/workr"}, nil, "UNKNOWN_SERVICE", "did you mean extra/worker?"},
		{[]string{"zzz*"}, nil, "UNKNOWN_SERVICE", "landfall-coordinator status"},
		{[]string{"[a"}, nil, "BAD_SERVICE", "names no service"},
		{[]string{"/app"}, nil, "BAD_SERVICE", "names no service"},
		{[]string{"core/"}, nil, "BAD_SERVICE", "names no service"},
		{[]string{"a/b/c"}, nil, "BAD_SERVICE", "names no service"},
		{[]string{strings.Repeat("x", maxLogName+1)}, nil, "BAD_SERVICE", "names no service"},
		{slices.Repeat([]string{"app"}, maxLogNames+1), nil, "TOO_MANY_NAMES", "at most"},
	} {
		b.logs.aims = nil
		_, err := b.tailed(&landfallv1.TailLogsRequest{Services: tt.names})
		if reasonOf(err) != tt.reason || (err == nil) != (tt.reason == "") || (err != nil && !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%.60q: %v", tt.names, err)
		}
		if !slices.Equal(b.logs.aims, tt.want) {
			t.Errorf("%.60q: %q, want %q", tt.names, b.logs.aims, tt.want)
		}
	}
}

func TestQueriesForLogs(t *testing.T) {
	t.Parallel()
	now := time.Now()
	position := &landfallv1.LogPosition{ContainerId: "c1", ReadTime: timestamppb.New(now), Skip: 7, LastTime: timestamppb.New(now)}
	for name, tt := range map[string]struct {
		req    *landfallv1.TailLogsRequest
		holds  func(ports.LogQuery) bool
		reason string
	}{
		"nothing said": {&landfallv1.TailLogsRequest{}, func(q ports.LogQuery) bool {
			return !q.Follow && q.Tail == 100 && q.Since.IsZero() && len(q.Positions) == 0 && q.From.IsZero()
		}, ""},
		"all":      {&landfallv1.TailLogsRequest{Tail: math.MaxUint32, Follow: true}, func(q ports.LogQuery) bool { return q.Tail == -1 && q.Follow }, ""},
		"some":     {&landfallv1.TailLogsRequest{Tail: 5}, func(q ports.LogQuery) bool { return q.Tail == 5 }, ""},
		"only new": {&landfallv1.TailLogsRequest{Tail: 5, OnlyNew: true}, func(q ports.LogQuery) bool { return q.Tail == 0 }, ""},
		"since": {&landfallv1.TailLogsRequest{Since: durationpb.New(time.Hour)}, func(q ports.LogQuery) bool {
			return time.Since(q.Since.Add(time.Hour)).Abs() < time.Minute
		}, ""},
		"going on": {&landfallv1.TailLogsRequest{Positions: []*landfallv1.LogPosition{position}, FollowTime: timestamppb.New(now)}, func(q ports.LogQuery) bool {
			return q.From.Equal(now) && q.Positions["c1"].From.Equal(now) && q.Positions["c1"].Skip == 7 && q.Positions["c1"].Last.Equal(now)
		}, ""},
		"negative":          {&landfallv1.TailLogsRequest{Since: durationpb.New(-time.Hour)}, nil, "BAD_SINCE"},
		"empty position":    {&landfallv1.TailLogsRequest{Positions: []*landfallv1.LogPosition{{ContainerId: "c1"}}}, nil, "BAD_POSITION"},
		"too many":          {&landfallv1.TailLogsRequest{Positions: slices.Repeat([]*landfallv1.LogPosition{position}, maxPositions+1)}, nil, "TOO_MANY_POSITIONS"},
		"impossible moment": {&landfallv1.TailLogsRequest{FollowTime: &timestamppb.Timestamp{Seconds: math.MaxInt64}}, nil, "BAD_FOLLOW_TIME"},
	} {
		q, err := logQueryOf(tt.req)
		if fault.ReasonOf(err) != tt.reason || (tt.holds != nil && !tt.holds(q)) {
			t.Errorf("%s: %+v, %v", name, q, err)
		}
	}
}

// What the agent says of a line is what the container printed, with where to go on; notices are told between lines.
func TestLinesOfLogs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	began := time.Now()
	b.logs.play = func(_ context.Context, _ ports.LogQuery, out func(ports.LogLine) error) error {
		long := printedAt(2, "second")
		long.Truncated, long.Stream = true, operation.Stderr
		return errors.Join(out(printedAt(1, "first")), out(long),
			out(ports.LogLine{Notice: &ports.LogNotice{Kind: ports.LogFollowing, Message: "old lines end here", Began: began}}), out(printedAt(3, "third")))
	}
	got, err := b.tailed(&landfallv1.TailLogsRequest{})
	if err != nil || len(got) != 4 {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	first, second, notice := got[0], got[1], got[2]
	at := time.Unix(1e9+1, 0)
	if first.GetText() != "first" || first.GetStack() != "core" || first.GetService() != "app" || first.GetContainer() != "sample-app-1" || first.GetNumber() != 1 ||
		!first.GetLogTime().AsTime().Equal(at) || first.GetStream() != landfallv1.OutputStream_OUTPUT_STREAM_STDOUT || first.GetTruncated() ||
		first.GetPosition().GetContainerId() != "c0ffee" || first.GetPosition().GetSkip() != 1 || !first.GetPosition().GetReadTime().AsTime().Equal(at) {
		t.Errorf("a line: %v", first)
	}
	if second.GetStream() != landfallv1.OutputStream_OUTPUT_STREAM_STDERR || !second.GetTruncated() {
		t.Errorf("a long line: %v", second)
	}
	if notice.GetNotice().GetKind() != landfallv1.LogNoticeKind_LOG_NOTICE_KIND_FOLLOWING || !notice.GetNotice().GetFollowTime().AsTime().Equal(began) || notice.GetPosition() != nil {
		t.Errorf("a notice: %v", notice)
	}
	if got[3].GetText() != "third" {
		t.Errorf("order: %v", got)
	}
}

// pupil teaches the redactor when it is asked to.
type pupil struct {
	redactor *redact.Redactor
	asked    atomic.Int32
	err      error
}

const logSecret = "kd83-Xq7z-Pw5m-91a"

func (p *pupil) Learn(context.Context, *pipeline.Plan) error {
	p.asked.Add(1)
	if p.err != nil {
		return p.err
	}
	return p.redactor.Learn("test", []string{logSecret})
}

// Secrets are known before any line leaves, and taken out of lines: whole, and broken over two.
func TestLogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	teacher := &pupil{redactor: redact.New()}
	b := newBench(t, func(c *Config) { c.Redact, c.Lines, c.Teacher = teacher.redactor.Text, teacher.redactor.Lines, teacher })
	b.logs.play = func(_ context.Context, _ ports.LogQuery, out func(ports.LogLine) error) error {
		other := printedAt(5, "another container's line")
		other.ID = "beef"
		return errors.Join(
			out(printedAt(1, "password is "+logSecret+", says nobody")),
			out(printedAt(2, "begins "+logSecret[:9])), out(other), out(printedAt(3, logSecret[9:]+" ends")), out(printedAt(4, "harmless")),
			out(ports.LogLine{Notice: &ports.LogNotice{Kind: ports.LogUnreadable, Message: "with " + logSecret}}),
		)
	}
	got, err := b.tailed(&landfallv1.TailLogsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, r := range got {
		texts = append(texts, r.GetText()+r.GetNotice().GetMessage())
	}
	if want := []string{"password is [redacted], says nobody", "begins [redacted]", "another container's line", "[redacted] ends", "harmless", "with [redacted]"}; !slices.Equal(texts, want) {
		t.Errorf("got  %q\nwant %q", texts, want)
	}
	if teacher.asked.Load() == 0 {
		t.Error("nobody asked for secrets to be learned")
	}
	teacher.err = fault.New(fault.Refused, "SECRETS_NOT_READ", "what /srv/.env holds cannot be kept out of logs")
	got, err = b.tailed(&landfallv1.TailLogsRequest{})
	requireStatus(t, err, codes.FailedPrecondition, "SECRETS_NOT_READ")
	if len(got) != 0 {
		t.Errorf("lines left though their secrets are not known: %v", got)
	}
}

// A line is not kept back for long when no other follows.
func TestTheLastLineComesSoon(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.logs.play = func(ctx context.Context, _ ports.LogQuery, out func(ports.LogLine) error) error {
		if err := out(printedAt(1, "alone")); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	stream, err := b.diagnostics().TailLogs(b.context(), &landfallv1.TailLogsRequest{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := stream.Recv(); err != nil || resp.GetText() != "alone" {
		t.Errorf("%v, %v", resp, err)
	}
}

// following plays a log that never ends, and counts what was taken of it.
func following(taken *atomic.Int64) func(context.Context, ports.LogQuery, func(ports.LogLine) error) error {
	return func(ctx context.Context, _ ports.LogQuery, out func(ports.LogLine) error) error {
		for n := 1; ctx.Err() == nil; n++ {
			if err := out(printedAt(n, fmt.Sprint("line ", n, strings.Repeat(" and so on", 20)))); err != nil {
				return err
			}
			taken.Store(int64(n))
		}
		return context.Cause(ctx)
	}
}

// Who does not read slows the reading, and nothing is kept for him. When he reads again all lines are there.
func TestWhoReadsLogsSlowlySlowsTheReading(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var taken atomic.Int64
	b.logs.play = following(&taken)
	stream, err := b.diagnostics().TailLogs(b.context(), &landfallv1.TailLogsRequest{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	for taken.Load() == 0 || taken.Load() != last { // until it stands still
		last = taken.Load()
		time.Sleep(300 * time.Millisecond)
	}
	if most := int64(20_000); last > most {
		t.Errorf("%d lines were taken of the log for somebody who reads none", last)
	}
	for n := int64(1); n <= last+1000; n++ {
		resp, err := stream.Recv()
		if err != nil || !strings.HasPrefix(resp.GetText(), fmt.Sprint("line ", n, " ")) {
			t.Fatalf("line %d: %v, %v", n, resp, err)
		}
	}
}

// Streams of logs end with the right to them, with their caller, and with the agent, which does not wait for them.
func TestStreamsOfLogsEnd(t *testing.T) {
	t.Parallel()
	t.Run("with the right", func(t *testing.T) {
		t.Parallel()
		g := newGate(t)
		var taken atomic.Int64
		g.logs.play = following(&taken)
		stream, err := g.diagnostics().TailLogs(g.context(), &landfallv1.TailLogsRequest{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; err == nil; n++ {
			if n == 100 {
				g.revoke(identity.RoleObserver)
			}
			_, err = stream.Recv()
		}
		requireStatus(t, err, codes.Unauthenticated, identity.ReasonRevoked)
	})
	t.Run("with the caller", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		ended := make(chan error, 1)
		b.logs.play = func(ctx context.Context, _ ports.LogQuery, _ func(ports.LogLine) error) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}
		ctx, cancel := context.WithCancel(b.context())
		stream, err := b.diagnostics().TailLogs(ctx, &landfallv1.TailLogsRequest{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(50*time.Millisecond, cancel)
		_, _ = stream.Recv()
		select {
		case <-ended:
		case <-time.After(waiting):
			t.Error("the reading goes on")
		}
	})
	t.Run("with the agent", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.logs.play = func(ctx context.Context, _ ports.LogQuery, _ func(ports.LogLine) error) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		stream, err := b.diagnostics().TailLogs(b.context(), &landfallv1.TailLogsRequest{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(100*time.Millisecond, func() { b.server.stop(fault.New(fault.Unreachable, "SHUTTING_DOWN", "the agent is stopping")) })
		_, err = stream.Recv()
		requireStatus(t, err, codes.Unavailable, "SHUTTING_DOWN")
	})
}
