package journal

import (
	"context"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
)

// BenchmarkRecord streams the output of a build through the engine's recorder into a journal on disk,
// and reads it back as a watcher does: one line of 80 bytes an iteration, from the child's pipe to the viewer.
func BenchmarkRecord(b *testing.B) {
	h := hosttest.NewHost()
	target := h.Push(map[string]string{hosttest.ConfigPath: strings.Replace(hosttest.Files()[hosttest.ConfigPath], "soak: 3s", "soak: 0s", 1)})
	j, err := Open(b.TempDir(), 200, hclog.NewNullLogger())
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	line := strings.Repeat("x", 80)
	h.On("Runtime.Run build/app/1", func(_ context.Context, c hosttest.Call) error {
		for range b.N {
			c.Out(operation.Stdout, line, false)
		}
		return nil
	})
	p := h.Ports()
	p.Journal, p.Records = j, j
	engine := flow.New(p, hosttest.Policy(), hclog.NewNullLogger())
	defer engine.Close()
	req, err := h.Request("bench", target)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	began := time.Now()
	op, _, err := engine.Deploy(req)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := engine.Verify(op.ID); err != nil {
		b.Fatal(err)
	}
	seen := 0
	if err := engine.Watch(b.Context(), op.ID, 0, func(events []operation.Event) error {
		seen += len(events)
		return nil
	}, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(seen)/time.Since(began).Seconds(), "events/s")
	if op, err = engine.Operation(op.ID); err != nil || op.State != operation.Succeeded || seen < b.N {
		b.Fatalf("ended in %s after %d events, %v", op.State, seen, err)
	}
}
