package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/peercred"
)

// TestSentinelsCommand is what scripts read, and its exit codes.
func TestSentinelsCommand(t *testing.T) {
	h := newMachine(t, "pause_ttl: 2h\n")
	state := filepath.Join(h.dir, "state")
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	me := "local/" + peercred.Name(uint32(os.Geteuid()))
	put := func(name, text string) string {
		path := filepath.Join(state, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		if text == "" {
			at = time.Now().Add(-time.Hour).Truncate(time.Second)
		}
		if err := os.Chtimes(path, time.Time{}, at); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ask := func(code int, more ...string) outcome {
		o := agentProgram(append([]string{"sentinels", "--config", h.config}, more...)...)
		o.expect(t, code)
		return o
	}
	if o := ask(0); o.out+o.err != "" {
		t.Errorf("where nothing holds it says %q, %q", o.out, o.err)
	}
	ask(0, "--check")

	put("blocked-sha", a+"\n"+`{"sha":"`+b+`","operation":"op-1-x","reason":"crash\nand burn","created_at":"2026-02-03T04:05:06+01:00"}`)
	path := put("gitops-paused", "")
	ends := time.Now().Add(time.Hour)
	o := ask(0)
	lines := strings.Split(strings.TrimSpace(o.out), "\n")
	if len(lines) != 3 || lines[1] != "blocked "+a+" since 2026-01-02T03:04:05Z by -: by hand, "+me ||
		lines[2] != "blocked "+b+" since 2026-02-03T03:05:06Z by op-1-x: crash and burn" {
		t.Errorf("it says\n%s", o.out)
	}
	until, ok := strings.CutSuffix(strings.TrimPrefix(lines[0], "paused until "), " by "+me+": by hand")
	if at, err := time.Parse(time.RFC3339, until); !ok || err != nil || at.Before(ends.Add(-time.Minute)) || at.After(ends.Add(time.Minute)) {
		t.Errorf("of the pause it says %q; it ends about %s", lines[0], ends)
	}
	ask(7, "--check").expect(t, 7, "paused until")

	var objects []sentinel
	for line := range strings.Lines(ask(0, "--format", "json").out) {
		var s sentinel
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		objects = append(objects, s)
	}
	if len(objects) != 3 || objects[0].Sentinel != "paused" || objects[0].Expires == nil || objects[1].SHA != a || objects[2].Reason != "crash\nand burn" || objects[2].Operation != "op-1-x" {
		t.Errorf("objects: %+v", objects)
	}

	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if o := ask(7, "--check"); strings.Contains(o.out, "paused") || !strings.Contains(o.err, "2 commits are blocked") {
		t.Errorf("a pause that is over: %q, %q", o.out, o.err)
	}
	put("gitops-paused", "until tuesday")
	if o := ask(5); !strings.Contains(o.out, a) { // what can be read is told all the same
		t.Errorf("beside a broken file: %q", o.out)
	}
	ask(5, "--check").expect(t, 5, path, "neither empty nor JSON", "touch", "2h0m0s")
	ask(2, "--format", "yaml")
	agentProgram("sentinels", "--config", filepath.Join(h.dir, "none.yaml")).expect(t, 2, "none.yaml")
}
