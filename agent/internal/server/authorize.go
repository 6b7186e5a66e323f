package server

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

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
	landfallv1.DeployService_Execute_FullMethodName: observers, // each command has its own rule, see commandRule

	landfallv1.GitOpsService_Pause_FullMethodName:     operators,
	landfallv1.GitOpsService_Resume_FullMethodName:    operators,
	landfallv1.GitOpsService_Unblock_FullMethodName:   operators,
	landfallv1.GitOpsService_GetGitOps_FullMethodName: observers,

	landfallv1.AuditService_ListAudit_FullMethodName: operators,

	landfallv1.DiagnosticsService_GetHost_FullMethodName:         observers,
	landfallv1.DiagnosticsService_ListServices_FullMethodName:    observers,
	landfallv1.DiagnosticsService_Probe_FullMethodName:           observers,
	landfallv1.DiagnosticsService_ListOperations_FullMethodName:  observers,
	landfallv1.DiagnosticsService_GetOperation_FullMethodName:    observers,
	landfallv1.DiagnosticsService_WatchOperation_FullMethodName:  observers,
	landfallv1.DiagnosticsService_TailLogs_FullMethodName:        observers,
	landfallv1.DiagnosticsService_GetPlan_FullMethodName:         observers,
	landfallv1.DiagnosticsService_GetRollbackPlan_FullMethodName: observers,

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

// authenticate reads the caller's certificate, which TLS has verified already.
func authenticate(ctx context.Context) (identity.Principal, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return identity.Principal{}, fault.New(fault.Unauthenticated, "NO_PEER", "the connection has no peer")
	}
	tls, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return identity.Principal{}, fault.New(fault.Unauthenticated, "NO_CERTIFICATE", "the connection has no certificate")
	}
	return identity.PrincipalFromState(tls.State)
}

// admit authenticates a caller and checks the method's rule.
func (s *Server) admit(ctx context.Context, method string) (context.Context, error) {
	who, err := authenticate(ctx)
	if err != nil {
		s.log.Warn("denied", "method", method, "error", err)
		s.audit.record(ctx, nobody, method, "", err)
		return nil, err
	}
	if !slices.Contains(methodRules[method], who.Role) {
		s.log.Warn("denied", "method", method, "who", who.String())
		err := denied(who, method, methodRules[method])
		s.audit.record(ctx, who.String(), method, "", err)
		return nil, err
	}
	return context.WithValue(ctx, principalKey{}, who), nil
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
	ctx, err := s.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	answer, err := handler(ctx, req)
	if slices.Contains(mutations, info.FullMethod) {
		s.audit.record(ctx, principalFrom(ctx).String(), info.FullMethod, subjectOf(req), err)
	}
	return answer, err
}

// streamGuard admits streams.
func (s *Server) streamGuard(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := s.admit(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handler(srv, &admittedStream{ServerStream: stream, ctx: ctx})
}

// admittedStream carries the principal.
type admittedStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // a stream's context is part of its interface
}

func (s *admittedStream) Context() context.Context { return s.ctx }
