package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

// look makes a command that asks the agent and prints the answer as text or JSON.
func (g *globals) look(cmd *cobra.Command, ask func(ctx context.Context, c *agentclient.Client, args []string, json bool) error) *cobra.Command {
	format := formatFlag(cmd.Flags(), "text or json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkFormat(*format, "text", "json"); err != nil {
			return err
		}
		ctx, cancel := g.limit(cmd.Context())
		defer cancel()
		client, err := g.dial()
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }() // the answer is there or not
		return ask(ctx, client, args, *format == "json")
	}
	return cmd
}

func newHistoryCommand(g *globals) *cobra.Command {
	const most = 1000
	limit := 20
	cmd := g.look(&cobra.Command{
		Use:     "history",
		Short:   "List operations, newest first",
		Long:    "List operations, newest first, with their state, commit, duration and reason of failure, then the commits that are blocked." + command.ExitCodes(0, 2, 6),
		Example: "  landfall-coordinator history --limit 5",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *agentclient.Client, _ []string, json bool) error {
		if limit < 1 || limit > most {
			return fault.New(fault.Invalid, "USAGE", "--limit must be 1 to %d", most)
		}
		ops, err := c.Operations(ctx, limit)
		if err != nil {
			return err
		}
		if !json {
			return console.WriteHistory(g.streams.Out, ops, g.blocks(ctx, c), g.style())
		}
		for _, op := range ops {
			if err := console.WriteJSON(g.streams.Out, op); err != nil {
				return err
			}
		}
		return nil
	})
	cmd.Flags().IntVar(&limit, "limit", limit, "number of operations at most")
	return cmd
}

func newShowCommand(g *globals) *cobra.Command {
	return g.look(&cobra.Command{
		Use:   "show [OPERATION]",
		Short: "Show one operation with the timeline of its steps",
		Long: "Show one operation: why it ended as it did, its flags, migrations, probes and the timeline of its steps.\n" +
			"Its last line tells what ran at its end. Probes and steps (rollback/...) of a rollback are told apart from the deploy's.\n" +
			"Named by identifier, by number or by the beginning of the identifier; the newest when not named. Its output: attach." + command.ExitCodes(0, 2, 6),
		Example: "  landfall-coordinator show 42",
		Args:    cobra.MaximumNArgs(1),
	}, func(ctx context.Context, c *agentclient.Client, args []string, json bool) error {
		id := ""
		if len(args) > 0 {
			id = args[0]
		}
		op, plan, err := c.Operation(ctx, id)
		if err != nil {
			return err
		}
		if json {
			return console.WriteJSON(g.streams.Out, &landfallv1.GetOperationResponse{Operation: op, Plan: plan})
		}
		return console.WriteOperation(g.streams.Out, op, plan, g.blocks(ctx, c), g.style())
	})
}

// blocks are the commits that must not be deployed. That they cannot be told keeps no answer back.
func (g *globals) blocks(ctx context.Context, c *agentclient.Client) []*landfallv1.BlockedCommit {
	status, err := c.GitOps(ctx)
	if err != nil {
		fmt.Fprintln(g.streams.Err, "warning: which commits are blocked is not known: "+err.Error())
	}
	return agentclient.Blocks(status)
}

func newProbeCommand(g *globals) *cobra.Command {
	return g.look(&cobra.Command{
		Use:     "probe [NAME...]",
		Short:   "Run the probes of landfall.yaml once",
		Long:    "Run the probes of the landfall.yaml that is checked out on the host, once each; all when none is named." + command.ExitCodes(0, 1, 2, 6),
		Example: "  landfall-coordinator probe containers postgres",
	}, func(ctx context.Context, c *agentclient.Client, args []string, json bool) error {
		results, err := c.Probe(ctx, args)
		if err != nil {
			return err
		}
		if json {
			err = console.WriteJSON(g.streams.Out, &landfallv1.ProbeResponse{Results: results})
		} else {
			err = console.WriteProbes(g.streams.Out, results, g.style())
		}
		if err != nil {
			return err
		}
		for _, r := range results {
			if r.GetOutcome() != landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED {
				return fault.New(fault.Failed, "PROBE_FAILED", "probe %s did not pass: %s", r.GetName(), r.GetMessage())
			}
		}
		return nil
	})
}
