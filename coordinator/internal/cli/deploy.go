package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/actions"
	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	"ataraxis.dev/landfall/coordinator/internal/supersede"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
)

// deployOptions are the flags of deploy, and those that run shares with it.
type deployOptions struct {
	sha         string
	detach      bool
	judge       bool // the agent judges by itself: no Verify is sent
	allowOlder  bool
	noSupersede bool
	job         string
	format      *string
}

// AddFlags declares the flags.
func (o *deployOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.sha, "sha", "", "commit to deploy (default: GITHUB_SHA, else HEAD)")
	f.BoolVar(&o.allowOlder, "allow-older", false, "deploy even when a newer commit runs")
	f.BoolVar(&o.detach, "detach", false, "return when the agent has recorded the deploy")
	f.BoolVar(&o.noSupersede, "no-supersede-check", false, "deploy even when a newer deploy is under way")
	f.StringVar(&o.job, "deploy-job", orElse(os.Getenv("GITHUB_JOB"), supersede.DefaultJob), "name of the job that deploys, as GitHub shows it [GITHUB_JOB]")
	o.format = formatFlag(f, "text or json")
}

func newDeployCommand(g *globals) *cobra.Command {
	o := &deployOptions{}
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Deploy a commit, up to the point where verify judges it",
		Long: "Deploy a commit: compare it with what runs, compile the plan, let the agent carry it out and follow it.\n" +
			"The deploy then awaits verify; when none comes, the agent verifies by itself. What is older than what runs is\n" +
			"refused (exit 7). Without a change against what runs, after a pushed revert say, checkout and stamp move.\n\n" +
			"In a job of GitHub Actions it first looks for newer runs of its workflow: one that will deploy, or has, makes\n" +
			"this deploy needless (exit 0, state SUPERSEDED). It looks again before anything is changed, unless detached. That needs GITHUB_TOKEN with `actions: read`.\n" +
			"Outputs: operation, state, summary, pre_deploy_sha, superseded, superseded_by, and those of detect-changes." +
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
					return f.detach(ctx, *o.format)
				}
				return f.reportDeploy(ctx, *o.format, awaitsVerify)
			})
		},
	}
	o.AddFlags(cmd.Flags())
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
	from, err := groundOf(ctx, f.client)
	if err != nil {
		return false, err
	}
	f.pauseBefore = from.host.GetGitops().GetPause()
	c, err := s.compile(ctx, from, target)
	if err != nil {
		return false, err
	}
	f.log().Debug("plan", "repository", s.repo.Dir, "config", s.path, "base", c.set.Base, "target", target, "digest", c.plan.Digest(), "steps", len(c.plan.Steps))
	if !f.job.InActions && !o.allowOlder {
		if err := s.refuseOlder(ctx, from, target); err != nil {
			return false, err
		}
	}
	if c.set.Has(".yml", ".yaml") {
		c = s.foretell(ctx, c)
	}
	f.introduce(ctx, s, from.host.GetName(), target, c)
	if err := f.reportChangesToJob(c); err != nil {
		return false, err
	}
	if !c.deploys() {
		return false, f.nothing(target, *o.format)
	}
	newer, found, err := f.lookForNewer(ctx, s, c.plan.Branch, target, o)
	if err != nil {
		return false, err
	}
	if found.Superseded {
		return false, f.superseded(target, found.By.SHA, found.By.URL, found.Reason, *o.format)
	}
	if newer != nil {
		f.answerWith(ctx, newer)
	}
	return true, f.session.Send(ctx, &landfallv1.ExecuteRequest{
		CommandId: agentclient.NewCommandID("deploy"),
		Command: &landfallv1.ExecuteRequest_Deploy{Deploy: &landfallv1.DeployCommand{
			TargetSha: target, BaseSha: c.set.Base, MovedSha: c.set.Moved, PlanDigest: c.plan.Digest(), AllowOlder: o.allowOlder,
			EverythingReason: c.set.Everything, AskNewer: newer != nil && !o.detach, Judge: o.judge,
		}},
	})
}

// introduce says what is about to be deployed, and what of the clone is not.
func (f *following) introduce(ctx context.Context, s source, host, target string, c compiled) {
	name := short(target)
	if subject, err := s.subject(ctx, target); err == nil && subject != "" {
		name += " (" + subject + ")"
	}
	f.show.Note(fmt.Sprintf("%s runs %s, target %s: %s", host, orElse(short(c.set.Base), "nothing yet"), name, summary(c)))
	for _, note := range c.notes() {
		f.show.Note(note)
	}
	for _, path := range c.plan.Unclaimed {
		f.show.Warn("no flag claims " + path + "; it is deployed with the checkout only")
	}
	if f.job.InActions {
		return // a job's clone is nobody's work
	}
	for _, note := range s.left(ctx, c.plan.Branch) {
		f.show.Warn(note)
	}
}

// summary says in one line what the change set is.
func summary(c compiled) string {
	if c.set.Everything != "" {
		return "everything (" + c.set.Everything + ")"
	}
	d := c.set.Diff
	return fmt.Sprintf("%s, %s, +%d -%d, flags: %s", console.Count(d.Commits, "commit"), console.Count(d.Files, "file"), d.Insertions, d.Deletions,
		orElse(joined(c.plan.SetFlags()), "none"))
}

// lookForNewer looks for a newer deploy; newer is nil where nobody can, or shall.
func (f *following) lookForNewer(ctx context.Context, s source, branch, target string, o deployOptions) (newer *supersession, found supersede.Result, err error) {
	if o.noSupersede {
		return nil, found, nil
	}
	newer, err = f.newSupersession(s, branch, target, o.job, f.show.Warn)
	if err != nil || newer == nil {
		return nil, found, err
	}
	found, err = newer.look(ctx)
	if err == nil && found.Rerun {
		f.show.Note("this run was started again by hand; newer deploys count all the same (--no-supersede-check ignores them)")
	}
	return newer, found, err
}

// superseded answers that a newer deploy makes this one needless: nothing was sent to the agent.
func (f *following) superseded(target, by, url, reason, format string) error {
	f.show.Note("superseded: " + reason)
	state := agentclient.StateName(landfallv1.OperationState_OPERATION_STATE_SUPERSEDED)
	err := f.job.WriteOutputs(
		actions.Output{Name: "operation"}, actions.Output{Name: "pre_deploy_sha"}, actions.Output{Name: "summary"}, actions.Output{Name: "state", Value: state},
		actions.Output{Name: "superseded", Value: "true"}, actions.Output{Name: "superseded_by", Value: by},
	)
	if err != nil {
		return err
	}
	err = f.summarise(func(w io.Writer, _ console.Style) error {
		_, err := fmt.Fprintf(w, "### Superseded\n\nNothing was deployed: %s.\n", reason)
		return err
	})
	if err != nil {
		return err
	}
	if format == "json" {
		object, err := json.Marshal(map[string]any{"state": state, "superseded": true, "superseded_by": by, "superseded_by_run": url, "target_sha": target})
		if err == nil {
			_, err = fmt.Fprintf(f.streams.Out, "%s\n", object)
		}
		return err
	}
	_, err = fmt.Fprintf(f.streams.Out, "superseded: %s\n", reason)
	return err
}

// nothing answers that there is nothing to deploy.
func (f *following) nothing(target, format string) error {
	err := f.job.WriteOutputs(
		actions.Output{Name: "operation"}, actions.Output{Name: "pre_deploy_sha"}, actions.Output{Name: "state"}, actions.Output{Name: "summary"},
		actions.Output{Name: "superseded", Value: "false"}, actions.Output{Name: "superseded_by"},
	)
	if err != nil {
		return err
	}
	if format == "json" {
		_, err := fmt.Fprintf(f.streams.Out, `{"any_deploy":false,"target_sha":%q}`+"\n", target)
		return err
	}
	_, err = fmt.Fprintf(f.streams.Out, "nothing to deploy at %s\n", short(target))
	return err
}
