package cli

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/cigate"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

// runOptions are the flags of run.
type runOptions struct {
	deployOptions
	gateOptions
	noGate bool
}

// AddFlags declares the flags.
func (o *runOptions) AddFlags(f *pflag.FlagSet) {
	o.deployOptions.AddFlags(f)
	o.gateOptions.AddFlags(f)
	f.BoolVar(&o.noGate, "no-gate", false, "do not wait for CI")
}

func newRunCommand(g *globals) *cobra.Command {
	o := &runOptions{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Wait for CI, deploy a commit, verify it, let convergence go on: the main job",
		Long: "Deploy a commit from end to end: wait until CI has passed, compare the commit with what runs, compile the plan,\n" +
			"let the agent carry it out, verify, write the stamp, lift the deploy's pause. The agent judges by itself: Ctrl-C, a closed\n" +
			"lid, --detach stop watching, not the deploy and not its verdict. What is older than what runs is refused (exit 7).\n" +
			"--timeout bounds the wait for CI (default: ci.timeout of landfall.yaml) and, again, the rest.\n\n" +
			"In a job of GitHub Actions it has the outputs of ci-gate, detect-changes, deploy and verify." +
			command.ExitCodes(0, 1, 2, 3, 4, 5, 6, 7, 130),
		Example: "  landfall-coordinator run\n  landfall-coordinator run --no-gate --sha 1a2b3c4d --agent caroline:7443 --identity ~/.config/landfall/atlas",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(*o.format, "text", "json"); err != nil {
				return err
			}
			return g.runAll(cmd.Context(), *o)
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// runAll is the whole of run: gate, deploy, verify, and then telling how it ended.
func (g *globals) runAll(ctx context.Context, o runOptions) error {
	job := "ci-gate"
	operation, err := "", error(nil)
	passed := o.noGate
	if !o.noGate {
		passed, err = g.passGate(ctx, o)
	}
	if passed && err == nil {
		job = "deploy"
		err = g.follow(ctx, func(ctx context.Context, f *following) error {
			err := f.run(ctx, o)
			operation = f.session.OperationID()
			return err
		})
	}
	if (operation == "" && err == nil) || (o.detach && err == nil) || fault.KindOf(err) == fault.Interrupted || fault.ReasonOf(err) == reasonOlder || os.Getenv("DISCORD_WEBHOOK_URL") == "" {
		return err // that it is older than what runs is told to whoever typed it
	}
	if operation == "" {
		g.tellEnd(ctx, "", job, err)
	} else { // whose record says why
		g.tellEnd(ctx, operation, "", nil)
	}
	return err
}

// tellEnd tells how run ended. That nobody could be told does not change how it did.
func (g *globals) tellEnd(ctx context.Context, operation, job string, why error) {
	show, err := g.renderer()
	if err != nil {
		return // which the same renderer, made before, has told
	}
	n := &notice{globals: g, show: show}
	if _, err := n.tell(ctx, operation, job, why); err != nil {
		show.Warn(err.Error())
	}
	_ = show.Close() // what could not be shown changes nothing
}

// passGate waits for CI; it is not passed, without an error, when a newer deploy came.
func (g *globals) passGate(ctx context.Context, o runOptions) (passed bool, err error) {
	show, err := g.renderer()
	if err != nil {
		return false, err
	}
	defer func() { _ = show.Close() }() // what could not be shown changes no verdict
	o.gateOptions.job, o.alone = o.deployOptions.job, o.noSupersede
	gate, err := g.newGate(ctx, o.sha, o.gateOptions, show)
	if err != nil {
		return false, err
	}
	result, err := gate.wait(ctx)
	if err != nil {
		return false, err
	}
	if result.Outcome == cigate.Superseded {
		f := &following{globals: g, show: show}
		sha, url := gate.by()
		return false, f.superseded(gate.question.SHA, sha, url, result.Reason, *o.format)
	}
	return true, gateError(result)
}

// run deploys and follows to the verdict, which the agent comes to by itself.
func (f *following) run(ctx context.Context, o runOptions) error {
	o.judge = true
	started, err := f.deploy(ctx, o.deployOptions)
	if err != nil || !started {
		return err
	}
	if o.detach {
		return f.detach(ctx, *o.format)
	}
	// An agent that judges by itself may pass through the state in which it would wait; one that waits there does not judge.
	awaits := func(s landfallv1.OperationState) bool { return awaitsVerify(s) && !f.session.Judges() }
	if err := f.session.Follow(ctx, awaits); err != nil {
		return err
	}
	if awaits(f.session.State()) {
		if err := f.verify(ctx, f.session.OperationID()); err != nil {
			return err
		}
	}
	return f.reportFinished(ctx, *o.format)
}

// reportFinished finishes an operation that succeeded, and reports any.
func (f *following) reportFinished(ctx context.Context, format string) error {
	if f.session.State() != landfallv1.OperationState_OPERATION_STATE_SUCCEEDED {
		return f.reportDeploy(ctx, format)
	}
	pause, err := finish(ctx, f.client, f.session.OperationID())
	switch {
	case err == nil:
	case f.session.Judges(): // the pause ends with the verdict, whoever watches
		f.show.Warn("nobody could look what keeps convergence paused: " + err.Error())
		return f.report(ctx, format, "")
	default:
		return err
	}
	return f.report(ctx, format, convergence(f.pauseBefore, pause, f.session.OperationID()))
}

// convergence says what a deploy that succeeded left or lifted of what keeps convergence from running, "" when there
// was nothing but its own pause.
func convergence(before, after *landfallv1.GitOpsPause, operation string) string {
	switch {
	case after != nil:
		return "convergence stays paused by " + after.GetOwner() + ": " + after.GetReason()
	case before == nil || before.GetOperationId() == operation:
		return ""
	}
	return "convergence resumed: the pause of " + orElse(before.GetOperationId(), before.GetOwner()) + " is lifted"
}

// verify asks for the judgement of an operation and follows it to the end.
func (f *following) verify(ctx context.Context, id string) error {
	err := f.session.Send(ctx, &landfallv1.ExecuteRequest{
		CommandId: agentclient.NewCommandID("verify"),
		Command:   &landfallv1.ExecuteRequest_Verify{Verify: &landfallv1.VerifyCommand{OperationId: id}},
	})
	if err != nil {
		return err
	}
	return f.session.Follow(ctx, toTheEnd)
}

// finish ends the pause of a deploy that succeeded, where the agent has not done so by itself. It returns the pause that is left.
func finish(ctx context.Context, client *agentclient.Client, id string) (*landfallv1.GitOpsPause, error) {
	host, err := client.Host(ctx)
	if err != nil {
		return nil, err
	}
	if pause := host.GetGitops().GetPause(); pause.GetOperationId() != id {
		return pause, nil
	}
	done := client.Session(unseen()) // a session of its own: the operation's stream has ended with it
	defer done.Close()
	err = done.Send(ctx, &landfallv1.ExecuteRequest{
		CommandId: agentclient.NewCommandID("finish"),
		Command:   &landfallv1.ExecuteRequest_Finish{Finish: &landfallv1.FinishCommand{OperationId: id}},
	})
	if err != nil {
		return nil, err
	}
	host, err = client.Host(ctx)
	return host.GetGitops().GetPause(), err
}

// unseen shows nothing: what it would show is shown already.
func unseen() console.Renderer { return console.New(console.Quiet, io.Discard, console.Options{}) }
