package console

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/fault"
)

// Gate is how a wait for CI ended.
type Gate struct {
	Verdict string // pass, blocked, timeout or superseded
	Reason  string
	Hint    string
	Lines   []ci.Line
	Waited  time.Duration
	Polls   int
}

// gateObject is a Gate in JSON.
type gateObject struct {
	Verdict   string       `json:"verdict"`
	Reason    string       `json:"reason"`
	Hint      string       `json:"hint,omitempty"`
	Waited    float64      `json:"waited_seconds"`
	Polls     int          `json:"polls"`
	Workflows []lineObject `json:"workflows"`
}

type lineObject struct {
	File     string `json:"file"`
	Decision string `json:"decision"`
	Status   string `json:"status"`
	Run      int64  `json:"run,omitempty"`
	URL      string `json:"url,omitempty"`
	Attempt  int    `json:"attempt,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// WriteGate writes a verdict with what each workflow came to, as text, Markdown or one object. An unknown
// format is a fault of kind Invalid.
func WriteGate(w io.Writer, gate Gate, format string, o Style) error {
	p := newPage(o)
	switch format {
	case "text":
		p.gate(gate)
	case "markdown":
		p.gateMarkdown(gate)
	case "json":
		object := gateObject{Verdict: gate.Verdict, Reason: gate.Reason, Hint: gate.Hint, Waited: gate.Waited.Seconds(), Polls: gate.Polls, Workflows: []lineObject{}}
		for _, l := range gate.Lines {
			object.Workflows = append(object.Workflows, lineObject{
				File: l.File, Decision: l.Decision.String(), Status: l.Status, Run: l.Run, URL: l.URL, Attempt: l.Attempt, Reason: l.Reason,
			})
		}
		raw, err := json.Marshal(object)
		if err != nil {
			return fault.Wrap(err, fault.Internal, "JSON", "write the verdict as JSON")
		}
		p.printf("%s\n", escapeUnprintable(raw))
	default:
		return fault.New(fault.Invalid, "USAGE", "unknown format %q of a verdict", format).WithHint("use text, markdown or json")
	}
	return p.writeTo(w)
}

// verdictColour is green for what lets a deploy go on.
func verdictColour(verdict string) colour {
	switch verdict {
	case "pass":
		return green
	case "superseded":
		return cyan
	}
	return red
}

func (p *page) gate(gate Gate) {
	p.printf("%s: %s\n", p.paint(verdictColour(gate.Verdict), clean(gate.Verdict)), clean(strings.TrimPrefix(gate.Reason, "passed: ")))
	for _, l := range gate.Lines {
		p.printf("  %s  %s", clean(l.File), clean(l.Status))
		if l.URL != "" {
			p.printf("  %s", clean(l.URL))
		}
		p.printf("\n")
	}
}

func (p *page) gateMarkdown(gate Gate) {
	p.printf("### CI gate: %s\n\n%s\n\n", markdownText(gate.Verdict), markdownText(gate.Reason))
	if gate.Hint != "" {
		p.printf("What to do: %s\n\n", markdownText(gate.Hint))
	}
	p.printf("| Workflow | Verdict | Status | Run | Why |\n|---|---|---|---|---|\n")
	for _, l := range gate.Lines {
		run := "–"
		if l.Run != 0 {
			run = markdownCode(l.URL)
		}
		p.printf("| %s | %s | %s | %s | %s |\n", markdownCode(l.File), l.Decision, markdownText(l.Status), run, markdownText(l.Reason))
	}
	p.printf("\nWaited %s, looked %s.\n\n", Duration(gate.Waited), count(gate.Polls, "time"))
}
