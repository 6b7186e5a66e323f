package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
)

// deployOptions are the flags of deploy, and those that run shares with it.
type deployOptions struct {
	sha        string
	detach     bool
	allowOlder bool
	format     *string
}

// AddFlags declares the flags.
func (o *deployOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.sha, "sha", "", "commit to deploy (default: GITHUB_SHA, else HEAD)")
	f.BoolVar(&o.allowOlder, "allow-older", false, "deploy even when a newer commit runs")
	o.format = formatFlag(f, "text or json")
}

func newDeployCommand(g *globals) *cobra.Command {
	o := &deployOptions{}
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Deploy a commit, up to the point where verify judges it",
		Long: "Deploy a commit: compare it with what runs, compile the plan, let the agent carry it out and follow it.\n" +
			"The deploy then awaits verify; when none comes, the agent verifies by itself." +
			command.ExitCodes(0, 1, 2, 5, 6, 7, 130),
		Example: "  landfall-coordinator deploy --sha HEAD\n  landfall-coordinator deploy --detach",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(*o.format, "text", "json"); err != nil {
				return err
			}
			return g.follow(cmd.Context(), func(ctx context.Context, f *following) error {
				started, err := f.deploy(ctx, *o)
				if err != nil || !started {
					return err
				}
				if o.detach {
					f.show.Note("detached; " + attachHint(f.session.OperationID()))
					return f.report(ctx, *o.format, "")
				}
				return f.report(ctx, *o.format, "", awaitsVerify)
			})
		},
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.detach, "detach", false, "return when the agent has recorded the deploy")
	return cmd
}

// awaitsVerify is where deploy stops following.
func awaitsVerify(s landfallv1.OperationState) bool {
	return s == landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY
}

// deploy sends the deploy command; started is false when there is nothing to deploy.
func (f *following) deploy(ctx context.Context, o deployOptions) (started bool, err error) {
	s, err := f.openSource(ctx)
	if err != nil {
		return false, err
	}
	target, err := s.resolve(ctx, o.sha)
	if err != nil {
		return false, err
	}
	host, err := f.client.Host(ctx)
	if err != nil {
		return false, err
	}
	c, err := s.compile(ctx, host.GetStamp().GetSha(), target, host.GetEverythingReason())
	if err != nil {
		return false, err
	}
	f.log().Debug("plan", "repository", s.repo.Dir, "config", s.path, "base", c.set.Base, "target", target, "digest", c.plan.Digest(), "steps", len(c.plan.Steps))
	f.show.Note(fmt.Sprintf("%s runs %s, target %s: %s", host.GetName(), orElse(short(c.set.Base), "nothing yet"), short(target), summary(c)))
	for _, path := range c.plan.Unclaimed {
		f.show.Warn("no flag claims " + path + "; it is deployed with the checkout only")
	}
	if !c.plan.AnyDeploy {
		return false, f.nothing(target, *o.format)
	}
	return true, f.session.Send(ctx, &landfallv1.ExecuteRequest{
		CommandId: agentclient.NewCommandID("deploy"),
		Command: &landfallv1.ExecuteRequest_Deploy{Deploy: &landfallv1.DeployCommand{
			TargetSha: target, BaseSha: c.set.Base, PlanDigest: c.plan.Digest(), AllowOlder: o.allowOlder, EverythingReason: c.set.Everything,
		}},
	})
}

// summary says in one line what the change set is.
func summary(c compiled) string {
	if c.set.Everything != "" {
		return "everything (" + c.set.Everything + ")"
	}
	d := c.set.Diff
	return fmt.Sprintf("%d commits, %d files, +%d -%d, flags: %s", d.Commits, d.Files, d.Insertions, d.Deletions, orElse(joined(c.plan.SetFlags()), "none"))
}

// nothing answers that there is nothing to deploy.
func (f *following) nothing(target, format string) error {
	if format == "json" {
		_, err := fmt.Fprintf(f.streams.Out, `{"any_deploy":false,"target_sha":%q}`+"\n", target)
		return err
	}
	_, err := fmt.Fprintf(f.streams.Out, "nothing to deploy at %s\n", short(target))
	return err
}

// report follows the operation to its end, or to where until says, then answers with it.
// verb is what was done, for the answer's last word; "" for none.
func (f *following) report(ctx context.Context, format, verb string, until ...func(landfallv1.OperationState) bool) error {
	if len(until) > 0 {
		if err := f.session.Follow(ctx, until[0]); err != nil {
			return err
		}
	}
	op, err := f.session.Operation(ctx)
	if err != nil {
		return err
	}
	if err := f.reportToJob(op); err != nil {
		f.show.Warn(err.Error()) // the operation has ended as it has, whatever the job hears of it
	}
	if err := f.show.Close(); err != nil {
		return err
	}
	if format == "json" {
		err = console.WriteJSON(f.streams.Out, op)
	} else {
		err = f.answer(op, verb)
	}
	if err != nil {
		return err
	}
	return agentclient.Result(op)
}

// answer is an operation in one line.
func (f *following) answer(op *landfallv1.Operation, verb string) error {
	line := fmt.Sprintf("%s %s %s", op.GetId(), agentclient.StateName(op.GetState()), short(op.GetTargetSha()))
	if by := op.GetSupersededBy(); by != "" {
		line += " superseded by " + short(by)
	}
	if end := op.GetEndTime(); end != nil {
		line += " in " + console.Duration(end.AsTime().Sub(op.GetCreateTime().AsTime()))
	}
	if verb != "" {
		line += ", " + verb
	}
	_, err := fmt.Fprintln(f.streams.Out, line)
	return err
}

func short(sha string) string {
	if len(sha) > 12 {
		return sha[:12]
	}
	return sha
}
