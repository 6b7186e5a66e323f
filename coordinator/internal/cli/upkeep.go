package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

func newRestartCommand(g *globals) *cobra.Command {
	var (
		stack  string
		detach bool
		format *string
	)
	cmd := &cobra.Command{
		Use:   "restart [SERVICE...]",
		Short: "Restart services, verified like a deploy",
		Long: "Stop and start the containers of services, all that run when none is named, in the order in which they depend on one\n" +
			"another. Names may be patterns: mcp-*, or STACK/SERVICE. The containers stay the same; who lives in their namespaces is\n" +
			"restarted with them. Then the probes of landfall.yaml judge, and what does not come good is brought back to what ran.\n" +
			"Needs the operator role." + command.ExitCodes(0, 1, 2, 4, 5, 6, 7, 130),
		Example: "  landfall-coordinator restart\n  landfall-coordinator restart caddy 'mcp-*'\n  landfall-coordinator restart home/broker",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(*format, "text", "json"); err != nil {
				return err
			}
			services, err := ofOneStack(&stack, args)
			if err != nil {
				return err
			}
			return g.command(cmd.Context(), "restart", *format, detach, &landfallv1.ExecuteRequest{
				Command: &landfallv1.ExecuteRequest_Restart{Restart: &landfallv1.RestartCommand{Stack: stack, Services: services}},
			})
		},
	}
	cmd.Flags().StringVar(&stack, "stack", "", "stack of landfall.yaml (default: every stack)")
	cmd.Flags().BoolVar(&detach, "detach", false, "return when the agent has begun")
	format = formatFlag(cmd.Flags(), "text or json")
	return cmd
}

// ofOneStack takes STACK/SERVICE apart. One restart is about one stack, or about all.
func ofOneStack(stack *string, args []string) (services []string, err error) {
	for _, arg := range args {
		of, service, qualified := strings.Cut(arg, "/")
		if !qualified {
			services = append(services, arg)
			continue
		}
		if *stack != "" && *stack != of {
			return nil, fault.New(fault.Invalid, "USAGE", "%s and %s are two stacks", *stack, of).WithHint("restart one after the other, or name services without their stack")
		}
		*stack, services = of, append(services, service)
	}
	return services, nil
}

func newMigrateCommand(g *globals) *cobra.Command {
	var (
		detach bool
		format *string
		within = length{}
	)
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Apply the migrations of the commit that is checked out, verified",
		Long: "Run the migration script of landfall.yaml alone, with what it needs to be up, then let the probes judge. No container is\n" +
			"replaced; the database does not go back when it fails. Needs the operator role." + command.ExitCodes(0, 1, 2, 4, 5, 6, 7, 130),
		Example: "  landfall-coordinator migrate\n  landfall-coordinator migrate --within 30m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(*format, "text", "json"); err != nil {
				return err
			}
			c := &landfallv1.MigrateCommand{}
			if within.set {
				c.Timeout = durationpb.New(within.Duration)
			}
			return g.command(cmd.Context(), "migrate", *format, detach, &landfallv1.ExecuteRequest{Command: &landfallv1.ExecuteRequest_Migrate{Migrate: c}})
		},
	}
	cmd.Flags().Var(&within, "within", "how long it may take (default: deadlines.migrate of the agent)")
	cmd.Flags().BoolVar(&detach, "detach", false, "return when the agent has begun")
	format = formatFlag(cmd.Flags(), "text or json")
	return cmd
}

// command sends a command and follows its operation to the end.
func (g *globals) command(ctx context.Context, name, format string, detach bool, req *landfallv1.ExecuteRequest) error {
	return g.follow(ctx, func(ctx context.Context, f *following) error {
		req.CommandId = agentclient.NewCommandID(name)
		if err := f.session.Send(ctx, req); err != nil {
			return err
		}
		if detach {
			return f.detach(ctx, format)
		}
		return f.report(ctx, format, "", toTheEnd)
	})
}
