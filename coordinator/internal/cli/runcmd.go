package cli

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/cigate"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
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
			"let the agent carry it out, verify, write the stamp, resume convergence. Ctrl-C stops watching, not the deploy.\n" +
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
	if (operation == "" && err == nil) || fault.KindOf(err) == fault.Interrupted || os.Getenv("DISCORD_WEBHOOK_URL") == "" {
		return err
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

// run deploys, verifies and finishes.
func (f *following) run(ctx context.Context, o runOptions) error {
	started, err := f.deploy(ctx, o.deployOptions)
	if err != nil || !started {
		return err
	}
	if err := f.session.Follow(ctx, awaitsVerify); err != nil {
		return err
	}
	if agentclient.Terminal(f.session.State()) {
		return f.report(ctx, *o.format, "")
	}
	if err := f.verify(ctx, f.session.OperationID()); err != nil {
		return err
	}
	return f.reportFinished(ctx, *o.format)
}

// reportFinished finishes an operation that succeeded, and reports any.
func (f *following) reportFinished(ctx context.Context, format string) error {
	if f.session.State() != landfallv1.OperationState_OPERATION_STATE_SUCCEEDED {
		return f.report(ctx, format, "")
	}
	if err := finish(ctx, f.client, f.session.OperationID()); err != nil {
		return err
	}
	host, err := f.client.Host(ctx)
	if err != nil {
		return err
	}
	convergence := "convergence resumed"
	if pause := host.GetGitops().GetPause(); pause != nil {
		convergence = "convergence stays paused by " + pause.GetOwner() + ": " + pause.GetReason()
	}
	return f.report(ctx, format, convergence)
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
	return f.session.Follow(ctx, func(landfallv1.OperationState) bool { return false })
}

// finish ends a successful deploy: its pause goes, convergence goes on.
func finish(ctx context.Context, client *agentclient.Client, id string) error {
	done := client.Session(unseen()) // a session of its own: the operation's stream has ended with it
	defer done.Close()
	return done.Send(ctx, &landfallv1.ExecuteRequest{
		CommandId: agentclient.NewCommandID("finish"),
		Command:   &landfallv1.ExecuteRequest_Finish{Finish: &landfallv1.FinishCommand{OperationId: id}},
	})
}

// unseen shows nothing: what it would show is shown already.
func unseen() console.Renderer { return console.New(console.Quiet, io.Discard, console.Options{}) }
