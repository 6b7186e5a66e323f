package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// The sets of roles; each includes the one before.
var (
	observers = []identity.Role{identity.RoleObserver, identity.RoleDeployer, identity.RoleOperator}
	deployers = []identity.Role{identity.RoleDeployer, identity.RoleOperator}
	operators = []identity.Role{identity.RoleOperator}
)

// methodRules says who may call a method. There is no default: a method that is not
// here is denied, and TestEveryMethodHasARule fails.
var methodRules = map[string][]identity.Role{
	landfallv1.DeployService_Execute_FullMethodName:            observers, // each command has its own rule, see commandRule
	landfallv1.DeployService_RecordNotification_FullMethodName: deployers,

	landfallv1.GitOpsService_Pause_FullMethodName:     operators,
	landfallv1.GitOpsService_Resume_FullMethodName:    operators,
	landfallv1.GitOpsService_Unblock_FullMethodName:   operators,
	landfallv1.GitOpsService_GetGitOps_FullMethodName: observers,
	landfallv1.GitOpsService_Converge_FullMethodName:  operators,

	landfallv1.AuditService_ListAudit_FullMethodName: operators,
	landfallv1.IdentityService_Revoke_FullMethodName: operators,
	landfallv1.IdentityService_Renew_FullMethodName:  observers, // each for himself

	landfallv1.DiagnosticsService_GetHost_FullMethodName:         observers,
	landfallv1.DiagnosticsService_ListServices_FullMethodName:    observers,
	landfallv1.DiagnosticsService_Probe_FullMethodName:           observers,
	landfallv1.DiagnosticsService_ListOperations_FullMethodName:  observers,
	landfallv1.DiagnosticsService_GetOperation_FullMethodName:    observers,
	landfallv1.DiagnosticsService_WatchOperation_FullMethodName:  observers,
	landfallv1.DiagnosticsService_TailLogs_FullMethodName:        observers,
	landfallv1.DiagnosticsService_GetPlan_FullMethodName:         observers,
	landfallv1.DiagnosticsService_GetRollbackPlan_FullMethodName: observers,
	landfallv1.DiagnosticsService_GetDrift_FullMethodName:        observers,

	"/grpc.health.v1.Health/Check":                                   observers,
	"/grpc.health.v1.Health/List":                                    observers,
	"/grpc.health.v1.Health/Watch":                                   observers,
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      observers,
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": observers,
}

// commandRule says who may send a command, and its name for messages. A command that is
// not here is denied.
func commandRule(req *landfallv1.ExecuteRequest) (name string, roles []identity.Role) {
	switch req.GetCommand().(type) {
	case *landfallv1.ExecuteRequest_Deploy:
		return "deploy", deployers
	case *landfallv1.ExecuteRequest_Verify:
		return "verify", deployers
	case *landfallv1.ExecuteRequest_Proceed:
		return "proceed", deployers
	case *landfallv1.ExecuteRequest_Rollback:
		return "rollback", deployers
	case *landfallv1.ExecuteRequest_Finish:
		return "finish", deployers
	case *landfallv1.ExecuteRequest_Cancel:
		return "cancel", deployers
	case *landfallv1.ExecuteRequest_Attach:
		return "attach", deployers
	case *landfallv1.ExecuteRequest_Restart:
		return "restart", operators
	case *landfallv1.ExecuteRequest_Migrate:
		return "migrate", operators
	case *landfallv1.ExecuteRequest_Converge:
		return "converge", operators
	}
	return "unknown", nil
}

type principalKey struct{}

// principalFrom is who calls; the interceptors put it there.
func principalFrom(ctx context.Context) identity.Principal {
	p, _ := ctx.Value(principalKey{}).(identity.Principal) // the zero principal has no role and may nothing
	return p
}

// connectionOf is the connection that a call came by, which has proven who is at its other end.
func connectionOf(ctx context.Context) (*connection, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "NO_PEER", "the connection has no peer")
	}
	c, ok := p.AuthInfo.(*connection)
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "NO_CERTIFICATE", "the connection has no certificate")
	}
	return c, nil
}

// admitted is a call that may be served. Its context ends with the caller's right to it.
type admitted struct {
	context.Context //nolint:containedctx // a call's context with what belongs to it
	connection      *connection
	release         func()
}

// admit asks who calls and whether he still may, checks the method's rule, and counts the
// call. The caller releases it.
func (s *Server) admit(ctx context.Context, method string, stream bool) (*admitted, error) {
	c, err := connectionOf(ctx)
	if err != nil {
		s.refusals.add("denied", method, "method", method, "error", err)
		s.audit.record(ctx, nobody, method, "", err)
		return nil, err
	}
	if err := s.connections.judge(c); err != nil {
		s.refusals.add("denied", c.who.String(), "method", method, "who", c.who.String(), "error", err)
		s.audit.record(ctx, c.who.String(), method, "", err)
		return nil, err
	}
	if !slices.Contains(methodRules[method], c.who.Role) {
		s.refusals.add("denied", c.who.String()+method, "method", method, "who", c.who.String())
		err := denied(c.who, method, methodRules[method])
		s.audit.record(ctx, c.who.String(), method, "", err)
		return nil, err
	}
	leave, err := s.calls.enter(c.who, stream)
	if err == nil {
		if err = s.connections.owes(c); err != nil {
			leave()
		}
	}
	if err != nil {
		s.refusals.add("busy", c.who.String(), "method", method, "who", c.who.String(), "error", err)
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, principalKey{}, c.who))
	stop := context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })
	s.connections.begin(c)
	return &admitted{Context: ctx, connection: c, release: sync.OnceFunc(func() {
		stop()
		cancel(nil)
		s.connections.done(c)
		leave()
	})}, nil
}

// ended is why the caller lost his right to a call that was under way; nil when he did not.
func (a *admitted) ended() error {
	if cause := context.Cause(a.connection.ctx); fault.KindOf(cause) == fault.Unauthenticated {
		return cause
	}
	return nil
}

func denied(who identity.Principal, what string, allowed []identity.Role) error {
	err := fault.New(fault.Denied, "ROLE_NOT_ALLOWED", "%s may not call %s", who, what)
	if len(allowed) == 0 {
		return err
	}
	return err.WithHint("it needs the role %s", allowed[0])
}

// unaryGuard admits unary calls.
func (s *Server) unaryGuard(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	call, err := s.admit(ctx, info.FullMethod, false)
	if err != nil {
		return nil, err
	}
	defer call.release()
	if slices.Contains(mutations, info.FullMethod) {
		handler = s.recorded(info.FullMethod, call.connection.who.String(), handler)
	}
	resp, err := handler(call, req)
	if err != nil {
		if ended := call.ended(); ended != nil {
			err = ended
		}
		return nil, err
	}
	call.connection.answered.Add(sizeOf(resp))
	return resp, nil
}

// recorded is a handler of what changes something, between the two entries of the audit trail.
func (s *Server) recorded(method, who string, handler grpc.UnaryHandler) grpc.UnaryHandler {
	return func(ctx context.Context, req any) (any, error) {
		end, err := s.audit.begin(ctx, who, method, subjectOf(req))
		if err != nil {
			return nil, err
		}
		resp, err := handler(ctx, req)
		end(subjectOf(req), err)
		return resp, err
	}
}

// streamGuard admits streams.
func (s *Server) streamGuard(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	call, err := s.admit(stream.Context(), info.FullMethod, true)
	if err != nil {
		return err
	}
	defer call.release()
	err = handler(srv, &admittedStream{ServerStream: stream, call: call, server: s})
	if ended := call.ended(); ended != nil && err != nil {
		return ended
	}
	return err
}

// admittedStream is a stream whose caller's right to it is asked again for every message.
type admittedStream struct {
	grpc.ServerStream
	call   *admitted
	server *Server
}

// Context ends with the caller's right.
func (s *admittedStream) Context() context.Context { return s.call }

// RecvMsg waits for a message no longer than the caller may send one.
func (s *admittedStream) RecvMsg(m any) error {
	got := make(chan error, 1)
	go func() { got <- s.ServerStream.RecvMsg(m) }() // ends with the stream, at the latest
	select {
	case err := <-got:
		if err != nil {
			return err
		}
		return s.server.connections.judge(s.call.connection)
	case <-s.call.Done():
		return context.Cause(s.call)
	}
}

// SendMsg closes the connection of a caller who leaves a message untaken: he can attach again.
func (s *admittedStream) SendMsg(m any) error {
	if err := s.call.ended(); err != nil {
		return err
	}
	c := s.call.connection
	patience := time.AfterFunc(s.server.limits.slow, func() { _ = c.guest.Close() })
	defer patience.Stop()
	c.answered.Add(sizeOf(m))
	return s.ServerStream.SendMsg(m)
}

func sizeOf(m any) int64 {
	if m, ok := m.(proto.Message); ok {
		return int64(proto.Size(m))
	}
	return 0
}
