package e2e

import (
	"path/filepath"
	"testing"

	"google.golang.org/grpc"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

// dial connects with the generated client as a role, for what no command of the coordinator does.
func (h *host) dial(role identity.Role) *grpc.ClientConn {
	h.t.Helper()
	source, err := identity.OpenRole(filepath.Join(h.ids, string(role)), identity.Options{}, role)
	if err != nil {
		h.t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+h.address, grpc.WithTransportCredentials(source.ClientCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20)))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() }) // the agent may be gone
	return conn
}

// deployCommand is what deploy sends for a commit that the host has fetched.
func (h *host) deployCommand(sha string) *landfallv1.DeployCommand {
	h.t.Helper()
	h.tree.Git("fetch", "-q", "origin")
	resp, err := landfallv1.NewDiagnosticsServiceClient(h.dial(identity.RoleObserver)).GetPlan(h.t.Context(), &landfallv1.GetPlanRequest{TargetSha: sha})
	if err != nil {
		h.t.Fatal(err)
	}
	p := resp.GetPlan()
	return &landfallv1.DeployCommand{TargetSha: sha, BaseSha: p.GetBaseSha(), PlanDigest: p.GetDigest(), EverythingReason: p.GetEverythingReason()}
}

// execute sends one command on a stream of its own and returns its acknowledgement.
func execute(t *testing.T, conn *grpc.ClientConn, req *landfallv1.ExecuteRequest) (*landfallv1.CommandAccepted, error) {
	t.Helper()
	stream, err := landfallv1.NewDeployServiceClient(conn).Execute(t.Context())
	if err != nil {
		return nil, err
	}
	if err := stream.Send(req); err != nil {
		return nil, err
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		if a := resp.GetAccepted(); a != nil {
			return a, nil
		}
	}
}
