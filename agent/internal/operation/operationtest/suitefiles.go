package operationtest

import (
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// TestStamp holds a stamp to its contract. open returns one that was never written.
func TestStamp(t *testing.T, open func(t *testing.T) operation.Stamp) {
	s := open(t)
	if sha, at, err := s.Stamp(); sha != "" || !at.IsZero() || err != nil {
		t.Fatalf("before the first deploy: %q, %v, %v", sha, at, err)
	}
	for _, sha := range []string{strings.Repeat("a", 40), strings.Repeat("b", 64), strings.Repeat("b", 64)} {
		if err := s.SetStamp(sha); err != nil {
			t.Fatal(err)
		}
		got, at, err := s.Stamp()
		if got != sha || err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("%q, written %v, %v; want %q", got, at, err, sha)
		}
	}
	wantFault(t, s.SetStamp("main"), fault.Internal, "STAMP_BROKEN")
	if got, _, err := s.Stamp(); got != strings.Repeat("b", 64) || err != nil {
		t.Errorf("after a refused stamp: %q, %v", got, err)
	}
}

// TestSentinels holds sentinels to their contract. open returns some that were never set.
func TestSentinels(t *testing.T, open func(t *testing.T) operation.Sentinels) {
	s := open(t)
	none := func(when string) {
		t.Helper()
		if p, err := s.Pause(); p != nil || err != nil {
			t.Errorf("%s there is a pause: %+v, %v", when, p, err)
		}
		if b, err := s.Blocked(); b != nil || err != nil {
			t.Errorf("%s a commit is blocked: %+v, %v", when, b, err)
		}
	}
	none("at first")
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, reason := range []string{"deploy of aaaa", "by hand: \"quoted\"\nand more"} {
		pause := operation.Pause{Reason: reason, Owner: "operator/ada", Operation: "op-1-x", Created: now, Expires: now.Add(time.Hour)}
		blocked := operation.Blocked{SHA: strings.Repeat("a", 40), Operation: "op-1-x", Reason: reason, Created: now}
		if err := s.SetPause(&pause); err != nil {
			t.Fatal(err)
		}
		if err := s.SetBlocked(&blocked); err != nil {
			t.Fatal(err)
		}
		gotPause, err := s.Pause()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "the pause", gotPause, pause)
		gotBlocked, err := s.Blocked()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "the blocked commit", gotBlocked, blocked)
	}
	for range 2 { // removing what is not there is no error
		if err := s.SetPause(nil); err != nil {
			t.Error(err)
		}
		if err := s.SetBlocked(nil); err != nil {
			t.Error(err)
		}
		none("after the removal")
	}
}
