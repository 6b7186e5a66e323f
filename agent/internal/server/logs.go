package server

import (
	"context"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/strictyaml"
)

const (
	// defaultTail is the number of old lines a container that a caller gets who does not say.
	defaultTail = 100
	// maxLogNames and maxPositions bound what a caller may name; maxLogName is the length of a name, in bytes.
	maxLogNames  = 256
	maxPositions = 1024
	maxLogName   = 256
)

// TailLogs streams lines of containers, until there are no more, or, with follow, until the caller leaves, loses his right, or the agent stops.
func (d diagnosticsService) TailLogs(req *landfallv1.TailLogsRequest, stream grpc.ServerStreamingServer[landfallv1.TailLogsResponse]) error {
	wanted, err := namesOf(req.GetServices())
	if err != nil {
		return err
	}
	q, err := logQueryOf(req)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	defer context.AfterFunc(d.stopping, func() { cancel(context.Cause(d.stopping)) })()
	first := true
	q.Targets = func(ctx context.Context) ([]ports.LogTarget, error) {
		targets, err := d.logTargets(ctx, wanted, first)
		first = false
		return targets, err
	}
	q.Learn = d.learn
	lines := newLogLines(d.lines, func(l ports.LogLine) error { return stream.Send(d.logLineOf(l)) }, cancel)
	err = d.logs.Tail(ctx, q, lines.add)
	switch end := lines.close(ctx.Err() == nil); {
	case end != nil: // what was sent did not arrive
		return end
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// learn has the redactor know what the containers of the checkout may print.
func (s *Server) learn(ctx context.Context) error {
	if s.teacher == nil {
		return nil
	}
	plan, err := s.engine.PlanNow(ctx)
	if err != nil {
		return err
	}
	return s.teacher.Learn(ctx, plan)
}

// logTargets lists the services that names mean. The first time, each name must mean one.
func (d diagnosticsService) logTargets(ctx context.Context, names []logName, first bool) ([]ports.LogTarget, error) {
	services, err := ask(ctx, d.desk, "TailLogs services", func(ctx context.Context) ([]picture.Service, error) {
		plan, err := d.engine.PlanNow(ctx)
		if err != nil {
			return nil, err
		}
		return d.inspector.Services(ctx, plan, nil)
	})
	if err != nil {
		return nil, err
	}
	return choose(services, names, first)
}

// logName is a service, or a pattern of services (path.Match), alone or of a stack.
type logName struct{ text, stack, service string }

func (n logName) means(s picture.Service) bool {
	service, _ := path.Match(n.service, s.Name) // namesOf knows that it is well-formed
	if n.stack == "" {
		return service
	}
	stack, _ := path.Match(n.stack, s.Stack)
	return service && stack
}

// namesOf reads the names of services.
func namesOf(texts []string) ([]logName, error) {
	if len(texts) > maxLogNames {
		return nil, fault.New(fault.Invalid, "TOO_MANY_NAMES", "at most %d services can be named; none means all", maxLogNames)
	}
	var names []logName
	for _, text := range texts {
		n := logName{text: text, service: text}
		if stack, service, both := strings.Cut(text, "/"); both {
			n.stack, n.service = stack, service
		}
		_, malformed := path.Match(n.service, "")
		_, malformedStack := path.Match(n.stack, "")
		if n.service == "" || len(text) > maxLogName || malformed != nil || malformedStack != nil || strings.Contains(n.service, "/") || strings.HasPrefix(text, "/") {
			return nil, fault.New(fault.Invalid, "BAD_SERVICE", "%q names no service", text).WithHint("use SERVICE, STACK/SERVICE, or a pattern such as mcp-*")
		}
		names = append(names, n)
	}
	return names, nil
}

// choose lists the services that names mean, all when there is none. strict fails for a name that means none, with the nearest one.
func choose(services []picture.Service, names []logName, strict bool) ([]ports.LogTarget, error) {
	var targets []ports.LogTarget
	for _, s := range services {
		if len(names) == 0 || slices.ContainsFunc(names, func(n logName) bool { return n.means(s) }) {
			targets = append(targets, ports.LogTarget{Key: s.Key(), Stack: s.Stack})
		}
	}
	if !strict {
		return targets, nil
	}
	for _, n := range names {
		if slices.ContainsFunc(services, n.means) {
			continue
		}
		var known []string
		for _, s := range services {
			name := s.Name
			if n.stack != "" {
				name = s.Stack + "/" + name
			}
			known = append(known, name)
		}
		err := fault.New(fault.Invalid, "UNKNOWN_SERVICE", "there is no service %q", n.text)
		if near := strictyaml.Suggest(n.text, known); near != "" {
			return nil, err.WithHint("did you mean %s?", near)
		}
		return nil, err.WithHint("list them with: landfall-coordinator status")
	}
	return targets, nil
}

// logQueryOf checks and converts a request.
func logQueryOf(req *landfallv1.TailLogsRequest) (ports.LogQuery, error) {
	q := ports.LogQuery{Follow: req.GetFollow(), Positions: map[string]ports.LogPosition{}}
	switch tail := req.GetTail(); {
	case req.GetOnlyNew():
	case tail == 0:
		q.Tail = defaultTail
	case tail == math.MaxUint32:
		q.Tail = -1
	default:
		q.Tail = int(tail)
	}
	if since := req.GetSince(); since != nil {
		if since.CheckValid() != nil || since.AsDuration() <= 0 {
			return q, fault.New(fault.Invalid, "BAD_SINCE", "since must be more than nothing")
		}
		q.Since = time.Now().Add(-since.AsDuration())
	}
	if len(req.GetPositions()) > maxPositions {
		return q, fault.New(fault.Invalid, "TOO_MANY_POSITIONS", "at most %d positions can be given", maxPositions)
	}
	for _, p := range req.GetPositions() {
		if !p.GetReadTime().IsValid() || !p.GetLastTime().IsValid() || p.GetSkip() == 0 || p.GetSkip() > math.MaxUint32 {
			return q, fault.New(fault.Invalid, "BAD_POSITION", "a position does not come from a line of ours")
		}
		q.Positions[p.GetContainerId()] = ports.LogPosition{From: p.GetReadTime().AsTime(), Skip: p.GetSkip(), Last: p.GetLastTime().AsTime()}
	}
	if t := req.GetFollowTime(); t != nil {
		if !t.IsValid() {
			return q, fault.New(fault.Invalid, "BAD_FOLLOW_TIME", "follow_time does not come from a notice of ours")
		}
		q.From = t.AsTime()
	}
	return q, nil
}

var noticeKinds = map[ports.LogNoticeKind]landfallv1.LogNoticeKind{
	ports.LogFollowing:  landfallv1.LogNoticeKind_LOG_NOTICE_KIND_FOLLOWING,
	ports.LogUnreadable: landfallv1.LogNoticeKind_LOG_NOTICE_KIND_UNREADABLE,
	ports.LogEngineDown: landfallv1.LogNoticeKind_LOG_NOTICE_KIND_ENGINE_DOWN,
	ports.LogEngineBack: landfallv1.LogNoticeKind_LOG_NOTICE_KIND_ENGINE_BACK,
}

// logLineOf converts a line, whose text is redacted already, or a notice.
func (s *Server) logLineOf(l ports.LogLine) *landfallv1.TailLogsResponse {
	resp := &landfallv1.TailLogsResponse{Stack: l.Stack, Service: l.Service, Container: l.Container, Number: l.Number}
	if n := l.Notice; n != nil {
		resp.Notice = &landfallv1.LogNotice{Kind: noticeKinds[n.Kind], Message: s.redact(n.Message)}
		if !n.Began.IsZero() {
			resp.Notice.FollowTime = timestamppb.New(n.Began)
		}
		return resp
	}
	resp.LogTime, resp.Stream, resp.Text, resp.Truncated = timestamppb.New(l.Time), streams[l.Stream], l.Text, l.Truncated
	resp.Position = &landfallv1.LogPosition{
		ContainerId: l.ID, ReadTime: timestamppb.New(l.After.From), Skip: l.After.Skip, LastTime: timestamppb.New(l.After.Last),
	}
	return resp
}
