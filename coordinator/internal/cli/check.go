package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/strictyaml"
	"ataraxis.dev/landfall/shared/workflowcommand"
)

func newCheckCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check landfall.yaml, the compose files and the workflow files, all at once",
		Long: "Check the repository as it lies in the working tree: landfall.yaml (every mistake with line, column and the nearest\n" +
			"valid name), the files and services it names, what in compose files cannot run together, and every workflow file\n" +
			"as `workflows check` does. Nothing is changed and nobody is asked. In a job of GitHub Actions findings are annotations." + command.ExitCodes(0, 2),
		Example: "  landfall-coordinator check",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, err := g.checkAll(cmd.Context())
			if err != nil {
				return err
			}
			return g.tellFindings(findings, configName+", compose files, workflow files")
		},
	}
}

// checkAll finds every mistake that can be seen without asking anybody.
func (g *globals) checkAll(ctx context.Context) ([]finding, error) {
	w, err := g.openTree(ctx)
	if err != nil {
		found := problems(err, "landfall.yaml")
		if found == nil {
			return nil, err
		}
		// Compose files are not looked at: which, a configuration that is wrong does not tell.
		workflows, err := g.checkWorkflows(w)
		return append(found, workflows...), err
	}
	err = pipeline.CheckTree(w.config, func(path string) bool {
		_, err := os.Stat(filepath.Join(w.root, filepath.FromSlash(path)))
		return err == nil
	})
	findings := problems(err, "landfall.yaml")
	if err != nil && findings == nil {
		return nil, err
	}
	composed, err := checkCompose(w)
	if err != nil {
		return nil, err
	}
	findings = append(findings, composed...)
	found, err := g.checkWorkflows(w)
	return append(findings, found...), err
}

// finding is one mistake in a file.
type finding struct {
	path         string // from the root
	line, column int
	rule         string
	message      string
	hint         string
}

func (f finding) String() string {
	text := fmt.Sprintf("%s:%d:%d: %s: %s", f.path, f.line, f.column, f.rule, f.message)
	if f.hint != "" {
		text += " (" + f.hint + ")"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' ' // a file's text starts no line of its own
		}
		return r
	}, text)
}

// problems are the mistakes inside an error, nil when it is another one.
func problems(err error, rule string) []finding {
	var list strictyaml.Problems
	if !errors.As(err, &list) {
		return nil
	}
	var findings []finding
	for _, p := range list {
		message := p.Message
		if p.Suggestion != "" {
			message += fmt.Sprintf(": did you mean %q?", p.Suggestion)
		}
		findings = append(findings, finding{path: p.File, line: p.Line, column: p.Column, rule: rule, message: message})
	}
	return findings
}

// tellFindings prints findings, one a line; in a job of Actions the first ones are annotations, too. The
// error counts them.
func (g *globals) tellFindings(findings []finding, what string) error {
	for i, f := range findings {
		fmt.Fprintln(g.streams.Out, f)
		if g.job.InActions && i < workflowcommand.AnnotationLimit-1 { // the last is for the error itself
			note := workflowcommand.Annotation{
				Level: "error", File: f.path, Line: f.line, Column: f.column, Title: f.rule, Message: f.message + "\n" + f.hint,
			}
			if err := workflowcommand.Print(g.streams.Err, note.String()); err != nil {
				return err
			}
		}
	}
	if len(findings) > 0 {
		return fault.New(fault.Invalid, "FINDINGS", "findings in %s: %d", what, len(findings)).WithHint("each is listed with its place")
	}
	_, err := fmt.Fprintln(g.streams.Out, "nothing to find fault with: "+what)
	return err
}
