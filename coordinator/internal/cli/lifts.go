package cli

import (
	"context"
	"strings"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// noChange says why a target that differs in nothing from what runs is deployed.
func (g ground) noChange() string {
	const moves = "no change against what runs: checkout and stamp move"
	block := len(agentclient.Blocks(g.host.GetGitops())) > 0
	pause := g.host.GetGitops().GetPause() != nil
	switch {
	case block && pause:
		return moves + ", block and pause are lifted"
	case block:
		return moves + ", the block is lifted"
	case pause:
		return moves + ", the pause of a deploy is lifted"
	}
	return moves
}

// lifts says why a target is deployed although nothing but paths of `skip` changed, "" when it is not: the host has a
// block of a commit that the target contains, or a pause of an operation that failed, which nothing but a deploy ends.
func (s source) lifts(ctx context.Context, g ground, target string) string {
	var lifted []string
	for _, b := range agentclient.Blocks(g.host.GetGitops()) {
		if b.GetSha() == target {
			continue // the agent refuses it
		}
		// What the clone does not know is not contained in a commit that it knows whole.
		if past, err := s.repo.IsAncestor(ctx, b.GetSha(), target); err == nil && past {
			lifted = append(lifted, "the block of "+short(b.GetSha()))
		}
	}
	if failedPause(g.pauser) {
		lifted = append(lifted, "the pause of "+g.pauser.GetId())
	}
	if len(lifted) == 0 {
		return ""
	}
	return "only paths of `skip` changed, but it lifts " + strings.Join(lifted, " and ")
}

// failedPause reports whether an operation keeps convergence paused because it failed.
func failedPause(op *landfallv1.Operation) bool {
	switch op.GetState() {
	case landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK, landfallv1.OperationState_OPERATION_STATE_ROLLBACK_FAILED,
		landfallv1.OperationState_OPERATION_STATE_FAILED, landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED:
		return true
	}
	return false
}
