package console

import (
	"io"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// WriteHistory writes a table of operations in the order given. A duration of one that
// runs is that until o.Now.
func WriteHistory(w io.Writer, ops []*landfallv1.Operation, o Style) error {
	p := newPage(o)
	if len(ops) == 0 {
		p.printf("no operations yet\n")
		return p.writeTo(w)
	}
	t := table{header: []string{"ID", "KIND", "STATE", "TARGET", "STARTED", "DURATION", "WHO", "REASON"}, right: []int{5}, elastic: 7}
	for _, op := range ops {
		t.rows = append(t.rows, []cell{
			{text: clean(op.GetId())},
			{text: kindWord(op.GetKind())},
			{text: stateWord(op.GetState()), colour: stateColour(op.GetState())},
			{text: short(op.GetTargetSha())},
			{text: p.when(op.GetCreateTime())},
			{text: Duration(between(op.GetCreateTime(), op.GetEndTime(), p.Now))},
			{text: clean(op.GetRequester())},
			{text: reasonOf(op)},
		})
	}
	p.table(t, 0)
	return p.writeTo(w)
}

// reasonOf is why an operation did not succeed, in one line.
func reasonOf(op *landfallv1.Operation) string {
	if sha := op.GetSupersededBy(); sha != "" {
		return "superseded by " + short(sha)
	}
	f := op.GetFailure()
	if f == nil {
		return ""
	}
	return strings.TrimPrefix(clean(f.GetReason())+": "+clean(f.GetMessage()), ": ")
}

// when writes a time relative to now, then by the clock of now's zone; "" when it is not set.
func (p *page) when(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return Relative(t.AsTime(), p.Now) + " (" + clock(t.AsTime(), p.Now) + ")"
}
