package telling

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/notify"
)

// documentVersion is the version of [Document]. Fields are added without another one.
const documentVersion = 1

// Document is what a webhook is sent and a command reads: one change of one incident.
type Document struct {
	Version  int          `json:"version"`
	ID       string       `json:"id"` // the same however often it is sent
	Event    Event        `json:"event"`
	Incident string       `json:"incident"` // names the story: the same in all that is told of it
	Phase    string       `json:"phase"`
	State    notify.State `json:"state"` // FAILURE wants somebody, FULL is good news, CONDENSED is routine
	Over     bool         `json:"over,omitempty"`
	Recovery bool         `json:"recovery,omitempty"`
	Ends     []string     `json:"ends,omitempty"` // other incidents that are over by it
	Title    string       `json:"title"`          // for people, on one line
	Text     string       `json:"text"`           // for people
	Host     string       `json:"host,omitempty"`
	Project  string       `json:"project,omitempty"`
	Time     time.Time    `json:"time"`

	Operation *DocumentOperation `json:"operation,omitempty"`
	Pause     *DocumentPause     `json:"pause,omitempty"`
	Blocked   *DocumentBlocked   `json:"blocked,omitempty"`
	CI        *DocumentCI        `json:"ci,omitempty"`
}

// DocumentOperation is the operation that ended.
type DocumentOperation struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind"`
	State      string    `json:"state"`
	Requester  string    `json:"requester"`
	Subject    string    `json:"subject,omitempty"`
	Target     string    `json:"target_sha,omitempty"`
	PreDeploy  string    `json:"pre_deploy_sha,omitempty"`
	Summary    string    `json:"summary,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Message    string    `json:"message,omitempty"`
	Hint       string    `json:"hint,omitempty"`
	Migrations []string  `json:"migrations,omitempty"`
	Start      time.Time `json:"start_time"`
	End        time.Time `json:"end_time,omitzero"`
}

// DocumentPause is the pause of convergence.
type DocumentPause struct {
	Reason    string    `json:"reason"`
	Owner     string    `json:"owner"`
	Operation string    `json:"operation_id,omitempty"`
	Created   time.Time `json:"create_time"`
	Expires   time.Time `json:"expire_time"`
}

// DocumentBlocked is the commit that is blocked.
type DocumentBlocked struct {
	SHA       string    `json:"sha"`
	Operation string    `json:"operation_id,omitempty"`
	Reason    string    `json:"reason"`
	Created   time.Time `json:"create_time"`
}

// DocumentCI is the verdict on the head of the branch.
type DocumentCI struct {
	Head    string    `json:"head_sha"`
	Verdict Verdict   `json:"verdict"`
	Since   time.Time `json:"since_time,omitzero"`
	Why     string    `json:"why,omitempty"`
}

// Said is what a message on Discord is made of: an operation's end, or a notice.
type Said struct {
	Input  *notify.Input  `json:"input,omitempty"`
	State  notify.State   `json:"state"`
	Notice *notify.Notice `json:"notice,omitempty"`
}

// message is Said with its story.
func (s Said) message(story notify.Story) notify.Message {
	if s.Notice != nil {
		n := *s.Notice
		n.Story = story
		return notify.EmbedNotice(n)
	}
	in := notify.Input{}
	if s.Input != nil {
		in = *s.Input
	}
	in.Story = story
	return notify.Embed(in, s.State)
}

// title is what it is about, on one line.
func (s Said) title() string {
	switch {
	case s.Notice != nil:
		return s.Notice.Headline
	case s.Input != nil:
		return notify.Headline(*s.Input, s.State)
	}
	return ""
}

// What of a foreign text is kept, in bytes, and how many of a list: a message shows no more.
const (
	mostText   = 2 << 10
	mostLine   = 300
	mostLines  = 12
	mostListed = 20
	mostFlags  = 50
)

func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// first is the beginning of a list, of lines that are cut.
func first(list []string, most int) (out []string) {
	for _, s := range list[:min(len(list), most)] {
		out = append(out, cut(s, mostLine))
	}
	return out
}

// inputOf is the record of an operation as a message is made of it.
func inputOf(op operation.Operation) notify.Operation {
	out := notify.Operation{
		ID: op.ID, Kind: string(op.Kind), Subject: cut(op.Subject, mostLine), State: notify.OperationState(op.State), Target: op.Target,
		PreDeploy: op.PreDeploy, Migrations: first(op.Migrations, mostListed), Warnings: first(op.Warnings, 4),
		SupersededBy: cut(op.SupersededBy, mostLine), Summary: cut(op.Summary, mostText), Start: op.Created, End: op.Ended,
	}
	if f := op.Failure; f != nil {
		tail := f.OutputTail[max(0, len(f.OutputTail)-mostLines):]
		out.Problem = &notify.Problem{Reason: f.Reason, Message: cut(f.Message, mostText), Hint: cut(f.Hint, mostLine), Output: first(tail, mostLines)}
		for _, s := range op.Steps {
			if s.ID == f.StepID {
				out.Problem.Step = cut(s.Title, mostLine)
			}
		}
	}
	return out
}

// noticeOf is a change of what is no operation, for people.
func noticeOf(c Change, host, project string, now time.Time) *notify.Notice {
	n := &notify.Notice{Project: project, Host: host, State: c.State, Time: now}
	day := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	switch {
	case c.Pause != nil:
		n.Headline = "the pause of convergence is about to run out"
		n.Lines = []notify.Line{
			{Name: "Until", Text: day(c.Pause.Expires)},
			{Name: "Why it was paused", Text: cut(c.Pause.Reason, mostText)},
			{Name: "By", Text: cut(c.Pause.Owner, mostLine), Code: true},
			{Name: "Operation", Text: cut(c.Pause.Operation, mostLine), Code: true},
			{Text: "Convergence goes on by itself then. To keep it paused: landfall-coordinator pause --for 4h --reason WHY"},
		}
	case c.Blocked != nil:
		n.Headline = "a commit is blocked for a day"
		n.Lines = []notify.Line{
			{Name: "Commit", Text: operation.Short(c.Blocked.SHA), Code: true},
			{Name: "Since", Text: day(c.Blocked.Created)},
			{Name: "Why", Text: cut(c.Blocked.Reason, mostText)},
			{Name: "Operation", Text: cut(c.Blocked.Operation, mostLine), Code: true},
			{Text: "The host stays on an older commit until the branch has a newer one, or: landfall-coordinator unblock"},
		}
	case c.CI != nil && c.CI.Verdict == Green:
		n.Headline = "CI is green again"
		n.Lines = []notify.Line{{Name: "Head", Text: operation.Short(c.CI.Head), Code: true}, {Text: "The host follows the branch again."}}
	case c.CI != nil:
		n.Headline = "CI is red on the head for a day"
		n.Lines = []notify.Line{
			{Name: "Head", Text: operation.Short(c.CI.Head), Code: true},
			{Name: "Since", Text: day(c.CI.Since)},
			{Name: "Why", Text: cut(c.CI.Why, mostText)},
			{Text: "The host does not follow the branch until it is green."},
		}
	default:
		n.Headline = c.Over
	}
	return n
}

// documentOf is a change for programs. Texts are on one line and free of what is not to be seen.
func documentOf(c Change, said Said, op *operation.Operation, id, host, project string, now time.Time) Document {
	d := Document{
		Version: documentVersion, ID: id, Event: c.Event, Incident: c.Key, Phase: c.Phase, State: c.State, Over: c.Over != "", Recovery: c.Recovery,
		Title: said.title(), Host: host, Project: project, Time: now.UTC(),
	}
	for _, i := range c.Ends {
		if i.Key != c.Key {
			d.Ends = append(d.Ends, i.Key)
		}
	}
	if project != "" {
		d.Title = project + ": " + d.Title
	}
	switch {
	case c.Over != "" && !c.Recovery:
		d.Title += " (over)"
		d.Text = c.Over
	case said.Notice != nil:
		var lines []string
		for _, l := range said.Notice.Lines {
			switch {
			case l.Text == "":
			case l.Name == "":
				lines = append(lines, notify.Clean(l.Text))
			default:
				lines = append(lines, l.Name+": "+notify.Clean(l.Text))
			}
		}
		d.Text = strings.Join(lines, "\n")
	case said.Input != nil:
		d.Text = notify.RunsNow(*said.Input)
	}
	if op != nil {
		d.Operation = documentOperation(*op)
		if d.Operation.Message != "" {
			d.Text += "\n" + fmt.Sprintf("Why: %s %s", d.Operation.Reason, d.Operation.Message)
		}
	}
	if p := c.Pause; p != nil {
		d.Pause = &DocumentPause{notify.Clean(cut(p.Reason, mostText)), notify.Clean(cut(p.Owner, mostLine)), notify.Clean(cut(p.Operation, mostLine)), p.Created, p.Expires}
	}
	if b := c.Blocked; b != nil {
		d.Blocked = &DocumentBlocked{b.SHA, notify.Clean(cut(b.Operation, mostLine)), notify.Clean(cut(b.Reason, mostText)), b.Created}
	}
	if ci := c.CI; ci != nil {
		d.CI = &DocumentCI{notify.Clean(cut(ci.Head, mostLine)), ci.Verdict, ci.Since, notify.Clean(cut(ci.Why, mostText))}
	}
	d.Title = notify.Clean(d.Title)
	return d
}

func documentOperation(op operation.Operation) *DocumentOperation {
	out := &DocumentOperation{
		ID: op.ID, Kind: string(op.Kind), State: string(op.State), Requester: notify.Clean(cut(op.Requester, mostLine)), Subject: notify.Clean(cut(op.Subject, mostLine)), Target: op.Target,
		PreDeploy: op.PreDeploy, Summary: notify.Clean(cut(op.Summary, mostText)), Start: op.Created, End: op.Ended,
	}
	for _, m := range first(op.Migrations, mostListed) {
		out.Migrations = append(out.Migrations, notify.Clean(m))
	}
	if f := op.Failure; f != nil {
		out.Reason, out.Message, out.Hint = notify.Clean(f.Reason), notify.Clean(cut(f.Message, mostText)), notify.Clean(cut(f.Hint, mostLine))
	}
	return out
}

// encode is a document as it is sent, each time the same bytes.
func (d Document) encode() json.RawMessage {
	raw, err := json.Marshal(d)
	if err != nil {
		return json.RawMessage(fmt.Sprintf(`{"version":%d,"id":%q,"event":%q}`, documentVersion, d.ID, d.Event)) // a time out of range
	}
	return raw
}
