package notify

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The colours, 0xRRGGBB. The words say the same, for whoever sees no difference.
const (
	red   = 0xE01E5A
	green = 0x2EB67D
	grey  = 0x95A5A6
)

// Embed is the message for a state that [Decide] found: what happened, which commit, what
// runs now, and for a failure why, what to do, and the last lines that were printed. It is within
// Discord's limits whatever comes in; what matters most is kept.
func Embed(in Input, s State) Message {
	e := RichEmbed{Title: title(in, s), URL: safeURL(in.Run.URL, urlLimit), Timestamp: timestamp(in.Operation.End)}
	switch s {
	case Failure:
		e.Color = red
		failureText(&e, in)
	case Full:
		e.Color = green
		e.paragraph(commitLine(in))
		e.paragraph(aboutLine(in))
		e.paragraph(in.Story.earlier())
		e.paragraph(runsNow(in))
		e.paragraph(text(sentence(significance(in)), 300)) // it names flags
		e.paragraph(convergence(in.GitOps))
	case Condensed, Suppress:
		e.Color = grey
		condensedText(&e, in)
	}
	if s == Failure || s == Full {
		fields(&e, in)
	}
	in.Story.tell(&e)
	return Message{Embeds: []RichEmbed{e}, bare: bare(in, s, e)}
}

// bare is a message of our own words only: Discord has reason to refuse a text, a harmful link
// in a commit's subject say, and a failure is told all the same.
func bare(in Input, s State, full RichEmbed) *Message {
	e := RichEmbed{Title: sentence(headline(in, s)), Color: full.Color, URL: full.URL, Timestamp: full.Timestamp}
	if in.Operation.State == RolledBack && in.Operation.Summary != "" {
		// The count names what others named, so it is left out; that the earlier version runs it need not say.
		e.paragraph("The deploy was undone. What runs now was counted by the agent: `landfall-coordinator show`.")
	} else {
		e.paragraph(runsNow(Input{Running: in.Running, Operation: Operation{
			Kind: in.Operation.Kind, State: in.Operation.State, Target: in.Operation.Target, PreDeploy: in.Operation.PreDeploy,
		}}))
	}
	e.paragraph("Discord refused the full message; the workflow's summary has it.")
	return &Message{Embeds: []RichEmbed{e}}
}

func title(in Input, s State) string {
	if project := text(in.Project, 100); project != "" {
		return project + ": " + headline(in, s)
	}
	return sentence(headline(in, s))
}

func failureText(e *RichEmbed, in Input) {
	e.paragraph(in.Story.over())
	e.paragraph(commitLine(in))
	e.paragraph(aboutLine(in))
	e.paragraph(runsNow(in))
	e.paragraph(migrationsLeft(in.Operation))
	e.paragraph(convergence(in.GitOps))
	if job := code(in.FailedJob, 80); job != "" {
		e.paragraph("**Failed job:** " + job)
	}
	for _, p := range []*Problem{in.Operation.Problem, in.Problem} {
		if p != nil {
			problemText(e, *p)
		}
	}
}

// problemText says why, where, and what to do; the output comes last, because it can be cut best.
func problemText(e *RichEmbed, p Problem) {
	why := text(p.Message, 500)
	if reason := code(p.Reason, 60); reason != "" {
		why = strings.TrimSpace(reason + " " + why)
	}
	if why != "" {
		e.paragraph("**Why:** " + why)
	}
	if step := text(p.Step, 120); step != "" {
		e.paragraph("**Step:** " + step)
	}
	if hint := text(p.Hint, 300); hint != "" {
		e.paragraph("**What to do:** " + hint)
	}
	e.paragraph(block(p.Output, 1000))
}

// condensedText folds everything into a few lines.
func condensedText(e *RichEmbed, in Input) {
	e.paragraph(commitLine(in))
	e.paragraph(aboutLine(in))
	e.paragraph(in.Story.earlier())
	e.paragraph(runsNow(in))
	var parts []string
	for _, part := range []string{flags(in.Change, 300), changes(in.Change), took(in.Operation), code(in.Operation.ID, 60)} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	e.paragraph(strings.Join(parts, " · "))
	e.paragraph(unclaimed(in.Change))
}

func fields(e *RichEmbed, in Input) {
	op := in.Operation
	if !op.State.failed() {
		e.field("Migrations", list(op.Migrations, 600), false)
	}
	e.field("Flags", flags(in.Change, 400), false)
	e.field("Changes", changes(in.Change), true)
	e.field("Duration", took(op), true)
	e.field("Operation", code(op.ID, 80), true)
	e.field("Host", code(in.Host, 80), true)
	e.field("Run", runName(in.Run), true)
	e.field("Paths that no flag claims", list(in.Change.Unclaimed, 300), false)
	e.field("Warnings", warnings(op.Warnings), false)
}

// commitLine is the commit with its subject and author.
func commitLine(in Input) string {
	parts := []string{short(in.Operation.Target), text(in.Commit.Subject, 200)}
	if address := safeURL(in.Commit.URL, 300); address != "" && parts[0] != "" {
		parts[0] = "[" + parts[0] + "](" + address + ")"
	}
	if author := text(in.Commit.Author, 80); author != "" {
		parts = append(parts, "by "+author)
	}
	return strings.TrimSpace(strings.Join(strings.Fields(strings.Join(parts, " ")), " "))
}

// aboutLine is what an operation was about that is about no commit.
func aboutLine(in Input) string {
	if about := text(in.Operation.Subject, 300); about != "" {
		return "**About:** " + about
	}
	return ""
}

func flags(c Change, limit int) string {
	if c.Everything != "" {
		return "all, because " + text(c.Everything, limit-20)
	}
	return list(c.Flags, limit)
}

func changes(c Change) string {
	if c.Files == 0 && c.Commits == 0 {
		return ""
	}
	line := fmt.Sprintf("%s, +%d −%d", count(c.Files, "file"), c.Insertions, c.Deletions)
	if c.Commits > 0 {
		line += ", " + count(c.Commits, "commit")
	}
	return line
}

func unclaimed(c Change) string {
	if paths := list(c.Unclaimed, 300); paths != "" {
		return "Claimed by no flag: " + paths
	}
	return ""
}

// warnings are the first few warnings, one a line.
func warnings(all []string) string {
	const most = 4
	var lines []string
	for _, w := range all[:min(len(all), most)] {
		if w = text(w, 120); w != "" {
			lines = append(lines, "• "+w)
		}
	}
	if more := len(all) - most; more > 0 {
		lines = append(lines, fmt.Sprintf("… %d more", more))
	}
	return strings.Join(lines, "\n")
}

// runName is the run of the workflow, as a link when its address is one.
func runName(r Run) string {
	if r.Number <= 0 {
		return ""
	}
	name := text(r.Name, 60)
	if name == "" {
		name = "run"
	}
	name += fmt.Sprintf(" %d", r.Number)
	if r.Attempt > 1 {
		name += fmt.Sprintf(", attempt %d", r.Attempt)
	}
	if address := safeURL(r.URL, 300); address != "" {
		return "[" + name + "](" + address + ")"
	}
	return name
}

// linkable are addresses that cannot end a Markdown link or be read as anything else.
var linkable = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(?::\d+)?(?:/[A-Za-z0-9._~/?#&=%+,-]*)?$`)

// safeURL is an address of a page in at most limit characters, "" when it is not one that is safe to link.
func safeURL(raw string, limit int) string {
	if len(raw) > limit || !linkable.MatchString(raw) {
		return ""
	}
	if u, err := url.Parse(raw); err != nil || u.Hostname() == "" || webhookAddress.MatchString(raw) {
		return ""
	}
	return raw
}

func timestamp(t time.Time) string {
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// sentence is s with a capital letter, which is ASCII, or "".
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
