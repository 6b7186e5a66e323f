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
)

// convergeOptions are the flags of converge.
type convergeOptions struct {
	dryRun, detach bool
	format         *string
}

// AddFlags declares the flags.
func (o *convergeOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.dryRun, "dry-run", false, "decide and tell, begin nothing")
	f.BoolVar(&o.detach, "detach", false, "return when what it does has begun")
	o.format = formatFlag(f, "text or json")
}

func newConvergeCommand(g *globals) *cobra.Command {
	o := &convergeOptions{}
	cmd := &cobra.Command{
		Use:   "converge",
		Short: "Make a tick of convergence: look, decide, and deploy or repair where that is due",
		Long: "Make a tick of convergence, as the timer on the host does: look at the branch, its CI and what runs, and decide. A new\n" +
			"commit whose CI is green is deployed, where it comes after what is here; what differs from the checkout two ticks in a row is\n" +
			"repaired; a newer image is taken. What it begins is followed to its end, and the exit code is the operation's. A tick that\n" +
			"is skipped says why and is exit code 0. Needs the operator role." + command.ExitCodes(0, 1, 2, 4, 5, 6, 7, 130),
		Example: "  landfall-coordinator converge --dry-run\n  landfall-coordinator converge",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(*o.format, "text", "json"); err != nil {
				return err
			}
			return g.follow(cmd.Context(), func(ctx context.Context, f *following) error { return f.converge(ctx, *o) })
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// converge makes the tick, tells it, and follows what it began.
func (f *following) converge(ctx context.Context, o convergeOptions) error {
	resp, err := f.client.Converge(ctx, &landfallv1.ConvergeRequest{CommandId: agentclient.NewCommandID("converge"), DryRun: o.dryRun})
	if err != nil {
		return err
	}
	if *o.format == "json" {
		err = console.WriteJSON(f.streams.Out, resp)
	} else {
		err = f.writeTick(resp.GetTick())
	}
	id := resp.GetOperation().GetId()
	if err != nil || id == "" || o.detach {
		return err
	}
	if err := f.session.Attach(ctx, id, 0); err != nil {
		return err
	}
	return f.report(ctx, *o.format, "", toTheEnd)
}

func (f *following) writeTick(t *landfallv1.Tick) error {
	if err := console.WriteTick(f.streams.Out, t, f.style()); err != nil || t.GetPlan() == nil || !t.GetDryRun() {
		return err
	}
	return console.WritePlan(f.streams.Out, t.GetPlan(), console.Text, f.style())
}

func newDriftCommand(g *globals) *cobra.Command {
	return g.look(&cobra.Command{
		Use:   "drift [STACK...]",
		Short: "Show what runs otherwise than the checkout says",
		Long: "Hold what runs against what the checkout says: containers that are missing, exited or not well, made from another\n" +
			"configuration, that show files which changed since they started, or whose image's name means another content; services that\n" +
			"no compose file names. What cannot be compared is told, and is neither. Exit code 1 says that something differs." + command.ExitCodes(0, 1, 2, 6, 7),
		Example: "  landfall-coordinator drift\n  landfall-coordinator drift core --format json",
	}, func(ctx context.Context, c *agentclient.Client, args []string, json bool) error {
		resp, err := c.Drift(ctx, args)
		if err != nil {
			return err
		}
		if json {
			err = console.WriteJSON(g.streams.Out, resp)
		} else {
			err = console.WriteDrift(g.streams.Out, resp, g.style())
		}
		if err != nil || len(resp.GetDrift()) == 0 {
			return err
		}
		return fault.New(fault.Failed, "DRIFT", "%s from the checkout", console.Count(len(resp.GetDrift()), "difference"))
	})
}
