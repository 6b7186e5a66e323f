package operation

import (
	"errors"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

// TestNext tells what follows every state after every outcome; "" is a caller's error.
func TestNext(t *testing.T) {
	// done, failed, superseded, cancelled
	table := map[State][4]State{
		Pending:         {Proving, FailedUntouched, Superseded, Cancelled},
		Proving:         {Pausing, FailedUntouched, Superseded, Cancelled},
		Pausing:         {Cleaning, FailedUntouched, Superseded, Cancelled},
		Cleaning:        {Resetting, Failed, "", Failed},
		Resetting:       {Building, Failed, "", Failed},
		Building:        {Migrating, Failed, "", Failed},
		Migrating:       {Applying, Failed, "", Failed},
		Applying:        {AwaitingVerify, Failed, "", Failed},
		AwaitingVerify:  {Verifying, Failed, "", Failed},
		Verifying:       {Succeeded, Failed, "", Failed},
		RollingBack:     {},
		Succeeded:       {},
		FailedUntouched: {},
		RolledBack:      {},
		RollbackFailed:  {},
		Superseded:      {},
		Cancelled:       {},
		Failed:          {},
		"NONSENSE":      {},
	}
	for _, s := range append(append([]State{RollingBack}, deployOrder...), terminals...) {
		if _, ok := table[s]; !ok {
			t.Errorf("%s is not in the table", s)
		}
	}
	for from, nexts := range table {
		for i, want := range nexts {
			got, err := Next(from, []Outcome{OutcomeDone, OutcomeFailed, OutcomeSuperseded, OutcomeCancelled}[i])
			if got != want || (err == nil) != (want != "") {
				t.Errorf("after %s, outcome %d: %q, %v; want %q", from, i, got, err, want)
			}
		}
		if _, err := Next(from, Outcome(99)); err == nil {
			t.Errorf("after %s an unknown outcome leads somewhere", from)
		}
	}
}

func TestTouchedAndTerminal(t *testing.T) {
	for _, s := range []State{Pending, Proving, Pausing, FailedUntouched, Superseded, Cancelled} {
		if s.Touched() {
			t.Errorf("%s counts as touched", s)
		}
	}
	for _, s := range []State{Cleaning, Resetting, Building, Migrating, Applying, AwaitingVerify, Verifying, RollingBack} {
		if !s.Touched() || s.Terminal() {
			t.Errorf("%s: touched %v, terminal %v", s, s.Touched(), s.Terminal())
		}
	}
	for _, s := range terminals {
		if !s.Terminal() {
			t.Errorf("%s is not terminal", s)
		}
	}
}

func TestResultOf(t *testing.T) {
	because := func(k fault.Kind) *Failure {
		return &Failure{Kind: k, Reason: "R", Message: "m", Hint: "h"}
	}
	for _, c := range []struct {
		state   State
		failure *Failure
		exit    int
		reason  string
	}{
		{Succeeded, nil, 0, ""},
		{Superseded, nil, 0, ""},
		{FailedUntouched, because(fault.Failed), 1, "R"},
		{FailedUntouched, because(fault.Refused), 7, "R"},
		{FailedUntouched, because(fault.Invalid), 2, "R"},
		{FailedUntouched, because(fault.NotFound), 2, "R"},
		{FailedUntouched, because(fault.Degraded), 1, "R"}, // nothing was touched: no person is needed
		{FailedUntouched, because(fault.Unreachable), 1, "R"},
		{FailedUntouched, nil, 1, "FAILED_UNTOUCHED"},
		{Cancelled, nil, 1, "CANCELLED"},
		{RolledBack, because(fault.Failed), 4, "R"},
		{RollbackFailed, because(fault.Failed), 5, "R"},
		{Failed, because(fault.Failed), 5, "R"},
		{Failed, because(fault.Refused), 5, "R"},
		{Failed, nil, 5, "FAILED"},
		{Building, nil, 1, "BUILDING"}, // no end at all: Internal
	} {
		err := ResultOf(c.state, c.failure)
		if fault.ExitCode(err) != c.exit || fault.ReasonOf(err) != c.reason {
			t.Errorf("%s, %+v: exit code %d, %s; want %d, %s", c.state, c.failure, fault.ExitCode(err), fault.ReasonOf(err), c.exit, c.reason)
		}
		var f *fault.Error
		if c.failure != nil && (!errors.As(err, &f) || f.Message != "m" || f.Hint != "h") {
			t.Errorf("%s: the message is %v", c.state, err)
		}
	}
}
