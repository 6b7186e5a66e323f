package telling

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/notify"
)

func encode(r record) ([]byte, error) { return json.Marshal(r) }

// page is how many operations one read of the journal takes.
const page = 50

// lookDeadline bounds what git is asked for one message.
const lookDeadline = 20 * time.Second

// look judges what has happened since the last look, and keeps what is worth telling together with the fact that it was judged.
func (t *Teller) look(ctx context.Context) error {
	t.mu.Lock()
	begun, through, last := t.rec.Begun, t.rec.Through, t.rec.Last
	t.mu.Unlock()
	from, err := t.counted(through, last)
	if err != nil {
		return err
	}
	ended, newest, last, err := t.ends(begun, from, last)
	if err != nil {
		return err
	}
	facts, err := t.seen()
	if err != nil {
		t.log.Warn("the pause and the blocks cannot be read, so nothing is told of them", "error", err)
	}
	var stories []story
	for _, op := range ended {
		stories = append(stories, t.storyOf(ctx, op))
	}
	if ctx.Err() != nil {
		return ctx.Err() // the next start looks again
	}
	now := t.c.Now().UTC()
	next := func(r *record) {
		r.Begun = true
		r.Through, r.Last = newest, last
		for _, s := range stories {
			memory, changes := JudgeEnd(r.Memory, s.op, s.said.State, now)
			r.Memory = memory
			for _, c := range changes {
				t.write(r, c, &s, now)
			}
		}
		memory, changes := JudgeFacts(r.Memory, facts, now)
		r.Memory = memory
		for _, c := range changes {
			t.write(r, c, nil, now)
		}
	}
	if begun && len(ended) == 0 && newest == through && t.nothingNew(facts, now) {
		return nil // nothing is written where nothing happened
	}
	if err := t.change(next); err != nil {
		t.returnCI(facts.CI)
		return err
	}
	for _, lane := range t.lanes {
		nudge(lane)
	}
	return nil
}

// nothingNew reports whether facts leave everything as it is.
func (t *Teller) nothingNew(facts Facts, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	memory, changes := JudgeFacts(t.rec.Memory, facts, now)
	return len(changes) == 0 && len(t.settled) == 0 && reflect.DeepEqual(memory, t.rec.Memory)
}

// ends are the operations that ended after a number, oldest first, and the number that all are judged to. The first time nothing is told of
// what has ended already.
func (t *Teller) ends(begun bool, through uint64, was string) (ended []operation.Operation, newest uint64, last string, err error) {
	newest, last = through, was
	for before := uint64(0); ; {
		ops, err := t.c.Records.Operations(before, page)
		if err != nil {
			return nil, through, was, err
		}
		for _, op := range ops {
			if op.Number <= through {
				ops = nil
				break
			}
			ended = append(ended, op)
			before = op.Number
		}
		if len(ops) < page || !begun && len(ended) > 0 && ended[0].State.Terminal() {
			break
		}
	}
	slices.Reverse(ended)
	// One at a time runs, so that what follows one that has not ended has not begun; what cannot be told in order waits.
	if i := slices.IndexFunc(ended, func(op operation.Operation) bool { return !op.State.Terminal() }); i >= 0 {
		ended = ended[:i]
	}
	if len(ended) > 0 {
		newest, last = ended[len(ended)-1].Number, ended[len(ended)-1].ID
	}
	if !begun {
		ended = nil
	}
	return ended, newest, last, nil
}

// counted is the number that operations were judged to, 0 where the journal is another one than then: somebody moved it aside.
func (t *Teller) counted(through uint64, last string) (uint64, error) {
	newest, err := t.c.Records.Operations(0, 1)
	if err != nil || through == 0 {
		return 0, err
	}
	if len(newest) == 0 || newest[0].Number < through {
		return 0, nil
	}
	same, err := t.c.Records.Operations(through+1, 1)
	if err != nil {
		return 0, err
	}
	if len(same) > 0 && same[0].Number == through && last != "" && same[0].ID != last {
		return 0, nil
	}
	return through, nil
}

// seen are the facts of the moment.
func (t *Teller) seen() (Facts, error) {
	t.facts.Lock()
	f := Facts{CI: t.ci}
	t.ci = nil
	t.facts.Unlock()
	if t.c.Sentinels == nil {
		return f, nil
	}
	pause, err := t.c.Sentinels.Pause()
	if err != nil {
		return f, err
	}
	blocked, err := t.c.Sentinels.Blocked()
	if err != nil {
		return f, err
	}
	running, err := t.c.Records.Unfinished()
	if err != nil {
		return f, err
	}
	blocked = slices.DeleteFunc(blocked, ports.Blocked.IsImage) // told once, as the update that went back: it keeps no commit away
	f.Held = &Held{Pause: pause, Blocked: blocked}
	if len(running) > 0 {
		f.Held.Running = running[len(running)-1].ID
	}
	return f, nil
}

// returnCI gives back a verdict that could not be recorded, unless a newer one came.
func (t *Teller) returnCI(ci *CI) {
	t.facts.Lock()
	defer t.facts.Unlock()
	if t.ci == nil {
		t.ci = ci
	}
}

// story is an operation that ended, as it is told.
type story struct {
	op      operation.Operation
	said    Said
	project string
}

// storyOf gathers what a message is made of, and has [notify.Decide] judge it.
func (t *Teller) storyOf(ctx context.Context, op operation.Operation) story {
	in := notify.Input{Host: t.c.Host, Project: t.c.Project, Operation: inputOf(op)}
	in.Change.Flags = first(op.Flags, mostFlags)
	s := story{op: op}
	if !tellsOwn(op.Requester) {
		return s // only what it ends is told
	}
	ctx, cancel := context.WithTimeout(ctx, lookDeadline)
	defer cancel()
	if t.c.Plan != nil {
		if plan, err := t.c.Plan(op.ID); err == nil && plan != nil {
			in.Project = cmp.Or(plan.Project, in.Project)
			in.Change.Everything, in.Change.Unclaimed = cut(plan.Everything, mostLine), first(plan.Unclaimed, mostListed)
		}
	}
	if op.Kind.Moves() && op.Target != "" {
		if t.c.Pipeline != nil {
			if config, err := t.c.Pipeline(ctx, op.Target); err == nil && config != nil {
				in.Project = cmp.Or(config.Project, in.Project)
				in.Policy = notify.Policy{FullWhen: config.Notify.FullWhen, SuppressWhenOnly: config.Notify.SuppressWhenOnly}
			} else if err != nil {
				t.log.Warn("the message tells less", "operation", op.ID, "error", err)
			}
		}
		if t.c.Subject != nil {
			if subject, author, err := t.c.Subject(ctx, op.Target); err == nil {
				in.Commit.Subject, in.Commit.Author = cut(subject, mostLine), cut(author, mostLine)
			}
		}
	}
	if past, err := t.c.Records.Operations(op.Number, page); err == nil {
		for _, p := range past {
			in.Past = append(in.Past, notify.Past{Kind: string(p.Kind), State: notify.OperationState(p.State)})
		}
	}
	state, why := notify.Decide(in)
	t.log.Info("an operation ended", "operation", op.ID, "worth", state, "because", why)
	if state == notify.Condensed || state == notify.Suppress {
		in.Past = nil // no recovery
	} else if len(in.Past) > 1 {
		in.Past = relevant(in.Past)
	}
	in.Policy = notify.Policy{FullWhen: slices.DeleteFunc(slices.Clone(in.Policy.FullWhen), func(f string) bool { return !slices.Contains(op.Flags, f) })}
	in.Project = cut(in.Project, mostLine)
	s.said, s.project = Said{Input: &in, State: state}, in.Project
	return s
}

// relevant are the past operations up to the one that decides whether this is a recovery.
func relevant(past []notify.Past) []notify.Past {
	before, recovers := notify.Recovers(past)
	if !recovers {
		return nil
	}
	i := slices.IndexFunc(past, func(p notify.Past) bool { return p.State == before })
	return past[max(i, 0) : max(i, 0)+1]
}

// write puts a change into the outbox, for each sender; s is the operation whose end it is, nil for what is of no operation.
func (t *Teller) write(r *record, c Change, s *story, now time.Time) {
	ended := s != nil && c.Event == OperationEnded
	said, project := Said{State: c.State}, t.c.Project
	var op *operation.Operation
	switch {
	case ended:
		said, project, op = s.said, s.project, &s.op
		said.State = c.State
	case c.Over != "" && !c.Recovery:
		if len(c.Ends) > 0 && c.Ends[0].Said != nil {
			said = *c.Ends[0].Said // its message, with how it ended
		} else {
			said.Notice = noticeOf(c, t.c.Host, project, now)
		}
	default:
		said.Notice = noticeOf(c, t.c.Host, project, now)
	}
	said = said.copied()
	scrub(&said, t.c.Redact)
	id := t.id(c, now)
	doc := documentOf(c, said, op, id, t.c.Host, project, now)
	scrub(&doc, t.c.Redact)
	body := doc.encode()
	if i := r.Memory.find(c.Key); i >= 0 && r.Memory.Incidents[i].Open {
		r.Memory.Incidents[i].Said = said.brief()
	}
	for _, sender := range t.c.Senders {
		l := Letter{Sender: sender.Name(), ID: id, Event: c.Event, Title: cut(doc.Title, mostLine), About: c.About}
		if _, edits := sender.(*Discord); !edits {
			l.Body = body
			r.post(l)
			continue
		}
		l.Said = said
		if ended && byPerson(s.op.Requester) {
			l.After = now.Add(courtesy)
		}
		t.postStory(r, l, c, now)
	}
}

// courtesy is how long a person of the host who follows his own operation has to tell of it himself, by `run` or `notify`.
const courtesy = time.Minute

// postStory posts what Discord is told: the messages of what is over say so, and good news have a message of their own that links back.
func (t *Teller) postStory(r *record, l Letter, c Change, now time.Time) {
	over := c.Over
	if over == "" && c.Recovery {
		over = l.Said.title()
	}
	for _, inc := range c.Ends {
		if inc.Said == nil {
			continue
		}
		edit := l
		edit.About, edit.Said, edit.Over, edit.OverAt, edit.EditOnly, edit.After = inc.About, *inc.Said, over, now, true, time.Time{}
		switch {
		case inc.Times == 1:
			edit.Over += ", after the same once more"
		case inc.Times > 1:
			edit.Over += fmt.Sprintf(", after the same %d times more", inc.Times)
		}
		r.post(edit)
		l.Follows = inc.About
	}
	switch {
	case c.Over != "" && !c.Recovery:
		return // the edit is all
	case c.Recovery && l.Follows == l.About:
		l.About += "/over"
	}
	r.post(l)
}

// id names a change, the same over restarts.
func (t *Teller) id(c Change, now time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%d", t.c.Host, c.Key, c.Phase, c.About, now.UnixNano()))
	return "msg_" + hex.EncodeToString(sum[:16])
}

// mostSaid is what an open incident keeps of its message, in bytes.
const mostSaid = 4 << 10

// brief is s for keeping: without what was printed, where that is much.
func (s Said) brief() *Said {
	kept := s.copied()
	if raw, err := json.Marshal(kept); err == nil && len(raw) <= mostSaid {
		return &kept
	}
	if kept.Input != nil {
		op := &kept.Input.Operation
		op.Migrations, op.Warnings, kept.Input.Change.Unclaimed = nil, nil, nil
		if op.Problem != nil {
			op.Problem.Output, op.Problem.Message = nil, cut(op.Problem.Message, mostLine)
		}
		op.Summary = cut(op.Summary, mostLine)
	}
	if raw, err := json.Marshal(kept); err == nil && len(raw) <= mostSaid {
		return &kept
	}
	return &Said{State: s.State, Notice: &notify.Notice{Headline: cut(s.title(), mostLine), State: s.State}}
}

// copied is s, so that it can be changed without what it was made of.
func (s Said) copied() (out Said) {
	raw, err := json.Marshal(s)
	if err != nil || json.Unmarshal(raw, &out) != nil {
		return Said{State: s.State} // a time out of range
	}
	return out
}
