package cli

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// An agent that does not answer is an error that says so, not one of the connection.
func TestAnAgentThatDoesNotDecideInTime(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "lf") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = askForTick(ctx, l.Addr().String(), &landfallv1.ConvergeRequest{})
		cancel()
		if fault.ReasonOf(err) != "NO_ANSWER" || fault.KindOf(err) != fault.Deadline {
			t.Errorf("%v", err)
		}
	}
}

// A word of a newer agent is printed, too.
func TestATickIsPrinted(t *testing.T) {
	t.Parallel()
	for want, tick := range map[string]*landfallv1.Tick{
		"SKIPPED PAUSED: by x\n": {Outcome: landfallv1.TickOutcome_TICK_OUTCOME_SKIPPED, Reason: "PAUSED", Message: "by\nx"},
		"99 NEW: what\n":         {Outcome: 99, Reason: "NEW", Message: "what"},
	} {
		var out bytes.Buffer
		if err := printTick(&landfallv1.ConvergeResponse{Tick: tick}, "text", &out); err != nil || out.String() != want {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}
