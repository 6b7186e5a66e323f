package server

import (
	"context"
	"sync"
	"time"

	"ataraxis.dev/landfall/shared/audit"
	"ataraxis.dev/landfall/shared/fault"
)

const (
	// repeatWindow is how long what the same caller does again, or is refused again, is counted before it is written again: whoever calls a
	// thousand times a second must neither fill the disk nor push older entries out of the trail.
	repeatWindow = time.Minute
	// renewalWindow is the same for renewals, which everybody with a certificate may ask for.
	renewalWindow = time.Hour
	// mostRepeats bounds how many different things are counted at a time.
	mostRepeats = 256
)

// reasonRepeated is the reason of a command that was carried out already: it changed nothing.
const reasonRepeated = "REPEATED"

// recorder writes the trail: what is about to change something, how it ended, and what was refused.
//
// What changes something is an entry "begun" before it is done, and one with its result after it: where only the first is there, the agent
// ended between. What the caller did last within the window already, and what he was refused within it, is not begun anew: only its result is
// written or counted.
type recorder struct {
	trail Trail // nil keeps nothing
	sign  func(audit.Checkpoint) (audit.Checkpoint, error)
	warn  func(err error)

	mu       sync.Mutex
	counting map[repeat]*repeated
	last     map[caller]repeat // what each caller did last
	refused  map[deed]int      // how many refusals of it are being counted
	running  sync.WaitGroup    // whoever may still write; joined under mu while not closed
	closed   bool
}

// caller is who calls, and from which machine.
type caller struct{ who, host string }

// deed is what somebody tries.
type deed struct {
	caller
	action string
}

// repeat is what makes two entries the same one. Refusals of a caller are the same whatever they are about.
type repeat struct {
	deed
	subject, result, reason string
}

// repeated is an entry that was written, and how often it was the same since.
type repeated struct {
	entry audit.Entry
	count uint64
	timer *time.Timer
}

// errStopping is why nothing is begun any more.
func errStopping() error {
	return fault.New(fault.Unreachable, "SHUTTING_DOWN", "the agent is stopping")
}

// join counts somebody who may write until leave; false when the recorder is closed.
func (r *recorder) join() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.running.Add(1)
	return true
}

func (r *recorder) leave() { r.running.Done() }

// begin records that a call is about to change something. The caller of begin must call end with what it was about and how it ended. Where
// the trail cannot be written nothing may be changed: that is the error.
func (r *recorder) begin(ctx context.Context, who, action, subject string) (end func(subject string, err error), err error) {
	if r.trail == nil {
		return func(string, error) {}, nil
	}
	if !r.join() {
		return nil, errStopping()
	}
	e := entryOf(ctx, who, action, subject)
	key := repeat{deed{caller{who, hostOf(e.From)}, action}, e.Subject, audit.Done, ""}
	if !r.again(key) {
		e.Result = audit.Begun
		if _, err := r.trail.AppendAudit(e, r.sign); err != nil {
			r.leave()
			return nil, fault.Wrap(err, fault.Degraded, "AUDIT_FAILED", "the audit trail cannot be written, so nothing is changed").
				WithHint("mend the disk that holds state_dir, then restart the agent")
		}
	}
	return func(subject string, err error) {
		defer r.leave()
		e := entryOf(ctx, who, action, subject)
		e.Result, e.Reason = resultOf(err), fault.ReasonOf(err)
		if e.Result == audit.Done {
			r.done(key, e)
		} else {
			r.ended(key.deed, e)
		}
	}, nil
}

// record writes how a call ended that changed nothing: one that was refused, or carried out before.
func (r *recorder) record(ctx context.Context, who, action, subject string, err error) {
	if r.trail == nil || !r.join() {
		return
	}
	defer r.leave()
	e := entryOf(ctx, who, action, subject)
	e.Result, e.Reason = resultOf(err), fault.ReasonOf(err)
	if err == nil {
		e.Reason = reasonRepeated
	}
	r.ended(deed{caller{who, hostOf(e.From)}, action}, e)
}

func entryOf(ctx context.Context, who, action, subject string) audit.Entry {
	subject = told.ReplaceAllString(subject[:min(len(subject), maxSubject)], "?")
	return audit.Entry{Time: time.Now(), Who: who, From: address(ctx), Action: action, Subject: subject, Count: 1}
}

func resultOf(err error) string {
	switch fault.KindOf(err) {
	case fault.Denied, fault.Unauthenticated, fault.Refused, fault.Invalid, fault.NotFound:
		return audit.Refused
	}
	if err != nil {
		return audit.Failed
	}
	return audit.Done
}

// again reports whether the caller did the same last, or was refused the like, so recently that it is counted.
func (r *recorder) again(key repeat) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[key.caller] == key || r.refused[key.deed] > 0
}

// done writes what a caller has done, or counts it where it is what he did last, too.
func (r *recorder) done(key repeat, e audit.Entry) {
	r.mu.Lock()
	if r.last[key.caller] == key {
		r.counting[key].count++
		r.mu.Unlock()
		return
	}
	before := r.take(r.last[key.caller]) // so that the order of what he did is kept
	if len(r.counting) < mostRepeats {
		r.count(key, e)
		r.last[key.caller] = key
	}
	r.mu.Unlock()
	r.settle(before)
	r.append(e)
}

// ended writes what changed nothing, or counts it where the like is being counted, or too much of it.
func (r *recorder) ended(d deed, e audit.Entry) {
	key := repeat{deed: d, result: e.Result, reason: e.Reason}
	r.mu.Lock()
	if r.counting[key] == nil && len(r.counting) >= mostRepeats {
		key = repeat{deed: deed{caller: caller{who: "others"}, action: "refused"}, result: audit.Refused, reason: "TOO_MANY"}
		e.Who, e.From, e.Action, e.Subject, e.Result, e.Reason = key.who, "", key.action, "", key.result, key.reason
	}
	if known := r.counting[key]; known != nil {
		known.count++
		r.mu.Unlock()
		return
	}
	r.count(key, e)
	if key.result == audit.Refused {
		r.refused[key.deed]++
	}
	r.mu.Unlock()
	r.append(e)
}

// count begins to count an entry; r.mu is held.
func (r *recorder) count(key repeat, e audit.Entry) {
	if r.counting == nil {
		r.counting, r.last, r.refused = map[repeat]*repeated{}, map[caller]repeat{}, map[deed]int{}
	}
	counted := &repeated{entry: e}
	r.counting[key] = counted
	window := repeatWindow
	if e.Result == audit.Done && e.Action == renewal {
		window = renewalWindow
	}
	counted.timer = time.AfterFunc(window, func() { r.expire(key, counted) })
}

// take ends the counting of an entry; r.mu is held. It is nil where nothing is counted.
func (r *recorder) take(key repeat) *repeated {
	counted := r.counting[key]
	if counted == nil {
		return nil
	}
	counted.timer.Stop()
	delete(r.counting, key)
	if r.last[key.caller] == key {
		delete(r.last, key.caller)
	}
	if key.result == audit.Refused {
		if r.refused[key.deed]--; r.refused[key.deed] == 0 {
			delete(r.refused, key.deed)
		}
	}
	return counted
}

// expire writes what was counted within the window of an entry.
func (r *recorder) expire(key repeat, of *repeated) {
	if !r.join() {
		return // close writes it
	}
	defer r.leave()
	r.mu.Lock()
	var counted *repeated
	if r.counting[key] == of {
		counted = r.take(key)
	}
	r.mu.Unlock()
	r.settle(counted)
}

// settle writes what was counted; nil is nothing.
func (r *recorder) settle(counted *repeated) {
	if counted == nil || counted.count == 0 {
		return
	}
	e := counted.entry
	e.Time, e.Count = time.Now(), counted.count
	if e.Result != audit.Done || e.Reason != "" {
		e.Subject = "" // there were several
	}
	r.append(e)
}

func (r *recorder) append(e audit.Entry) {
	if _, err := r.trail.AppendAudit(e, r.sign); err != nil {
		r.warn(err)
	}
}

// close waits for whoever writes, then writes what was counted. Nothing is begun after it, and nothing is written.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.running.Wait()
	for _, counted := range r.counting { // nobody else is left
		counted.timer.Stop()
		r.settle(counted)
	}
	r.counting = nil
}
