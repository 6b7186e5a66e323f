package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/coordinator/internal/workflows"
	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/strictyaml"
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
	ctx    context.Context // ends the work on it; nil: nothing does
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
	raw, err := w.readConfig()
	if err != nil {
		return w, err
	}
	w.config, err = pipeline.Parse(w.path, raw)
	return w, err
}

// readConfig reads landfall.yaml. As a link it is refused: a deploy reads it from the commit, where a link is none of its own text.
func (w tree) readConfig() ([]byte, error) {
	root, err := os.OpenRoot(w.root)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "CONFIG_MISSING", "open the repository")
	}
	defer func() { _ = root.Close() }() // it was only read
	if info, err := root.Lstat(filepath.FromSlash(w.path)); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, strictyaml.Problems{{File: w.path, Line: 1, Column: 1, Message: "it is a link, and no deploy follows it"}}.Err()
	}
	raw, err := readText(root, w.path)
	if err != nil && fault.ReasonOf(err) == "" {
		err = fault.Wrap(err, fault.Invalid, "CONFIG_MISSING", "read the configuration")
	}
	return raw, err
}

// readText reads a YAML file of a tree. What is no regular file within it, or larger than any YAML that is read here, is a
// problem of that file.
func readText(root *os.Root, name string) ([]byte, error) {
	raw, err := boundedfile.ReadIn(root, name, strictyaml.MaxBytes)
	if boundedfile.Refused(err) {
		return nil, strictyaml.Problems{{File: name, Line: 1, Column: 1, Message: err.Error()}}.Err()
	}
	return raw, err
}

// findTree finds the working tree around landfall.yaml; without git its folder is the root.
func (g *globals) findTree(ctx context.Context) (tree, error) {
	file, err := g.findConfig()
	if err != nil {
		return tree{}, err
	}
	w := tree{ctx: ctx, root: filepath.Dir(file)}
	repo, err := git.Find(ctx, w.root, git.Options{})
	switch {
	case err == nil:
		w.root = repo.Dir
	case fault.ReasonOf(err) != "NOT_A_REPOSITORY":
		return w, err
	}
	rel, err := filepath.Rel(w.root, file)
	if err == nil && !filepath.IsLocal(rel) { // git names its folder without the links on the way to it
		if folder, resolveErr := filepath.EvalSymlinks(filepath.Dir(file)); resolveErr == nil {
			rel, err = filepath.Rel(w.root, filepath.Join(folder, filepath.Base(file)))
		}
	}
	if err != nil {
		return w, fault.Wrap(err, fault.Internal, "CONFIG_PATH", "place %s in %s", file, w.root)
	}
	w.path = filepath.ToSlash(rel)
	return w, nil
}

// checkWorkflows judges the workflow files of a tree, and whether those that are rendered are up to date.
func (g *globals) checkWorkflows(w tree) ([]finding, error) {
	files, findings, err := readWorkflows(w.root)
	if err != nil {
		return nil, err
	}
	ctx := w.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	found, err := workflows.CheckContext(ctx, files, workflows.Options{Config: w.config, Repository: g.repository, At: w.path})
	if err != nil {
		return nil, err
	}
	for _, f := range found {
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

// readWorkflows reads every workflow file below root, as GitHub would find them. What cannot be read safely is a finding.
func readWorkflows(top string) ([]workflows.File, []finding, error) {
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Invalid, "WORKFLOW_READ", "open the repository")
	}
	defer func() { _ = root.Close() }() // it was only read
	entries, err := fs.ReadDir(root.FS(), workflows.Folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.Wrap(err, fault.Invalid, "WORKFLOW_READ", "read %s", workflows.Folder)
	}
	var files []workflows.File
	var findings []finding
	for _, e := range entries {
		if ext := path.Ext(e.Name()); e.IsDir() || (ext != ".yml" && ext != ".yaml") {
			continue
		}
		name := path.Join(workflows.Folder, e.Name())
		raw, err := readText(root, name)
		switch found := problems(err, workflows.RuleSyntax); {
		case found != nil:
			findings = append(findings, found...)
		case err != nil:
			return nil, nil, fault.Wrap(err, fault.Invalid, "WORKFLOW_READ", "read a workflow file")
		default:
			files = append(files, workflows.File{Path: name, Content: raw})
		}
	}
	actions, found := readActions(root, files)
	return append(files, actions...), append(findings, found...), nil
}

// mostActions bounds how many actions of the repository are looked into.
const mostActions = 1000

// readActions reads the repository's own actions that workflow files use, and those that they use. One that does not exist is
// GitHub's to tell: a step may make it.
func readActions(root *os.Root, files []workflows.File) ([]workflows.File, []finding) {
	var actions []workflows.File
	var findings []finding
	seen := map[string]bool{}
	for {
		folders := slices.DeleteFunc(workflows.Actions(append(slices.Clone(files), actions...)), func(folder string) bool { return seen[folder] })
		if len(folders) == 0 || len(seen) > mostActions {
			return actions, findings
		}
		for _, folder := range folders {
			seen[folder] = true
			for _, base := range []string{"action.yml", "action.yaml"} {
				name := path.Join(folder, base)
				raw, err := readText(root, name)
				if found := problems(err, workflows.RuleSyntax); found != nil {
					findings = append(findings, found...)
					break
				}
				if err == nil {
					actions = append(actions, workflows.File{Path: name, Content: raw})
					break
				}
				if !errors.Is(err, fs.ErrNotExist) {
					break // outside of the tree
				}
			}
		}
	}
}
