package cli

import (
	"context"
	"fmt"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// toTheEnd is where following an operation to its end stops early: nowhere.
func toTheEnd(landfallv1.OperationState) bool { return false }

// detach answers with an operation as it was recorded.
func (f *following) detach(ctx context.Context, format string) error {
	f.show.Note("detached; " + f.afterUs())
	return f.report(ctx, format, "")
}

// report follows the operation to its end, or to where until says, then answers with it.
// verb is what was done, for the answer's last word; "" for none.
func (f *following) report(ctx context.Context, format, verb string, until ...func(landfallv1.OperationState) bool) error {
	op, err := f.tell(ctx, format, verb, until...)
	if err != nil {
		return err
	}
	return agentclient.Result(op)
}

// reportDeploy is report of a deploy that was asked for here: that it was superseded is no success at a prompt.
func (f *following) reportDeploy(ctx context.Context, format string, until ...func(landfallv1.OperationState) bool) error {
	op, err := f.tell(ctx, format, "", until...)
	if err != nil {
		return err
	}
	if err := f.supersededAtPrompt(op); err != nil {
		return err
	}
	return agentclient.Result(op)
}

// tell is report without the judgement.
func (f *following) tell(ctx context.Context, format, verb string, until ...func(landfallv1.OperationState) bool) (*landfallv1.Operation, error) {
	if len(until) > 0 {
		if err := f.session.Follow(ctx, until[0]); err != nil {
			return nil, err
		}
	}
	op, err := f.session.Operation(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.reportToJob(op); err != nil {
		f.show.Warn(err.Error()) // the operation has ended as it has, whatever the job hears of it
	}
	if err := f.show.Close(); err != nil {
		return nil, err
	}
	if format == "json" {
		return op, console.WriteJSON(f.streams.Out, op)
	}
	return op, f.answer(op, verb)
}

// answer is an operation in one line, and what runs at its end in another.
func (f *following) answer(op *landfallv1.Operation, verb string) error {
	about := short(op.GetTargetSha())
	if subject := op.GetSubject(); subject != "" {
		about = console.KindWord(op.GetKind()) + " of " + console.Clean(subject)
	}
	line := fmt.Sprintf("%s %s %s", op.GetId(), agentclient.StateName(op.GetState()), about)
	if by := op.GetSupersededBy(); by != "" {
		line += " superseded by " + short(by)
	}
	if end := op.GetEndTime(); end != nil {
		line += " in " + console.Duration(end.AsTime().Sub(op.GetCreateTime().AsTime()))
	}
	if verb != "" {
		line += ", " + verb
	}
	if text := console.Summary(op); text != "" {
		line += "\n" + text
	}
	_, err := fmt.Fprintln(f.streams.Out, line)
	return err
}

func short(sha string) string {
	if len(sha) > 12 {
		return sha[:12]
	}
	return sha
}
