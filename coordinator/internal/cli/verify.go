package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/shared/command"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	operation string
	format    *string
}

// AddFlags declares the flags.
func (o *verifyOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.operation, "operation", "", "operation to judge (default: the newest)")
	o.format = formatFlag(f, "text or json")
}

func newVerifyCommand(g *globals) *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Judge a deploy that awaits it: probes, soak, stamp",
		Long: "Let the agent judge a deploy that awaits it: every probe of landfall.yaml must pass within the deadline,\n" +
			"containers must stay good for the soak, then the stamp is written and the deploy's pause ends. run needs none: the agent\n" +
			"judges its deploys by itself." + command.ExitCodes(0, 2, 4, 5, 6, 7, 130),
		Example: "  landfall-coordinator verify --operation op-42-k3f9x1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(*o.format, "text", "json"); err != nil {
				return err
			}
			return g.follow(cmd.Context(), func(ctx context.Context, f *following) error { return f.verifyOne(ctx, *o) })
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// verifyOne attaches where the operation stands and judges it.
func (f *following) verifyOne(ctx context.Context, o verifyOptions) error {
	op, _, err := f.client.Operation(ctx, o.operation)
	if err != nil {
		return err
	}
	if err := f.session.Attach(ctx, op.GetId(), op.GetLastSequence()); err != nil {
		return err
	}
	if op.GetEndTime() == nil {
		if err := f.verify(ctx, op.GetId()); err != nil {
			return err
		}
	}
	return f.reportFinished(ctx, *o.format)
}
