package tick_test

import (
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
)

// What was found before a deploy or a pause does not confirm what is found after it.
func TestWhatComesBetweenTwoLooksMakesThemTheFirst(t *testing.T) {
	stops := func(b *bench) {
		b.ChangeContainer("core", "app", func(c *picture.Container) { c.State, c.ExitCode = "exited", 1 })
	}
	for name, between := range map[string]func(b *bench){
		"a deploy": func(b *bench) {
			if _, err := b.Deployed(b.Push(map[string]string{"app/main.go": "two"})); err != nil {
				b.t.Fatal(err)
			}
			stops(b)
		},
		"a restart by a person": func(b *bench) {
			op, _, err := b.engine.Restart(b.t.Context(), flow.RestartRequest{CommandID: "by-hand", Requester: "operator/chris", Services: []string{"app"}})
			if err != nil {
				b.t.Fatal(err)
			}
			if err := b.engine.Watch(b.t.Context(), op.ID, 0, func([]operation.Event) error { return nil }, nil); err != nil {
				b.t.Fatal(err)
			}
			stops(b)
		},
		"a pause": func(b *bench) {
			if err := b.Ports().Sentinels.ChangePause(func(*ports.Pause) *ports.Pause {
				return &ports.Pause{Reason: "work", Owner: "operator/chris", Expires: time.Now().Add(20 * time.Minute)}
			}); err != nil {
				b.t.Fatal(err)
			}
			b.must(converge.Skipped, "PAUSED", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				stops(b)
				b.must(converge.Skipped, "DRIFT_SEEN", "")
				between(b)
				b.must(converge.Skipped, "DRIFT_SEEN", "")
				b.must(converge.Repair, "DRIFT", operation.Succeeded)
			})
		})
	}
}
