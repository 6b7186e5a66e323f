package notify

import (
	"fmt"
	"strings"
	"time"
)

// Notice is something worth telling that is no operation's end: a pause that runs out, a commit that stays blocked. Headline
// and the names of lines are words of ours; everything else may be hostile.
type Notice struct {
	Project  string    `json:"project,omitempty"`
	Host     string    `json:"host,omitempty"`
	Headline string    `json:"headline"` // "commit blocked for a day"
	State    State     `json:"state"`    // Failure wants somebody, Full is good news
	Lines    []Line    `json:"lines,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	Story    Story     `json:"story,omitzero"`
}

// Line is one thing that a notice says.
type Line struct {
	Name string `json:"name,omitempty"` // "Commit", "Why"; "" for a sentence that stands alone
	Text string `json:"text"`
	Code bool   `json:"code,omitempty"` // shown as code: names, commits
}

// EmbedNotice is the message of a notice, within Discord's limits whatever comes in.
func EmbedNotice(n Notice) Message {
	title := sentence(text(n.Headline, 120))
	if project := text(n.Project, 100); project != "" {
		title = project + ": " + text(n.Headline, 120)
	}
	e := RichEmbed{Title: title, Timestamp: timestamp(n.Time), Color: map[State]int{Failure: red, Full: green}[n.State]}
	if e.Color == 0 {
		e.Color = grey
	}
	e.paragraph(n.Story.over())
	e.paragraph(n.Story.earlier())
	for _, l := range n.Lines {
		e.paragraph(l.markdown())
	}
	e.field("Host", code(n.Host, 80), true)
	n.Story.tell(&e)
	bare := RichEmbed{Title: e.Title, Color: e.Color, Timestamp: e.Timestamp, Description: "Discord refused the full message; `landfall-coordinator status` has what it said."}
	return Message{Embeds: []RichEmbed{e}, bare: &Message{Embeds: []RichEmbed{bare}}}
}

func (l Line) markdown() string {
	said := text(l.Text, 600)
	if l.Code {
		said = code(l.Text, 200)
	}
	if said == "" || l.Name == "" {
		return said
	}
	return "**" + l.Name + ":** " + said
}

// over says that a message is old news.
func (s Story) over() string {
	if s.Over == "" {
		return ""
	}
	line := "✅ **Over:** " + text(s.Over, 200)
	if !s.OverAt.IsZero() {
		line += " (" + s.OverAt.UTC().Format("2006-01-02 15:04 UTC") + ")"
	}
	return line
}

// earlier links back.
func (s Story) earlier() string {
	if address := safeURL(s.Earlier, 300); address != "" {
		return "[What it was about](" + address + ")"
	}
	return ""
}

// tell adds what holds of every message.
func (s Story) tell(e *RichEmbed) {
	if s.Over != "" {
		e.Color = grey // it is not what stands now
	}
	const most = 5
	var lines []string
	for _, m := range s.Missed[:min(len(s.Missed), most)] {
		if m = text(m, 120); m != "" {
			lines = append(lines, "• "+m)
		}
	}
	e.field("May not have arrived before", strings.Join(lines, "\n"), false)
	if s.Dropped > 0 {
		e.field("Not told", fmt.Sprintf("%s, because too many waited for Discord", count(s.Dropped, "older message")), false)
	}
}

// Headline is what happened, in a few words of ours.
func Headline(in Input, s State) string { return headline(in, s) }

// RunsNow is what runs on the host now, in one sentence without Markdown.
func RunsNow(in Input) string {
	return strings.ReplaceAll(strings.ReplaceAll(runsNow(in), "`", ""), `\`, "")
}
