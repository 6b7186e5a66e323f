package operation

import (
	"errors"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

// TestNext tells what follows every state of every kind after every outcome; "" is a caller's error.
func TestNext(t *testing.T) {
	outcomes := []Outcome{OutcomeDone, OutcomeFailed, OutcomeSuperseded, OutcomeCancelled}
	for kind, table := range map[Kind]map[State][4]State{
		KindDeploy: {
			// done, failed, superseded, cancelled
			Pending:        {Proving, FailedUntouched, Superseded, Cancelled},
			Proving:        {Pausing, FailedUntouched, Superseded, Cancelled},
			Pausing:        {Cleaning, FailedUntouched, Superseded, Cancelled},
			Cleaning:       {Resetting, RollingBack, "", RollingBack},
			Resetting:      {Building, RollingBack, "", RollingBack},
			Building:       {Migrating, RollingBack, "", RollingBack},
			Migrating:      {Applying, RollingBack, "", RollingBack},
			Applying:       {AwaitingVerify, RollingBack, "", RollingBack},
			AwaitingVerify: {Verifying, RollingBack, "", RollingBack},
			Verifying:      {Succeeded, RollingBack, "", RollingBack},
			RollingBack:    {RolledBack, RollbackFailed, "", ""},
		},
		KindRollback: {
			Pending:     {Proving, FailedUntouched, Superseded, Cancelled},
			Proving:     {Pausing, FailedUntouched, Superseded, Cancelled},
			Pausing:     {RollingBack, FailedUntouched, Superseded, Cancelled},
			RollingBack: {Succeeded, RollbackFailed, "", ""},
		},
		"nonsense": {},
	} {
		for _, from := range allStates {
			for i, outcome := range outcomes {
				want := table[from][i]
				got, err := Next(kind, from, outcome)
				if got != want || (err == nil) != (want != "") {
					t.Errorf("%s: after %s, outcome %d: %q, %v; want %q", kind, from, i, got, err, want)
				}
			}
			if next, err := Next(kind, from, Outcome(99)); err == nil {
				t.Errorf("%s: after %s an unknown outcome leads to %s", kind, from, next)
			}
		}
	}
}

// allStates are those of the protocol, with one that is none.
var allStates = []State{
	Pending, Proving, Pausing, Cleaning, Resetting, Building, Migrating, Applying, AwaitingVerify, Verifying, RollingBack,
	Succeeded, FailedUntouched, RolledBack, RollbackFailed, Superseded, Cancelled, Failed, "NONSENSE",
}

// TestEveryWayEnds: whatever the outcomes, no operation goes round in circles, and one that
// has touched the host never ends in a state that says it did not.
func TestEveryWayEnds(t *testing.T) {
	var walk func(kind Kind, s State, touched bool, depth int)
	walk = func(kind Kind, s State, touched bool, depth int) {
		switch {
		case depth > len(allStates):
			t.Fatalf("a %s goes round in circles by %s", kind, s)
		case s.Terminal():
			says := s == FailedUntouched || s == Superseded || s == Cancelled
			if touched == says {
				t.Errorf("a %s ends in %s, touched: %v", kind, s, touched)
			}
			return
		}
		for _, outcome := range []Outcome{OutcomeDone, OutcomeFailed, OutcomeSuperseded, OutcomeCancelled} {
			if next, err := Next(kind, s, outcome); err == nil {
				walk(kind, next, touched || s.Touched(), depth+1)
			}
		}
	}
	for kind := range orders {
		walk(kind, Pending, false, 0)
	}
}

func TestTouchedAndTerminal(t *testing.T) {
	for _, s := range []State{Pending, Proving, Pausing} {
		if s.Touched() || s.Terminal() {
			t.Errorf("%s: touched %v, terminal %v", s, s.Touched(), s.Terminal())
		}
	}
	for _, s := range []State{Cleaning, Resetting, Building, Migrating, Applying, AwaitingVerify, Verifying, RollingBack} {
		if !s.Touched() || s.Terminal() {
			t.Errorf("%s: touched %v, terminal %v", s, s.Touched(), s.Terminal())
		}
	}
	for _, s := range []State{Succeeded, FailedUntouched, RolledBack, RollbackFailed, Superseded, Cancelled, Failed} {
		if s.Touched() || !s.Terminal() {
			t.Errorf("%s: touched %v, terminal %v", s, s.Touched(), s.Terminal())
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
		{Cancelled, because(fault.Interrupted), 1, "R"}, // 130 is for a caller that was interrupted
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
