package console

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/workflowcommand"
)

func jobEnv(name string) string {
	if name == "GITHUB_ACTIONS" {
		return "true"
	}
	return noEnv(name)
}

// story shows an attack in a mode, inside a job, by every method of a renderer.
func story(t *testing.T, mode Mode, attack string) string {
	t.Helper()
	var b bytes.Buffer
	n := New(mode, &b, Options{GetEnv: jobEnv})
	r := hostile(attack)
	n.Note(attack)
	for _, e := range r.events {
		n.Event(attack, e)
	}
	n.Warn(attack)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestNoModeGivesTheRunnerCommands shows every attack in every mode inside a job: only the actions mode gives commands, and
// only its own.
func TestNoModeGivesTheRunnerCommands(t *testing.T) {
	attacks := append([]string{"##vso[task.setvariable variable=PATH]x", "text ##[add-path]/evil", "10%\r::add-mask::x", "####[x]", "##Vso[x"}, attacks...)
	for _, mode := range []Mode{Plain, Quiet, JSON, TTY, Actions, Auto, "unknown"} {
		var want runner
		want.read(t, story(t, mode, "harmless"))
		for _, attack := range attacks {
			out := story(t, mode, attack)
			var got runner
			got.read(t, out)
			if len(got.commands) != len(want.commands) || got.token != "" || got.depth != 0 || got.marks != 0 || strings.Contains(strings.ToLower(out), "##vso[") {
				t.Errorf("%s: %q: the runner obeyed %v (want %v), %d marks in\n%s", mode, attack, got.commands, want.commands, got.marks, out)
			}
			if mode == Actions {
				continue
			}
			if len(got.commands) != 0 {
				t.Errorf("%s: %q gives the commands %v", mode, attack, got.commands)
			}
		}
	}
}

// TestJSONKeepsItsValues holds that what is inert still says the same.
func TestJSONKeepsItsValues(t *testing.T) {
	const attack = "a ##[add-path]x ##vso[y] ::error::z"
	for _, env := range []func(string) string{noEnv, jobEnv} {
		var b bytes.Buffer
		n := New(JSON, &b, Options{GetEnv: env})
		n.Note(attack)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Note string `json:"note"`
		}
		if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.Note != attack || strings.Contains(b.String(), "##[") {
			t.Errorf("%v: %s", err, b.String())
		}
	}
}

// TestStreamIsWrappedOnce: a stream that the program wrapped already is taken as it is.
func TestStreamIsWrappedOnce(t *testing.T) {
	for _, mode := range []Mode{Plain, Actions} {
		var b bytes.Buffer
		stream := &workflowcommand.Writer{To: &b}
		n := New(mode, stream, Options{GetEnv: jobEnv})
		n.Note("::error::x")
		n.Warn("careful")
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(b.String(), "| "); got > 1 || strings.HasPrefix(b.String(), "::error") {
			t.Errorf("%s: %q", mode, b.String())
		}
		if gives := strings.Contains(b.String(), "\n::warning::careful\n"); gives != (mode == Actions) {
			t.Errorf("%s: %q", mode, b.String())
		}
	}
}
