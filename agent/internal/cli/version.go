package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/version"
)

func newVersionCommand(streams command.Streams) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, date, Go version and platform",
		Long:    "Print version, commit, date, Go version and platform." + command.ExitCodes(0),
		Example: "  landfall-agent version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(streams.Out, version.String())
			return err
		},
	}
}
