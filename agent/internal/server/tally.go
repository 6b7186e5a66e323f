package server

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// tally logs what anybody can cause as often as he likes: the first of a kind at once, then
// at most one line in quiet, with the number since. TestRefusalsAreCounted shows it.
type tally struct {
	log   hclog.Logger
	quiet time.Duration

	mu    sync.Mutex
	kinds map[string]*tallied
}

type tallied struct {
	message string
	fields  []any
	count   int // since the last line
	next    time.Time
	timer   *time.Timer // writes what was counted when nobody comes any more; nil when nothing is counted
}

// maxKinds bounds what is told apart; the rest is told as one kind.
const maxKinds = 64

func newTally(log hclog.Logger, quiet time.Duration) *tally {
	return &tally{log: log, quiet: quiet, kinds: map[string]*tallied{}}
}

// add counts one case of a kind; the fields describe it.
func (t *tally) add(message, kind string, fields ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := message + ": " + kind
	if t.kinds[key] == nil && len(t.kinds) >= maxKinds {
		key = "other"
	}
	k := t.kinds[key]
	if k == nil {
		k = &tallied{message: message}
		t.kinds[key] = k
	}
	now := time.Now()
	if !now.Before(k.next) {
		k.next = now.Add(t.quiet)
		t.log.Warn(message, fields...)
		return
	}
	k.count++
	k.fields = fields
	if k.timer == nil {
		k.timer = time.AfterFunc(k.next.Sub(now), func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.flush(k)
		})
	}
}

// flush writes what was counted while lines were held back.
func (t *tally) flush(k *tallied) {
	if k.timer == nil {
		return
	}
	k.timer.Stop()
	t.log.Warn(k.message, append([]any{"more_of_them", k.count}, k.fields...)...)
	k.count, k.timer, k.next = 0, nil, time.Now().Add(t.quiet)
}

// close writes what is still held back.
func (t *tally) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.kinds {
		t.flush(k)
	}
}
