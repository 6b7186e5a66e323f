package telling

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/notify"
)

// Facts is what somebody has seen of the host at a moment. What was not looked at is nil: of that nothing is concluded.
type Facts struct {
	Held *Held
	CI   *CI
}

// Held is what keeps convergence from running.
type Held struct {
	Pause   *ports.Pause    // nil when there is none; one that is over may still be there
	Blocked []ports.Blocked // oldest first
	Running string          // the operation that runs; "" when none does
}

// Verdict is what CI says of a commit.
type Verdict string

// The verdicts. Everything that is neither is no verdict: a run that goes on, an answer that did not come.
const (
	Red   Verdict = "red"
	Green Verdict = "green"
)

// CI is the verdict on the head of the branch.
type CI struct {
	Head    string    // commit
	Verdict Verdict   // "" where there is none yet
	Since   time.Time // since when the head of the branch is red, as far as whoever asked knows; zero: since it is told here
	Why     string    // for people: "test.yml failed"
}

// When something is worth telling.
const (
	// aDay is how long a commit may be blocked, or the head be red, before somebody is told: whoever was there when it happened
	// knows, and has had a working day.
	aDay = 24 * time.Hour
	// quiet is how long the same good end of the same signature is told once: what comes back each hour is one story.
	quiet = 24 * time.Hour
	// pauseLead is how long before a pause runs out it is told; for short ones a quarter of their length.
	pauseLead = time.Hour
)

// Memory is what was told before, as far as it decides what is told next.
type Memory struct {
	RedSince  time.Time  `json:"red_since,omitzero"`
	Incidents []Incident `json:"incidents,omitempty"` // oldest first
}

// Incident is one story: something that went wrong or is held up, until it is over. A good end that nothing went before is one, too,
// over from the start.
type Incident struct {
	Key     string    `json:"key"`   // its signature: "repair/core/web drifted", "blocked/1a2b…/1700000000"
	Phase   string    `json:"phase"` // where it stands: "ROLLED_BACK", "DUE", "OVER"
	About   string    `json:"about"` // what its message is filed under: an operation, else the key
	Moves   bool      `json:"moves,omitempty"`
	Open    bool      `json:"open,omitempty"`
	Began   time.Time `json:"began"`
	Changed time.Time `json:"changed"`
	Until   time.Time `json:"until,omitzero"`  // when a pause runs out
	Times   int       `json:"times,omitempty"` // how often the same happened again and was not told
	Said    *Said     `json:"said,omitempty"`  // what its message says, while it is open
}

// Event names what a telling is of, for programs.
type Event string

// The events.
const (
	OperationEnded  Event = "operation.ended"
	OperationOver   Event = "operation.over" // a failure is over by what somebody else did
	PauseExpiring   Event = "pause.expiring"
	PauseOver       Event = "pause.over"
	CommitBlocked   Event = "commit.blocked"
	CommitUnblocked Event = "commit.unblocked"
	CIRed           Event = "ci.red"
	CIGreen         Event = "ci.green"
)

// Change is one thing worth telling.
type Change struct {
	Event    Event
	Key      string // of the incident
	Phase    string
	About    string
	State    notify.State
	Over     string     // why the incident is over; "" while it is not
	Recovery bool       // good news of its own, which links back to what is over
	Ends     []Incident // that are over by it, as they stood
	Pause    *ports.Pause
	Blocked  *ports.Blocked
	CI       *CI
}

// The phases of what is no operation.
const (
	phaseDue  = "DUE"
	phaseOver = "OVER"
)

// tellsOwn reports whether nobody tells of an operation but the agent: it asked for it itself, or somebody of the host did. Whoever
// asks over the network tells by `notify` or `run`.
func tellsOwn(requester string) bool {
	return strings.HasPrefix(requester, "agent/") || byPerson(requester)
}

// byPerson reports whether somebody of the host asked, over the local socket.
func byPerson(requester string) bool { return strings.HasPrefix(requester, "local/") }

// failed reports whether an operation was tried and not done.
func failed(s operation.State) bool {
	return s.Terminal() && s != operation.Succeeded && s != operation.Superseded && s != operation.Cancelled
}

// signature is what makes the ends of two operations one story. What a person of the host asks for is a story each time.
func signature(op operation.Operation) string {
	what := cmp.Or(op.Signature, op.Target, op.Subject, op.ID)
	switch {
	case byPerson(op.Requester):
		what = op.ID
	case op.Kind.Moves() && op.State == operation.Succeeded:
		what += "/" + op.ID // another commit runs: news each time
	}
	return string(op.Kind) + "/" + brief(what)
}

// mostKey is what a signature has at most, in bytes.
const mostKey = 120

// brief is a text of at most mostKey bytes, and another one for another text.
func brief(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= mostKey {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return cut(s, mostKey/2) + hex.EncodeToString(sum[:12])
}

// JudgeEnd says what the end of an operation is worth telling, after memory; state is what [notify.Decide] says of it. It is pure:
// memory is not changed, the one to keep is returned.
func JudgeEnd(memory Memory, op operation.Operation, state notify.State, now time.Time) (Memory, []Change) {
	m := memory.clone()
	if !tellsOwn(op.Requester) {
		if op.State != operation.Succeeded || !op.Kind.Moves() {
			return m, nil
		}
		return m, m.endQuietly(func(i Incident) bool { return i.Moves }, "the "+op.About()+" went well", now)
	}
	key := signature(op)
	switch {
	case failed(op.State):
		return m, m.fail(key, op, state, now)
	case op.State != operation.Succeeded:
		return m, nil
	}
	ended := func(i Incident) bool { return i.Key == key || (i.Moves && op.Kind.Moves()) }
	if state == notify.Suppress {
		return m, m.endQuietly(ended, "the "+op.About()+" went well", now)
	}
	c := Change{Event: OperationEnded, Key: key, Phase: string(op.State), About: op.ID, State: state}
	for i := range m.Incidents {
		if inc := &m.Incidents[i]; inc.Open && ended(*inc) {
			c.Recovery, c.State = true, notify.Full
			c.Ends = append(c.Ends, *inc)
			inc.end(now)
		}
	}
	if i := m.find(key); i >= 0 && !c.Recovery {
		if inc := &m.Incidents[i]; inc.Phase == c.Phase && now.Sub(inc.Changed) < quiet {
			inc.Times++
			return m, nil
		}
	}
	m.put(Incident{Key: key, Phase: c.Phase, About: op.ID, Moves: op.Kind.Moves(), Began: now, Changed: now})
	return m, []Change{c}
}

// fail opens an incident, or goes on with the one that is open.
func (m *Memory) fail(key string, op operation.Operation, state notify.State, now time.Time) []Change {
	phase := string(op.State)
	c := Change{Event: OperationEnded, Key: key, Phase: phase, About: op.ID, State: state}
	if i := m.find(key); i >= 0 && m.Incidents[i].Open {
		inc := &m.Incidents[i]
		if inc.Phase == phase {
			inc.Times++
			return nil
		}
		inc.Phase, inc.Changed = phase, now
		c.About = inc.About // the message of the incident, not one more
		return []Change{c}
	}
	m.put(Incident{Key: key, Phase: phase, About: op.ID, Moves: op.Kind.Moves(), Open: true, Began: now, Changed: now})
	return []Change{c}
}

// endQuietly ends open operations' incidents: their messages say so, and there is no other.
func (m *Memory) endQuietly(which func(Incident) bool, why string, now time.Time) (changes []Change) {
	for i := range m.Incidents {
		if inc := &m.Incidents[i]; inc.Open && which(*inc) {
			changes = append(changes, Change{Event: OperationOver, Key: inc.Key, Phase: phaseOver, About: inc.About, State: notify.Full, Over: why, Ends: []Incident{*inc}})
			inc.end(now)
		}
	}
	return changes
}

// JudgeFacts says what the facts of a moment are worth telling, after memory. It is pure, as [JudgeEnd] is.
func JudgeFacts(memory Memory, f Facts, now time.Time) (Memory, []Change) {
	m := memory.clone()
	var changes []Change
	if f.Held != nil {
		changes = append(changes, m.pause(*f.Held, now)...)
		changes = append(changes, m.blocks(f.Held.Blocked, now)...)
	}
	if f.CI != nil {
		changes = append(changes, m.ci(*f.CI, now)...)
	}
	return m, changes
}

const (
	pausePrefix   = "pause/"
	blockedPrefix = "blocked/"
	ciPrefix      = "ci/"
)

// pause tells of a pause that is about to run out, unless the operation that made it runs still: that ends it by itself.
func (m *Memory) pause(h Held, now time.Time) (changes []Change) {
	p, key := h.Pause, ""
	if p != nil && !p.Expires.After(now) {
		p = nil
	}
	if p != nil {
		key = fmt.Sprintf("%s%d/%d", pausePrefix, p.Created.Unix(), p.Expires.Unix())
	}
	changes = m.over(pausePrefix, func(i Incident) bool { return i.Key == key }, PauseOver, func(i Incident) string {
		if i.Until.After(now) {
			return "convergence was resumed, or paused anew"
		}
		return "the pause ran out, convergence goes on"
	}, now)
	if p == nil || (p.Operation != "" && p.Operation == h.Running) {
		return changes
	}
	lead := min(pauseLead, p.Expires.Sub(p.Created)/4)
	if p.Expires.Sub(now) > lead || !m.open(Incident{Key: key, Until: p.Expires}, now) {
		return changes
	}
	return append(changes, Change{Event: PauseExpiring, Key: key, Phase: phaseDue, About: key, State: notify.Condensed, Pause: p})
}

// blocks tells of commits that are blocked for a day.
func (m *Memory) blocks(blocks []ports.Blocked, now time.Time) []Change {
	keyOf := func(b ports.Blocked) string { return fmt.Sprintf("%s%s/%d", blockedPrefix, b.SHA, b.Created.Unix()) }
	changes := m.over(blockedPrefix, func(i Incident) bool {
		return slices.ContainsFunc(blocks, func(b ports.Blocked) bool { return keyOf(b) == i.Key })
	}, CommitUnblocked, func(Incident) string { return "the commit is not blocked any more" }, now)
	for _, b := range blocks {
		if now.Sub(b.Created) >= aDay && m.open(Incident{Key: keyOf(b)}, now) {
			changes = append(changes, Change{Event: CommitBlocked, Key: keyOf(b), Phase: phaseDue, About: keyOf(b), State: notify.Failure, Blocked: &b})
		}
	}
	return changes
}

// ci tells of a head that is red for a day, whatever commits came meanwhile, and of its recovery.
func (m *Memory) ci(c CI, now time.Time) []Change {
	switch c.Verdict {
	case Green:
		m.RedSince = time.Time{}
		changes := m.over(ciPrefix, func(Incident) bool { return false }, CIGreen, func(Incident) string { return "CI is green again" }, now)
		for i := range changes {
			changes[i].Recovery, changes[i].CI = true, &c
		}
		return changes
	case Red:
	default:
		return nil
	}
	if m.RedSince.IsZero() || m.RedSince.After(now) { // the clock was set back
		m.RedSince = now
	}
	if !c.Since.IsZero() && c.Since.Before(m.RedSince) {
		m.RedSince = c.Since
	}
	c.Since = m.RedSince
	key := fmt.Sprintf("%s%d", ciPrefix, m.RedSince.Unix())
	already := slices.ContainsFunc(m.Incidents, func(i Incident) bool { return i.Open && strings.HasPrefix(i.Key, ciPrefix) })
	if already || now.Sub(m.RedSince) < aDay || !m.open(Incident{Key: key}, now) {
		return nil
	}
	return []Change{{Event: CIRed, Key: key, Phase: phaseDue, About: key, State: notify.Failure, CI: &c}}
}

// over ends the open incidents of a prefix whose fact is gone.
func (m *Memory) over(prefix string, still func(Incident) bool, event Event, why func(Incident) string, now time.Time) (changes []Change) {
	for i := range m.Incidents {
		inc := &m.Incidents[i]
		if !inc.Open || !strings.HasPrefix(inc.Key, prefix) || still(*inc) {
			continue
		}
		changes = append(changes, Change{
			Event: event, Key: inc.Key, Phase: phaseOver, About: inc.About, State: notify.Full, Over: why(*inc), Ends: []Incident{*inc},
		})
		inc.end(now)
	}
	return changes
}

// open opens the incident of a fact; false when it was told already, or when there are too many.
func (m *Memory) open(i Incident, now time.Time) bool {
	if m.find(i.Key) >= 0 || m.count(func(i Incident) bool { return i.Open && i.ofFact() }) >= mostOpen {
		return false
	}
	i.Phase, i.About, i.Open, i.Began, i.Changed = phaseDue, i.Key, true, now, now
	m.put(i)
	return true
}

func (i *Incident) end(now time.Time) {
	i.Open, i.Phase, i.Changed, i.Said = false, phaseOver, now, nil
}
