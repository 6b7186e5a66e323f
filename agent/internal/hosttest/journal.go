package hosttest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

// record is a journal. Events are kept as JSON, so that what is read back shares no
// memory with what was written, as on a disk.
type record struct {
	operations []*entry // number 1 first
}

type entry struct {
	op     operation.Operation
	events [][]byte
}

func newRecord() record { return record{} }

// Journal implements ports.Journal and ports.Records. It forgets nothing.
type Journal struct{ h *Host }

var (
	_ ports.Journal = Journal{}
	_ ports.Records = Journal{}
)

// Create implements ports.Journal.
func (j Journal) Create(first operation.Event) (operation.Operation, bool, error) {
	var op operation.Operation
	created := false
	err := j.h.change(context.Background(), "Journal.Create", nil, func() error {
		if e := j.h.record.command(first.Accepted.CommandID); e != nil {
			op = e.op.Clone()
			return nil
		}
		n := uint64(len(j.h.record.operations) + 1)
		e := &entry{op: operation.Operation{ID: fmt.Sprintf("op-%d-memory", n), Number: n}}
		if err := e.add([]operation.Event{first}); err != nil {
			return err
		}
		j.h.record.operations = append(j.h.record.operations, e)
		op, created = e.op.Clone(), true
		return nil
	})
	return op, created, err
}

// Known implements ports.Journal.
func (j Journal) Known(commandID string) (operation.Operation, bool, error) {
	if err := j.h.look("Journal.Known"); err != nil {
		return operation.Operation{}, false, err
	}
	j.h.mu.Lock()
	defer j.h.mu.Unlock()
	if e := j.h.record.command(commandID); e != nil {
		return e.op.Clone(), true, nil
	}
	return operation.Operation{}, false, nil
}

// Append implements ports.Journal.
func (j Journal) Append(id string, events []operation.Event) error {
	return j.h.change(context.Background(), "Journal.Append", nil, func() error {
		e := j.h.record.exactly(id)
		if e == nil {
			return unknownOperation(id)
		}
		return e.add(events)
	})
}

// add takes all events or none.
func (e *entry) add(events []operation.Event) error {
	var raws [][]byte
	for i, ev := range events {
		if ev.Sequence != e.op.LastSequence+uint64(i)+1 {
			return fault.New(fault.Degraded, "JOURNAL_FAILED", "event %d of %s does not follow event %d", ev.Sequence, e.op.ID, e.op.LastSequence)
		}
		raw, err := json.Marshal(ev)
		if err != nil {
			return err
		}
		raws = append(raws, raw)
	}
	for i, raw := range raws {
		if events[i].Output != nil {
			e.op.Apply(events[i]) // of a line the record keeps the count only, so nothing is shared
			continue
		}
		var stored operation.Event
		if err := json.Unmarshal(raw, &stored); err != nil {
			return fmt.Errorf("event %d: %w", events[i].Sequence, err)
		}
		e.op.Apply(stored)
	}
	e.events = append(e.events, raws...)
	return nil
}

// Events implements ports.Journal.
func (j Journal) Events(id string, after uint64, limit int) ([]operation.Event, error) {
	if err := j.h.look("Journal.Events"); err != nil {
		return nil, err
	}
	j.h.mu.Lock()
	defer j.h.mu.Unlock()
	e := j.h.record.exactly(id)
	if e == nil {
		return nil, unknownOperation(id)
	}
	var events []operation.Event
	for n := after; n < uint64(len(e.events)) && len(events) < limit; n++ {
		var ev operation.Event
		if err := json.Unmarshal(e.events[n], &ev); err != nil {
			return nil, err
		}
		events = append(events, ev)
	}
	return events, nil
}

// Operation implements ports.Records.
func (j Journal) Operation(id string) (operation.Operation, error) {
	if err := j.h.look("Records.Operation"); err != nil {
		return operation.Operation{}, err
	}
	j.h.mu.Lock()
	defer j.h.mu.Unlock()
	all := j.h.record.operations
	if id == "" && len(all) == 0 {
		return operation.Operation{}, fault.New(fault.NotFound, "NO_OPERATION", "there is no operation yet")
	}
	if id == "" {
		return all[len(all)-1].op.Clone(), nil
	}
	if e := j.h.record.exactly(id); e != nil {
		return e.op.Clone(), nil
	}
	if n, err := strconv.ParseUint(id, 10, 64); err == nil && n > 0 && n <= uint64(len(all)) {
		return all[n-1].op.Clone(), nil
	}
	var found *entry
	for _, e := range all {
		switch {
		case !strings.HasPrefix(e.op.ID, id):
		case found != nil:
			return operation.Operation{}, fault.New(fault.Invalid, "AMBIGUOUS_OPERATION", "more than one operation begins with %q", id)
		default:
			found = e
		}
	}
	if found == nil {
		return operation.Operation{}, unknownOperation(id)
	}
	return found.op.Clone(), nil
}

// Operations implements ports.Records.
func (j Journal) Operations(before uint64, limit int) ([]operation.Operation, error) {
	if err := j.h.look("Records.Operations"); err != nil {
		return nil, err
	}
	j.h.mu.Lock()
	defer j.h.mu.Unlock()
	var ops []operation.Operation
	for i := len(j.h.record.operations) - 1; i >= 0 && len(ops) < limit; i-- {
		if op := j.h.record.operations[i].op; before == 0 || op.Number < before {
			ops = append(ops, op.Clone())
		}
	}
	return ops, nil
}

// Unfinished implements ports.Records.
func (j Journal) Unfinished() ([]operation.Operation, error) {
	if err := j.h.look("Records.Unfinished"); err != nil {
		return nil, err
	}
	j.h.mu.Lock()
	defer j.h.mu.Unlock()
	var ops []operation.Operation
	for _, e := range j.h.record.operations {
		if !e.op.State.Terminal() {
			ops = append(ops, e.op.Clone())
		}
	}
	return ops, nil
}

func (r *record) exactly(id string) *entry {
	for _, e := range r.operations {
		if e.op.ID == id {
			return e
		}
	}
	return nil
}

func (r *record) command(id string) *entry {
	for _, e := range r.operations {
		if e.op.CommandID == id {
			return e
		}
	}
	return nil
}

func unknownOperation(id string) error {
	return fault.New(fault.NotFound, "UNKNOWN_OPERATION", "there is no operation %q", id)
}

// files are the operators' files of the state directory.
type files struct {
	stamp   string
	stamped time.Time
	pause   *ports.Pause
	blocked []ports.Blocked
}

func (f files) copy() files {
	f.blocked = slices.Clone(f.blocked)
	return f
}

// StateFiles implements ports.Stamp and ports.Sentinels.
type StateFiles struct{ h *Host }

var (
	_ ports.Stamp     = StateFiles{}
	_ ports.Sentinels = StateFiles{}
)

// Stamp implements ports.Stamp.
func (f StateFiles) Stamp() (string, time.Time, error) {
	if err := f.h.call(context.Background(), "Stamp.Stamp", nil); err != nil {
		return "", time.Time{}, err
	}
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	return f.h.files.stamp, f.h.files.stamped, nil
}

// SetStamp implements ports.Stamp.
func (f StateFiles) SetStamp(sha string) error {
	if len(sha) != 40 && len(sha) != 64 {
		return fault.New(fault.Internal, "STAMP_BROKEN", "%q is no commit", sha)
	}
	return f.set("Stamp.SetStamp", func(s *files) { s.stamp, s.stamped = sha, time.Now() })
}

// Pause implements ports.Sentinels.
func (f StateFiles) Pause() (*ports.Pause, error) {
	err := f.h.call(context.Background(), "Sentinels.Pause", nil)
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	return f.h.files.pause, err
}

// ChangePause implements ports.Sentinels.
func (f StateFiles) ChangePause(change func(*ports.Pause) *ports.Pause) error {
	return f.set("Sentinels.ChangePause", func(s *files) {
		var now *ports.Pause
		if s.pause != nil {
			own := *s.pause
			now = &own
		}
		s.pause = change(now)
	})
}

// Blocked implements ports.Sentinels.
func (f StateFiles) Blocked() ([]ports.Blocked, error) {
	err := f.h.call(context.Background(), "Sentinels.Blocked", nil)
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	return slices.Clone(f.h.files.blocked), err
}

// ChangeBlocked implements ports.Sentinels.
func (f StateFiles) ChangeBlocked(change func([]ports.Blocked) []ports.Blocked) error {
	return f.set("Sentinels.ChangeBlocked", func(s *files) { s.blocked = change(slices.Clone(s.blocked)) })
}

func (f StateFiles) set(label string, change func(*files)) error {
	return f.h.change(context.Background(), label, nil, func() error {
		change(&f.h.files)
		return nil
	})
}
