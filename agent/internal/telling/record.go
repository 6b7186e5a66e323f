package telling

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"
)

// recordVersion is the version of what is kept.
const recordVersion = 1

// What is kept at most; the store takes 1 MiB.
const (
	mostLetters  = 100       // that wait for one sender
	mostBytes    = 256 << 10 // of letters in all
	mostMessages = 300       // messages whose identifiers are known
	mostSaying   = 20        // messages of which it is known what they say to be missing
	mostMissed   = 10        // titles of messages that may not have arrived
	mostChannel  = 64        // bytes of a channel's name
	mostID       = 128       // bytes of a message's identifier
)

// record is everything that is kept. It is one file, which is replaced whole: what is decided and what waits because of it are on disk together, or
// neither is.
type record struct {
	Version  int                 `json:"version"`
	Begun    bool                `json:"begun"`          // false: nothing was ever told here, and what ended before is not told any more
	Through  uint64              `json:"through"`        // number of the newest operation whose end was judged
	Last     string              `json:"last,omitempty"` // its identifier: a journal that was moved aside begins to count anew
	Next     uint64              `json:"next"`           // number of the next letter
	Memory   Memory              `json:"memory"`
	Messages []filed             `json:"messages,omitempty"` // oldest first
	Outbox   []Letter            `json:"outbox,omitempty"`   // oldest first
	Missed   map[string][]string `json:"missed,omitempty"`   // by sender
	Dropped  map[string]int      `json:"dropped,omitempty"`  // by sender
}

// filed is a message that a channel has.
type filed struct {
	About   string    `json:"about"` // an operation, or an incident's key
	Channel string    `json:"channel"`
	Message string    `json:"message"`
	Time    time.Time `json:"time"`
	Missed  []string  `json:"missed,omitempty"` // what it says of those before it: an edit must not take that back
	Dropped int       `json:"dropped,omitempty"`
}

// Letter is one thing that one sender has to deliver.
type Letter struct {
	Number   uint64          `json:"number"`
	Sender   string          `json:"sender"`
	ID       string          `json:"id"` // of the document: the same however often it is sent
	Event    Event           `json:"event"`
	Title    string          `json:"title"`
	About    string          `json:"about"`
	Said     Said            `json:"said,omitzero"`
	Over     string          `json:"over,omitempty"`
	OverAt   time.Time       `json:"over_at,omitzero"`
	Follows  string          `json:"follows,omitempty"`   // what is filed under it is linked to
	EditOnly bool            `json:"edit_only,omitempty"` // an existing message is changed, or nothing is done
	Body     json.RawMessage `json:"body,omitempty"`
	After    time.Time       `json:"after,omitzero"`  // not before, and not at all where somebody else has told by then
	Begun    bool            `json:"begun,omitempty"` // it was about to go out: after a crash nobody knows whether it did
	Refused  int             `json:"refused,omitempty"`
}

func (l Letter) size() int {
	raw, err := json.Marshal(l)
	if err != nil {
		return mostBytes
	}
	return len(raw)
}

func decode(raw []byte) (record, error) {
	r := record{Version: recordVersion}
	if len(raw) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return record{}, err
	}
	if r.Version != recordVersion {
		return record{}, fmt.Errorf("it has version %d, this agent knows %d", r.Version, recordVersion)
	}
	return r, nil
}

// clone is a copy that can be changed; letters and incidents are values that are replaced, never changed inside.
func (r record) clone() record {
	r.Memory = r.Memory.clone()
	r.Messages, r.Outbox = slices.Clone(r.Messages), slices.Clone(r.Outbox)
	missed, dropped := map[string][]string{}, map[string]int{}
	for k, v := range r.Missed {
		missed[k] = slices.Clone(v)
	}
	for k, v := range r.Dropped {
		dropped[k] = v
	}
	r.Missed, r.Dropped = missed, dropped
	return r
}

// message is the identifier of the message about something in a channel, "" for none.
func (r *record) message(about, channel string) string {
	for _, m := range slices.Backward(r.Messages) {
		if m.About == about && m.Channel == channel {
			return m.Message
		}
	}
	return ""
}

// missing is what a letter says of those before it: what its message says already, and what no message said yet.
func (r *record) missing(l Letter) (missed []string, dropped int) {
	for _, m := range r.Messages {
		if m.About == l.About {
			missed, dropped = append(missed, m.Missed...), dropped+m.Dropped
		}
	}
	if !l.EditOnly {
		missed, dropped = append(missed, r.Missed[l.Sender]...), dropped+r.Dropped[l.Sender]
	}
	return missed, dropped
}

// file keeps the identifier of a message in place of an older one. Of too many the oldest goes that no open incident is about.
func (r *record) file(added filed) {
	r.Messages = append(slices.DeleteFunc(r.Messages, func(m filed) bool { return m.About == added.About && m.Channel == added.Channel }), added)
	for i := range r.Messages[:max(0, len(r.Messages)-mostSaying)] {
		r.Messages[i].Missed = nil
	}
	for len(r.Messages) > mostMessages {
		i := slices.IndexFunc(r.Messages, func(m filed) bool {
			return !slices.ContainsFunc(r.Memory.Incidents, func(i Incident) bool { return i.Open && i.About == m.About })
		})
		r.Messages = slices.Delete(r.Messages, max(i, 0), max(i, 0)+1)
	}
}

// post adds a letter. One that waits and says something older of the same message is replaced in its place: one message has the newest
// that there is to say.
func (r *record) post(l Letter) {
	if l.Body == nil {
		for i, w := range r.Outbox {
			if w.Sender == l.Sender && w.About == l.About && w.Body == nil && !w.Begun {
				l.Number, l.EditOnly, l.Refused = w.Number, w.EditOnly && l.EditOnly, 0
				if l.Follows == "" {
					l.Follows = w.Follows
				}
				r.Outbox[i] = l
				return
			}
		}
	}
	r.Next++
	l.Number = r.Next
	r.Outbox = append(r.Outbox, l)
	r.bound(l.Sender)
}

// bound drops the oldest letters beyond what may wait, and counts them. One that is on its way stays.
func (r *record) bound(sender string) {
	waiting, size := 0, 0
	for _, l := range r.Outbox {
		size += l.size()
		if l.Sender == sender {
			waiting++
		}
	}
	for waiting > 1 && (waiting > mostLetters || size > mostBytes) {
		i := slices.IndexFunc(r.Outbox, func(l Letter) bool { return l.Sender == sender && !l.Begun })
		if i < 0 {
			return
		}
		if !r.Outbox[i].EditOnly {
			r.Dropped[sender]++
		}
		waiting, size = waiting-1, size-r.Outbox[i].size()
		r.Outbox = slices.Delete(r.Outbox, i, i+1)
	}
}

// take removes a letter.
func (r *record) take(number uint64) {
	r.Outbox = slices.DeleteFunc(r.Outbox, func(l Letter) bool { return l.Number == number })
}

// miss notes that a message may not have arrived.
func (r *record) miss(l Letter) {
	r.Missed[l.Sender] = append(r.Missed[l.Sender], l.Title)
	if over := len(r.Missed[l.Sender]) - mostMissed; over > 0 {
		r.Missed[l.Sender] = r.Missed[l.Sender][over:]
	}
}

// reopen decides what becomes of letters that were on their way when the agent before us ended. Nobody knows whether they arrived. An edit is
// made again, which changes nothing twice; what would be a second message is not sent: the next message says that it may be missing.
func (r *record) reopen(senders []string) {
	for _, l := range slices.Clone(r.Outbox) {
		switch {
		case !slices.Contains(senders, l.Sender):
			r.take(l.Number) // it is not configured any more
		case l.Begun && l.Body == nil && slices.ContainsFunc(r.Messages, func(m filed) bool { return m.About == l.About }):
			i := slices.IndexFunc(r.Outbox, func(w Letter) bool { return w.Number == l.Number })
			r.Outbox[i].Begun, r.Outbox[i].EditOnly = false, true
		case l.Begun:
			r.take(l.Number)
			r.miss(l)
		}
	}
}

// notifications are the messages about an operation, one a channel.
func (r *record) notifications(operation string) (out []ports.Notification) {
	for _, m := range r.Messages {
		if m.About == operation {
			out = append(out, ports.Notification{Channel: m.Channel, Message: m.Message, Time: m.Time})
		}
	}
	return out
}
