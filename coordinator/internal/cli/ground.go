package cli

import (
	"context"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
)

// ground is what a change set is measured from: what the host runs, or a commit that a person named.
type ground struct {
	base       string                // "" when nothing runs yet
	moved      string                // commit that somebody moved the host's checkout to; "" when nobody did
	everything string                // why every flag is set, whatever differs; "" when the paths decide
	host       *landfallv1.Host      // nil when a person named the base
	pauser     *landfallv1.Operation // the operation that made the pause of the host; nil when none did
}

// groundOf is what the host runs.
func groundOf(ctx context.Context, client *agentclient.Client) (ground, error) {
	host, err := client.Host(ctx)
	if err != nil {
		return ground{}, err
	}
	g := ground{base: host.GetStamp().GetSha(), moved: host.GetMovedSha(), everything: host.GetEverythingReason(), host: host}
	if id := host.GetGitops().GetPause().GetOperationId(); id != "" {
		// An operation that the journal no longer has lifts nothing, and is lifted by nothing.
		g.pauser, _, err = client.Operation(ctx, id)
		if fault.KindOf(err) == fault.NotFound {
			g.pauser, err = nil, nil
		}
	}
	return g, err
}

// planGround is --base, else what the host runs.
func planGround(ctx context.Context, g *globals, s source, base string) (ground, error) {
	switch {
	case noCommit(base):
		return ground{}, nil
	case base != "":
		sha, err := s.repo.Resolve(ctx, base)
		if fault.ReasonOf(err) == "UNKNOWN_COMMIT" && git.IsSHA(base) {
			return ground{base: base}, nil // it is fetched, or everything changed
		}
		return ground{base: sha}, err
	case g.agent == "":
		return ground{}, fault.New(fault.Invalid, "NO_BASE", "what does the plan start from?").
			WithHint("name a commit with --base, or an agent with --agent HOST:PORT")
	}
	client, err := g.dial()
	if err != nil {
		return ground{}, err
	}
	defer func() { _ = client.Close() }() // nothing was changed
	return groundOf(ctx, client)
}
