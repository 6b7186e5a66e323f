package console

import (
	"io"
	"strconv"
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// WriteOperationMarkdown writes everything known about one operation for a step summary, in the dialect of
// GitHub: what it was, why it did not succeed with the last lines of output, when each step ran, what
// the probes saw.
func WriteOperationMarkdown(w io.Writer, op *landfallv1.Operation, o Style) error {
	p := newPage(o)
	p.operationMarkdown(op)
	return p.writeTo(w)
}

func (p *page) operationMarkdown(op *landfallv1.Operation) {
	p.printf("### %s %s: %s\n\n", markdownText(KindWord(op.GetKind())), markdownCode(short(op.GetTargetSha())), stateWord(op.GetState()))
	if meaning := headline(op.GetState(), op.GetSummary()); meaning != "" {
		p.printf("%s.\n\n", strings.ToUpper(meaning[:1])+meaning[1:])
	}
	if f := op.GetFailure(); f != nil {
		p.failureMarkdown(f)
	}
	p.factsMarkdown(op)
	for _, warning := range op.GetWarnings() {
		p.printf("> [!WARNING]\n> %s\n\n", markdownText(warning))
	}
	p.gantt(op)
	p.stepRecordsMarkdown(op)
	for _, group := range probeGroups(op, nil) {
		p.probesMarkdown(group)
	}
	if text := Summary(op); text != "" {
		p.printf("**%s**\n", markdownText(text))
	}
}

// failureMarkdown is an alert with the reason, and the last output as a block of code.
func (p *page) failureMarkdown(f *landfallv1.Failure) {
	p.printf("> [!CAUTION]\n> %s\n", markdownText(failureText(f)))
	if id := f.GetStepId(); id != "" {
		p.printf(">\n> In step %s.\n", markdownCode(id))
	}
	if hint := f.GetHint(); hint != "" {
		p.printf(">\n> What to do: %s\n", markdownText(hint))
	}
	p.printf("\n")
	p.codeBlock(f.GetOutputTail())
}

// codeBlock writes lines that others made; its fence is longer than any run of backticks within.
func (p *page) codeBlock(lines []string) {
	if len(lines) == 0 {
		return
	}
	fence := "```"
	for _, text := range lines {
		for strings.Contains(text, fence) {
			fence += "`"
		}
	}
	p.printf("%stext\n%s\n%s\n\n", fence, strings.Join(cleanAll(lines[max(0, len(lines)-tailLength):]), "\n"), fence)
}

func (p *page) factsMarkdown(op *landfallv1.Operation) {
	p.printf("| | |\n|---|---|\n")
	row := func(name, value string) {
		if value != "" {
			p.printf("| %s | %s |\n", name, value)
		}
	}
	row("Operation", markdownCode(op.GetId()))
	row("Target", markdownCode(op.GetTargetSha()))
	row("Base", markdownCode(op.GetBaseSha()))
	row("Ran before", markdownCode(op.GetPreDeploySha()))
	row("Superseded by", markdownCode(op.GetSupersededBy()))
	row("Asked by", markdownText(op.GetRequester()))
	row("Cancelled by", markdownText(op.GetCancelledBy()))
	row("Took", Duration(between(op.GetCreateTime(), op.GetEndTime(), p.Now)))
	row("Flags", markdownCodes(op.GetFlags()))
	row("Migrations", markdownCodes(op.GetMigrations()))
	p.printf("\n")
}

func (p *page) stepRecordsMarkdown(op *landfallv1.Operation) {
	if len(op.GetSteps()) == 0 {
		return
	}
	p.printf("| Step | Does | Result | Took | |\n|---|---|---|--:|---|\n")
	for _, s := range op.GetSteps() {
		details := clean(s.GetSummary())
		if f := s.GetFailure(); f != nil {
			details = strings.TrimPrefix(details+"; "+failureText(f), "; ")
		}
		p.printf("| %s | %s | %s | %s | %s |\n", markdownCode(s.GetId()), markdownText(s.GetTitle()), outcomeWord(s.GetOutcome()),
			Duration(between(s.GetStartTime(), s.GetEndTime(), p.Now)), markdownText(details))
	}
	p.printf("\n")
}

func (p *page) probesMarkdown(group probeGroup) {
	probes := group.results
	if group.title != "probes" {
		p.printf("%s:\n\n", markdownText(strings.ToUpper(group.title[:1])+group.title[1:]))
	}
	p.printf("| Probe | Result | Attempts | Took | Saw |\n|---|---|--:|--:|---|\n")
	for _, r := range probes {
		p.printf("| %s | %s | %s | %s | %s |\n", markdownCode(r.GetName()), probeWord(r.GetOutcome()), strconv.Itoa(int(r.GetAttempts())),
			durationOf(r.GetElapsed()), markdownText(r.GetMessage()))
	}
	p.printf("\n")
	for _, r := range probes {
		if r.GetOutcome() != landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED && len(r.GetOutputTail()) > 0 {
			p.printf("Last lines of probe %s:\n\n", markdownCode(r.GetName()))
			p.codeBlock(r.GetOutputTail())
		}
	}
}
