package telling

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/process"
)

// script writes a program and returns its path.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tell")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func us(t *testing.T) *process.Owner {
	t.Helper()
	owner, err := process.LookupOwner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return owner
}

func TestTheCommandReadsTheDocument(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
	t.Setenv("HTTPS_PROXY", "http://user:hunter2@proxy:3128")
	dir := t.TempDir()
	c := NewCommand([]string{script(t, `cat > "$1"; env > "$2"; pwd > "$3"; ps -o pgid= -p $$ > "$4"`), dir + "/in", dir + "/env", dir + "/pwd", dir + "/pgid"}, us(t), nil, 0)
	big, err := json.Marshal(Document{Version: 1, Text: strings.Repeat("ü\"\n", 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	if o := c.Send(t.Context(), Parcel{Letter: Letter{Body: big}}); o.Fate != Delivered || o.Err != nil {
		t.Fatal(o)
	}
	read := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if read("in") != string(big)+"\n" {
		t.Errorf("it read %d bytes, not %d", len(read("in")), len(big)+1)
	}
	if env := read("env"); strings.Contains(env, "CREDENTIALS") || strings.Contains(env, "PROXY") || !strings.Contains(env, "PATH=") {
		t.Errorf("environment:\n%s", env)
	}
	if read("pwd") != "/\n" {
		t.Errorf("it runs in %s", read("pwd"))
	}
}

func TestHowACommandEnds(t *testing.T) {
	t.Parallel()
	body := []byte(`{"text":"` + strings.Repeat("x", 1<<20) + `"}`)
	for name, c := range map[string]struct {
		lines string
		fate  Fate
	}{
		"well":                    {"cat >/dev/null", Delivered},
		"reads nothing":           {"exit 0", Delivered},
		"fails":                   {"echo no >&2; exit 3", Later},
		"fails and reads nothing": {"exec false", Later},
		"hangs":                   {"trap '' TERM; sleep 60 & wait; sleep 60", Unsure},
		"floods":                  {"yes", Unsure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			o := NewCommand([]string{script(t, c.lines)}, us(t), nil, time.Second).Send(t.Context(), Parcel{Letter: Letter{Body: body}})
			if o.Fate != c.fate || (o.Err == nil) != (c.fate == Delivered) {
				t.Errorf("%v", o)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	missing := NewCommand([]string{"/nowhere/apprise"}, us(t), nil, time.Second)
	if o := missing.Send(t.Context(), Parcel{Letter: Letter{Body: body}}); o.Fate != Later {
		t.Errorf("a program that is not there: %v", o)
	}
}

// As root the command runs as the checkout's owner.
func TestTheCommandRunsAsTheOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	dir, err := os.MkdirTemp("", "landfall-tell-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	owner := &process.Owner{UID: 41235, GID: 41236, Groups: []uint32{41236}}
	if o := NewCommand([]string{"/bin/sh", "-c", `id -u > "$0/id"; id -G >> "$0/id"`, dir}, owner, nil, 0).Send(t.Context(), Parcel{}); o.Err != nil {
		t.Fatal(o)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "id"))
	if err != nil || string(raw) != "41235\n41236\n" {
		t.Errorf("%q %v", raw, err)
	}
}
