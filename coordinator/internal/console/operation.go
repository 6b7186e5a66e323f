package console

import (
	"io"
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// WriteOperation writes everything known about one operation, what runs at its end as the last line; plan may be nil. Of
// the blocked commits those are told that the operation made or speaks of.
func WriteOperation(w io.Writer, op *landfallv1.Operation, plan *landfallv1.Plan, blocks []*landfallv1.BlockedCommit, o Style) error {
	p := newPage(o)
	p.operationHeader(op, plan)
	for _, b := range blocks {
		if b.GetOperationId() == op.GetId() || b.GetSha() == op.GetTargetSha() {
			p.field("blocked", p.block(b))
		}
	}
	if f := op.GetFailure(); f != nil {
		p.failure(f)
	}
	p.bullets("warnings", op.GetWarnings(), yellow)
	p.bullets("migrations", op.GetMigrations(), "")
	for _, group := range probeGroups(op, plan) {
		p.heading(group.title)
		p.probes(group.results, 2)
	}
	p.timeline(op)
	if text := Summary(op); text != "" {
		p.printf("\n%s\n", p.paint(stateColour(op.GetState()), text))
	}
	return p.writeTo(w)
}

func (p *page) operationHeader(op *landfallv1.Operation, plan *landfallv1.Plan) {
	p.printf("%s  %s  %s", p.paint(bold, clean(op.GetId())), KindWord(op.GetKind()), p.state(op.GetState()))
	if meaning := headline(op.GetState(), op.GetSummary()); meaning != "" {
		p.printf(": %s", meaning)
	}
	if op.GetState() == landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY {
		p.printf(": %s", awaitsVerdict)
	}
	p.printf("\n")
	p.field("subject", clean(op.GetSubject()))
	p.field("target", clean(op.GetTargetSha()))
	p.field("base", clean(op.GetBaseSha()))
	p.field("before", clean(op.GetPreDeploySha()))
	if sha := op.GetSupersededBy(); sha != "" {
		p.field("superseded", "by "+clean(sha))
	}
	p.field("who", clean(op.GetRequester()))
	p.field("cancelled by", clean(op.GetCancelledBy()))
	p.field("command", clean(op.GetCommandId()))
	p.field("started", p.when(op.GetCreateTime()))
	p.field("ended", p.when(op.GetEndTime()))
	p.field("duration", Duration(between(op.GetCreateTime(), op.GetEndTime(), p.Now)))
	if t := op.GetVerifyByTime(); t != nil {
		p.field("verify by", p.when(t)+", then the agent verifies by itself")
	}
	if n := op.GetRestartCount(); n > 0 {
		p.field("taken up", count(n, "time")+" by an agent that was restarted")
	}
	p.field("flags", strings.Join(cleanAll(op.GetFlags()), ", "))
	digest := clean(op.GetPlanDigest())
	if plan != nil {
		digest = strings.TrimSpace(digest + "  " + count(len(plan.GetSteps()), "step"))
	}
	p.field("plan", digest)
}

// awaitsVerdict is what an operation does that is applied and not judged.
const awaitsVerdict = "awaits its verdict"

func (p *page) failure(f *landfallv1.Failure) {
	p.heading("why it did not succeed")
	p.printf("  %s\n", p.paint(red, failureText(f)))
	if id := clean(f.GetStepId()); id != "" {
		p.printf("  in step %s\n", id)
	}
	if f.GetKind() != landfallv1.FaultKind_FAULT_KIND_UNSPECIFIED {
		p.printf("  kind: %s\n", faultWord(f.GetKind()))
	}
	if hint := clean(f.GetHint()); hint != "" {
		p.printf("  hint: %s\n", hint)
	}
	for _, t := range tailLines(f.GetOutputTail(), 1) {
		p.printf("%s%s\n", indent(t.depth), t.text)
	}
}

// bullets writes a section of single lines, nothing when there are none.
func (p *page) bullets(title string, texts []string, c colour) {
	if len(texts) == 0 {
		return
	}
	p.heading(title)
	for _, text := range texts {
		p.printf("  - %s\n", p.paint(c, clean(text)))
	}
}

func cleanAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = clean(text)
	}
	return out
}
