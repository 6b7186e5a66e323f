package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"ataraxis.dev/landfall/coordinator/internal/actions"
	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

// preview is what a rollback would do.
type preview struct {
	plan    *landfallv1.GetRollbackPlanResponse
	nothing bool   // all is as it would be afterwards
	unknown string // why nobody knows; plan is then nil
}

// foresee asks what a rollback would do. That the agent cannot tell keeps nobody from going back.
func foresee(ctx context.Context, client *agentclient.Client, where destination) (preview, error) {
	plan, err := client.RollbackPlan(ctx, where.question())
	switch {
	case err == nil:
	case fault.KindOf(err) == fault.Unimplemented:
		return preview{unknown: "this agent cannot tell beforehand what a rollback does"}, nil
	case fault.ReasonOf(err) == "NO_ANSWER", slices.Contains([]fault.Kind{fault.Internal, fault.Failed, fault.Degraded, fault.Deadline}, fault.KindOf(err)):
		return preview{unknown: "what the rollback will do cannot be told beforehand: " + err.Error()}, nil
	default:
		return preview{}, err
	}
	nothing, err := changesNothing(ctx, client, plan)
	return preview{plan: plan, nothing: nothing}, err
}

// changesNothing reports whether the host is as a rollback would make it: services, checkout and stamp.
func changesNothing(ctx context.Context, client *agentclient.Client, plan *landfallv1.GetRollbackPlanResponse) (bool, error) {
	target := plan.GetTarget().GetSha()
	if len(plan.GetServices()) > 0 || target == "" || plan.GetFrom().GetSha() != target {
		return false, nil
	}
	host, err := client.Host(ctx)
	return host.GetStamp().GetSha() == target, err
}

// previewRollback answers what a rollback would do.
func (g *globals) previewRollback(ctx context.Context, o rollbackOptions) error {
	return g.connected(ctx, func(ctx context.Context, client *agentclient.Client) error {
		where, err := g.backTo(ctx, client, o)
		if err != nil {
			return err
		}
		plan, err := client.RollbackPlan(ctx, where.question())
		if fault.KindOf(err) == fault.Unimplemented {
			return fault.New(fault.Unimplemented, "NO_ROLLBACK_PLAN", "this agent cannot tell beforehand what a rollback does").WithHint("install a newer one")
		}
		if err != nil {
			return err
		}
		if *o.format == "json" {
			return console.WriteJSON(g.streams.Out, plan)
		}
		nothing, err := changesNothing(ctx, client, plan)
		if err != nil {
			return err
		}
		return console.WriteRollbackPlan(g.streams.Out, plan, nothing, g.style())
	})
}

// confirmRollback shows what a rollback would do and asks. It says no, without an error, when there is nothing to do.
func (g *globals) confirmRollback(ctx context.Context, o rollbackOptions) (goOn bool, err error) {
	err = g.connected(ctx, func(ctx context.Context, client *agentclient.Client) error {
		where, err := g.backTo(ctx, client, o)
		if err != nil {
			return err
		}
		p, err := foresee(ctx, client, where)
		if err != nil {
			return err
		}
		text, err := g.previewText(p)
		if err != nil {
			return err
		}
		fmt.Fprintln(g.streams.Err, text)
		if p.nothing {
			return g.nothingToRollBack(p, *o.format)
		}
		if goOn, err = g.ask(ctx, "Roll back?"); err == nil && !goOn {
			err = fault.New(fault.Refused, "NOT_CONFIRMED", "nothing was rolled back: it was not confirmed")
		}
		return err
	})
	return goOn, err
}

// connected runs do with a connection of its own.
func (g *globals) connected(ctx context.Context, do func(context.Context, *agentclient.Client) error) error {
	ctx, cancel := g.limit(ctx)
	defer cancel()
	client, err := g.dial()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // the answer is there or not
	return do(ctx, client)
}

// nothingToRollBack answers that the host is as a rollback would make it.
func (g *globals) nothingToRollBack(p preview, format string) error {
	said := console.NothingToRollBack(p.plan)
	err := g.job.WriteOutputs(
		actions.Output{Name: "operation"}, actions.Output{Name: "pre_deploy_sha"}, actions.Output{Name: "state"}, actions.Output{Name: "summary", Value: said},
	)
	if err != nil {
		return err
	}
	if format == "json" {
		return console.WriteJSON(g.streams.Out, p.plan)
	}
	_, err = fmt.Fprintln(g.streams.Out, said)
	return err
}

// interactive reports whether there is a person to ask.
func (g *globals) interactive() bool {
	in, ok := g.streams.In.(*os.File)
	return ok && term.IsTerminal(int(in.Fd())) && command.IsTerminal(g.streams.Err) && !g.job.InActions
}

// ask asks a question whose answer is yes or, by anything else, no.
func (g *globals) ask(ctx context.Context, question string) (bool, error) {
	fmt.Fprintf(g.streams.Err, "%s [y/N] ", question)
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1) // so that the reader, which cannot be interrupted, does not wait for us
	go func() {
		text, err := bufio.NewReader(g.streams.In).ReadString('\n')
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return false, fault.Wrap(a.err, fault.Failed, "NO_ANSWER_READ", "read the answer")
		}
		switch strings.ToLower(strings.TrimSpace(a.text)) {
		case "y", "yes":
			return true, nil
		}
		return false, nil
	case <-ctx.Done():
		fmt.Fprintln(g.streams.Err)
		return false, fault.New(fault.Interrupted, "INTERRUPTED", "interrupted before an operation was started")
	}
}

// backToWhat lists the versions one can go back to and says how to choose one.
func (g *globals) backToWhat(ctx context.Context, format string) error {
	usage := fault.New(fault.Invalid, "USAGE", "back to what?").
		WithHint("choose with --to COMMIT, or --operation ID for what ran before it; add --dry-run to see what it would do")
	if format == "json" || g.agent == "" || (g.identity == "" && !agentclient.IsLocal(g.agent)) {
		return usage
	}
	var page bytes.Buffer
	err := g.connected(ctx, func(ctx context.Context, client *agentclient.Client) error {
		versions, keep, err := g.versions(ctx, client)
		if err != nil {
			return err
		}
		return console.WriteVersions(&page, versions, keep, g.style())
	})
	if err != nil {
		return err
	}
	fmt.Fprint(g.streams.Err, page.String()) // stdout has no answer: nothing was chosen
	return usage
}
