package console

import (
	"fmt"
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// planMarkdown writes a plan for a pull request or a step summary, in the dialect of GitHub.
func (p *page) planMarkdown(plan *landfallv1.Plan, notes []string) {
	p.printf("### Plan for %s: %s → %s\n\n", markdownText(plan.GetProject()), markdownBase(plan), markdownCode(short(plan.GetTargetSha())))
	if !plan.GetAnyDeploy() {
		p.printf("**Nothing to deploy**%s\n\n", strings.TrimPrefix(nothingToDeploy(plan), "nothing to deploy"))
	}
	if why := plan.GetEverythingReason(); why != "" {
		p.printf("Every flag is set: %s\n\n", markdownText(why))
	}
	for _, note := range notes {
		p.printf("%s\n\n", markdownText(note))
	}
	p.whyMarkdown(plan)
	if plan.GetUnclaimedCount() > 0 {
		p.printf("> [!WARNING]\n> %s: %s\n\n", markdownText(unclaimedText(plan)), markdownCodes(plan.GetUnclaimedPaths()))
	}
	if plan.GetAnyDeploy() {
		p.stepsMarkdown(plan)
		if v := plan.GetVerification(); v != nil {
			p.printf("Then verify %s.\n\n", markdownText(verifyText(v)))
		}
	}
	p.printf("Digest %s\n", markdownCode(plan.GetDigest()))
}

func markdownBase(plan *landfallv1.Plan) string {
	if plan.GetBaseSha() == "" {
		return "nothing"
	}
	return markdownCode(short(plan.GetBaseSha()))
}

func (p *page) whyMarkdown(plan *landfallv1.Plan) {
	set := setFlags(plan)
	if len(set) == 0 {
		return
	}
	p.printf("| Paths | Flag | Action | Steps |\n|---|---|---|---|\n")
	for _, f := range set {
		paths := markdownCodes(f.GetPaths())
		if more := int(f.GetPathCount()) - len(f.GetPaths()); more > 0 && len(f.GetPaths()) > 0 {
			paths += fmt.Sprintf(" and %d more", more)
		}
		causes := causedBy(plan, f.GetName())
		if len(causes) == 0 {
			p.printf("| %s | %s | – | – |\n", paths, markdownCode(f.GetName()))
		}
		for _, c := range causes {
			p.printf("| %s | %s | %s | %s |\n", paths, markdownCode(f.GetName()), markdownCode(c.action), markdownCodes(c.steps))
		}
	}
	p.printf("\n")
}

func (p *page) stepsMarkdown(plan *landfallv1.Plan) {
	if len(plan.GetSteps()) == 0 {
		return
	}
	p.printf("| Phase | Wave | Step | Does | After |\n|---|--:|---|---|---|\n")
	for _, phase := range phasesOf(plan) {
		for _, s := range phase.steps {
			p.printf("| %s | %d | %s | %s | %s |\n", phase.name, s.wave, markdownCode(s.GetId()), markdownText(s.GetTitle()), markdownCodes(s.GetAfter()))
		}
	}
	p.printf("\nSteps of one wave may run side by side.\n\n")
}

// markdownEscapes are the characters that mean something within a line (CommonMark 2.4,
// GitHub Flavored Markdown 4.10), with @ and #, by which GitHub makes mentions and links.
var markdownEscapes = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;",
	"&", "&amp;", "|", `\|`, "~", `\~`, "#", "&#35;", "@", "&#64;", "!", `\!`, "://", ":&#47;/", "\t", " ",
)

// markdownText is text that others made, without any effect.
func markdownText(s string) string { return markdownEscapes.Replace(clean(s)) }

// markdownCode is a code span around text that others made: its fence is longer than any
// run of backticks within (CommonMark 6.1). A pipe would end the cell of a table; behind a
// backslash it cannot be kept from that inside a span.
func markdownCode(s string) string {
	if strings.Contains(s, `\|`) {
		return markdownText(s)
	}
	s = strings.ReplaceAll(strings.ReplaceAll(clean(s), "|", `\|`), "\t", " ")
	if s == "" {
		return ""
	}
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

func markdownCodes(texts []string) string {
	spans := make([]string, len(texts))
	for i, text := range texts {
		spans[i] = markdownCode(text)
	}
	return strings.Join(spans, ", ")
}
