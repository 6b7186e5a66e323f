package console

import (
	"fmt"
	"io"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// WriteProbes writes what probes found, the last output of those that failed, then how many passed.
func WriteProbes(w io.Writer, results []*landfallv1.ProbeResult, o Style) error {
	p := newPage(o)
	if len(results) == 0 {
		p.printf("no probes are configured\n")
		return p.writeTo(w)
	}
	p.probes(results, 0)
	passed := 0
	for _, r := range results {
		if r.GetOutcome() == landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED {
			passed++
		}
	}
	c := green
	if passed < len(results) {
		c = red
	}
	p.printf("%s\n", p.paint(c, fmt.Sprintf("%d of %s passed", passed, count(len(results), "probe"))))
	return p.writeTo(w)
}

// probes writes the table, with the output of each probe that has some below it.
func (p *page) probes(results []*landfallv1.ProbeResult, indentation int) {
	t := table{header: []string{"PROBE", "RESULT", "ATTEMPTS", "TIME", "FOUND"}, right: []int{2, 3}, elastic: 4}
	for _, r := range results {
		t.rows = append(t.rows, []cell{
			{text: clean(r.GetName())},
			{text: probeWord(r.GetOutcome()), colour: probeColour(r.GetOutcome())},
			{text: fmt.Sprint(r.GetAttempts())},
			{text: durationOf(r.GetElapsed())},
			{text: clean(r.GetMessage())},
		})
	}
	p.table(t, indentation)
	for _, r := range results {
		if tail := tailLines(r.GetOutputTail(), indentation/2); len(tail) > 0 {
			p.printf("%s%s, %s\n", indent(tail[0].depth), clean(r.GetName()), tail[0].text)
			for _, l := range tail[1:] {
				p.printf("%s%s\n", indent(l.depth), l.text)
			}
		}
	}
}

func probeColour(o landfallv1.ProbeOutcome) colour {
	switch o {
	case landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED:
		return green
	case landfallv1.ProbeOutcome_PROBE_OUTCOME_FAILED:
		return red
	case landfallv1.ProbeOutcome_PROBE_OUTCOME_WAITING, landfallv1.ProbeOutcome_PROBE_OUTCOME_UNSPECIFIED:
	}
	return yellow
}
