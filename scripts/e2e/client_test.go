package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// supersededByWire has the agent itself refuse a commit that is older than what runs: at a prompt the coordinator does not even ask.
func (h *host) supersededByWire(sha string) {
	h.t.Helper()
	cmd := &landfallv1.DeployCommand{TargetSha: sha, BaseSha: h.readStamp(), PlanDigest: "sha256:" + strings.Repeat("0", 64)}
	if _, err := execute(h.t, h.dial(identity.RoleDeployer), &landfallv1.ExecuteRequest{CommandId: "older-" + sha, Command: &landfallv1.ExecuteRequest_Deploy{Deploy: cmd}}); err != nil {
		h.t.Fatal(err)
	}
	h.eventually(20*time.Second, "the older deploy ends", func() bool { return h.operation()["end_time"] != nil })
	if op := h.operation(); op["state"] != "OPERATION_STATE_SUPERSEDED" || op["target_sha"] != sha {
		h.t.Errorf("%v of %v, want SUPERSEDED of %s", op["state"], op["target_sha"], sha)
	}
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
