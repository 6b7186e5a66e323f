package cli

import (
	"context"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
)

func newCancelCommand(g *globals) *cobra.Command {
	var (
		format *string
		detach bool
	)
	cmd := &cobra.Command{
		Use:   "cancel OPERATION",
		Short: "End an operation; what it has touched is rolled back",
		Long: "End an operation at the next safe point: its children are ended now, and what it has touched is rolled\n" +
			"back. The exit code is the operation's." + command.ExitCodes(0, 1, 2, 4, 5, 6, 7, 130),
		Example: "  landfall-coordinator cancel op-42-k3f9x1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(*format, "text", "json"); err != nil {
				return err
			}
			return g.follow(cmd.Context(), func(ctx context.Context, f *following) error {
				op, _, err := f.client.Operation(ctx, args[0])
				if err != nil {
					return err
				}
				if err := f.session.Attach(ctx, op.GetId(), op.GetLastSequence()); err != nil {
					return err
				}
				if op.GetEndTime() == nil {
					if err := f.cancel(ctx, op.GetId()); err != nil {
						return err
					}
				}
				if detach {
					return nil
				}
				return f.report(ctx, *format, "", func(landfallv1.OperationState) bool { return false })
			})
		},
	}
	format = formatFlag(cmd.Flags(), "text or json")
	cmd.Flags().BoolVar(&detach, "detach", false, "return when the agent has heard it")
	return cmd
}

// cancel sends the command.
func (f *following) cancel(ctx context.Context, id string) error {
	return f.session.Send(ctx, &landfallv1.ExecuteRequest{
		CommandId: agentclient.NewCommandID("cancel"),
		Command:   &landfallv1.ExecuteRequest_Cancel{Cancel: &landfallv1.CancelCommand{OperationId: id}},
	})
}
