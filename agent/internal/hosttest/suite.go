package hosttest

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

// Record is a journal that can be read back.
type Record interface {
	ports.Journal
	ports.Records
}

// Accepted is the first event of a deploy with a command.
func Accepted(commandID string) operation.Event {
	return operation.Event{Sequence: 1, Time: instant(1), Accepted: &operation.Accepted{
		Kind: operation.KindDeploy, CommandID: commandID, Requester: "deployer/test", Target: strings.Repeat("a", 40),
	}}
}

// Entered is the event of entering a state.
func Entered(sequence uint64, state operation.State) operation.Event {
	return operation.Event{Sequence: sequence, Time: instant(sequence), State: &operation.StateChange{State: state}}
}

// instant is a time that JSON keeps exactly.
func instant(sequence uint64) time.Time {
	return time.Date(2026, 1, 1, 12, 0, int(sequence), 0, time.UTC)
}

// TestJournal holds a journal to the contracts of ports.Journal and
// ports.Records. open returns an empty one, which the suite does not close.
func TestJournal(t *testing.T, open func(t *testing.T) Record) {
	t.Run("empty", func(t *testing.T) { testEmpty(t, open(t)) })
	t.Run("create once a command", func(t *testing.T) { testCreate(t, open(t)) })
	t.Run("append", func(t *testing.T) { testAppend(t, open(t)) })
	t.Run("append refuses gaps", func(t *testing.T) { testGaps(t, open(t)) })
	t.Run("events by pages", func(t *testing.T) { testEvents(t, open(t)) })
	t.Run("lookup", func(t *testing.T) { testLookup(t, open(t)) })
	t.Run("list", func(t *testing.T) { testList(t, open(t)) })
}

func testEmpty(t *testing.T, j Record) {
	_, err := j.Operation("")
	wantFault(t, err, fault.NotFound, "NO_OPERATION")
	_, err = j.Operation("op-1")
	wantFault(t, err, fault.NotFound, "UNKNOWN_OPERATION")
	_, err = j.Events("op-1", 0, 10)
	wantFault(t, err, fault.NotFound, "UNKNOWN_OPERATION")
	wantFault(t, j.Append("op-1", []operation.Event{Entered(2, operation.Proving)}), fault.NotFound, "UNKNOWN_OPERATION")
	ops, err := j.Operations(0, 10)
	if err != nil || len(ops) != 0 {
		t.Errorf("Operations: %v, %v", ops, err)
	}
	if ops, err = j.Unfinished(); err != nil || len(ops) != 0 {
		t.Errorf("Unfinished: %v, %v", ops, err)
	}
	if _, known, err := j.Known("c"); err != nil || known {
		t.Errorf("Known: %v, %v", known, err)
	}
}

func testCreate(t *testing.T, j Record) {
	op := create(t, j, "first")
	if op.Number != 1 || !strings.HasPrefix(op.ID, "op-1-") || op.State != operation.Pending || op.LastSequence != 1 {
		t.Errorf("created %+v", op)
	}
	again, created, err := j.Create(Accepted("first"))
	if err != nil || created || again.ID != op.ID {
		t.Errorf("the same command again: %s, created %v, %v", again.ID, created, err)
	}
	known, ok, err := j.Known("first")
	if err != nil || !ok {
		t.Errorf("Known: %v, %v", ok, err)
	}
	equal(t, "the known operation", known, op)
	other := create(t, j, "second")
	if other.Number != 2 || other.ID == op.ID {
		t.Errorf("the second operation is %s, number %d", other.ID, other.Number)
	}
}

func testAppend(t *testing.T, j Record) {
	op := create(t, j, "c")
	events := []operation.Event{Accepted("c"), Entered(2, operation.Proving), {
		Sequence: 3, Time: instant(3), StepStarted: &operation.StepStarted{ID: "build/app/1", Title: "core: build app"},
	}, {
		Sequence: 4, Time: instant(4), Output: &operation.OutputLine{StepID: "build/app/1", Stream: operation.Stderr, Text: "\x1b[1mé\u0000", Truncated: true},
	}, {
		Sequence: 5, Time: instant(5), StepFinished: &operation.StepFinished{ID: "build/app/1", Outcome: operation.StepFailed, Duration: time.Second, Failure: &operation.Failure{
			Kind: fault.Failed, Reason: "BUILD_FAILED", Message: "exit code 1", StepID: "build/app/1", OutputTail: []string{"a", "b"},
		}},
	}, Entered(6, operation.Failed)}
	if err := j.Append(op.ID, events[1:3]); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(op.ID, events[3:]); err != nil {
		t.Fatal(err)
	}
	got, err := j.Events(op.ID, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the events", got, events)
	stored, err := j.Operation(op.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the record, which is the fold of its events", stored, operation.Fold(op.ID, op.Number, events))
}

func testGaps(t *testing.T, j Record) {
	op := create(t, j, "c")
	for name, events := range map[string][]operation.Event{
		"a gap":              {Entered(3, operation.Proving)},
		"a repetition":       {Entered(1, operation.Proving)},
		"a gap in the batch": {Entered(2, operation.Proving), Entered(4, operation.Pausing)},
	} {
		if err := j.Append(op.ID, events); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	got, err := j.Events(op.ID, 0, 100)
	if err != nil || len(got) != 1 {
		t.Errorf("after refused batches there are %d events, %v", len(got), err)
	}
	if stored, err := j.Operation(op.ID); err != nil || stored.State != operation.Pending {
		t.Errorf("after refused batches the record is %s, %v", stored.State, err)
	}
}

func testEvents(t *testing.T, j Record) {
	op := create(t, j, "c")
	var events []operation.Event
	for n := uint64(2); n <= 300; n++ {
		events = append(events, operation.Event{Sequence: n, Time: instant(n), Warning: &operation.Warning{Reason: "W", Message: fmt.Sprint(n)}})
	}
	if err := j.Append(op.ID, events); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after       uint64
		limit       int
		first, last uint64 // 0: none
	}{
		{0, 1000, 1, 300},
		{0, 1, 1, 1},
		{1, 10, 2, 11},
		{255, 2, 256, 257},
		{299, 10, 300, 300},
		{300, 10, 0, 0},
		{301, 10, 0, 0},
		{0, 0, 0, 0},
		{math.MaxUint64, 10, 0, 0},
	} {
		got, err := j.Events(op.ID, c.after, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		if c.first == 0 && len(got) == 0 {
			continue
		}
		if len(got) == 0 || c.first == 0 || got[0].Sequence != c.first || got[len(got)-1].Sequence != c.last {
			t.Errorf("after %d, at most %d: %d events, want %d to %d", c.after, c.limit, len(got), c.first, c.last)
		}
	}
}

func testLookup(t *testing.T, j Record) {
	var ids []string
	for n := 1; n <= 11; n++ {
		ids = append(ids, create(t, j, strconv.Itoa(n)).ID)
	}
	for id, want := range map[string]string{
		"": ids[10], "7": ids[6], "11": ids[10], ids[3]: ids[3], "op-5": ids[4], "op-11-": ids[10], ids[1][:len(ids[1])-1]: ids[1],
	} {
		if op, err := j.Operation(id); err != nil || op.ID != want {
			t.Errorf("%q finds %q, want %q (%v)", id, op.ID, want, err)
		}
	}
	_, err := j.Operation("op-")
	wantFault(t, err, fault.Invalid, "AMBIGUOUS_OPERATION")
	for _, id := range []string{"0", "12", "x", "-1", ids[0] + "x", "99999999999999999999"} {
		_, err := j.Operation(id)
		wantFault(t, err, fault.NotFound, "UNKNOWN_OPERATION")
	}
}

func testList(t *testing.T, j Record) {
	for n := 1; n <= 5; n++ {
		op := create(t, j, strconv.Itoa(n))
		if n%2 == 0 {
			if err := j.Append(op.ID, []operation.Event{Entered(2, operation.FailedUntouched)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		before uint64
		limit  int
		want   []uint64
	}{
		{0, 10, []uint64{5, 4, 3, 2, 1}},
		{0, 2, []uint64{5, 4}},
		{4, 2, []uint64{3, 2}},
		{1, 2, nil},
		{99, 1, []uint64{5}},
		{0, 0, nil},
	} {
		ops, err := j.Operations(c.before, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, fmt.Sprintf("before %d, at most %d", c.before, c.limit), numbers(ops), c.want)
	}
	left, err := j.Unfinished()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the unfinished", numbers(left), []uint64{1, 3, 5})
}

func numbers(ops []operation.Operation) []uint64 {
	var ns []uint64
	for _, op := range ops {
		ns = append(ns, op.Number)
	}
	return ns
}

func create(t *testing.T, j ports.Journal, commandID string) operation.Operation {
	t.Helper()
	op, created, err := j.Create(Accepted(commandID))
	if err != nil || !created {
		t.Fatalf("create %s: created %v, %v", commandID, created, err)
	}
	return op
}

func wantFault(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Errorf("error %v (%v, %s), want %v, %s", err, fault.KindOf(err), fault.ReasonOf(err), kind, reason)
	}
}

// equal compares as JSON, which is what a journal keeps: there an absent list is an empty one.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
