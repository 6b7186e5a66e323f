package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

func TestRenderersTellTheSameStory(t *testing.T) {
	for _, scene := range scenes {
		for _, mode := range []Mode{Plain, Actions, JSON, Quiet} {
			t.Run(scene.name+"/"+string(mode), func(t *testing.T) {
				got := tokenPattern.ReplaceAllString(show(t, mode, false, scene.make()), "TOKEN")
				golden(t, "progress/"+scene.name+"."+string(mode), got)
			})
		}
	}
	t.Run("colour", func(t *testing.T) {
		golden(t, "progress/build-failed.colour", show(t, Plain, true, buildFailed()))
	})
}

func TestParseMode(t *testing.T) {
	tests := []struct {
		name, flag string
		env        map[string]string
		terminal   bool
		want       Mode
		problem    string
	}{
		{"terminal", "", nil, true, TTY, ""},
		{"pipe", "auto", nil, false, Plain, ""},
		{"dumb terminal", "auto", map[string]string{"TERM": "dumb"}, true, Plain, ""},
		{"actions beats terminal", "auto", map[string]string{"GITHUB_ACTIONS": "true"}, true, Actions, ""},
		{"environment", "", map[string]string{"LANDFALL_PROGRESS": "json"}, true, JSON, ""},
		{"flag beats environment", "quiet", map[string]string{"LANDFALL_PROGRESS": "json"}, true, Quiet, ""},
		{"as asked", "tty", map[string]string{"GITHUB_ACTIONS": "true"}, false, TTY, ""},
		{"near", "plian", nil, false, "", "did you mean plain?"},
		{"far", "holographic", nil, false, "", "use one of auto, tty, plain, actions, json, quiet"},
		{"environment is named", "", map[string]string{"LANDFALL_PROGRESS": "jsn"}, false, "", `LANDFALL_PROGRESS: unknown mode "jsn"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseMode(tt.flag, func(name string) string { return tt.env[name] }, tt.terminal)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.problem == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("got %v, want an Invalid with %q", err, tt.problem)
			}
		})
	}
}

// Every mode must take events from several goroutines; -race judges, and no line may be torn.
func TestConcurrentUse(t *testing.T) {
	for _, mode := range []Mode{Plain, Actions, JSON, Quiet, TTY} {
		t.Run(string(mode), func(t *testing.T) {
			var b bytes.Buffer
			r := New(mode, &b, Options{GetEnv: noEnv})
			var group sync.WaitGroup
			for worker := range 8 {
				group.Go(func() {
					for _, e := range succeeded().events {
						r.Event(fmt.Sprintf("op-%d", worker), e)
						r.Note("note")
						r.Warn("warn")
					}
				})
			}
			group.Wait()
			if err := errors.Join(r.Close(), r.Close()); err != nil {
				t.Fatal(err)
			}
			length := b.Len()
			r.Note("late")
			r.Warn("late")
			r.Event("op-1", succeeded().events[0])
			if b.Len() != length {
				t.Error("wrote after Close")
			}
			if want := 8 * len(succeeded().events); mode == Plain && strings.Count(b.String(), "] note\n") != want {
				t.Errorf("want %d whole notes in\n%s", want, b.String())
			}
		})
	}
}

type brokenPipe struct{ writes int }

func (p *brokenPipe) Write([]byte) (int, error) {
	p.writes++
	return 0, io.ErrClosedPipe
}

func TestFailedWriteIsToldByClose(t *testing.T) {
	for _, mode := range []Mode{Plain, Actions, JSON, Quiet, TTY} {
		pipe := &brokenPipe{}
		r := New(mode, pipe, Options{GetEnv: noEnv})
		r.Warn("one")
		r.Warn("two")
		if err := r.Close(); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: got %v", mode, err)
		}
		if pipe.writes != 1 {
			t.Errorf("%s: wrote %d times to a closed pipe", mode, pipe.writes)
		}
	}
}

func TestJSONProgressIsOneObjectALine(t *testing.T) {
	hostile := record("op-\u202e1").output("a", "x\u009b2J\u202e\U000e0041\x7fy")
	out := show(t, JSON, false, hostile)
	for line := range strings.Lines(out) {
		var o struct {
			Operation string
			Event     struct{ Output struct{ Text string } }
			Time      time.Time
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if o.Operation != "" && o.Event.Output.Text != hostile.events[0].GetOutput().GetText() {
			t.Errorf("got %q", o.Event.Output.Text)
		}
		if o.Operation == "" && o.Time.Location() != time.UTC {
			t.Errorf("time not in UTC: %s", line)
		}
	}
	if strings.ContainsAny(out, "\u009b\u202e\U000e0041\x7f") {
		t.Errorf("raw control characters in %q", out)
	}
}

func TestJSONProgressOfBrokenText(t *testing.T) {
	out := show(t, JSON, false, record("op-1").output("a", "\xff"))
	if !strings.Contains(out, `"warning":"write Event as JSON`) {
		t.Errorf("got %s", out)
	}
}

func TestUnknownFactsAndStepsAreTaken(t *testing.T) {
	r := record("op-1").
		add(&landfallv1.Event{}). // a fact of a newer agent
		output("never/started", "text").
		done("never/started", time.Second, "")
	for _, mode := range []Mode{Plain, Actions, Quiet} {
		out := show(t, mode, false, r)
		if told := strings.Contains(out, "never/started"); told != (mode != Quiet) {
			t.Errorf("%s: got\n%s", mode, out)
		}
	}
}

// Every line of a long build log is shown, in order.
func TestLongOutputIsComplete(t *testing.T) {
	const total = 20000
	for _, mode := range []Mode{Plain, Actions} {
		rec := record("op-1").start("a", "A")
		for i := range total {
			rec.output("a", fmt.Sprintf("line %d of the build", i))
		}
		out, next := show(t, mode, false, rec), 0
		for line := range strings.Lines(out) {
			if strings.HasSuffix(line, fmt.Sprintf("line %d of the build\n", next)) {
				next++
			}
		}
		if next != total {
			t.Errorf("%s: line %d is missing", mode, next)
		}
	}
}

// A step that was started again after a crash of the agent is one step.
func TestStepStartedTwice(t *testing.T) {
	r := record("op-1").start("a", "A").start("a", "A").output("a", "x").done("a", time.Second, "")
	out := show(t, Plain, false, r)
	if !strings.Contains(out, "    | x\n") {
		t.Errorf("counted twice:\n%s", out)
	}
}

// The time of events is the agent's, that of notes ours, and the clocks differ.
func TestStopwatchNeverRunsBackwards(t *testing.T) {
	clock := &handClock{epoch}
	s := newStopwatch(clock.now)
	agent := epoch.Add(-time.Hour)
	steps := []struct {
		name string
		got  func() string
		want string
	}{
		{"begin", s.now, "    0.0s"},
		{"first event", func() string { clock.at = epoch.Add(2 * time.Second); return s.at("op", agent) }, "    2.0s"},
		{"later event", func() string { return s.at("op", agent.Add(3*time.Second)) }, "    5.0s"},
		{"note between", s.now, "    5.0s"},
		{"event without time", func() string { clock.at = epoch.Add(6 * time.Second); return s.at("op", time.Time{}) }, "    6.0s"},
		{"other operation", func() string { return s.at("op-2", epoch.Add(time.Hour)) }, "    6.0s"},
	}
	for _, step := range steps {
		if got := step.got(); got != step.want {
			t.Errorf("%s: got %q, want %q", step.name, got, step.want)
		}
	}
}

// BenchmarkOutput is the cost of one line of a build log.
func BenchmarkOutput(b *testing.B) {
	for _, mode := range []Mode{Plain, Actions, JSON, TTY} {
		b.Run(string(mode), func(b *testing.B) {
			r := New(mode, io.Discard, Options{GetEnv: noEnv})
			rec := record("op-1").start("a", "A").output("a", "#12 34.56 npm warn deprecated some-package@1.2.3: use another")
			r.Event("op-1", rec.events[0])
			for b.Loop() {
				r.Event("op-1", rec.events[1])
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
