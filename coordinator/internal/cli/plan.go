package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline/planpb"
)

// planOptions are the flags of plan.
type planOptions struct {
	sha        string
	base       string
	allowOlder bool
	format     *string
}

// AddFlags declares the flags.
func (o *planOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.sha, "sha", "", "commit to deploy (default: GITHUB_SHA, else HEAD)")
	f.StringVar(&o.base, "base", "", "commit the change set is measured from (default: what runs on the host)")
	f.BoolVar(&o.allowOlder, "allow-older", false, "plan it even when a newer commit runs")
	o.format = formatFlag(f, "text, json or markdown")
}

func newPlanCommand(g *globals) *cobra.Command {
	o := &planOptions{}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a deploy would do, and why",
		Long: "Show what a deploy would do: changed path, flag, action, step, and what follows from the compose files besides\n" +
			"the steps: services that leave, projects that get another name, networks and volumes that change. Nothing is\n" +
			"changed. Without --base the agent is asked what runs, and a commit that is older than that is refused, as a\n" +
			"deploy of it would be." + command.ExitCodes(0, 2, 6, 7),
		Example: "  landfall-coordinator plan --sha HEAD\n  landfall-coordinator plan --base HEAD~1 --format markdown",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := g.limit(cmd.Context())
			defer cancel()
			return runPlan(ctx, g, *o)
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runPlan(ctx context.Context, g *globals, o planOptions) error {
	if err := checkFormat(*o.format, "text", "json", "markdown"); err != nil {
		return err
	}
	s, err := g.openSource(ctx)
	if err != nil {
		return err
	}
	target, err := s.resolve(ctx, o.sha)
	if err != nil {
		return err
	}
	from, err := planGround(ctx, g, s, o.base)
	if err != nil {
		return err
	}
	c, err := s.compile(ctx, from, target)
	if err != nil {
		return err
	}
	c = s.foretell(ctx, c)
	notes := c.notes()
	if from.host != nil {
		notes = append(notes, g.policyNotes(ctx, c, target)...)
	}
	if from.host != nil && !o.allowOlder {
		err := s.refuseOlder(ctx, from, target)
		if err != nil && !g.job.InActions {
			return err
		}
		if err != nil {
			notes = append(notes, "this deploy would be superseded: "+err.Error())
		}
	}
	wire, err := c.wire()
	if err != nil {
		return err
	}
	if *o.format == "json" {
		wire.Notes = notes
		return console.WriteJSON(g.streams.Out, wire)
	}
	return console.WritePlan(g.streams.Out, wire, console.PlanFormat(*o.format), g.style(), notes...)
}

// wire is the plan as it is shown: deployed where anything is.
func (c compiled) wire() (*landfallv1.Plan, error) {
	wire, err := planpb.FromPlan(c.plan)
	if err != nil {
		return nil, err
	}
	wire.AnyDeploy = c.deploys()
	return wire, nil
}

// policyNotes are what the host's policy finds in the target's compose files. That nobody knows yet keeps nobody from planning.
func (g *globals) policyNotes(ctx context.Context, c compiled, target string) (notes []string) {
	err := g.connected(ctx, func(ctx context.Context, client *agentclient.Client) (err error) {
		notes, err = client.Policy(ctx, target, c.set.Base, c.set.Everything)
		return err
	})
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return []string{"the host does not have this commit yet: what its policy says of the compose files is told when it is deployed, before anything is touched"}
	case err != nil:
		return []string{"what the host's policy says of the compose files is not known: " + err.Error()}
	}
	return notes
}
