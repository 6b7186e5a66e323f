package telling

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Backoff is how long a sender waits after a failure. The zero value is right for a host.
type Backoff struct {
	First, Most time.Duration                     // defaults 30 s and 15 min; doubled in between
	Jitter      func(time.Duration) time.Duration // default up to a quarter more, so that hosts do not return together
}

// wait is how long to wait after a number of failures in a row, and at least what was asked for.
func (b Backoff) wait(failures int, asked time.Duration) time.Duration {
	if b.First <= 0 {
		b.First = 30 * time.Second
	}
	if b.Most <= 0 {
		b.Most = 15 * time.Minute
	}
	if b.Jitter == nil {
		b.Jitter = func(d time.Duration) time.Duration {
			return d + rand.N(d/4+1) // #nosec G404 -- a spread of waits guards nothing
		}
	}
	d := b.Most
	if failures < 20 {
		d = min(b.Most, b.First<<max(0, failures-1))
	}
	const aDayAtMost = 24 * time.Hour
	return max(b.Jitter(d), min(asked, aDayAtMost))
}

// mostRefusals is how often a letter is offered to somebody who does not take it.
const mostRefusals = 5

// deliver delivers what waits for one sender, in order, until the agent stops.
func (t *Teller) deliver(s Sender) {
	lane := t.lanes[s.Name()]
	nudge(lane) // what the agent before us left
	failures := 0
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-lane:
		}
		for t.ctx.Err() == nil {
			wait, more := t.next(s, &failures)
			if wait > 0 && !t.rest(wait) {
				return
			}
			if !more {
				break
			}
		}
	}
}

// rest waits, false when the agent stops meanwhile.
func (t *Teller) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-t.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// next delivers the oldest letter. more says that there may be another one, or the same again after the wait.
func (t *Teller) next(s Sender, failures *int) (wait time.Duration, more bool) {
	l, ok := t.oldest(s.Name())
	if !ok {
		return 0, false
	}
	if wait := l.After.Sub(t.c.Now()); wait > 0 {
		return min(wait, courtesy), true // the clock may have been set back
	}
	later := func(err error, asked time.Duration) (time.Duration, bool) {
		*failures++
		wait := t.c.Retry.wait(*failures, asked)
		log := t.log.Info
		if *failures == 1 || *failures%20 == 0 {
			log = t.log.Warn // not a line each time: a channel can be gone for a week
		}
		log("nobody can be told, it is tried again", "sender", s.Name(), "in", wait.Round(time.Second), "error", err)
		return wait, true
	}
	if err := s.Ready(); err != nil {
		return later(err, 0)
	}
	p, ok, err := t.begin(s)
	if err != nil {
		return later(err, 0) // what cannot be marked is not sent
	}
	if !ok {
		return 0, true
	}
	o := s.Send(t.sending, p)
	o.missed, o.dropped = p.Missed, p.Dropped
	if err := t.settle(p.Number, o); err != nil {
		t.log.Error("that somebody was told cannot be recorded yet", "sender", s.Name(), "error", err)
		if o.Fate == Delivered {
			return t.c.Retry.wait(1, 0), true // it is not sent again: its fate is known here
		}
	}
	switch o.Fate {
	case Delivered:
		*failures = 0
		t.log.Info("told", "sender", s.Name(), "event", p.Event, "about", p.About)
		return o.Wait, true
	case Unsure:
		t.log.Warn("whether somebody was told is not known, and it is not sent again", "sender", s.Name(), "event", p.Event, "about", p.About, "error", o.Err)
		*failures++
		return t.c.Retry.wait(*failures, o.Wait), true
	case Refused:
		if p.Refused+1 >= mostRefusals {
			t.log.Error("nobody was told: it is refused again and again", "sender", s.Name(), "event", p.Event, "about", p.About, "error", o.Err)
			*failures = 0 // it is given up, and the next may go out
			return max(o.Wait, t.c.Retry.wait(1, 0)), true
		}
	case Later:
	}
	return later(o.Err, o.Wait)
}

// oldest is the letter that a sender has to deliver next.
func (t *Teller) oldest(sender string) (Letter, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.rec.Outbox {
		if _, known := t.settled[l.Number]; l.Sender == sender && !known {
			return l, true
		}
	}
	return Letter{}, false
}

// begin takes the oldest letter and, where a second one would be told twice, marks it on disk: whoever finds the mark after a crash does not send
// it.
func (t *Teller) begin(s Sender) (p Parcel, ok bool, err error) {
	l, ok := t.oldest(s.Name())
	if !ok {
		return p, false, nil
	}
	if s.Once() {
		err = t.change(func(r *record) {
			i := slices.IndexFunc(r.Outbox, func(w Letter) bool { return w.Number == l.Number })
			if ok = i >= 0; ok {
				r.Outbox[i].Begun = true
				l = r.Outbox[i] // it may have been replaced meanwhile
			}
		})
		if err != nil || !ok {
			return p, false, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	missed, dropped := t.rec.missing(l)
	return Parcel{
		Letter: l, Missed: missed, Dropped: dropped,
		Filed: func(about, channel string) string {
			t.mu.Lock()
			defer t.mu.Unlock()
			return t.rec.message(about, channel)
		},
	}, true, nil
}

// settle records the fate of a letter. Where that fails it is kept in mind, and recorded with the next change.
func (t *Teller) settle(number uint64, o Outcome) error {
	t.mu.Lock()
	t.settled[number] = o
	t.mu.Unlock()
	err := t.change(func(*record) {})
	if err != nil && o.Fate != Delivered && o.Fate != Unsure {
		t.mu.Lock()
		delete(t.settled, number) // it is tried again anyhow
		t.mu.Unlock()
	}
	return err
}

// settle is the fate of a letter in the record.
func (r *record) settle(number uint64, o Outcome, now time.Time) {
	i := slices.IndexFunc(r.Outbox, func(l Letter) bool { return l.Number == number })
	if i < 0 {
		return
	}
	l := r.Outbox[i]
	switch o.Fate {
	case Later:
		r.Outbox[i].Begun = false
		return
	case Refused:
		r.Outbox[i].Begun = false
		if r.Outbox[i].Refused++; r.Outbox[i].Refused < mostRefusals {
			return
		}
		fallthrough
	case Unsure:
		r.take(number)
		if !l.EditOnly {
			r.miss(l)
		}
	case Delivered:
		r.take(number)
		if o.Channel != "" && o.Message != "" {
			r.file(filed{About: l.About, Channel: o.Channel, Message: o.Message, Time: now.UTC(), Missed: o.missed, Dropped: o.dropped})
		}
		if !l.EditOnly {
			delete(r.Missed, l.Sender) // it said so
			delete(r.Dropped, l.Sender)
		}
	}
}

// String is what an outcome was, for logs and tests.
func (o Outcome) String() string { return fmt.Sprintf("fate %d: %v", o.Fate, o.Err) }
