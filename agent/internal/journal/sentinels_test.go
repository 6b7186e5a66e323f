package journal

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/peercred"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}

// writer is how the journal names who writes these files.
func writer() string { return "local/" + peercred.Name(uint32(os.Geteuid())) }

// TestAnEmptyPauseIsAPause: `touch gitops-paused` is how people and their scripts pause.
func TestAnEmptyPauseIsAPause(t *testing.T) {
	for _, text := range []string{"", "\n", " \r\n\t"} {
		dir := t.TempDir()
		j := open(t, dir, 200)
		j.PauseByHand(time.Hour)
		path := filepath.Join(dir, filePause)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		at := time.Now().Add(-20 * time.Minute).Truncate(time.Second)
		must(t, os.Chtimes(path, time.Time{}, at))
		got, err := j.Pause()
		want := &ports.Pause{Reason: "by hand", Owner: writer(), Created: at, Expires: at.Add(time.Hour)}
		if err != nil || got == nil || !got.Created.Equal(want.Created) || !got.Expires.Equal(want.Expires) || got.Reason != want.Reason || got.Owner != want.Owner || got.Operation != "" {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, want)
		}
		// A deploy looks at it and leaves it: the file is not rewritten.
		must(t, j.ChangePause(func(p *ports.Pause) *ports.Pause { return p }))
		if content(t, path) != text {
			t.Errorf("a look changed the file to %q", content(t, path))
		}
		must(t, j.ChangePause(func(*ports.Pause) *ports.Pause { return nil })) // resume
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("resume left the file: %v", err)
		}
	}
}

// The time of an empty pause counts from the file, so that it ends, and touching it again prolongs it.
func TestAnEmptyPauseEnds(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, 200)
	path := filepath.Join(dir, filePause)
	must(t, os.WriteFile(path, nil, 0o600))
	for _, c := range []struct {
		age   time.Duration
		holds bool
	}{{0, true}, {59 * time.Minute, true}, {61 * time.Minute, false}, {1000 * time.Hour, false}, {-29 * 24 * time.Hour, true}} {
		must(t, os.Chtimes(path, time.Time{}, time.Now().Add(-c.age)))
		pause, _, err := Sentinels(dir, time.Hour)
		if err != nil || (pause != nil) != c.holds {
			t.Errorf("touched %s ago: %+v, %v", c.age, pause, err)
		}
	}
	must(t, os.Chtimes(path, time.Time{}, time.Now().Add(31*24*time.Hour))) // a clock that was wrong must not pause for ever
	_, _, err := Sentinels(dir, time.Hour)
	wantFault(t, err, fault.Degraded, "SENTINEL_BROKEN")
	wantText(t, err, path, "ahead", "touch")
}

// TestAPlainSHAIsABlock: `echo SHA > blocked-sha`, and `>>` behind what the agent wrote.
func TestAPlainSHAIsABlock(t *testing.T) {
	a, b, long := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 64)
	object := func(sha string) string {
		return `{"sha":"` + sha + `","operation":"op-1-x","reason":"crash","created_at":"2026-01-02T03:04:05Z"}`
	}
	pretty := "{\n  \"sha\": \"" + a + "\",\n  \"reason\": \"of old\"\n}\n"
	for name, c := range map[string]struct {
		text string
		want []string // sha and reason
	}{
		"a line":                {a + "\n", []string{a, "hand"}},
		"without its end":       {a, []string{a, "hand"}},
		"with that of Windows":  {"\n " + a + " \r\n\n", []string{a, "hand"}},
		"of SHA-256":            {long, []string{long, "hand"}},
		"an image":              {"sha256:" + long + "\n", []string{"sha256:" + long, "hand"}},
		"an image's object":     {object("sha256:"+long) + "\n" + a, []string{"sha256:" + long, "crash", a, "hand"}},
		"two lines":             {a + "\n" + b + "\n", []string{a, "hand", b, "hand"}},
		"twice the same":        {a + "\n" + a + "\n", []string{a, "hand"}},
		"behind an object":      {object(a) + "\n" + b + "\n", []string{a, "crash", b, "hand"}},
		"before an object":      {b + "\n" + object(a) + "\n", []string{b, "hand", a, "crash"}},
		"on an object's line":   {object(a) + b, []string{a, "crash", b, "hand"}},
		"behind the old object": {pretty + b, []string{a, "of old", b, "hand"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j := open(t, dir, 200)
			path := filepath.Join(dir, fileBlocked)
			must(t, os.WriteFile(path, []byte(c.text), 0o600))
			at := time.Now().Add(-time.Hour).Truncate(time.Second)
			must(t, os.Chtimes(path, time.Time{}, at))
			blocks, err := j.Blocked()
			var got []string
			for _, block := range blocks {
				reason := block.Reason
				if reason == "by hand, "+writer() && block.Created.Equal(at) && block.Operation == "" {
					reason = "hand"
				}
				got = append(got, block.SHA, reason)
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q is %q, %v, want %q", c.text, got, err, c.want)
			}
		})
	}
	for _, text := range []string{"", "\n", "main", a[:39], a + "a", strings.ToUpper(a), a + " " + b, a + " # why", "sha256:" + a, "sha512:" + long, object(a) + " main", "\xff" + a} {
		dir := t.TempDir()
		j := open(t, dir, 200)
		must(t, os.WriteFile(filepath.Join(dir, fileBlocked), []byte(text), 0o600))
		blocks, err := j.Blocked()
		if blocks != nil {
			t.Errorf("%q blocks %+v", text, blocks)
		}
		wantFault(t, err, fault.Degraded, "SENTINEL_BROKEN")
		wantText(t, err, filepath.Join(dir, fileBlocked), "whole SHA")
	}
}

// What others could have put there decides nothing, and says why.
func TestSentinelsOfOthers(t *testing.T) {
	asRoot(t)
	for _, name := range []string{filePause, fileBlocked} {
		for what, c := range map[string]struct {
			spoil func(path string) error
			says  string
		}{
			"a link":    {func(p string) error { return os.Symlink("/etc/hostname", p) }, "link"},
			"of others": {func(p string) error { return errFirst(os.WriteFile(p, nil, 0o600), os.Chown(p, stranger, stranger)) }, "belongs to user 65534"},
			"open":      {func(p string) error { return errFirst(os.WriteFile(p, nil, 0o600), os.Chmod(p, 0o666)) }, "chmod go-w "},
			"huge":      {func(p string) error { return errFirst(os.WriteFile(p, nil, 0o600), os.Truncate(p, 1<<40)) }, "bytes it may have"},
			"a pipe":    {func(p string) error { return syscall.Mkfifo(p, 0o600) }, "pipe"},
			"a folder":  {func(p string) error { return os.Mkdir(p, 0o700) }, "folder"},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				dir := t.TempDir()
				open(t, dir, 200)
				path := filepath.Join(dir, name)
				must(t, c.spoil(path))
				pause, blocks, err := Sentinels(dir, time.Hour)
				if pause != nil || blocks != nil {
					t.Errorf("it counts: %+v, %+v", pause, blocks)
				}
				wantFault(t, err, fault.Degraded, "STATE_FILE")
				wantText(t, err, path, c.says)
			})
		}
	}
}

func errFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestSentinelsBesideAnAgent: they are read while another process holds the lock, as another user than the agent's, and both
// files whatever is wrong with one.
func TestSentinelsBesideAnAgent(t *testing.T) {
	asRoot(t)
	dir := t.TempDir()
	j := open(t, dir, 200)
	sha := strings.Repeat("a", 40)
	must(t, os.WriteFile(filepath.Join(dir, filePause), []byte("soon"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, fileBlocked), []byte(sha), 0o600))
	pause, blocks, err := Sentinels(dir, time.Hour)
	if pause != nil || len(blocks) != 1 || blocks[0].SHA != sha {
		t.Errorf("%+v, %+v", pause, blocks)
	}
	wantFault(t, err, fault.Degraded, "SENTINEL_BROKEN")

	// An agent of another user: what is his counts, what is a third one's does not.
	must(t, os.Truncate(filepath.Join(dir, filePause), 0))
	for _, path := range []string{dir, filepath.Join(dir, filePause), filepath.Join(dir, fileBlocked)} {
		must(t, os.Chown(path, stranger, stranger))
	}
	pause, blocks, err = Sentinels(dir, time.Hour)
	if err != nil || pause == nil || !strings.HasPrefix(pause.Owner, "local/65534") || len(blocks) != 1 {
		t.Errorf("%+v, %+v, %v", pause, blocks, err)
	}
	must(t, os.Chown(filepath.Join(dir, filePause), 4321, 4321))
	_, _, err = Sentinels(dir, time.Hour)
	wantFault(t, err, fault.Degraded, "STATE_FILE")
	must(t, j.Close())

	_, _, err = Sentinels(filepath.Join(dir, "none"), time.Hour)
	wantFault(t, err, fault.Invalid, "STATE_DIR")
}

// Blocks of people become the agent's own form when it changes the file, and none is lost.
func TestBlocksByHandAreKept(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, 200)
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	must(t, os.WriteFile(filepath.Join(dir, fileBlocked), []byte(a+"\n"), 0o600))
	must(t, j.ChangeBlocked(func(blocks []ports.Blocked) []ports.Blocked {
		return append(blocks, ports.Blocked{SHA: b, Operation: "op-2-x", Reason: "crash", Created: time.Now()})
	}))
	blocks, err := j.Blocked()
	if err != nil || len(blocks) != 2 || blocks[0].SHA != a || blocks[0].Reason != "by hand, "+writer() || blocks[1].SHA != b {
		t.Errorf("%+v, %v", blocks, err)
	}
	if lines := strings.Split(strings.TrimSpace(content(t, filepath.Join(dir, fileBlocked))), "\n"); len(lines) != 2 || lines[0][0] != '{' {
		t.Errorf("the file is %q", lines)
	}
}
