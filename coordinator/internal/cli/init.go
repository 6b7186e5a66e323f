package cli

import (
	"context"
	"fmt"
	"os"
	"path"
	"regexp"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/coordinator/internal/starter"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/version"
)

// coordinatorModule is where hosted runners get this program by `go install`.
const coordinatorModule = "ataraxis.dev/landfall/coordinator/cmd/landfall-coordinator"

// release is a version that `go install` finds.
var release = regexp.MustCompile(`\Av\d+\.\d+\.\d+\z`)

func newInitCommand(g *globals) *cobra.Command {
	var o starter.Options
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a first landfall.yaml from the compose files found, and the workflow files",
		Long: "Write a commented landfall.yaml into the top folder of the repository, from the compose files that lie in it: stacks,\n" +
			"a flag and an action for each service that is built, flags for mounted folders, probes. Where section workflows\n" +
			"can be filled in, the workflow files are rendered, too. Nothing that exists is overwritten." + command.ExitCodes(0, 1, 2),
		Example: "  landfall-coordinator init\n  landfall-coordinator init --project fleet --branch main",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.initialise(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Project, "project", "", "name of the project (default: the folder's)")
	cmd.Flags().StringVar(&o.Branch, "branch", "", "branch that is deployed (default: main)")
	cmd.Flags().StringVar(&o.Version, "coordinator-version", "", "release that hosted runners install (default: this program's, if it is one)")
	return cmd
}

func (g *globals) initialise(ctx context.Context, o starter.Options) error {
	root, err := os.Getwd()
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "CONFIG_MISSING", "find the working directory")
	}
	if repo, err := git.Find(ctx, root, git.Options{}); err == nil {
		root = repo.Dir
	} else if fault.ReasonOf(err) != "NOT_A_REPOSITORY" {
		return err
	}
	if o.Version == "" && release.MatchString(version.Get().Version) {
		o.Version = version.Get().Version
	}
	if o.Version != "" {
		o.Module = coordinatorModule
	}
	made, err := starter.Write(root, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(g.streams.Out, "wrote", path.Base(made.Path))
	for _, note := range made.Notes {
		fmt.Fprintln(g.streams.Err, note)
	}
	if made.Config.Workflows != nil {
		if err := g.writeWorkflows(tree{root: root, path: starter.FileName, config: made.Config}, false, false); err != nil {
			fmt.Fprintln(g.streams.Err, "the workflow files are not rendered: "+err.Error())
		}
	}
	fmt.Fprintln(g.streams.Err, "read it, then: landfall-coordinator check")
	return nil
}
