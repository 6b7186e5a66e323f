package cli

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/coordinator/internal/workflows"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/pipeline"
)

func newWorkflowsCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "workflows",
		Short: "Render the workflow files of GitHub Actions, check any of them",
		Long: "The workflow files that lint, test, deploy and publish the repository, rendered from landfall.yaml, and a check of\n" +
			"every workflow file for what would let a stranger onto a machine of yours." + command.ExitCodes(0, 1, 2),
		Example: "  landfall-coordinator workflows render\n  landfall-coordinator workflows check",
	}
	cmd.AddCommand(newWorkflowsRenderCommand(g), newWorkflowsCheckCommand(g))
	return cmd
}

func newWorkflowsRenderCommand(g *globals) *cobra.Command {
	var force, dryRun bool
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Write the workflow files from section workflows of landfall.yaml",
		Long: "Write .github/workflows/*.yml from landfall.yaml as it is in the working tree. What you wrote around the marked\n" +
			"regions stays; a file without marks, or with text that would undo what they hold, is refused unless --force\n" +
			"replaces it. Rendering twice changes nothing." + command.ExitCodes(0, 1, 2),
		Example: "  landfall-coordinator workflows render --dry-run\n  landfall-coordinator workflows render",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := g.openTree(cmd.Context())
			if err != nil {
				return err
			}
			return g.writeWorkflows(w, force, dryRun)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace files that cannot be merged")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would change, and write nothing")
	return cmd
}

// writeWorkflows brings the workflow files of a tree up to date, or shows what that would change.
func (g *globals) writeWorkflows(w tree, force, dryRun bool) error {
	files, notes, err := workflows.Render(w.config, w.path)
	if err != nil {
		return err
	}
	changes, err := workflows.Compare(w.root, files, force)
	if err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(g.streams.Err, note)
	}
	if dryRun {
		_, err := fmt.Fprint(g.streams.Out, workflows.Diff(changes))
		return err
	}
	if err := workflows.Write(w.root, changes); err != nil {
		return err
	}
	for _, c := range changes {
		verb := "wrote"
		if c.Same() {
			verb = "up to date:"
		}
		fmt.Fprintln(g.streams.Out, verb, c.Path)
	}
	return nil
}

func newWorkflowsCheckCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check every workflow file: fork guards, permissions, pins, the gate",
		Long: "Check every file in .github/workflows, rendered or not: a job that a stranger could bring onto a self-hosted runner,\n" +
			"secrets within reach of unreviewed code, actions that are not pinned, a deploy that no gate holds back; and whether\n" +
			"rendered files are up to date. In a job of GitHub Actions findings are annotations." + command.ExitCodes(0, 2),
		Example: "  landfall-coordinator workflows check",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := g.openTree(cmd.Context())
			wrong := problems(err, "landfall.yaml")
			if err != nil && wrong == nil {
				return err
			}
			findings, err := g.checkWorkflows(w)
			if err != nil {
				return err
			}
			return g.tellFindings(append(wrong, findings...), "workflow files")
		},
	}
}

// tree is a working tree with its landfall.yaml as it lies there, committed or not.
type tree struct {
	root   string
	path   string // of landfall.yaml, from the root
	config *pipeline.Config
}

// openTree reads landfall.yaml of the working tree.
func (g *globals) openTree(ctx context.Context) (tree, error) {
	w, err := g.findTree(ctx)
	if err != nil {
		return w, err
	}
	raw, err := os.ReadFile(filepath.Join(w.root, filepath.FromSlash(w.path)))
	if err != nil {
		return w, fault.Wrap(err, fault.Invalid, "CONFIG_MISSING", "read the configuration")
	}
	w.config, err = pipeline.Parse(w.path, raw)
	return w, err
}

// findTree finds the working tree around landfall.yaml; without git its folder is the root.
func (g *globals) findTree(ctx context.Context) (tree, error) {
	file, err := g.findConfig()
	if err != nil {
		return tree{}, err
	}
	w := tree{root: filepath.Dir(file)}
	repo, err := git.Find(ctx, w.root, git.Options{})
	switch {
	case err == nil:
		w.root = repo.Dir
	case fault.ReasonOf(err) != "NOT_A_REPOSITORY":
		return w, err
	}
	rel, err := filepath.Rel(w.root, file)
	if err != nil {
		return w, fault.Wrap(err, fault.Internal, "CONFIG_PATH", "place %s in %s", file, w.root)
	}
	w.path = filepath.ToSlash(rel)
	return w, nil
}

// checkWorkflows judges the workflow files of a tree, and whether those that are rendered are up to date.
func (g *globals) checkWorkflows(w tree) ([]finding, error) {
	files, err := readWorkflows(w.root)
	if err != nil {
		return nil, err
	}
	var findings []finding
	for _, f := range workflows.Check(files, workflows.Options{Config: w.config, Repository: g.repository}) {
		findings = append(findings, finding{path: f.Path, line: f.Line, column: f.Column, rule: f.Rule, message: f.Message, hint: f.Hint})
	}
	if w.config == nil || w.config.Workflows == nil {
		return findings, nil
	}
	rendered, _, err := workflows.Render(w.config, w.path)
	if err != nil {
		return nil, err
	}
	changes, err := workflows.Compare(w.root, rendered, false)
	if err != nil {
		return append(findings, problems(err, "rendered")...), nil
	}
	for _, c := range workflows.Changed(changes) {
		findings = append(findings, finding{
			path: c.Path, line: 1, column: 1, rule: "rendered", message: "it is not what landfall.yaml renders",
			hint: "run: landfall-coordinator workflows render",
		})
	}
	return findings, nil
}

// readWorkflows reads every workflow file below root, as GitHub would find them.
func readWorkflows(root string) ([]workflows.File, error) {
	folder := filepath.Join(root, filepath.FromSlash(workflows.Folder))
	entries, err := os.ReadDir(folder)
	if err != nil && !os.IsNotExist(err) {
		return nil, fault.Wrap(err, fault.Invalid, "WORKFLOW_READ", "read %s", folder)
	}
	var files []workflows.File
	for _, e := range entries {
		if ext := path.Ext(e.Name()); e.IsDir() || (ext != ".yml" && ext != ".yaml") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "WORKFLOW_READ", "read a workflow file")
		}
		files = append(files, workflows.File{Path: strings.TrimPrefix(workflows.Folder+"/"+e.Name(), "/"), Content: raw})
	}
	return files, nil
}
