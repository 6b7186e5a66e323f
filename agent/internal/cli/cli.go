// Package cli is the command line of landfall-agent.
//
// It wires the adapters to the engine and decides nothing itself. One file per
// subcommand; start reading at [Run], then serve.go.
package cli

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/version"
)

// Run runs the program and returns its exit code. Nothing is written but through the redactor, the error that ends a command included.
func Run(args []string, streams command.Streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	secrets := redact.New()
	streams.Out, streams.Err = secrets.Writer(streams.Out), secrets.Writer(streams.Err)
	return command.Run(ctx, newRoot(streams, secrets), args, streams)
}

func newRoot(streams command.Streams, secrets *redact.Redactor) *cobra.Command {
	root := &cobra.Command{
		Use:   "landfall-agent",
		Short: "Execute deploys on this host",
		Long: "landfall-agent runs on the host that is deployed to. It executes what landfall-coordinator\n" +
			"asks for over mutually authenticated gRPC and keeps the durable record of it." +
			command.ExitCodes(0, 1, 2, 5, 7),
		Example: "  landfall-agent check --config /etc/landfall/agent.yaml\n  landfall-agent serve",
		Version: version.String(), // never empty, unlike the stamp: cobra has no --version without
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(newServeCommand(streams, secrets), newCheckCommand(streams, secrets), newConvergeCommand(streams), newSentinelsCommand(streams), newVersionCommand(streams))
	return root
}
