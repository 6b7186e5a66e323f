package telling

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
)

// run lets four things happen, with power cuts at the given steps of writes and requests, one after the other. Whenever power is gone the agent
// is started again. It returns how many steps there were.
func run(t *testing.T, cuts ...int) (steps int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.config.Senders = append(w.config.Senders, w.hookSender())
		w.boot()
		defer func() { w.teller.Close() }()
		restarts := 0
		next := func() {
			if restarts < len(cuts) {
				w.mu.Lock()
				w.cutAt = w.steps + cuts[restarts]
				w.mu.Unlock()
			}
		}
		next()
		power := func() {
			for {
				w.mu.Lock()
				off := w.off
				w.mu.Unlock()
				if !off {
					return
				}
				restarts++
				w.teller.Close()
				w.mu.Lock()
				w.off, w.cutAt = false, 0
				w.mu.Unlock()
				next()
				w.teller = Open(w.config, w.teller.log)
				w.teller.Start()
				synctest.Wait()
			}
		}
		for _, o := range []operation.Operation{
			op("op-1", deploy, operation.RolledBack, failure), op("op-2", repair, operation.Succeeded), op("op-3", deploy, operation.Succeeded, to(shaB)),
		} {
			w.ends(o)
			power()
			w.pass(time.Minute)
			power()
		}
		w.mu.Lock()
		w.pause = &ports.Pause{Reason: "x", Owner: "y", Created: time.Now(), Expires: time.Now().Add(2 * time.Hour)}
		w.mu.Unlock()
		for range 14 {
			w.pass(11 * time.Minute)
			power()
		}
		steps = w.steps
		told(t, w, restarts, cuts)
	})
	return steps
}

// told judges what arrived: on Discord each thing once, or not at all where nobody could know, which is then said; at the webhook each thing at
// least once, and each time the same.
func told(t *testing.T, w *world, cuts int, at []int) {
	t.Helper()
	all := strings.Join(w.said(), "\n") + fmt.Sprint(w.teller.rec.Missed)
	missing := 0
	for _, title := range []string{"deploy failed and was rolled back", "Repair done", "deploy works again", "The pause of convergence is about to run out"} {
		n := 0
		for _, m := range w.discord.Messages() {
			if strings.HasSuffix(m.Body.Embeds[0].Title, title) {
				n++
			}
		}
		switch {
		case n > 1:
			t.Errorf("cut at %v: %q is told %d times", at, title, n)
		case n == 0 && !strings.Contains(strings.ToLower(all), strings.ToLower(title)):
			t.Errorf("cut at %v: %q is told nowhere, and is missed nowhere:\n%s\n%s", at, title, all, w.log)
		case n == 0:
			missing++
		}
	}
	if missing > cuts {
		t.Errorf("cut at %v: %d things did not arrive, with %d cuts", at, missing, cuts)
	}
	bodies, events := map[string]string{}, map[string]int{}
	for _, body := range w.hooked {
		var d Document
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			t.Fatal(err)
		}
		if was, known := bodies[d.ID]; known && was != body {
			t.Errorf("cut at %v: %s is two things:\n%s\n%s", at, d.ID, was, body)
		} else if !known {
			bodies[d.ID] = body
			events[string(d.Event)+" "+d.Phase]++
		}
	}
	for _, event := range []string{"operation.ended ROLLED_BACK", "pause.expiring DUE", "pause.over OVER"} {
		if events[event] != 1 {
			t.Errorf("cut at %v: %s arrived as %d things", at, event, events[event])
		}
	}
	if n := events["operation.ended SUCCEEDED"]; n != 2 {
		t.Errorf("cut at %v: %d good ends arrived", at, n)
	}
	if len(w.teller.rec.Outbox) > 0 {
		t.Errorf("cut at %v: %d letters are left", at, len(w.teller.rec.Outbox))
	}
}

// TestPowerCutAtEveryStep cuts the power before and after every write and every request.
func TestPowerCutAtEveryStep(t *testing.T) {
	t.Parallel()
	steps := run(t)
	if steps < 30 {
		t.Fatalf("the story has only %d steps", steps)
	}
	for n := 1; n <= steps; n++ {
		run(t, n)
	}
}

// TestPowerCutsInARow cuts the power several times, close together.
func TestPowerCutsInARow(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		run(t, 1+r.IntN(40), 1+r.IntN(8), 1+r.IntN(20), 1+r.IntN(8))
	}
}
