package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

func newPauseCommand(g *globals) *cobra.Command {
	var (
		reason string
		ttl    = length{}
	)
	cmd := g.look(&cobra.Command{
		Use:   "pause",
		Short: "Keep convergence from running for a while",
		Long: "Keep convergence from running until resume, or until the time is over. It does not keep deploys away. A pause that a\n" +
			"person makes outlasts them. Needs the operator role." + command.ExitCodes(0, 2, 6),
		Example: "  landfall-coordinator pause --for 2d --reason 'looking into the disk by hand'",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *agentclient.Client, _ []string, json bool) error {
		req := &landfallv1.PauseRequest{Reason: reason}
		if ttl.set {
			req.Ttl = durationpb.New(ttl.Duration)
		}
		before, _ := c.GitOps(ctx) // what it takes the place of is told as far as it is known
		status, err := c.Pause(ctx, req)
		if err != nil {
			return err
		}
		if json {
			return console.WriteJSON(g.streams.Out, status)
		}
		return console.WritePaused(g.streams.Out, before.GetPause(), status.GetPause(), g.style())
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why (required)")
	cmd.Flags().Var(&ttl, "for", "how long: 90m, 2h, 2d (default: pause_ttl of the agent)")
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
		Use:   "unblock [SHA]",
		Short: "Lift the block of a commit or an image that was rolled back",
		Long: "Lift the block of one commit, named by the beginning of its SHA, of one image, named by the beginning of its digest, or all\n" +
			"blocks when none is named, so that they may be deployed again. Needs the operator role." + command.ExitCodes(0, 2, 6),
		Example: "  landfall-coordinator unblock\n  landfall-coordinator unblock 1a2b3c4d\n  landfall-coordinator unblock sha256:1a2b3c4d",
		Args:    cobra.MaximumNArgs(1),
	}, func(ctx context.Context, c *agentclient.Client, args []string, json bool) error {
		sha := ""
		if len(args) > 0 {
			var err error
			if sha, err = blockedSHA(ctx, c, args[0]); err != nil {
				return err
			}
		}
		resp, err := c.Unblock(ctx, sha)
		if err != nil {
			return err
		}
		lifted := resp.GetUnblockedShas()
		if one := resp.GetUnblockedSha(); len(lifted) == 0 && one != "" {
			lifted = []string{one}
		}
		answer := "nothing was blocked"
		if len(lifted) > 0 {
			answer = "unblocked " + strings.Join(lifted, ", ")
		}
		return g.say(resp, answer, json)
	})
}

// begins reports whether what is blocked begins so; of the digest of an image the digits are enough.
func begins(sha, beginning string) bool {
	return strings.HasPrefix(sha, beginning) || strings.HasPrefix(strings.TrimPrefix(sha, "sha256:"), beginning)
}

// shortBlock is the beginning of a commit or of a digest, as status shows it.
func shortBlock(sha string) string {
	if digits, image := strings.CutPrefix(sha, "sha256:"); image {
		return "sha256:" + short(digits)
	}
	return short(sha)
}

// blockedSHA is the blocked commit or image that begins so. An older agent, which knows one block, takes no name: it would lift any.
func blockedSHA(ctx context.Context, c *agentclient.Client, beginning string) (string, error) {
	status, err := c.GitOps(ctx)
	if err != nil {
		return "", err
	}
	var found, all []string
	for _, b := range agentclient.Blocks(status) {
		all = append(all, shortBlock(b.GetSha()))
		if begins(b.GetSha(), strings.ToLower(beginning)) {
			found = append(found, b.GetSha())
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", fault.New(fault.Invalid, "AMBIGUOUS", "%s begins %d that are blocked: %s", beginning, len(found), joined(found)).WithHint("write more of it")
	case len(all) == 0:
		return "", fault.New(fault.NotFound, "NOT_BLOCKED", "%s is not blocked: nothing is", beginning)
	}
	return "", fault.New(fault.NotFound, "NOT_BLOCKED", "%s is not blocked", beginning).WithHint("blocked: %s", joined(all))
}
