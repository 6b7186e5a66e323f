package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/actions"
	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/changes"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/notify"
)

// notifyOptions are the flags of notify.
type notifyOptions struct {
	operation string
	failedJob string
	edit      string
}

// AddFlags declares the flags.
func (o *notifyOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.operation, "operation", "", "operation to tell of (default: the newest)")
	f.StringVar(&o.failedJob, "failed-job", "", "job that failed before there was an operation")
	f.StringVar(&o.edit, "edit", "", "edit this message instead of posting a new one: the output message_id of an earlier call (default: the one that the agent knows of)")
}

func newNotifyCommand(g *globals) *cobra.Command {
	o := &notifyOptions{}
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "Tell on Discord how a deploy ended; a good one resumes convergence",
		Long: "Decide what the end of a deploy is worth telling (FAILURE, FULL, CONDENSED or SUPPRESS, by section notify of\n" +
			"landfall.yaml) and tell it through DISCORD_WEBHOOK_URL. After a successful deploy convergence resumes. That nobody\n" +
			"could be told is a warning, not a failure. A message that the agent, or an earlier run, posted about the same\n" +
			"operation is edited.\n\n" +
			"Outputs in a job of GitHub Actions: notification, message_id." +
			command.ExitCodes(0, 2, 6, 7),
		Example: "  landfall-coordinator notify --operation op-42-k3f9x1\n  landfall-coordinator notify --failed-job ci-gate",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := g.limit(cmd.Context())
			defer cancel()
			show, err := g.renderer()
			if err != nil {
				return err
			}
			n := &notice{globals: g, show: show, edit: o.edit}
			state, err := n.tell(ctx, o.operation, o.failedJob, nil)
			if closeErr := show.Close(); err == nil {
				err = closeErr
			}
			if state != "" {
				fmt.Fprintln(g.streams.Out, state)
			}
			return err
		},
	}
	o.AddFlags(cmd.Flags())
	cmd.MarkFlagsMutuallyExclusive("operation", "failed-job")
	return cmd
}

// notice tells how one deploy ended.
type notice struct {
	*globals
	show console.Renderer
	edit string

	told   string // message about the operation in our channel, as the agent knows it
	failed string // the same about the failure that the operation recovers from
}

// tell tells of an operation, the newest when none is named, or of a job that failed before there was one, because
// of why. What the agent does not answer is left out of the message and is the error in the end.
func (n *notice) tell(ctx context.Context, operation, failedJob string, why error) (notify.State, error) {
	hook, badHook := n.webhook()
	in := notify.Input{FailedJob: failedJob, Problem: problemOf(why), Run: notify.Run{
		URL: n.job.RunURL(), Name: n.job.Workflow, Number: n.job.RunNumber, Attempt: n.job.RunAttempt,
	}}
	channel := ""
	if hook != nil {
		channel = hook.Channel()
	}
	asked := n.askAgent(ctx, &in, operation, channel)
	if asked != nil && in.Problem == nil {
		in.Problem = problemOf(asked)
	}
	n.addSource(ctx, &in)
	state, reason := notify.Decide(in)
	n.show.Note(fmt.Sprintf("%s: %s", state, reason))
	if badHook != nil {
		n.show.Warn(badHook.Error()) // after convergence was resumed, which must not wait for a channel
	}
	var sent notify.Sent
	if badHook == nil {
		sent = n.send(ctx, hook, in, state)
	}
	if sent.MessageID != "" && asked == nil && failedJob == "" {
		n.record(ctx, in.Operation.ID, channel, sent.MessageID)
	}
	if err := n.job.WriteOutputs(actions.Output{Name: "notification", Value: string(state)}, actions.Output{Name: "message_id", Value: sent.MessageID}); err != nil {
		return state, err
	}
	if failedJob != "" {
		return state, nil // that the agent is out of reach, too, is in the message
	}
	return state, asked
}

// webhook is where to tell; nil when nobody said.
func (n *notice) webhook() (*notify.Webhook, error) {
	raw := os.Getenv("DISCORD_WEBHOOK_URL")
	if raw == "" {
		return nil, nil
	}
	hook, err := notify.ParseWebhook(raw)
	if err != nil {
		return nil, err
	}
	return &hook, nil
}

// send posts the message. A notification never fails a deploy: what goes wrong is a warning.
func (n *notice) send(ctx context.Context, hook *notify.Webhook, in notify.Input, state notify.State) notify.Sent {
	switch {
	case state == notify.Suppress:
		return notify.Sent{}
	case hook == nil:
		n.show.Note("nobody was told: DISCORD_WEBHOOK_URL is not set")
		return notify.Sent{}
	}
	client, edit := notify.NewClient(*hook, notify.Options{}), n.edit
	if edit == "" {
		edit = n.told
	}
	if n.failed != "" {
		if place, err := client.Place(ctx); err == nil { // a link is worth no warning
			in.Story.Earlier = place.Link(n.failed)
		}
	}
	sent, err := client.Send(ctx, notify.Embed(in, state), edit)
	if err = errors.Join(err, sent.Reduced); err != nil {
		n.show.Warn(err.Error())
	}
	return sent
}

// record tells the agent which message it is, so that whoever tells more of the operation edits it.
func (n *notice) record(ctx context.Context, operation, channel, message string) {
	if message == n.told {
		return
	}
	client, err := n.dial()
	if err == nil {
		err = errors.Join(client.RecordNotification(ctx, operation, channel, message), client.Close())
	}
	if err != nil {
		n.show.Warn("the agent does not know of the message, so that a later one is not the same: " + err.Error())
	}
}

// askAgent fills in what the agent knows. After a successful deploy convergence resumes.
func (n *notice) askAgent(ctx context.Context, in *notify.Input, operation, channel string) error {
	client, err := n.dial()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // the answers are there or not
	if in.FailedJob == "" {
		if err := n.askOperation(ctx, client, in, operation, channel); err != nil {
			return err
		}
	}
	host, err := client.Host(ctx)
	if err != nil {
		return err
	}
	in.Host, in.Running = host.GetName(), host.GetStamp().GetSha()
	pause := host.GetGitops().GetPause()
	in.GitOps = notify.GitOps{Paused: pause != nil, BlockedSHA: host.GetGitops().GetBlocked().GetSha()}
	if expires := pause.GetExpireTime(); expires != nil {
		in.GitOps.PausedUntil = expires.AsTime()
	}
	return nil
}

// askOperation fills in the operation and what went before it.
func (n *notice) askOperation(ctx context.Context, client *agentclient.Client, in *notify.Input, id, channel string) error {
	in.Operation.ID = id
	op, plan, err := client.Operation(ctx, id)
	if err != nil {
		return err
	}
	if op.GetState() == landfallv1.OperationState_OPERATION_STATE_SUCCEEDED && op.GetKind() == landfallv1.OperationKind_OPERATION_KIND_DEPLOY {
		if _, err := finish(ctx, client, op.GetId()); err != nil {
			return err
		}
	}
	in.Project, in.Operation = plan.GetProject(), noticeOperation(op)
	n.told = agentclient.Notification(op, channel)
	in.Change.Flags, in.Change.Everything, in.Change.Unclaimed = op.GetFlags(), plan.GetEverythingReason(), plan.GetUnclaimedPaths()
	const enough = 50
	recent, err := client.Operations(ctx, enough)
	if err != nil {
		return err
	}
	before := false
	for _, past := range recent {
		if before {
			in.Past = append(in.Past, notify.Past{Kind: console.KindWord(past.GetKind()), State: notify.OperationState(agentclient.StateName(past.GetState()))})
		}
		before = before || past.GetId() == op.GetId()
	}
	n.failed = failedBefore(in, op, recent, channel)
	return nil
}

// failedBefore is the message about the failure that an operation recovers from, "" when it recovers from none or nobody was told.
func failedBefore(in *notify.Input, op *landfallv1.Operation, recent []*landfallv1.Operation, channel string) string {
	state, recovers := notify.Recovers(in.Past)
	if !recovers || op.GetState() != landfallv1.OperationState_OPERATION_STATE_SUCCEEDED {
		return ""
	}
	before := false
	for _, past := range recent {
		if before && notify.OperationState(agentclient.StateName(past.GetState())) == state {
			return agentclient.Notification(past, channel)
		}
		before = before || past.GetId() == op.GetId()
	}
	return ""
}

// noticeOperation is the agent's record as a message is made of it.
func noticeOperation(op *landfallv1.Operation) notify.Operation {
	out := notify.Operation{
		ID: op.GetId(), Kind: console.KindWord(op.GetKind()), State: notify.OperationState(agentclient.StateName(op.GetState())),
		Target: op.GetTargetSha(), PreDeploy: op.GetPreDeploySha(), Migrations: op.GetMigrations(), Warnings: op.GetWarnings(),
		SupersededBy: op.GetSupersededBy(), Summary: op.GetSummary(), Subject: op.GetSubject(), Start: op.GetCreateTime().AsTime(),
	}
	if end := op.GetEndTime(); end != nil {
		out.End = end.AsTime()
	}
	if f := op.GetFailure(); f != nil {
		out.Problem = &notify.Problem{Reason: f.GetReason(), Message: f.GetMessage(), Hint: f.GetHint(), Output: f.GetOutputTail()}
		for _, s := range op.GetSteps() {
			if s.GetId() == f.GetStepId() {
				out.Problem.Step = s.GetTitle()
			}
		}
	}
	return out
}

// addSource fills in what the clone knows: the policy, the commit, the counts. Without a clone the
// message has less to tell.
func (n *notice) addSource(ctx context.Context, in *notify.Input) {
	err := func() error {
		s, err := n.openSource(ctx)
		if err != nil {
			return err
		}
		sha, err := s.resolve(ctx, in.Operation.Target)
		if err != nil {
			return err
		}
		config, err := s.config(ctx, sha)
		if err != nil {
			return err
		}
		in.Project = config.Project
		in.Policy = notify.Policy{FullWhen: config.Notify.FullWhen, SuppressWhenOnly: config.Notify.SuppressWhenOnly}
		if in.Commit.Subject, err = s.subject(ctx, sha); err != nil {
			return err
		}
		if n.job.ServerURL != "" && n.repository != "" {
			in.Commit.URL = n.job.ServerURL + "/" + n.repository + "/commit/" + sha
		}
		if in.Operation.Target == "" {
			in.Operation.Target = sha
		}
		return s.addCounts(ctx, in, sha)
	}()
	if err != nil {
		n.show.Warn("the message tells less: " + err.Error())
	}
}

// subject is the first line of a commit's message.
func (s source) subject(ctx context.Context, sha string) (string, error) {
	message, err := s.repo.Message(ctx, sha)
	first, _, _ := strings.Cut(strings.TrimLeft(message, "\r\n"), "\n")
	return strings.TrimSpace(first), err
}

// addCounts counts what lies between the commit that ran before and the target.
func (s source) addCounts(ctx context.Context, in *notify.Input, sha string) error {
	if in.Operation.PreDeploy == "" {
		return nil
	}
	set, err := changes.Detect(ctx, s.repo, remote, in.Operation.PreDeploy, sha)
	if err != nil {
		return err
	}
	in.Change.Files, in.Change.Insertions, in.Change.Deletions = set.Diff.Files, set.Diff.Insertions, set.Diff.Deletions
	if !set.Shallow {
		in.Change.Commits = set.Diff.Commits
	}
	return nil
}

// problemOf is an error as a message tells it; nil for none.
func problemOf(err error) *notify.Problem {
	if err == nil {
		return nil
	}
	p := &notify.Problem{Reason: fault.ReasonOf(err), Message: err.Error()}
	var f *fault.Error
	if errors.As(err, &f) && f.Hint != "" {
		p.Hint = f.Hint
		p.Message = strings.TrimSuffix(p.Message, " ("+f.Hint+")")
	}
	return p
}
