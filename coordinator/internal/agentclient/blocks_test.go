package agentclient

import (
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// An older agent knows one block and tells it in a field of its own.
func TestBlocksOfOlderAgents(t *testing.T) {
	t.Parallel()
	one, two := &landfallv1.BlockedCommit{Sha: "1"}, &landfallv1.BlockedCommit{Sha: "2"}
	for name, tt := range map[string]struct {
		status *landfallv1.GitOpsStatus
		want   int
	}{
		"nothing":     {&landfallv1.GitOpsStatus{}, 0},
		"nobody says": {nil, 0},
		"older agent": {&landfallv1.GitOpsStatus{Blocked: one}, 1},
		"both":        {&landfallv1.GitOpsStatus{Blocked: two, AllBlocked: []*landfallv1.BlockedCommit{one, two}}, 2},
	} {
		if got := Blocks(tt.status); len(got) != tt.want {
			t.Errorf("%s: %d blocks, want %d", name, len(got), tt.want)
		}
	}
}
