package agentclient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// printer is an agent with a log of one container and many lines. It keeps its lines in order of their number, and breaks each stream
// after some lines.
type printer struct {
	*agent
	last     uint64
	breaks   func(attempt int) uint64 // lines until a stream breaks; 0: it does not
	before   bool                     // it breaks before what is new begins
	refuses  error
	mu       sync.Mutex
	requests []*landfallv1.TailLogsRequest
}

var printed = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TailLogs goes on where the caller's position says.
func (p *printer) TailLogs(req *landfallv1.TailLogsRequest, stream grpc.ServerStreamingServer[landfallv1.TailLogsResponse]) error {
	p.mu.Lock()
	p.requests = append(p.requests, req)
	attempt := len(p.requests)
	p.mu.Unlock()
	if p.refuses != nil {
		return p.refuses
	}
	from := uint64(0)
	if len(req.GetPositions()) > 0 {
		from = req.GetPositions()[0].GetSkip()
	}
	if !p.before {
		if err := stream.Send(&landfallv1.TailLogsResponse{Notice: &landfallv1.LogNotice{
			Kind: landfallv1.LogNoticeKind_LOG_NOTICE_KIND_FOLLOWING, FollowTime: timestamppb.New(printed.Add(time.Duration(attempt) * time.Hour)),
		}}); err != nil {
			return err
		}
	}
	if err := stream.Send(&landfallv1.TailLogsResponse{Notice: &landfallv1.LogNotice{Kind: landfallv1.LogNoticeKind_LOG_NOTICE_KIND_UNREADABLE, Message: "another cannot be read"}}); err != nil {
		return err
	}
	most := p.breaks(attempt)
	for n := from + 1; n <= p.last; n++ {
		err := stream.Send(&landfallv1.TailLogsResponse{
			Service: "web", Text: fmt.Sprint("n ", n), Position: &landfallv1.LogPosition{ContainerId: "c", ReadTime: timestamppb.New(printed), Skip: n, LastTime: timestamppb.New(printed)},
		})
		if err != nil {
			return err
		}
		if most--; most == 0 {
			return errBroken
		}
	}
	if req.GetFollow() {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	return nil
}

// connectPrinter serves it; see connectHost.
func connectPrinter(t *testing.T, p *printer) *Client {
	t.Helper()
	return connectHost(t, &host{agent: p.agent, tail: p.TailLogs})
}

// listener remembers lines.
type listener struct {
	texts    []string
	notices  []string
	warnings []string
	enough   int
	stop     context.CancelFunc
	fails    error
}

func (l *listener) Take(r *landfallv1.TailLogsResponse) error {
	if n := r.GetNotice(); n != nil {
		l.notices = append(l.notices, n.GetMessage())
		return nil
	}
	if l.fails != nil && len(l.texts) == 3 {
		return l.fails
	}
	l.texts = append(l.texts, r.GetText())
	if len(l.texts) == l.enough {
		l.stop()
	}
	return nil
}

func (l *listener) Warn(text string) { l.warnings = append(l.warnings, text) }

func (l *listener) requireLines(t *testing.T, last int) {
	t.Helper()
	for i, text := range l.texts {
		if want := fmt.Sprint("n ", i+1); text != want {
			t.Fatalf("line %d is %q", i+1, text)
		}
	}
	if len(l.texts) != last {
		t.Errorf("%d lines, want %d", len(l.texts), last)
	}
}

func TestLogsGoOnWhereTheyBroke(t *testing.T) {
	for _, follow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := &printer{agent: &agent{}, last: 500, breaks: func(attempt int) uint64 { return uint64(attempt * 7 % 60) }}
			c := connectPrinter(t, p)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := &listener{enough: 501}
			if follow {
				l.enough, l.stop = 500, cancel
			}
			err := c.Logs(ctx, &landfallv1.TailLogsRequest{Follow: follow, Since: durationpb.New(time.Hour), Tail: 7}, l)
			if (follow && !errors.Is(err, context.Canceled)) || (!follow && err != nil) {
				t.Error(err)
			}
			l.requireLines(t, 500)
			if len(l.notices) != 1 {
				t.Errorf("notices, of which each connection brings the same: %q", l.notices)
			}
			if len(p.requests) < 10 || len(l.warnings) != 0 {
				t.Errorf("%d streams, warnings %q", len(p.requests), l.warnings)
			}
			for i, req := range p.requests {
				if i > 0 && (!req.GetFollowTime().AsTime().Equal(printed.Add(time.Hour)) || len(req.GetPositions()) != 1) || req.GetTail() != 7 || req.GetFollow() != follow {
					t.Fatalf("request %d: %v", i, req)
				}
			}
		})
	}
}

// A stream that breaks while old lines come says nothing of when what is new begins.
func TestLogsThatBreakAmongOldLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &printer{agent: &agent{}, last: 50, before: true, breaks: func(int) uint64 { return 20 }}
		c := connectPrinter(t, p)
		l := &listener{}
		if err := c.Logs(t.Context(), &landfallv1.TailLogsRequest{}, l); err != nil {
			t.Error(err)
		}
		l.requireLines(t, 50)
		for _, req := range p.requests {
			if req.GetFollowTime() != nil {
				t.Errorf("%v", req)
			}
		}
	})
}

func TestLogsOfAnAgentThatStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &printer{agent: &agent{}, last: 10}
		p.breaks = func(int) uint64 {
			p.agent.mu.Lock() // the script's, not the printer's
			p.down = true
			for _, c := range p.conns {
				_ = c.Close()
			}
			p.agent.mu.Unlock()
			return 0
		}
		c := connectPrinter(t, p)
		l := &listener{}
		c.met.Store(true)
		began := time.Now()
		err := c.Logs(t.Context(), &landfallv1.TailLogsRequest{Follow: true}, l)
		if fault.KindOf(err) != fault.Unreachable || time.Since(began) < patience {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if len(l.warnings) == 0 || !strings.Contains(l.warnings[0], "agent.test:7443 lost, trying again") {
			t.Errorf("warnings: %q", l.warnings)
		}
	})
}

func TestLogsEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := func(int) uint64 { return 0 }
		unknown := &printer{agent: &agent{}, breaks: none, refuses: fault.New(fault.Invalid, "UNKNOWN_SERVICE", "there is no service")}
		if err := connectPrinter(t, unknown).Logs(t.Context(), &landfallv1.TailLogsRequest{Follow: true}, &listener{}); fault.ReasonOf(err) != "UNKNOWN_SERVICE" {
			t.Errorf("refused: %v", err)
		}
		if err := connectPrinter(t, &printer{agent: &agent{down: true}, breaks: none}).Logs(t.Context(), &landfallv1.TailLogsRequest{Follow: true}, &listener{}); fault.KindOf(err) != fault.Unreachable {
			t.Errorf("an agent that never answered: %v", err)
		}
		full := errors.New("broken pipe")
		l := &listener{fails: full}
		if err := connectPrinter(t, &printer{agent: &agent{}, last: 10, breaks: none}).Logs(t.Context(), &landfallv1.TailLogsRequest{}, l); !errors.Is(err, full) || len(l.texts) != 3 {
			t.Errorf("a reader that is gone: %v after %d lines", err, len(l.texts))
		}
	})
}

func TestPlacesOfContainersAreBounded(t *testing.T) {
	tail := &logTail{reader: &listener{}, positions: map[string]*landfallv1.LogPosition{}}
	for n := range maxPositions + 10 {
		err := tail.take(&landfallv1.TailLogsResponse{Position: &landfallv1.LogPosition{ContainerId: fmt.Sprint(n), LastTime: timestamppb.New(printed.Add(time.Duration(n) * time.Second))}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(tail.positions) != maxPositions || tail.positions["9"] != nil || tail.positions["10"] == nil {
		t.Errorf("%d places", len(tail.positions))
	}
}
