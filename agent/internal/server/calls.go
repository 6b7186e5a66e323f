package server

import (
	"sync"

	"ataraxis.dev/landfall/shared/identity"
)

// counts are calls under way, and of which streams.
type counts struct{ calls, watches int }

func (c *counts) add(n int, watch bool) {
	c.calls += n
	if watch {
		c.watches += n
	}
}

// calls counts what is being served, so that nobody takes all of it.
type calls struct {
	limits limits

	mu  sync.Mutex
	all counts
	of  map[string]*counts // by principal
}

func newCalls(l limits) *calls { return &calls{limits: l, of: map[string]*counts{}} }

// enter counts a call; leave must be called when it has ended.
func (c *calls) enter(who identity.Principal, watch bool) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := who.String()
	mine := c.of[name]
	if mine == nil {
		mine = &counts{}
	}
	l := c.limits
	switch {
	case mine.calls >= l.callsPrincipal:
		return nil, busy("wait for their answers", "%d calls of %s are being served already", mine.calls, name)
	case c.all.calls >= share(l.calls, who.Role):
		return nil, busy("ask again in a moment", "%d calls are being served already", c.all.calls)
	case watch && mine.watches >= l.watchesOne:
		return nil, busy("end some of them", "%d streams of %s are open already", mine.watches, name)
	case watch && c.all.watches >= share(l.watches, who.Role):
		return nil, busy("ask again in a moment", "%d streams are open already", c.all.watches)
	}
	c.of[name] = mine
	c.all.add(1, watch)
	mine.add(1, watch)
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all.add(-1, watch)
		if mine.add(-1, watch); mine.calls == 0 {
			delete(c.of, name)
		}
	}), nil
}

// owes fails when a caller does not take what he has asked for already.
func (cs *connections) owes(c *connection) error {
	own := c.owed()
	if own > cs.limits.owed {
		return busy("read the answers first", "answers of %d KiB wait on this connection already", own>>10)
	}
	if own <= cs.limits.owedLittle {
		return nil
	}
	var total int64
	for _, other := range cs.all() {
		total += max(0, other.owed())
	}
	if total > cs.limits.owedAll {
		return busy("read the answers first", "answers of %d KiB wait for those who asked already", total>>10)
	}
	return nil
}
