package cli

import (
	"context"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// reasonOlder is the reason of a refusal: what runs is newer than what was asked for.
const reasonOlder = "OLDER_THAN_WHAT_RUNS"

// refuseOlder refuses a target that is older than what runs, before anything is sent: at a prompt somebody forgot to
// pull, or wants to go back. A job's run is another matter: the newer commit has a run of its own. Where the clone cannot tell,
// the agent does.
func (s source) refuseOlder(ctx context.Context, g ground, target string) error {
	if g.base == "" || g.base == target {
		return nil
	}
	older, err := s.repo.IsAncestor(ctx, target, g.base)
	if err != nil || !older {
		return nil //nolint:nilerr // a commit that is not here, a clone without history: the agent has the last word
	}
	behind := ""
	if n, err := s.repo.CountCommits(ctx, target, g.base); err == nil {
		behind = console.Count(n, "commit") + " "
	}
	runs := short(g.base)
	back := "landfall-coordinator rollback --to " + short(target) + ", or --allow-older"
	if head, err := s.repo.Head(ctx); err == nil && head == target {
		return fault.New(fault.Refused, reasonOlder, "your clone is %sbehind what runs, %s", behind, runs).
			WithHint("git pull; to go back to %s on purpose: %s", short(target), back)
	}
	return fault.New(fault.Refused, reasonOlder, "%s is older than what runs, %s%s", short(target), orElse(behind, "an unknown number of commits ")+"behind ", runs).
		WithHint("to go back: %s", back)
}

// supersededAtPrompt is the error of a deploy that the agent answered as superseded, nil of any other and in a job,
// whose newer run does the work.
func (g *globals) supersededAtPrompt(op *landfallv1.Operation) error {
	if g.job.InActions || op.GetState() != landfallv1.OperationState_OPERATION_STATE_SUPERSEDED {
		return nil
	}
	return fault.New(fault.Refused, reasonOlder, "%s was not deployed: %s runs, which is newer (%s ended in %s)", short(op.GetTargetSha()),
		orElse(short(op.GetSupersededBy()), "another commit"), op.GetId(), agentclient.StateName(op.GetState())).
		WithHint("git pull, when your clone is behind; to go back: landfall-coordinator rollback --to %s, or --allow-older", short(op.GetTargetSha()))
}
