package cli

import (
	"context"
	"slices"
	"sync"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

const (
	// versionsLook is how many operations are searched for versions.
	versionsLook = 100
	// mostVersions bounds the list: each costs the agent a look at every service.
	mostVersions = 8
	// versionsAtOnce bounds what the agent is asked side by side.
	versionsAtOnce = 3
)

// versions lists the commits that ran on the host and were found good, newest first, each once, with what going back to it
// would mean; keep is how many successful operations keep their images, 0 when the agent does not tell.
func (g *globals) versions(ctx context.Context, client *agentclient.Client) (versions []console.Version, keep int, err error) {
	host, err := client.Host(ctx)
	if err != nil {
		return nil, 0, err
	}
	ops, err := client.Operations(ctx, versionsLook)
	if err != nil {
		return nil, 0, err
	}
	for _, op := range ops {
		sha := op.GetTargetSha()
		known := slices.ContainsFunc(versions, func(v console.Version) bool { return v.SHA == sha })
		if op.GetState() != landfallv1.OperationState_OPERATION_STATE_SUCCEEDED || sha == "" || known || len(versions) == mostVersions {
			continue
		}
		v := console.Version{Operation: op.GetId(), SHA: sha, Time: op.GetEndTime(), State: agentclient.StateName(op.GetState())}
		if slices.ContainsFunc(agentclient.Blocks(host.GetGitops()), func(b *landfallv1.BlockedCommit) bool { return b.GetSha() == sha }) {
			v.State = "blocked"
		}
		if sha == host.GetStamp().GetSha() {
			v.State = "runs now"
		}
		versions = append(versions, v)
	}
	g.describe(ctx, client, host, versions)
	return versions, int(host.GetKeepVersions()), nil
}

// describe fills in what people know the versions by, and what going back would mean: from the agent, which
// knows commits that a clone need not have, else from the clone. What nobody knows stays empty.
func (g *globals) describe(ctx context.Context, client *agentclient.Client, host *landfallv1.Host, versions []console.Version) {
	var asked sync.WaitGroup
	places := make(chan struct{}, versionsAtOnce)
	for i := range versions {
		v := &versions[i]
		if stamped := host.GetStamp().GetCommit(); stamped.GetSha() == v.SHA {
			v.Subject, v.Author = stamped.GetSubject(), stamped.GetAuthor()
		}
		if host.GetCurrentOperationId() != "" || v.State == "runs now" {
			continue // while an operation runs the agent does not tell
		}
		asked.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			plan, err := client.RollbackPlan(ctx, destination{sha: v.SHA}.question())
			if err != nil {
				return
			}
			v.Subject, v.Author = plan.GetTarget().GetSubject(), plan.GetTarget().GetAuthor()
			v.Means = console.RollbackMeans(plan)
		})
	}
	asked.Wait()
	s, err := g.openSource(ctx)
	if err != nil {
		return
	}
	for i := range versions {
		if v := &versions[i]; v.Subject == "" {
			v.Subject, _ = s.subject(ctx, v.SHA) // a clone need not have it
		}
	}
}
