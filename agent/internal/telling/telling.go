// Package telling tells people what the agent did by itself, and what keeps it from doing it.
//
// What it promises: nothing here delays or fails an operation; the same signature is told once, also over restarts and power cuts; what cannot
// be delivered waits on disk, within bounds, and goes out later; what nobody knows the fate of is not sent a second time, and the next message says
// that it may be missing; no address and no secret is in what leaves it. What is worth telling is decided by pure functions over what was
// told before ([JudgeEnd], [JudgeFacts]). Start reading at [Teller], then decide.go, then lane.go.
package telling

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Store keeps the record of what was told.
type Store interface {
	// Told reads it; nothing when there is none.
	Told() ([]byte, error)
	// SetTold replaces it whole and durably.
	SetTold([]byte) error
}

// Config is what a teller needs. Store and Records are required.
type Config struct {
	Store     Store
	Records   ports.Records
	Sentinels ports.Sentinels // nil: nothing is told of pauses and blocks
	Senders   []Sender        // none: nobody is told, and messages' identifiers are kept all the same
	Host      string          // name of this machine
	Project   string          // for what is about no commit; "" is left out

	// Plan is the plan that an operation recorded, Pipeline the landfall.yaml of a commit, Subject what its message begins with. Each may
	// be nil or fail: then the message has less to tell.
	Plan     func(operation string) (*pipeline.Plan, error)
	Pipeline func(ctx context.Context, sha string) (*pipeline.Config, error)
	Subject  func(ctx context.Context, sha string) (subject, author string, err error)
	Redact   func(string) string // takes secrets out of text; nil takes nothing out

	// For tests; the zero values are right for a host.
	Now   func() time.Time
	Every time.Duration // between looks that nobody asked for; default 10 minutes
	Retry Backoff
}

// lookEvery is how often the pause and the blocks are looked at: a pause is told of an hour before it ends.
const lookEvery = 10 * time.Minute

// Teller tells. Its methods never block on a channel; [Teller.RecordNotification] alone waits for the disk. Safe for concurrent use.
type Teller struct {
	c   Config
	log hclog.Logger

	wake  chan struct{}            // capacity 1: a look that is due needs no second one
	lanes map[string]chan struct{} // the same for each sender

	facts sync.Mutex
	ci    *CI // the newest verdict that was not looked at yet

	mu      sync.Mutex // of what follows, held while it is written to disk
	rec     record
	settled map[uint64]Outcome // letters whose fate is known and not on disk yet

	ctx     context.Context // ends when nothing more is begun
	stop    context.CancelFunc
	sending context.Context // ends what is under way
	cut     context.CancelFunc
	group   sync.WaitGroup
}

var (
	_ ports.Listener      = (*Teller)(nil)
	_ ports.Notifications = (*Teller)(nil)
)

// Open reads the record. One that cannot be read is begun anew, which is in the log: what ended before is not told then. The caller closes it.
func Open(c Config, log hclog.Logger) *Teller {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Every <= 0 {
		c.Every = lookEvery
	}
	if c.Redact == nil {
		c.Redact = func(s string) string { return s }
	}
	t := &Teller{
		c: c, log: log.Named("telling"), wake: make(chan struct{}, 1), lanes: map[string]chan struct{}{}, settled: map[uint64]Outcome{},
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	t.sending, t.cut = context.WithCancel(context.Background())
	raw, err := c.Store.Told()
	if err == nil {
		t.rec, err = decode(raw)
	}
	if err != nil {
		t.log.Error("what was told cannot be read, and is begun anew: what ended before is not told", "error", err)
		t.rec = record{Version: recordVersion}
	}
	var names []string
	for _, s := range c.Senders {
		names = append(names, s.Name())
		t.lanes[s.Name()] = make(chan struct{}, 1)
	}
	t.rec = t.rec.clone()
	t.rec.reopen(names)
	return t
}

// Start begins to tell. Call it when operations that were left are taken up: what they come to is told as well.
func (t *Teller) Start() {
	if len(t.c.Senders) == 0 {
		t.forget()
		return
	}
	t.group.Go(t.run)
	for _, s := range t.c.Senders {
		t.group.Go(func() { t.deliver(s) })
	}
}

// forget has whoever names somebody to tell later not tell what ended until then.
func (t *Teller) forget() {
	t.mu.Lock()
	begun := t.rec.Begun
	t.mu.Unlock()
	if !begun {
		return
	}
	if err := t.change(func(r *record) { r.Begun = false }); err != nil {
		t.log.Error("that nobody is told cannot be recorded", "error", err)
	}
}

// closeGrace is how long a delivery that is under way may take to end when the agent stops: one that is cut off may never be sent again.
const closeGrace = 5 * time.Second

// Close ends what Start began. What waits stays on disk.
func (t *Teller) Close() {
	t.stop()
	timer := time.AfterFunc(closeGrace, t.cut)
	defer timer.Stop()
	t.group.Wait()
	t.cut()
}

// Ended implements ports.Listener. What the operation is worth is read from the journal, so that an end which nobody heard of is
// told by the next look.
func (t *Teller) Ended(operation.Operation) { nudge(t.wake) }

// Observe tells what somebody has seen. Call it at each tick of convergence, with the verdict of CI on the head of the branch: of the pause and the
// blocks the teller knows by itself. It does not block; of several verdicts that come before the next look the newest counts.
//
// A verdict that is neither [Red] nor [Green] leaves everything as it is: pending CI and an answer that did not come say nothing.
func (t *Teller) Observe(f Facts) {
	if f.CI == nil {
		return
	}
	ci := *f.CI
	t.facts.Lock()
	t.ci = &ci
	t.facts.Unlock()
	nudge(t.wake)
}

// Notifications implements ports.Notifications.
func (t *Teller) Notifications(operation string) []ports.Notification {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rec.notifications(operation)
}

// RecordNotification implements ports.Notifications.
func (t *Teller) RecordNotification(operation string, n ports.Notification) error {
	if operation == "" || n.Channel == "" || n.Message == "" || len(n.Channel) > mostChannel || len(n.Message) > mostID {
		return fault.New(fault.Invalid, "BAD_NOTIFICATION", "a notification needs an operation, a channel of at most %d bytes and a message of at most %d", mostChannel, mostID)
	}
	return t.change(func(r *record) {
		r.file(filed{About: operation, Channel: n.Channel, Message: n.Message, Time: t.c.Now().UTC()})
	})
}

// nudge wakes who waits on a channel of capacity 1.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// change changes the record, on disk first. On an error nothing is changed.
func (t *Teller) change(do func(*record)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.rec.clone()
	for number, o := range t.settled {
		next.settle(number, o, t.c.Now())
	}
	do(&next)
	if err := t.save(next); err != nil {
		return err
	}
	t.rec = next
	clear(t.settled)
	return nil
}

func (t *Teller) save(r record) error {
	raw, err := encode(r)
	if err != nil {
		return err
	}
	return t.c.Store.SetTold(raw)
}

// run looks when it is woken, and now and then.
func (t *Teller) run() {
	timer := time.NewTimer(0) // at the start: what ended while nobody listened
	defer timer.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-t.wake:
		case <-timer.C:
		}
		next := t.c.Every
		if err := t.look(t.ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.log.Error("what happened cannot be told yet", "error", err)
			next = min(next, retryLook)
		}
		timer.Reset(next)
	}
}

// retryLook is how long after a look that failed the next one comes.
const retryLook = time.Minute
