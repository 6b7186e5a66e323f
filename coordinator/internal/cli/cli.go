// Package cli is the command line of landfall-coordinator.
//
// A command is an options struct, its flags, and a run function; the rooms beside this
// one do the work. One file per subcommand; start reading at [Run], then runcmd.go.
package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/coordinator/internal/actions"
	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/version"
	"ataraxis.dev/landfall/shared/workflowcommand"
)

// Run runs the program and returns its exit code.
func Run(args []string, streams Streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if streams.Tell == nil {
		streams.Tell = annotateError
	}
	if !actions.Read(os.Getenv).InActions {
		return command.Run(ctx, newRoot(streams), args, streams)
	}
	// What others named is no command to the runner, in an answer, in a log line or in an error.
	answers, told := &workflowcommand.Writer{To: streams.Out}, &workflowcommand.Writer{To: streams.Err}
	streams.Out, streams.Err = answers, told
	code := command.Run(ctx, newRoot(streams), args, streams)
	if err := errors.Join(answers.Flush(), told.Flush()); err != nil && code == 0 {
		return 1
	}
	return code
}

func newRoot(streams Streams) *cobra.Command {
	g := &globals{streams: streams}
	root := &cobra.Command{
		Use:   "landfall-coordinator",
		Short: "Deploy a Docker Compose monorepo to its host",
		Long: "landfall-coordinator decides what a commit changes and tells the agent on the host to deploy it,\n" +
			"over mutually authenticated gRPC, on that host also over a socket. It keeps no state of its own.\n\n" +
			"Every command ends with one of these codes; its own help lists those that it can end with." +
			command.ExitCodes(0, 1, 2, 3, 4, 5, 6, 7, 130),
		Example: "  landfall-coordinator status --agent caroline:7443 --identity ~/.config/landfall/atlas\n" +
			"  landfall-coordinator status --agent " + agentclient.DefaultSocket + "   # on the host itself\n" +
			"  landfall-coordinator run --no-gate",
		Version: version.String(), // never empty, unlike the stamp: cobra has no --version without
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetHelpCommandGroupID(groupSetUp)
	root.SetCompletionCommandGroupID(groupSetUp)
	g.AddFlags(root.PersistentFlags())
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return g.check() }
	root.AddGroup(&cobra.Group{ID: groupDeploy, Title: "Deploy:"}, &cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupAct, Title: "Act:"}, &cobra.Group{ID: groupSetUp, Title: "Set up:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupDeploy, newRunCommand(g), newCIGateCommand(g), newDetectChangesCommand(g), newPlanCommand(g), newDeployCommand(g), newVerifyCommand(g), newRollbackCommand(g), newNotifyCommand(g))
	add(groupLook, newStatusCommand(g), newHistoryCommand(g), newShowCommand(g), newAttachCommand(g), newLogsCommand(g), newProbeCommand(g), newDriftCommand(g), newAuditCommand(g))
	add(groupAct, newCancelCommand(g), newRestartCommand(g), newMigrateCommand(g), newConvergeCommand(g), newPauseCommand(g), newResumeCommand(g), newUnblockCommand(g))
	add(groupSetUp, newInitCommand(g), newCheckCommand(g), newWorkflowsCommand(g), newIdentityCommand(streams), newVersionCommand(g))
	return root
}

// The groups of the help text.
const (
	groupDeploy = "deploy"
	groupLook   = "look"
	groupAct    = "act"
	groupSetUp  = "setup"
)
