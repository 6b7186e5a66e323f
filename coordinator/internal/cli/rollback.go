package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

// rollbackOptions are the flags of rollback.
type rollbackOptions struct {
	operation string
	to        string
	format    *string
}

// AddFlags declares the flags.
func (o *rollbackOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.operation, "operation", "", "operation to undo: go back to what ran before it")
	f.StringVar(&o.to, "to", "", "commit to go back to")
	o.format = formatFlag(f, "text or json")
}

func newRollbackCommand(g *globals) *cobra.Command {
	o := &rollbackOptions{}
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Go back to an earlier version",
		Long: "Go back to what ran before an operation, or to a commit: checkout, images and containers, not the database.\n" +
			"Images that the agent has pinned are used as they are; only what is gone is built again. The commit that is\n" +
			"left is blocked and convergence stays paused." + command.ExitCodes(0, 1, 2, 5, 6, 7, 130),
		Example: "  landfall-coordinator rollback --operation op-42-k3f9x1\n  landfall-coordinator rollback --to 1a2b3c4d",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(*o.format, "text", "json"); err != nil {
				return err
			}
			if (o.operation == "") == (o.to == "") {
				return fault.New(fault.Invalid, "USAGE", "back to what?").WithHint("give --operation ID or --to SHA; landfall-coordinator history lists both")
			}
			return g.follow(cmd.Context(), func(ctx context.Context, f *following) error { return f.rollback(ctx, *o) })
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// rollback sends the command and follows it to the end.
func (f *following) rollback(ctx context.Context, o rollbackOptions) error {
	c := &landfallv1.RollbackCommand{}
	if o.to != "" {
		sha, err := f.fullSHA(ctx, o.to)
		if err != nil {
			return err
		}
		c.Target = &landfallv1.RollbackCommand_TargetSha{TargetSha: sha}
	} else {
		op, _, err := f.client.Operation(ctx, o.operation)
		if err != nil {
			return err
		}
		c.Target = &landfallv1.RollbackCommand_OperationId{OperationId: op.GetId()}
	}
	if err := f.session.Send(ctx, &landfallv1.ExecuteRequest{
		CommandId: agentclient.NewCommandID("rollback"), Command: &landfallv1.ExecuteRequest_Rollback{Rollback: c},
	}); err != nil {
		return err
	}
	return f.report(ctx, *o.format, "", func(landfallv1.OperationState) bool { return false })
}

// fullSHA resolves what a person wrote where there is a clone around; a full SHA needs none.
func (f *following) fullSHA(ctx context.Context, rev string) (string, error) {
	if len(rev) == 40 || len(rev) == 64 {
		return rev, nil
	}
	s, err := f.openSource(ctx)
	if err != nil {
		return "", err
	}
	return s.repo.Resolve(ctx, rev)
}
