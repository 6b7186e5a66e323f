package console

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// play sends events in the pace in which they happened; synctest moves the clock. All of it
// happens between two frames, so that a test sees what the frame before has drawn.
func play(r Renderer, rec *recording, frame func()) {
	time.Sleep(frameTime / 2)
	last := epoch
	for _, e := range rec.events {
		if at := e.GetEventTime().AsTime(); at.After(last) {
			frame()
			time.Sleep(at.Sub(last))
			last = at
		}
		r.Event(rec.operation, e)
	}
	time.Sleep(2 * frameTime)
	frame()
}

func TestTerminalShowsTheStory(t *testing.T) {
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				screen := newTerminal(t, 100)
				r := New(TTY, screen, Options{Width: screen.columns, GetEnv: noEnv})
				r.Note("waiting for the gate\nlint.yml passed")
				began := time.Now()
				var frames strings.Builder
				play(r, scene.make(), func() {
					time.Sleep(frameTime)
					fmt.Fprintf(&frames, "=== at %s\n%s", time.Since(began), screen.shown())
				})
				r.Warn("convergence stays paused")
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				if screen.hidden {
					t.Error("the cursor stays hidden")
				}
				golden(t, "tty/"+scene.name+".frames", frames.String())
				golden(t, "tty/"+scene.name+".screen", screen.shown())
			})
		})
	}
}

func TestTerminalColours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		r := New(TTY, &b, Options{Colour: true, GetEnv: noEnv})
		for _, e := range buildFailed().events {
			r.Event("op-2", e)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		golden(t, "tty/build-failed.colour", b.String())
	})
}

// A terminal that is made narrower wraps what stands there; the block is still taken back whole.
func TestTerminalFollowsItsWidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := newTerminal(t, 100)
		r := New(TTY, screen, Options{Width: screen.columns, GetEnv: noEnv})
		rec := record("op-1").start("a", "日本語の名前 builds the images of the stack").start("b", "core: build mcp-*").
			output("a", strings.Repeat("many words ", 30)).output("b", "tab\there")
		for _, e := range rec.events {
			r.Event("op-1", e)
		}
		r.Note("a line that stays")
		time.Sleep(frameTime / 2) // resize between two frames: within one, no renderer can know
		for _, width := range []int{100, 60, 33, 21, 90, 3} {
			screen.resize(width)
			time.Sleep(3 * frameTime)
			shown := screen.shown()
			if n := strings.Count(shown, "\n"); n != 3 {
				t.Errorf("width %d: the block is there more than once, or not:\n%s", width, shown)
			}
			if !strings.HasPrefix(shown, "a line that stays\n") {
				t.Errorf("width %d: what stays is gone:\n%s", width, shown)
			}
			for line := range strings.Lines(strings.TrimPrefix(shown, "a line that stays\n")) {
				if n := cellsOf(strings.TrimSuffix(line, "\n")); n >= width {
					t.Errorf("width %d: %q has %d cells", width, line, n)
				}
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := screen.shown(), "a line that stays\n"; got != want || screen.hidden {
			t.Errorf("after Close: %q, cursor hidden %t", got, screen.hidden)
		}
	})
}

// Nothing is written when nothing changes, and at most ten times a second otherwise.
func TestTerminalIsQuietAndCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := newTerminal(t, 80)
		r := New(TTY, screen, Options{Width: screen.columns, GetEnv: noEnv})
		time.Sleep(time.Minute)
		if n := screen.written(); n != 0 {
			t.Errorf("%d writes while nothing happened", n)
		}
		r.Event("op-1", record("op-1").start("a", "A").events[0])
		for i := range 5000 { // a second of output
			r.Event("op-1", record("op-1").output("a", fmt.Sprint("line ", i)).events[0])
			time.Sleep(time.Second / 5000)
		}
		if n := screen.written(); n < 5 || n > 11 {
			t.Errorf("%d writes in a second", n)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTerminalBlockHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := newTerminal(t, 80)
		r := New(TTY, screen, Options{Width: screen.columns, GetEnv: noEnv})
		rec := record("op-1")
		for i := range 40 {
			rec.start(fmt.Sprint("step/", i), "")
		}
		for _, e := range rec.events {
			r.Event("op-1", e)
		}
		time.Sleep(5*frameTime + frameTime/2)
		shown := screen.shown()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(shown, "and 28 more") || screen.highest > liveRows+1 {
			t.Errorf("went up %d rows:\n%s", screen.highest, shown)
		}
	})
}

// A stream that is entered late brings old events at once; the running time is the true one.
func TestTerminalKnowsHowLongAStepRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := newTerminal(t, 80)
		r := New(TTY, screen, Options{Width: screen.columns, GetEnv: noEnv})
		rec := record("op-1").state(landfallv1.OperationState_OPERATION_STATE_BUILDING, nil).
			start("a", "A").wait(10*time.Minute).output("a", "still there")
		for _, e := range rec.events {
			r.Event("op-1", e)
		}
		time.Sleep(5*time.Second + frameTime/2)
		if want := "A  10m 5s  → still there"; !strings.Contains(screen.shown(), want) {
			t.Errorf("no %q in\n%s", want, screen.shown())
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// The stream goes on while the terminal is stopped (Ctrl-S).
func TestStoppedTerminalHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		r := New(TTY, out, Options{GetEnv: noEnv})
		r.Note("one")
		time.Sleep(time.Second) // the renderer is in the middle of a write
		for _, e := range succeeded().events {
			r.Event("op-1", e)
		}
		go func() { _, _ = io.Copy(io.Discard, in) }()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		_ = out.Close()
	})
}

func TestHostileTextIsInertOnATerminal(t *testing.T) {
	for _, attack := range attacks {
		synctest.Test(t, func(t *testing.T) {
			screen := newTerminal(t, 60) // its model knows no other sequence than ours
			r := New(TTY, screen, Options{Width: screen.columns, GetEnv: noEnv})
			play(r, hostile(attack), func() { time.Sleep(frameTime) })
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if shown := screen.shown(); strings.ContainsAny(shown, "\u202e\u009b\u200b") {
				t.Errorf("%q shows %q", attack, shown)
			}
		})
	}
}

func TestGlyphs(t *testing.T) {
	tests := []struct {
		name  string
		env   map[string]string
		ascii bool
	}{
		{"nothing known", nil, false},
		{"UTF-8", map[string]string{"LANG": "de_DE.UTF-8"}, false},
		{"utf8", map[string]string{"LANG": "C.utf8"}, false},
		{"C", map[string]string{"LANG": "C"}, true},
		{"LC_ALL beats LANG", map[string]string{"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, true},
		{"console of Linux", map[string]string{"TERM": "linux", "LANG": "de_DE.UTF-8"}, true},
	}
	for _, tt := range tests {
		got := glyphsFor(func(name string) string { return tt.env[name] })
		if ascii := got.done == "+"; ascii != tt.ascii {
			t.Errorf("%s: ascii %t", tt.name, ascii)
		}
	}
}
