package console

import (
	"fmt"
	"io"
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// WriteTick writes what a tick of convergence came to, and what differs.
func WriteTick(w io.Writer, t *landfallv1.Tick, o Style) error {
	p := newPage(o)
	p.printf("%s\n", p.tick(t))
	p.drift(t.GetDrift())
	return p.writeTo(w)
}

// tick is a tick in one line.
func (p *page) tick(t *landfallv1.Tick) string {
	word, would := tickWord(t), ""
	if t.GetDryRun() && t.GetOperationId() == "" && tickDoes(t) {
		would = "would "
	}
	text := p.paint(tickColours[t.GetOutcome()], would+word)
	if reason := clean(t.GetReason()); reason != "" && reason != "IN_STEP" {
		text += " (" + reason + ")"
	}
	return withReason(text, t.GetMessage())
}

// tickWord is what a tick came to: "skipped", "deploy".
func tickWord(t *landfallv1.Tick) string {
	word := strings.ToLower(strings.TrimPrefix(t.GetOutcome().String(), "TICK_OUTCOME_"))
	if t.GetOutcome() == landfallv1.TickOutcome_TICK_OUTCOME_NOTHING {
		return "nothing to do"
	}
	return word
}

// tickDoes reports whether the outcome stands for an operation.
func tickDoes(t *landfallv1.Tick) bool {
	switch t.GetOutcome() {
	case landfallv1.TickOutcome_TICK_OUTCOME_DEPLOY, landfallv1.TickOutcome_TICK_OUTCOME_REPAIR, landfallv1.TickOutcome_TICK_OUTCOME_UPDATE:
		return true
	default:
		return false
	}
}

var tickColours = map[landfallv1.TickOutcome]colour{
	landfallv1.TickOutcome_TICK_OUTCOME_SKIPPED: yellow, landfallv1.TickOutcome_TICK_OUTCOME_NOTHING: green,
	landfallv1.TickOutcome_TICK_OUTCOME_DEPLOY: cyan, landfallv1.TickOutcome_TICK_OUTCOME_REPAIR: cyan, landfallv1.TickOutcome_TICK_OUTCOME_UPDATE: cyan,
}

// WriteDrift writes what differs from what the checkout says, and what could not be compared.
func WriteDrift(w io.Writer, resp *landfallv1.GetDriftResponse, o Style) error {
	p := newPage(o)
	if len(resp.GetDrift()) == 0 {
		p.printf("%s\n", p.paint(green, count(int(resp.GetServices()), "service")+" as the checkout says"))
	}
	p.drift(resp.GetDrift())
	p.bullets("could not be compared", resp.GetUnknown(), yellow)
	return p.writeTo(w)
}

// drift lists differences, a line each.
func (p *page) drift(drift []*landfallv1.Drift) {
	for _, d := range drift {
		p.printf("  %s\n", p.difference(d))
	}
}

// difference is one difference in one line.
func (p *page) difference(d *landfallv1.Drift) string {
	name := clean(d.GetStack()) + "/" + clean(d.GetService())
	if d.GetStack() == "" {
		name = clean(d.GetProject()) + "/" + clean(d.GetService())
	}
	done := "told only"
	switch {
	case d.GetAnswer() != landfallv1.DriftAnswer_DRIFT_ANSWER_REPAIR:
	case d.GetConfirmed():
		done = "to be repaired"
	default:
		done = "to be repaired when two ticks have found it"
	}
	kind := strings.ToLower(strings.TrimPrefix(d.GetKind().String(), "DRIFT_KIND_"))
	return fmt.Sprintf("%s %s: %s (%s)", name, p.paint(yellow, kind), strings.TrimPrefix(clean(d.GetMessage()), clean(d.GetService())+": "), done)
}

// ticks tells in the status how convergence goes: the last tick, and when the next is due.
func (p *page) ticks(g *landfallv1.GitOpsStatus) {
	if g.GetNextTickTime() == nil {
		return // an older agent, which makes none
	}
	next := "due " + p.when(g.GetNextTickTime())
	if g.GetOverdue() {
		next = p.paint(red, "overdue since "+p.when(g.GetNextTickTime())+": does the timer fire?")
	}
	last := g.GetLastTick()
	if last == nil {
		p.field("last tick", "none since the agent started; the next is "+next)
		return
	}
	text := p.when(last.GetStartTime()) + ": " + p.tick(last)
	if id := clean(last.GetOperationId()); id != "" {
		text += ", " + id
	}
	p.field("last tick", text)
	p.field("next tick", next)
	if why := clean(g.GetNotFollowedReason()); why != "" {
		p.field("new commits", "are not followed: "+why)
	}
	for _, d := range last.GetDrift() {
		p.field("drift", p.difference(d))
	}
}
