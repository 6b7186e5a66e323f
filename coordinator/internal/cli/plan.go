package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/console"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/pipeline/planpb"
)

// planOptions are the flags of plan.
type planOptions struct {
	sha    string
	base   string
	format *string
}

// AddFlags declares the flags.
func (o *planOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.sha, "sha", "", "commit to deploy (default: GITHUB_SHA, else HEAD)")
	f.StringVar(&o.base, "base", "", "commit the change set is measured from (default: what runs on the host)")
	o.format = formatFlag(f, "text, json or markdown")
}

func newPlanCommand(g *globals) *cobra.Command {
	o := &planOptions{}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a deploy would do, and why",
		Long: "Show what a deploy would do: changed path, flag, action, step. Nothing is changed. Without --base the\n" +
			"agent is asked what runs." + command.ExitCodes(0, 2, 6),
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
	base, everything, err := planBase(ctx, g, s, o.base)
	if err != nil {
		return err
	}
	c, err := s.compile(ctx, base, target, everything)
	if err != nil {
		return err
	}
	wire, err := planpb.FromPlan(c.plan)
	if err != nil {
		return err
	}
	if *o.format == "json" {
		return console.WriteJSON(g.streams.Out, wire)
	}
	return console.WritePlan(g.streams.Out, wire, console.PlanFormat(*o.format), g.style())
}

// planBase is --base, else the stamp of the host, with the reason why it is not enough.
func planBase(ctx context.Context, g *globals, s source, base string) (sha, everything string, err error) {
	if noCommit(base) {
		return "", "", nil
	}
	if base != "" {
		sha, err = s.repo.Resolve(ctx, base)
		if fault.ReasonOf(err) == "UNKNOWN_COMMIT" && git.IsSHA(base) {
			return base, "", nil // it is fetched, or everything changed
		}
		return sha, "", err
	}
	if g.agent == "" {
		return "", "", fault.New(fault.Invalid, "NO_BASE", "what does the plan start from?").
			WithHint("name a commit with --base, or an agent with --agent HOST:PORT")
	}
	client, err := g.dial()
	if err != nil {
		return "", "", err
	}
	defer func() { _ = client.Close() }() // nothing was changed
	host, err := client.Host(ctx)
	return host.GetStamp().GetSha(), host.GetEverythingReason(), err
}
