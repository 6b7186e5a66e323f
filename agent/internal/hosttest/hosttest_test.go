package hosttest

import (
	"context"
	"errors"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
)

func TestFakeJournal(t *testing.T) {
	TestJournal(t, func(*testing.T) Record { return Journal{NewHost()} })
}

func TestFakeStamp(t *testing.T) {
	TestStamp(t, func(*testing.T) ports.Stamp { return StateFiles{NewHost()} })
}

func TestFakeSentinels(t *testing.T) {
	TestSentinels(t, func(*testing.T) ports.Sentinels { return StateFiles{NewHost()} })
}

func TestOnCallStopsTheWorldWithoutEffect(t *testing.T) {
	h := NewHost()
	before, target := h.Head(), h.Push(map[string]string{"app/main.go": "two"})
	stop := errors.New("stopped")
	var seen []string
	h.OnCall = func(n int, label string) error {
		seen = append(seen, label)
		if n >= 2 {
			return stop
		}
		return nil
	}
	p := h.Ports()
	if _, err := p.Commits.Fetch(context.Background(), target, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Checkout.Move(context.Background(), picture.Move{Target: target}, nil); !errors.Is(err, stop) {
		t.Errorf("the second call: %v", err)
	}
	if h.Head() != before {
		t.Error("a stopped call had an effect")
	}
	if len(seen) != 2 || seen[1] != "Checkout.Move" {
		t.Errorf("seen %q", seen)
	}
}
