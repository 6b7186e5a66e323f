package cli

import (
	"context"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

func newCancelCommand(g *globals) *cobra.Command {
	var (
		format *string
		detach bool
	)
	cmd := &cobra.Command{
		Use:   "cancel [OPERATION]",
		Short: "End an operation; what it has touched is rolled back",
		Long: "End an operation at the next safe point, the one that runs when none is named: its children are ended now, and what\n" +
			"it has touched is rolled back. Exit code 0 says that it ended so. One that has ended already, or that succeeded before\n" +
			"it was told, is refused (exit 7)." + command.ExitCodes(0, 2, 5, 6, 7, 130),
		Example: "  landfall-coordinator cancel\n  landfall-coordinator cancel op-42-k3f9x1",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(*format, "text", "json"); err != nil {
				return err
			}
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			return g.follow(cmd.Context(), func(ctx context.Context, f *following) error {
				op, err := f.running(ctx, id)
				if err != nil {
					return err
				}
				if err := f.session.Attach(ctx, op.GetId(), op.GetLastSequence()); err != nil {
					return err
				}
				if err := f.cancel(ctx, op.GetId()); err != nil || detach {
					return err
				}
				op, err = f.tell(ctx, *format, "", toTheEnd)
				if err != nil {
					return err
				}
				return cancelResult(op)
			})
		},
	}
	format = formatFlag(cmd.Flags(), "text or json")
	cmd.Flags().BoolVar(&detach, "detach", false, "return when the agent has heard it")
	return cmd
}

// running is the operation that is named, else the one that runs; refused when it has ended.
func (f *following) running(ctx context.Context, id string) (*landfallv1.Operation, error) {
	if id == "" {
		host, err := f.client.Host(ctx)
		if err != nil {
			return nil, err
		}
		// Named from here on: what begins after this one is not meant.
		if id = host.GetCurrentOperationId(); id == "" {
			return nil, fault.New(fault.Refused, "NOTHING_RUNS", "no operation runs on %s", host.GetName()).
				WithHint("look at the newest with: landfall-coordinator show")
		}
	}
	op, _, err := f.client.Operation(ctx, id)
	if err == nil && agentclient.Terminal(op.GetState()) {
		err = endedAlready(op)
	}
	return op, err
}

func endedAlready(op *landfallv1.Operation) error {
	return fault.New(fault.Refused, "ENDED", "%s has ended already (%s)", op.GetId(), agentclient.StateName(op.GetState())).
		WithHint("look at it with: landfall-coordinator show %s", op.GetId())
}

// cancel sends the command.
func (f *following) cancel(ctx context.Context, id string) error {
	f.ending = true
	return f.session.Send(ctx, &landfallv1.ExecuteRequest{
		CommandId: agentclient.NewCommandID("cancel"),
		Command:   &landfallv1.ExecuteRequest_Cancel{Cancel: &landfallv1.CancelCommand{OperationId: id}},
	})
}

// cancelResult is what an operation's end means for whoever asked for it: done when it ended by that, whatever
// it would mean for whoever asked for the operation.
func cancelResult(op *landfallv1.Operation) error {
	switch op.GetState() {
	case landfallv1.OperationState_OPERATION_STATE_SUCCEEDED:
		return fault.New(fault.Refused, "HAD_SUCCEEDED", "%s was not cancelled: it had succeeded already", op.GetId()).
			WithHint("to undo it: landfall-coordinator rollback --operation %s", op.GetId())
	case landfallv1.OperationState_OPERATION_STATE_SUPERSEDED:
		return endedAlready(op)
	case landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK, landfallv1.OperationState_OPERATION_STATE_CANCELLED,
		landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED:
		if cancelled(op) {
			return nil
		}
	}
	return agentclient.Result(op)
}

// cancelled reports whether a person ended an operation. An older agent tells so by the failure's reason alone.
func cancelled(op *landfallv1.Operation) bool {
	return op.GetCancelledBy() != "" || op.GetFailure().GetReason() == "CANCELLED"
}
