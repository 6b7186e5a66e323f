package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
)

func newPauseCommand(g *globals) *cobra.Command {
	var (
		reason string
		ttl    time.Duration
	)
	cmd := g.look(&cobra.Command{
		Use:     "pause",
		Short:   "Keep convergence from running for a while",
		Long:    "Keep convergence from running until resume, or until the time is over. Needs the operator role." + command.ExitCodes(0, 2, 6),
		Example: "  landfall-coordinator pause --for 2h --reason 'replacing the disk'",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *agentclient.Client, _ []string, json bool) error {
		req := &landfallv1.PauseRequest{Reason: reason}
		if ttl != 0 {
			req.Ttl = durationpb.New(ttl)
		}
		status, err := c.Pause(ctx, req)
		if err != nil {
			return err
		}
		if json {
			return console.WriteJSON(g.streams.Out, status)
		}
		_, err = fmt.Fprintf(g.streams.Out, "paused until %s\n", status.GetPause().GetExpireTime().AsTime().Local().Format(time.RFC3339))
		return err
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why (required)")
	cmd.Flags().DurationVar(&ttl, "for", 0, "how long (default: pause_ttl of the agent)")
	return cmd
}

func newResumeCommand(g *globals) *cobra.Command {
	return g.look(&cobra.Command{
		Use:     "resume",
		Short:   "Let convergence run again",
		Long:    "Remove the pause, whoever made it. Refused while an operation runs. Needs the operator role." + command.ExitCodes(0, 2, 6, 7),
		Example: "  landfall-coordinator resume",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *agentclient.Client, _ []string, json bool) error {
		resp, err := c.Resume(ctx)
		if err != nil {
			return err
		}
		answer := "resumed"
		if !resp.GetWasPaused() {
			answer = "there was no pause"
		}
		return g.say(resp, answer, json)
	})
}

func newUnblockCommand(g *globals) *cobra.Command {
	return g.look(&cobra.Command{
		Use:     "unblock",
		Short:   "Lift the block of a commit that was rolled back",
		Long:    "Remove the blocked SHA, so that the commit may be deployed again. Needs the operator role." + command.ExitCodes(0, 2, 6),
		Example: "  landfall-coordinator unblock",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *agentclient.Client, _ []string, json bool) error {
		resp, err := c.Unblock(ctx, "")
		if err != nil {
			return err
		}
		answer := "no commit was blocked"
		if sha := resp.GetUnblockedSha(); sha != "" {
			answer = "unblocked " + sha
		}
		return g.say(resp, answer, json)
	})
}
