package console

import (
	"io"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// WriteHistory writes a table of operations in the order given, then the commits that are blocked. A duration of one that
// runs is that until o.Now. On a narrow terminal reasons stand below their operation.
func WriteHistory(w io.Writer, ops []*landfallv1.Operation, blocks []*landfallv1.BlockedCommit, o Style) error {
	p := newPage(o)
	if len(ops) == 0 {
		p.printf("no operations yet\n")
		return p.writeTo(w)
	}
	const (
		roomForReason = 130 // columns from which a reason is readable beside the rest
		roomForClock  = 100
	)
	t := table{
		header: []string{"ID", "KIND", "STATE", "TARGET", "STARTED", "DURATION", "WHO", "REASON"}, right: []int{5}, elastic: 7, notes: map[int]string{},
	}
	for i, op := range ops {
		started, reason := p.when(op.GetCreateTime()), reasonOf(op)
		if p.Width < roomForClock {
			started, _, _ = strings.Cut(started, " (")
		}
		if p.Width < roomForReason {
			t.notes[i], reason = reason, ""
		}
		t.rows = append(t.rows, []cell{
			{text: clean(op.GetId())},
			{text: KindWord(op.GetKind())},
			{text: stateWord(op.GetState()), colour: stateColour(op.GetState())},
			{text: short(op.GetTargetSha())},
			{text: started},
			{text: Duration(between(op.GetCreateTime(), op.GetEndTime(), p.Now))},
			{text: clean(op.GetRequester())},
			{text: reason},
		})
	}
	p.table(t, 0)
	if len(blocks) > 0 {
		p.printf("\n")
	}
	for _, b := range blocks {
		p.field("blocked", p.block(b))
	}
	return p.writeTo(w)
}

// reasonOf is what an operation is about besides its commit, and why it did not succeed, in one line.
func reasonOf(op *landfallv1.Operation) string {
	return strings.TrimPrefix(strings.TrimSuffix(clean(op.GetSubject())+"; "+whyNot(op), "; "), "; ")
}

// whyNot is why an operation did not succeed, "" when it did.
func whyNot(op *landfallv1.Operation) string {
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
