package server

import (
	"context"
	"errors"
	"slices"
	"sync"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// desk answers the questions that cost processes: probes, services, plans. Who asks what is
// being asked already shares the next answer: not the one under way, which may have looked
// before the asker did what he asks about. So however many ask, a question is answered once
// at a time and once more, and only a few questions side by side. Turns go round the
// principals, so that one who asks a lot waits for himself.
type desk struct {
	limits limits
	ctx    context.Context //nolint:containedctx // the desk's own life: an answer outlives the asker who caused it
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	running int
	active  map[string]bool      // being answered, by what is asked
	next    map[string]*question // not begun, by what is asked
	queue   map[string][]*question
	turns   []string // principals with a queue, the next one first
	waiting int
}

// question is one answer to be, and those who wait for it.
type question struct {
	what   string
	who    string
	answer func(context.Context) (any, error)
	askers int
	ctx    context.Context //nolint:containedctx // ends when nobody wants the answer any more
	cancel context.CancelFunc

	done   chan struct{}
	result any
	err    error
}

func newDesk(l limits) *desk {
	d := &desk{limits: l, active: map[string]bool{}, next: map[string]*question{}, queue: map[string][]*question{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// close ends what is being answered and waits for it.
func (d *desk) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cancel()
	d.work.Wait()
}

// ask answers a question; what names it, so that equal ones have equal names. The result is
// shared and must not be changed.
func ask[T any](ctx context.Context, d *desk, what string, answer func(context.Context) (T, error)) (T, error) {
	result, err := d.ask(ctx, principalFrom(ctx), what, func(ctx context.Context) (any, error) { return answer(ctx) })
	typed, _ := result.(T)
	return typed, err
}

func (d *desk) ask(ctx context.Context, who identity.Principal, what string, answer func(context.Context) (any, error)) (any, error) {
	d.mu.Lock()
	q, err := d.join(who.String(), what, answer)
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case <-q.done:
		return q.result, q.err
	case <-ctx.Done():
		d.leave(q)
		return nil, context.Cause(ctx)
	}
}

// join finds the question that waits already, or makes one.
func (d *desk) join(who, what string, answer func(context.Context) (any, error)) (*question, error) {
	if d.closed {
		return nil, fault.New(fault.Unreachable, "SHUTTING_DOWN", "the agent is stopping")
	}
	if q := d.next[what]; q != nil {
		q.askers++
		return q, nil
	}
	if d.running >= d.limits.questions || d.active[what] {
		switch {
		case len(d.queue[who]) >= d.limits.waitingPrincipal:
			return nil, busy("wait for their answers", "%d questions of %s wait for an answer already", len(d.queue[who]), who)
		case d.waiting >= d.limits.waiting:
			return nil, busy("ask again in a moment", "%d questions wait for an answer already", d.waiting)
		}
	}
	q := &question{what: what, who: who, answer: answer, askers: 1, done: make(chan struct{})}
	q.ctx, q.cancel = context.WithTimeout(d.ctx, d.limits.answer)
	d.next[what] = q
	if len(d.queue[who]) == 0 {
		d.turns = append(d.turns, who)
	}
	d.queue[who] = append(d.queue[who], q)
	d.waiting++
	d.begin()
	return q, nil
}

// leave takes one asker away; a question that nobody asks any more is not answered.
func (d *desk) leave(q *question) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q.askers--; q.askers > 0 {
		return
	}
	q.cancel()
	if d.next[q.what] == q {
		d.unqueue(q)
	}
}

// unqueue takes a question off its queue.
func (d *desk) unqueue(q *question) {
	delete(d.next, q.what)
	d.waiting--
	d.queue[q.who] = slices.DeleteFunc(d.queue[q.who], func(other *question) bool { return other == q })
	if len(d.queue[q.who]) == 0 {
		delete(d.queue, q.who)
		d.turns = slices.DeleteFunc(d.turns, func(who string) bool { return who == q.who })
	}
}

// begin begins the questions whose turn it is.
func (d *desk) begin() {
	for d.running < d.limits.questions {
		q := d.eligible()
		if q == nil {
			return
		}
		d.unqueue(q)
		if i := slices.Index(d.turns, q.who); i >= 0 { // he has more: after all others
			d.turns = append(slices.Delete(d.turns, i, i+1), q.who)
		}
		d.running++
		d.active[q.what] = true
		d.work.Go(func() { d.carryOut(q) })
	}
}

// eligible is the first question, by turns, that is not being answered already.
func (d *desk) eligible() *question {
	for _, who := range d.turns {
		for _, q := range d.queue[who] {
			if !d.active[q.what] {
				return q
			}
		}
	}
	return nil
}

func (d *desk) carryOut(q *question) {
	defer q.cancel()
	q.result, q.err = q.answer(q.ctx)
	if q.err != nil && errors.Is(q.ctx.Err(), context.DeadlineExceeded) {
		q.err = fault.Wrap(q.err, fault.Deadline, "NO_ANSWER", "there was no answer within %s", d.limits.answer)
	}
	close(q.done)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	delete(d.active, q.what)
	d.begin()
}
