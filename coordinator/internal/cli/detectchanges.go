package cli

import (
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/actions"
	"ataraxis.dev/landfall/coordinator/internal/console"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

// detectOptions are the flags of detect-changes.
type detectOptions struct {
	base   string
	head   string
	format *string
}

// AddFlags declares the flags.
func (o *detectOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.base, "base", "", "commit the change set is measured from (default: what runs on the host)")
	f.StringVar(&o.head, "head", "", "commit to deploy (default: GITHUB_SHA, else HEAD)")
	o.format = formatFlag(f, "text, json or markdown")
}

func newDetectChangesCommand(g *globals) *cobra.Command {
	o := &detectOptions{}
	cmd := &cobra.Command{
		Use:   "detect-changes",
		Short: "Find out what a commit changes: the flags of landfall.yaml",
		Long: "Compare what runs on the host with a commit and say which flags of landfall.yaml it sets. Without --base the\n" +
			"agent is asked what runs; a base that is not in the clone is fetched, one that cannot be had sets every flag. Where\n" +
			"somebody moved the host's checkout, what differs from that commit sets flags, too; the counts are those from the base.\n\n" +
			"In a job of GitHub Actions every flag becomes an output, true or false, beside any_deploy, any_deploy_reason (why it\n" +
			"deploys where no changed path asks for it: a pushed revert, a block or a pause that only a deploy lifts), base_sha, head_sha,\n" +
			"files_changed, insertions, deletions, commits (empty where there is no base; commits also in a shallow clone),\n" +
			"everything_reason, unclaimed (a JSON array of at most 100 paths) and unclaimed_count." +
			command.ExitCodes(0, 2, 6),
		Example: "  landfall-coordinator detect-changes\n  landfall-coordinator detect-changes --base HEAD~3 --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(*o.format, "text", "json", "markdown"); err != nil {
				return err
			}
			ctx, cancel := g.limit(cmd.Context())
			defer cancel()
			return runDetectChanges(ctx, g, *o)
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runDetectChanges(ctx context.Context, g *globals, o detectOptions) error {
	s, err := g.openSource(ctx)
	if err != nil {
		return err
	}
	head, err := s.resolve(ctx, o.head)
	if err != nil {
		return err
	}
	from, err := planGround(ctx, g, s, o.base)
	if err != nil {
		return err
	}
	c, err := s.compile(ctx, from, head)
	if err != nil {
		return err
	}
	if err := g.reportChangesToJob(c); err != nil {
		return err
	}
	return console.WriteChanges(g.streams.Out, c.changes(), *o.format, g.style())
}

// changes is the change set as it is shown.
func (c compiled) changes() console.Changes {
	shown := console.Changes{
		Base: c.set.Base, Head: c.set.Head, Moved: c.set.Moved, Everything: c.set.Everything, AnyDeploy: c.deploys(), Because: c.because,
		Flags: map[string]bool{}, Unclaimed: append([]string{}, c.plan.Unclaimed...), Left: c.plan.UnclaimedCount,
	}
	for _, flag := range c.plan.Flags {
		shown.Flags[flag.Name] = flag.Set
	}
	if c.set.Counted {
		d := c.set.Diff
		shown.ChangeCounts = &console.ChangeCounts{Files: d.Files, Insertions: d.Insertions, Deletions: d.Deletions, Commits: d.Commits}
		if c.set.Shallow {
			shown.Commits = -1
		}
	}
	return shown
}

// reportChangesToJob tells the job what changed: its outputs, its summary.
func (g *globals) reportChangesToJob(c compiled) error {
	shown := c.changes()
	unclaimed, err := json.Marshal(within(shown.Unclaimed, unclaimedLimit))
	if err != nil {
		return fault.Wrap(err, fault.Internal, "JSON", "write unclaimed paths as JSON")
	}
	outputs := []actions.Output{
		{Name: "any_deploy", Value: strconv.FormatBool(shown.AnyDeploy)},
		{Name: "any_deploy_reason", Value: shown.Because},
		{Name: "base_sha", Value: shown.Base},
		{Name: "head_sha", Value: shown.Head},
		{Name: "everything_reason", Value: shown.Everything},
		{Name: "unclaimed", Value: string(unclaimed)},
		{Name: "unclaimed_count", Value: strconv.Itoa(shown.Left)},
	}
	count := func(name string, n func(console.ChangeCounts) int) {
		value := ""
		if shown.ChangeCounts != nil && n(*shown.ChangeCounts) >= 0 {
			value = strconv.Itoa(n(*shown.ChangeCounts))
		}
		outputs = append(outputs, actions.Output{Name: name, Value: value})
	}
	count("files_changed", func(n console.ChangeCounts) int { return n.Files })
	count("insertions", func(n console.ChangeCounts) int { return n.Insertions })
	count("deletions", func(n console.ChangeCounts) int { return n.Deletions })
	count("commits", func(n console.ChangeCounts) int { return n.Commits })
	for name, set := range shown.Flags {
		outputs = append(outputs, actions.Output{Name: name, Value: strconv.FormatBool(set)})
	}
	if err := g.job.WriteOutputs(outputs...); err != nil {
		return err
	}
	wire, err := c.wire()
	if err != nil {
		return err
	}
	return g.summarise(func(w io.Writer, style console.Style) error {
		if err := console.WriteChanges(w, shown, "markdown", style); err != nil {
			return err
		}
		return console.WritePlan(w, wire, console.Markdown, style, c.notes()...)
	})
}

// unclaimedLimit bounds the paths in the output unclaimed, in bytes: outputs of a job have a limit in all.
const unclaimedLimit = 32 << 10

// within are the first texts that have at most limit bytes together.
func within(texts []string, limit int) []string {
	for i, text := range texts {
		if limit -= len(text); limit < 0 {
			return texts[:i]
		}
	}
	return texts
}

// noCommit is what GitHub writes where there is no commit: forty zeros.
func noCommit(sha string) bool { return sha != "" && strings.Trim(sha, "0") == "" }
