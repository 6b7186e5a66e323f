package console

import (
	"fmt"
	"strings"
	"unicode"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

const (
	// diagramLimit bounds one diagram, in bytes: Mermaid draws none of more than 50,000 characters
	// (mermaid, config.schema.yaml, maxTextSize).
	diagramLimit = 45_000
	// labelLimit bounds the name of a bar, in cells.
	labelLimit = 60
)

// gantt draws when each step ran, as Mermaid diagrams that GitHub shows in summaries; a second
// one is begun when the first is full. Times are milliseconds since 1970, which do not wrap at midnight.
func (p *page) gantt(op *landfallv1.Operation) {
	const head = "```mermaid\ngantt\n    dateFormat x\n    axisFormat %H:%M:%S\n"
	var diagram strings.Builder
	flush := func() {
		if diagram.Len() > 0 {
			p.printf("%s%s```\n\n", head, diagram.String())
			diagram.Reset()
		}
	}
	bars := 0
	for _, s := range stretches(op, p.Now) {
		section := "    section " + stateWord(s.state) + "\n"
		lines := p.bars(s, &bars)
		for i, text := range lines {
			if diagram.Len()+len(section)+len(text) > diagramLimit {
				flush()
			}
			if i == 0 || diagram.Len() == 0 {
				diagram.WriteString(section)
			}
			diagram.WriteString(text)
		}
	}
	flush()
}

// bars are the lines of one state: its steps, or itself when it has none. n numbers them.
func (p *page) bars(s stretch, n *int) []string {
	if len(s.steps) == 0 {
		return []string{bar(strings.ToLower(stateWord(s.state)), "done", s.span, n)}
	}
	lines := make([]string, 0, len(s.steps))
	for _, step := range s.steps {
		took := span{timeOf(step.GetStartTime()), timeOf(step.GetEndTime())}
		if took.end.IsZero() {
			took.end = p.Now
		}
		lines = append(lines, bar(stepLabel(step), ganttStatus(step.GetOutcome()), took, n))
	}
	return lines
}

func bar(label, status string, took span, n *int) string {
	*n++
	if status != "" {
		status += ", "
	}
	return fmt.Sprintf("    %s :%sb%d, %d, %dms\n", ganttLabel(label), status, *n, took.start.UnixMilli(), max(1, took.length().Milliseconds()))
}

// ganttStatus is the colour of a bar.
func ganttStatus(o landfallv1.StepOutcome) string {
	switch o {
	case landfallv1.StepOutcome_STEP_OUTCOME_DONE:
		return "done"
	case landfallv1.StepOutcome_STEP_OUTCOME_FAILED:
		return "crit"
	case landfallv1.StepOutcome_STEP_OUTCOME_INTERRUPTED:
		return "crit, done"
	case landfallv1.StepOutcome_STEP_OUTCOME_UNSPECIFIED:
	}
	return "active"
}

// ganttLabel is a name as Mermaid's grammar takes it: letters, digits and few marks. The grammar
// knows its keywords at the beginning of a line by their text alone, so something stands before the name.
func ganttLabel(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" ._/-+()[]=", r) {
			return r
		}
		return ' '
	}, clean(text))
	return "· " + fit(strings.Join(strings.Fields(text), " "), labelLimit)
}
