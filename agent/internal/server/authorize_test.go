package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

// methodsOf lists every method that a server serves, and whether it streams.
func methodsOf(s *grpc.Server) map[string]bool {
	methods := map[string]bool{}
	for service, info := range s.GetServiceInfo() {
		for _, m := range info.Methods {
			methods["/"+service+"/"+m.Name] = m.IsClientStream || m.IsServerStream
		}
	}
	return methods
}

// served is a server that is configured for nothing but being asked what it serves.
func served() *grpc.Server { return New(Config{}, nopLog()).grpc }

func TestEveryMethodHasARule(t *testing.T) {
	t.Parallel()
	methods := methodsOf(served())
	if len(methods) < 15 {
		t.Fatalf("only %d methods are served: %v", len(methods), methods)
	}
	for method := range methods {
		if len(methodRules[method]) == 0 {
			t.Errorf("%s has no rule, so nobody may call it: name its roles in methodRules", method)
		}
	}
	for method := range methodRules {
		if _, ok := methods[method]; !ok {
			t.Errorf("methodRules names %s, which is not served: a rule for nothing hides a misspelt one", method)
		}
	}
}

// commands lists the commands of the protocol by name, each empty.
func commands() map[string]*landfallv1.ExecuteRequest {
	all := map[string]*landfallv1.ExecuteRequest{}
	fields := (&landfallv1.ExecuteRequest{}).ProtoReflect().Descriptor().Oneofs().ByName("command").Fields()
	for i := range fields.Len() {
		req := &landfallv1.ExecuteRequest{}
		field := fields.Get(i)
		req.ProtoReflect().Set(field, protoreflect.ValueOfMessage(req.ProtoReflect().NewField(field).Message()))
		all[string(field.Name())] = req
	}
	return all
}

func TestEveryCommandHasARule(t *testing.T) {
	t.Parallel()
	all := commands()
	if len(all) < 9 {
		t.Fatalf("only %d commands: %v", len(all), slices.Sorted(maps.Keys(all)))
	}
	for name, req := range all {
		got, roles := commandRule(req)
		if got != name || len(roles) == 0 {
			t.Errorf("command %s is ruled as %q for %v", name, got, roles)
		}
		if slices.Contains(roles, identity.RoleAgent) {
			t.Errorf("command %s is open to agents, which are no clients", name)
		}
	}
	if name, roles := commandRule(&landfallv1.ExecuteRequest{CommandId: "x"}); name != "unknown" || roles != nil {
		t.Errorf("no command, or one of a later protocol, is ruled as %q for %v", name, roles)
	}
}

// allowed is the contract's table of roles, written down a second time on purpose.
var allowed = map[identity.Role]struct{ operatorMethods, deployCommands, operatorCommands bool }{
	identity.RoleObserver: {},
	identity.RoleDeployer: {deployCommands: true},
	identity.RoleOperator: {operatorMethods: true, deployCommands: true, operatorCommands: true},
}

var operatorMethods = []string{
	"/landfall.v1.GitOpsService/Pause", "/landfall.v1.GitOpsService/Resume", "/landfall.v1.GitOpsService/Unblock", "/landfall.v1.GitOpsService/Converge",
	"/landfall.v1.AuditService/ListAudit",
	"/landfall.v1.IdentityService/Revoke",
}

// deployerMethods are those that observers may not call.
var deployerMethods = []string{"/landfall.v1.DeployService/RecordNotification"}

var operatorCommands = []string{"restart", "migrate", "converge"}

// call calls a method with an empty request, and an Execute stream with none.
func call(ctx context.Context, conn *grpc.ClientConn, method string, streams bool) error {
	ctx, cancel := context.WithCancel(ctx) // ends the streams that would go on
	defer cancel()
	if !streams {
		return conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	if method != landfallv1.DeployService_Execute_FullMethodName {
		if err := stream.SendMsg(&emptypb.Empty{}); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(&emptypb.Empty{})
}

func TestRolesAndMethods(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	methods := methodsOf(served())
	for role, may := range allowed {
		conn := b.dial(role)
		for method, streams := range methods {
			t.Run(fmt.Sprint(role, " ", method), func(t *testing.T) {
				err := call(b.context(), conn, method, streams)
				least := "operator"
				if slices.Contains(deployerMethods, method) {
					least = "deployer"
				}
				if !slices.Contains(append(deployerMethods, operatorMethods...), method) || may.operatorMethods || (least == "deployer" && may.deployCommands) {
					if code := status.Code(err); code == codes.PermissionDenied || code == codes.Unauthenticated {
						t.Errorf("refused: %v", err)
					}
					return
				}
				requireStatus(t, err, codes.PermissionDenied, "ROLE_NOT_ALLOWED")
				for _, part := range []string{string(role) + "/test", method, "it needs the role " + least} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%v does not name %s", err, part)
					}
				}
			})
		}
	}
}

// unfinished are commands that say nothing wrong when they are empty, with something that is.
var unfinished = map[string]*landfallv1.ExecuteRequest{
	"restart": {Command: &landfallv1.ExecuteRequest_Restart{Restart: &landfallv1.RestartCommand{Services: []string{"--all"}}}},
	"migrate": {Command: &landfallv1.ExecuteRequest_Migrate{Migrate: &landfallv1.MigrateCommand{Timeout: durationpb.New(-1)}}},
}

func TestRolesAndCommands(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for role, may := range allowed {
		conn := b.dial(role)
		for name, req := range commands() {
			t.Run(fmt.Sprint(role, " ", name), func(t *testing.T) {
				c := b.converse(conn)
				defer c.leave()
				req.CommandId = fmt.Sprint(role, "-", name)
				if refused := unfinished[name]; refused != nil {
					req = proto.CloneOf(refused)
					req.CommandId = fmt.Sprint(role, "-", name)
				}
				c.send(req)
				err := c.end()
				if (slices.Contains(operatorCommands, name) && may.operatorCommands) || (!slices.Contains(operatorCommands, name) && may.deployCommands) {
					if err == nil || status.Code(err) == codes.PermissionDenied {
						t.Errorf("an empty command that is allowed: %v", err)
					}
					return
				}
				requireStatus(t, err, codes.PermissionDenied, "ROLE_NOT_ALLOWED")
			})
		}
	}
	if calls := b.Calls("Journal."); len(calls) > 0 {
		t.Errorf("refused and empty commands wrote to the journal: %q", calls)
	}
}

// A command that this server does not know, as a later client may send it, is nobody's.
func TestUnknownCommandIsDeniedToAll(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for role := range allowed {
		c := b.converse(b.dial(role))
		c.send(&landfallv1.ExecuteRequest{CommandId: "later"})
		requireStatus(t, c.end(), codes.PermissionDenied, "ROLE_NOT_ALLOWED")
	}
}

// The agent's own certificate is no client's: such a connection does not come about.
func TestAgentsAreNoClients(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	err := call(b.context(), b.dial(identity.RoleAgent), landfallv1.DiagnosticsService_GetHost_FullMethodName, false)
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "tls") {
		t.Errorf("a client with the agent's certificate: %v", err)
	}
}

func TestWithoutPeerOrCertificateNobodyIsAdmitted(t *testing.T) {
	t.Parallel()
	s := New(Config{}, nopLog())
	for name, ctx := range strangers() {
		if _, err := s.admit(ctx, landfallv1.DiagnosticsService_GetHost_FullMethodName, false); err == nil {
			t.Errorf("%s is admitted", name)
		}
	}
	if who := principalFrom(t.Context()); who.Role != "" {
		t.Errorf("a context without a caller has one: %s", who)
	}
}
