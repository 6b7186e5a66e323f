package cli

import (
	"context"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

// rollbackOptions are the flags of rollback.
type rollbackOptions struct {
	operation string
	to        string
	dryRun    bool
	yes       bool
	format    *string
}

// AddFlags declares the flags.
func (o *rollbackOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.operation, "operation", "", "operation to undo: go back to what ran before it")
	f.StringVar(&o.to, "to", "", "commit to go back to")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what it would do, and do nothing")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	o.format = formatFlag(f, "text or json")
}

func newRollbackCommand(g *globals) *cobra.Command {
	o := &rollbackOptions{}
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Go back to an earlier version",
		Long: "Go back to what ran before an operation, or to a commit: checkout, images and containers, not the database.\n" +
			"Images that the agent has pinned are used as they are; only what is gone is built again. The commit that is\n" +
			"left is blocked and convergence stays paused.\n\n" +
			"What it would do is shown first: each service it touches and why, images that are gone, migrations that stay. On a\n" +
			"terminal it then asks; elsewhere it goes on. Without --operation and --to it lists the versions one can go back to (exit 2)." +
			command.ExitCodes(0, 1, 2, 5, 6, 7, 130),
		Example: "  landfall-coordinator rollback --to 1a2b3c4d --dry-run\n  landfall-coordinator rollback --operation op-42-k3f9x1\n  landfall-coordinator rollback --to 1a2b3c4d --yes",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(*o.format, "text", "json"); err != nil {
				return err
			}
			switch {
			case o.operation != "" && o.to != "":
				return fault.New(fault.Invalid, "USAGE", "back to what? --operation and --to name two things").WithHint("give one of them")
			case o.operation == "" && o.to == "":
				return g.backToWhat(cmd.Context(), *o.format)
			case o.dryRun:
				return g.previewRollback(cmd.Context(), *o)
			}
			if !o.yes && g.interactive() {
				goOn, err := g.confirmRollback(cmd.Context(), *o)
				if err != nil || !goOn {
					return err
				}
				return g.follow(cmd.Context(), func(ctx context.Context, f *following) error { return f.rollback(ctx, *o, true) })
			}
			return g.follow(cmd.Context(), func(ctx context.Context, f *following) error { return f.rollback(ctx, *o, false) })
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// rollback sends the command and follows it to the end. What it will do is shown before, unless it was.
func (f *following) rollback(ctx context.Context, o rollbackOptions, shown bool) error {
	where, err := f.backTo(ctx, f.client, o)
	if err != nil {
		return err
	}
	if !shown {
		preview, err := foresee(ctx, f.client, where)
		if err != nil {
			return err
		}
		text, err := f.previewText(preview)
		if err != nil {
			return err
		}
		f.show.Note(text)
		if preview.nothing {
			return f.nothingToRollBack(preview, *o.format)
		}
	}
	if err := f.session.Send(ctx, &landfallv1.ExecuteRequest{
		CommandId: agentclient.NewCommandID("rollback"), Command: &landfallv1.ExecuteRequest_Rollback{Rollback: where.command()},
	}); err != nil {
		return err
	}
	return f.report(ctx, *o.format, "", toTheEnd)
}

// destination is where a rollback goes: one of the two.
type destination struct {
	operation string // what ran before it
	sha       string
}

func (d destination) command() *landfallv1.RollbackCommand {
	if d.sha != "" {
		return &landfallv1.RollbackCommand{Target: &landfallv1.RollbackCommand_TargetSha{TargetSha: d.sha}}
	}
	return &landfallv1.RollbackCommand{Target: &landfallv1.RollbackCommand_OperationId{OperationId: d.operation}}
}

func (d destination) question() *landfallv1.GetRollbackPlanRequest {
	if d.sha != "" {
		return &landfallv1.GetRollbackPlanRequest{Target: &landfallv1.GetRollbackPlanRequest_TargetSha{TargetSha: d.sha}}
	}
	return &landfallv1.GetRollbackPlanRequest{Target: &landfallv1.GetRollbackPlanRequest_OperationId{OperationId: d.operation}}
}

// backTo resolves what a person wrote.
func (g *globals) backTo(ctx context.Context, client *agentclient.Client, o rollbackOptions) (destination, error) {
	if o.to != "" {
		sha, err := g.fullSHA(ctx, client, o.to)
		return destination{sha: sha}, err
	}
	op, _, err := client.Operation(ctx, o.operation)
	return destination{operation: op.GetId()}, err
}

// beginningOfSHA is a SHA or so much of one that people copy it.
var beginningOfSHA = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// fullSHA resolves what a person wrote: the beginning of a commit that ran on the host needs no clone around, nor does a full SHA.
func (g *globals) fullSHA(ctx context.Context, client *agentclient.Client, rev string) (string, error) {
	if len(rev) == 40 || len(rev) == 64 {
		return rev, nil
	}
	if beginningOfSHA.MatchString(rev) {
		ops, err := client.Operations(ctx, versionsLook)
		if err != nil {
			return "", err
		}
		found := map[string]bool{}
		for _, op := range ops {
			if strings.HasPrefix(op.GetTargetSha(), rev) {
				found[op.GetTargetSha()] = true
			}
		}
		if len(found) == 1 {
			for sha := range found {
				return sha, nil
			}
		}
	}
	s, err := g.openSource(ctx)
	if err != nil {
		return "", err
	}
	return s.repo.Resolve(ctx, rev)
}

// previewText is a preview as lines.
func (g *globals) previewText(p preview) (string, error) {
	if p.unknown != "" {
		return p.unknown, nil
	}
	return console.RollbackPlanText(p.plan, p.nothing, g.style())
}
