package fault

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestExitCodesAreTheContract(t *testing.T) {
	want := map[Kind]int{
		Internal: 1, Invalid: 2, NotFound: 2, Gate: 3, Failed: 1, RolledBack: 4, Degraded: 5, Unreachable: 6,
		Unauthenticated: 6, Denied: 6, Refused: 7, Deadline: 1, Interrupted: 130, Unimplemented: 1,
	}
	for _, k := range Kinds() {
		code, ok := want[k]
		if !ok {
			t.Errorf("%v is not in the table", k)
		}
		if got := ExitCode(fmt.Errorf("wrapped: %w", New(k, "R", "m"))); got != code {
			t.Errorf("%v: exit code %d, want %d", k, got, code)
		}
	}
	if ExitCode(nil) != 0 {
		t.Error("no error is not exit code 0")
	}
	if ExitCode(errors.New("plain")) != 1 || ExitCode(context.Canceled) != 130 || ExitCode(context.DeadlineExceeded) != 1 {
		t.Error("plain errors have other exit codes than 1, 130, 1")
	}
}

func TestMessageReadsCauseThenHint(t *testing.T) {
	cause := errors.New("no space left on device")
	err := Wrap(cause, Failed, "DISK_FULL", "write the stamp").WithHint("free some space")
	if got, want := err.Error(), "write the stamp: no space left on device (free some space)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if ReasonOf(err) != "DISK_FULL" || ReasonOf(cause) != "" {
		t.Error("wrong reason")
	}
	if New(Invalid, "X", "a").WithHint("b").Hint == New(Invalid, "X", "a").Hint {
		t.Error("WithHint does not return a copy")
	}
	if Kind(99).String() != "kind(99)" {
		t.Error("an unknown kind has no name")
	}
}
