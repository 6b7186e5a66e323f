package journal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"

	"ataraxis.dev/landfall/shared/fault"
)

// TestFormats holds the files to what operators' scripts rely on.
func TestFormats(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 200)
	sha := strings.Repeat("0123456789", 4)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := j.SetStamp(sha); err != nil {
		t.Fatal(err)
	}
	pause := &ports.Pause{Reason: "deploy", Owner: "deployer/atlas", Operation: "op-1-x", Created: at, Expires: at.Add(4 * time.Hour)}
	if err := j.ChangePause(func(*ports.Pause) *ports.Pause { return pause }); err != nil {
		t.Fatal(err)
	}
	blocks := []ports.Blocked{{SHA: sha, Operation: "op-1-x", Reason: "crash", Created: at}}
	if err := j.ChangeBlocked(func([]ports.Blocked) []ports.Blocked { return blocks }); err != nil {
		t.Fatal(err)
	}
	if got := content(t, filepath.Join(dir, "last-successful-deploy-sha")); got != sha+"\n" {
		t.Errorf("the stamp is %q", got)
	}
	for name, want := range map[string]map[string]any{
		"gitops-paused": {"reason": "deploy", "owner": "deployer/atlas", "operation": "op-1-x", "created_at": "2026-01-02T03:04:05Z", "expires_at": "2026-01-02T07:04:05Z"},
		"blocked-sha":   {"sha": sha, "operation": "op-1-x", "reason": "crash", "created_at": "2026-01-02T03:04:05Z"},
	} {
		var got map[string]any
		raw := content(t, filepath.Join(dir, name))
		if err := json.Unmarshal([]byte(raw), &got); err != nil || !strings.HasSuffix(raw, "}\n") {
			t.Errorf("%s is %q, %v", name, raw, err)
		}
		if len(got) != len(want) {
			t.Errorf("%s has other keys than the contract: %v", name, got)
		}
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s: %s is %v, want %v", name, key, got[key], value)
			}
		}
	}
}

func TestBrokenStampIsAnError(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 200)
	for _, text := range []string{"", "\n", "main\n", strings.Repeat("a", 39), strings.Repeat("A", 40), strings.Repeat("a", 40) + "\n" + strings.Repeat("b", 40), strings.Repeat("x", 500), "\x00\x00"} {
		if err := os.WriteFile(filepath.Join(dir, fileStamp), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sha, _, err := j.Stamp()
		if sha != "" {
			t.Errorf("%q gives the stamp %q", text, sha)
		}
		wantFault(t, err, fault.Degraded, "STAMP_BROKEN")
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("the message has %d bytes", len(err.Error()))
		}
	}
	for _, text := range []string{strings.Repeat("a", 40), strings.Repeat("a", 40) + "\r\n", "  " + strings.Repeat("a", 40) + "\n\n"} {
		if err := os.WriteFile(filepath.Join(dir, fileStamp), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if sha, _, err := j.Stamp(); sha != strings.Repeat("a", 40) || err != nil { // echo and editors write these
			t.Errorf("%q gives %q, %v", text, sha, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, fileStamp)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, fileStamp), 0o700); err != nil {
		t.Fatal(err)
	}
	_, _, err := j.Stamp()
	wantFault(t, err, fault.Degraded, "STATE_FILE")
	wantFault(t, j.SetStamp(strings.Repeat("a", 40)), fault.Degraded, "STATE_FILE")
	noTemporary(t, dir)
}

// TestBrokenSentinelIsAnError: a file that is there to hold something back must not
// count as absent because somebody wrote it badly.
func TestBrokenSentinelIsAnError(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 200)
	for _, text := range []string{
		"null", "{}", "[]", "{", "paused", "2h", strings.Repeat("a", 40), `{"sha": "main"}`, `{"reason": "by hand"}`, `{"created_at": "yesterday"}`, "\x00",
		`{"expires_at": "2026-01-02T03:04:05Z"} {}`,
	} {
		for _, name := range []string{filePause, fileBlocked} {
			if name == fileBlocked && text == strings.Repeat("a", 40) {
				text = text[1:]
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		pause, err := j.Pause()
		if pause != nil {
			t.Errorf("%q is a pause: %+v", text, pause)
		}
		wantFault(t, err, fault.Degraded, "SENTINEL_BROKEN")
		wantText(t, err, filepath.Join(dir, filePause), "touch", "4h0m0s", "expires_at")
		blocked, err := j.Blocked()
		if blocked != nil {
			t.Errorf("%q blocks %+v", text, blocked)
		}
		wantFault(t, err, fault.Degraded, "SENTINEL_BROKEN")
		wantText(t, err, filepath.Join(dir, fileBlocked), "whole SHA", "one a line")
	}
	if err := j.ChangePause(func(*ports.Pause) *ports.Pause { return nil }); err != nil { // resume repairs it
		t.Error(err)
	}
	if pause, err := j.Pause(); pause != nil || err != nil {
		t.Errorf("after the removal: %+v, %v", pause, err)
	}
}

func TestReplacingLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 200)
	for n := range 20 {
		if err := j.SetStamp(strings.Repeat(string(rune('a'+n%6)), 40)); err != nil {
			t.Fatal(err)
		}
		pause := &ports.Pause{Owner: "x", Expires: time.Now()}
		if err := j.ChangePause(func(*ports.Pause) *ports.Pause { return pause }); err != nil {
			t.Fatal(err)
		}
	}
	noTemporary(t, dir)
}

func noTemporary(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"journal.db", "lock", fileStamp, filePause, fileBlocked}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func TestWhatWasToldIsKept(t *testing.T) {
	t.Parallel()
	j := open(t, t.TempDir(), 200)
	if raw, err := j.Told(); raw != nil || err != nil {
		t.Errorf("%q, %v", raw, err)
	}
	for _, raw := range []string{`{"a":1}`, `{"b":2}`} {
		if err := j.SetTold([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		if got, err := j.Told(); string(got) != raw || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := j.SetTold(make([]byte, maxSentinel+1)); err == nil {
		t.Error("more is kept than can be read")
	}
	info, err := os.Stat(filepath.Join(j.Dir(), fileTold))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, e := range entries(t, j.Dir()) {
		if strings.HasPrefix(e, "."+fileTold) {
			t.Errorf("left behind: %s", e)
		}
	}
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names
}
