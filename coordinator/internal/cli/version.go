package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"ataraxis.dev/landfall/coordinator/internal/console"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/version"
)

func newVersionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, date, Go version and platform",
		Long:    "Print version, commit, date, Go version and platform." + command.ExitCodes(0),
		Example: "  landfall-coordinator version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(g.streams.Out, version.String())
			return err
		},
	}
}

// say prints an answer as a sentence or as JSON.
func (g *globals) say(answer proto.Message, sentence string, json bool) error {
	if json {
		return console.WriteJSON(g.streams.Out, answer)
	}
	_, err := fmt.Fprintln(g.streams.Out, sentence)
	return err
}
