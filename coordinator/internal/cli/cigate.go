package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/actions"
	"ataraxis.dev/landfall/coordinator/internal/console"
	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/cigate"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// gateOptions are the flags of ci-gate, and those that run shares with it.
type gateOptions struct {
	workflows []string
	poll      time.Duration
	job       string // the job that deploys; "" is the usual one
	alone     bool   // newer deploys are not looked for
}

// AddFlags declares the flags.
func (o *gateOptions) AddFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&o.workflows, "workflows", nil, "files of the workflows that must pass: lint.yml,test.yml (default: ci.required of landfall.yaml)")
	f.DurationVar(&o.poll, "poll", 0, "time between two looks (default: ci.poll of landfall.yaml, 15s)")
}

func newCIGateCommand(g *globals) *cobra.Command {
	o := &gateOptions{}
	var sha string
	var format *string
	cmd := &cobra.Command{
		Use:   "ci-gate",
		Short: "Wait until a commit passed the workflows that it needs",
		Long: "Wait until every required workflow has completed for a commit: the newest run of each decides. A workflow that\n" +
			"its path filter did not start counts as passed, but only when that is proven; what is unknown waits, and blocks\n" +
			"at the end of --timeout (default: ci.timeout of landfall.yaml, 45m). A newer deploy ends the wait (exit 0).\n\n" +
			"Needs GITHUB_TOKEN with `actions: read` and, in Actions, a clone to evaluate path filters in (fetch-depth: 0).\n" +
			"Outputs in a job of GitHub Actions: verdict (pass, blocked, timeout, superseded), reason, sha, superseded_by." +
			command.ExitCodes(0, 1, 2, 3, 130),
		Example: "  landfall-coordinator ci-gate --sha HEAD --repository ada/fleet\n  landfall-coordinator ci-gate --workflows lint.yml,test.yml --timeout 30m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(*format, "text", "json"); err != nil {
				return err
			}
			show, err := g.renderer()
			if err != nil {
				return err
			}
			defer func() { _ = show.Close() }() // closed before the answer; this is for the ways out before it
			gate, err := g.newGate(cmd.Context(), sha, *o, show)
			if err != nil {
				return err
			}
			result, err := gate.wait(cmd.Context())
			if err != nil {
				return err
			}
			if err := show.Close(); err != nil {
				return err
			}
			if err := console.WriteGate(g.streams.Out, shownGate(result), *format, g.style()); err != nil {
				return err
			}
			return gateError(result)
		},
	}
	f := cmd.Flags()
	f.StringVar(&sha, "sha", "", "commit to judge (default: GITHUB_SHA, else HEAD)")
	o.AddFlags(f)
	format = formatFlag(f, "text or json")
	return cmd
}

// gate is one wait for CI, put together.
type gate struct {
	*globals
	loop     cigate.Gate
	question cigate.Question
	show     console.Renderer
	newer    *supersession // nil: nobody looks
}

// by is the newer deploy that ended the wait: its commit and its page.
func (w *gate) by() (sha, url string) {
	if w.newer == nil {
		return "", ""
	}
	return w.newer.by.SHA, w.newer.by.URL
}

// newGate puts the gate together from landfall.yaml at the commit, the flags and the job.
func (g *globals) newGate(ctx context.Context, rev string, o gateOptions, show console.Renderer) (*gate, error) {
	s, err := g.openSource(ctx)
	if err != nil {
		return nil, err
	}
	sha, err := s.resolve(ctx, rev)
	if err != nil {
		return nil, err
	}
	config, err := s.config(ctx, sha)
	if err != nil {
		return nil, err
	}
	client, err := g.github()
	if err != nil {
		return nil, err
	}
	branch := branchOf(config.Branch, g.job.Ref)
	newer, err := g.newSupersession(s, branch, sha, o.job, show.Warn)
	if err != nil {
		return nil, err
	}
	expecter, err := g.expecter(s, branch, sha, client)
	if err != nil {
		return nil, err
	}
	w := &gate{globals: g, show: show, question: cigate.Question{
		Repository: g.repository, Branch: branch, SHA: sha, Workflows: requiredWorkflows(config, o), OwnRun: g.job.RunID, OwnWorkflow: g.job.Workflow,
	}}
	w.loop = cigate.Gate{
		Source: client, Poll: cmp.Or(o.poll, config.CI.Poll), Timeout: cmp.Or(g.timeout, config.CI.Timeout), Expect: expecter.Expect,
		Progress: func(r cigate.Report) { show.Note(r.String()) },
	}
	if newer != nil && !o.alone {
		w.newer, w.loop.Yield = newer, newer.yield
	}
	if w.question.OwnWorkflow == "" {
		w.question.NotBefore, err = s.repo.CommitTime(ctx, sha)
	}
	return w, err
}

func requiredWorkflows(config *pipeline.Config, o gateOptions) []string {
	if len(o.workflows) == 0 {
		return config.CI.Required
	}
	files := make([]string, len(o.workflows))
	for i, file := range o.workflows {
		files[i] = path.Base(strings.TrimSpace(file))
	}
	return files
}

// expecter evaluates path filters by the push that we run for, or by what is known of others.
func (g *globals) expecter(s source, branch, sha string, client *ci.Client) (cigate.Expecter, error) {
	e := cigate.Expecter{Repo: s.repo, Remote: remote, Branch: branch, SHA: sha}
	event, err := g.job.Event()
	if err != nil {
		return e, err
	}
	switch {
	case event.Name == "push" && event.After == sha:
		e.Push = &cigate.Push{Before: event.Before, Oldest: event.Oldest, Commits: event.Commits}
	case g.job.Workflow != "":
		e.Previous = cigate.Pushed(client, g.repository, branch, g.job.Workflow)
	}
	return e, nil
}

// wait waits, telling the job how it ended.
func (w *gate) wait(ctx context.Context) (cigate.Result, error) {
	w.show.Note(fmt.Sprintf("waiting for %s of %s", orElse(joined(w.question.Workflows), "nothing"), short(w.question.SHA)))
	result, err := w.loop.Wait(ctx, w.question)
	if err != nil {
		return result, err
	}
	w.show.Note(result.Outcome + ": " + result.Reason)
	by := ""
	if result.Outcome == cigate.Superseded {
		by, _ = w.by()
	}
	err = w.job.WriteOutputs(actions.Output{Name: "superseded_by", Value: by}, actions.Output{Name: "verdict", Value: result.Outcome}, actions.Output{Name: "reason", Value: result.Reason}, actions.Output{Name: "sha", Value: w.question.SHA})
	if err != nil {
		return result, err
	}
	return result, w.summarise(func(out io.Writer, style console.Style) error {
		return console.WriteGate(out, shownGate(result), "markdown", style)
	})
}

func shownGate(r cigate.Result) console.Gate {
	return console.Gate{Verdict: r.Outcome, Reason: r.Reason, Hint: r.Hint, Lines: r.Lines, Waited: r.Waited, Polls: r.Polls}
}

// gateError is the error of a verdict, nil when the deploy may go on or need not.
func gateError(r cigate.Result) error {
	var reason string
	switch r.Outcome {
	case cigate.Pass, cigate.Superseded:
		return nil
	case cigate.Timeout:
		reason = "GATE_TIMEOUT"
	default:
		reason = "GATE_BLOCKED"
	}
	err := fault.New(fault.Gate, reason, "%s", r.Reason)
	if r.Hint != "" {
		err = err.WithHint("%s", r.Hint)
	}
	return err
}
