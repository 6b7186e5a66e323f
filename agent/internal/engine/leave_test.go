package engine

import (
	"errors"
	"testing"
)

// TestTheEndOfOneIsNotTheEndOfTheNext: whoever sees the end of an operation may begin the next before the first has let go.
func TestTheEndOfOneIsNotTheEndOfTheNext(t *testing.T) {
	e := &Engine{changed: newBroadcast()}
	first, second := &Run{engine: e, id: "first"}, &Run{engine: e, id: "second"}
	e.current = second
	changed := e.changed.next()
	e.leave(first, nil)
	if e.current != second {
		t.Error("the end of the first unlocks the host while the second runs")
	}
	select {
	case <-changed:
	default:
		t.Error("nobody is woken")
	}
	broken := errors.New("broken")
	if e.leave(second, broken); e.current != nil || e.broken != broken { //nolint:errorlint // the very error
		t.Errorf("left %v, broken %v", e.current, e.broken)
	}
}
