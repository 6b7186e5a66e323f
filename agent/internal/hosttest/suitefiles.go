package hosttest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

// TestStamp holds a stamp to its contract. open returns one that was never written.
func TestStamp(t *testing.T, open func(t *testing.T) ports.Stamp) {
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
func TestSentinels(t *testing.T, open func(t *testing.T) ports.Sentinels) {
	s := open(t)
	none := func(when string) {
		t.Helper()
		if p, err := s.Pause(); p != nil || err != nil {
			t.Errorf("%s there is a pause: %+v, %v", when, p, err)
		}
		if b, err := s.Blocked(); len(b) != 0 || err != nil {
			t.Errorf("%s commits are blocked: %+v, %v", when, b, err)
		}
	}
	none("at first")
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, reason := range []string{"deploy of aaaa", "by hand: \"quoted\"\nand more"} {
		pause := ports.Pause{Reason: reason, Owner: "operator/ada", Operation: "op-1-x", Created: now, Expires: now.Add(time.Hour)}
		blocks := []ports.Blocked{
			{SHA: strings.Repeat("a", 40), Operation: "op-1-x", Reason: reason, Created: now},
			{SHA: strings.Repeat("b", 64), Operation: "op-2-x", Reason: reason, Created: now.Add(time.Minute)},
		}
		if err := s.ChangePause(func(*ports.Pause) *ports.Pause { return &pause }); err != nil {
			t.Fatal(err)
		}
		if err := s.ChangeBlocked(func([]ports.Blocked) []ports.Blocked { return blocks }); err != nil {
			t.Fatal(err)
		}
		gotPause, err := s.Pause()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "the pause", gotPause, pause)
		gotBlocks, err := s.Blocked()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "the blocked commits", gotBlocks, blocks)
	}
	testNobodyComesBetween(t, s)
	for range 2 { // removing what is not there is no error
		if err := s.ChangePause(func(*ports.Pause) *ports.Pause { return nil }); err != nil {
			t.Error(err)
		}
		if err := s.ChangeBlocked(func([]ports.Blocked) []ports.Blocked { return nil }); err != nil {
			t.Error(err)
		}
		none("after the removal")
	}
}

// testNobodyComesBetween: changes that read, decide and write at the same time lose nothing.
func testNobodyComesBetween(t *testing.T, s ports.Sentinels) {
	t.Helper()
	if err := s.ChangeBlocked(func([]ports.Blocked) []ports.Blocked { return nil }); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			err := s.ChangeBlocked(func(blocks []ports.Blocked) []ports.Blocked {
				return append(blocks, ports.Blocked{SHA: fmt.Sprintf("%040x", i)})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if blocks, err := s.Blocked(); len(blocks) != 20 || err != nil {
		t.Errorf("of 20 blocks that came at once %d are there, %v", len(blocks), err)
	}
}
