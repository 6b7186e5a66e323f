package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/shared/command"
)

// attachOptions are the flags of attach.
type attachOptions struct {
	after  uint64
	format *string
}

// AddFlags declares the flags.
func (o *attachOptions) AddFlags(f *pflag.FlagSet) {
	f.Uint64Var(&o.after, "after", 0, "sequence number of the last event that is known already")
	o.format = formatFlag(f, "text or json")
}

func newAttachCommand(g *globals) *cobra.Command {
	o := &attachOptions{}
	cmd := &cobra.Command{
		Use:   "attach [OPERATION]",
		Short: "Watch an operation, from its first event to its end",
		Long: "Watch an operation from its first event on until it ends: the one that is named, else the one that runs,\n" +
			"else the newest. Ctrl-C stops watching only. The exit code is the operation's." +
			command.ExitCodes(0, 1, 2, 4, 5, 6, 7, 130),
		Example: "  landfall-coordinator attach\n  landfall-coordinator attach op-42-k3f9x1 --progress json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(*o.format, "text", "json"); err != nil {
				return err
			}
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			return g.follow(cmd.Context(), func(ctx context.Context, f *following) error {
				if err := f.session.Attach(ctx, id, o.after); err != nil {
					return err
				}
				return f.report(ctx, *o.format, "", toTheEnd)
			})
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}
