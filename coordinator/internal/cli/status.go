package cli

import (
	"context"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

func newStatusCommand(g *globals) *cobra.Command {
	check := false
	cmd := g.look(&cobra.Command{
		Use:   "status",
		Short: "Show the host: what runs, what is paused, what needs a person",
		Long: "Show the host: problems first, then stamp, checkout, what keeps convergence from running, blocked commits, the operation\n" +
			"that runs, engine, and every service of every stack; those that no compose file names stand by themselves.\n\n" +
			"With --check any problem is exit code 5: a service that is not ready, or anything in the list of problems. A service that no\n" +
			"compose file names is told and is no problem." + command.ExitCodes(0, 2, 5, 6),
		Example: "  landfall-coordinator status --format json\n  landfall-coordinator status --check",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *agentclient.Client, _ []string, json bool) error {
		host, err := c.Host(ctx)
		if err != nil {
			return err
		}
		services, err := c.Services(ctx, nil)
		if err != nil {
			// The host can still be told of; that the services cannot is one of its problems.
			host.Problems = append(host.Problems, "services: "+err.Error())
		}
		if err := g.writeStatus(ctx, c, host, services, json); err != nil || !check {
			return err
		}
		if problems := console.Problems(host, services); len(problems) > 0 {
			return fault.New(fault.Degraded, "PROBLEMS", "%s has %s, the first: %s", host.GetName(), console.Count(len(problems), "problem"), problems[0])
		}
		return nil
	})
	cmd.Flags().BoolVar(&check, "check", false, "exit code 5 when there is any problem")
	return cmd
}

func (g *globals) writeStatus(ctx context.Context, c *agentclient.Client, host *landfallv1.Host, services []*landfallv1.Service, json bool) error {
	if json {
		if err := console.WriteJSON(g.streams.Out, host); err != nil {
			return err
		}
		return console.WriteJSON(g.streams.Out, &landfallv1.ListServicesResponse{Services: services})
	}
	var running *landfallv1.Operation
	if id := host.GetCurrentOperationId(); id != "" {
		var err error
		if running, _, err = c.Operation(ctx, id); err != nil {
			running = &landfallv1.Operation{Id: id} // it is known to run, and nothing else
		}
	}
	return console.WriteStatus(g.streams.Out, host, services, running, g.style())
}
