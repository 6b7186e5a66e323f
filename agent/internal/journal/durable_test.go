package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/shared/fault"
)

// witness records what is synced, in order, and fails where it is told to.
type witness struct {
	synced []string // "file", or a folder
	broken string   // what fails
}

var errDisk = errors.New("input/output error")

func (w *witness) disk() disk {
	note := func(what string) error {
		w.synced = append(w.synced, what)
		if w.broken == what {
			return errDisk
		}
		return nil
	}
	return disk{
		syncFile: func(f *os.File) error { return errors.Join(note("file"), f.Sync()) },
		syncDir:  func(dir string) error { return errors.Join(note(dir), syncDir(dir)) },
	}
}

func (w *witness) saw(t *testing.T, what string, want ...string) {
	t.Helper()
	if !slices.Equal(w.synced, want) {
		t.Errorf("%s syncs %q, want %q", what, w.synced, want)
	}
	w.synced = nil
}

// What a method has returned survives a power cut: content before name, name before return.
func TestFilesAreSynced(t *testing.T) {
	w, top := &witness{}, t.TempDir()
	dir := filepath.Join(top, "var", "lib", "landfall")
	j, err := openOn(w.disk(), dir, 200, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	// Each new folder is in its parent, then the new journal replaces nothing and gets its name.
	w.saw(t, "making everything", top, filepath.Join(top, "var"), filepath.Join(top, "var", "lib"), dir, dir)
	sha, n := strings.Repeat("a", 40), 0
	next := func() string { n++; return strconv.Itoa(n) } // what is as it was is not written again
	for name, change := range map[string]func() error{
		"the stamp": func() error { return j.SetStamp(sha) },
		"a pause": func() error {
			return j.ChangePause(func(*ports.Pause) *ports.Pause { return &ports.Pause{Reason: next(), Expires: time.Unix(1e9, 0)} })
		},
		"a block": func() error {
			return j.ChangeBlocked(func([]ports.Blocked) []ports.Blocked { return []ports.Blocked{{SHA: sha, Reason: next()}} })
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		w.saw(t, name, "file", dir)
		for _, broken := range []string{"file", dir} {
			w.broken = broken
			err := change()
			wantFault(t, err, fault.Degraded, "STATE_FILE")
			if !errors.Is(err, errDisk) {
				t.Errorf("%s: the disk's error is not told: %v", name, err)
			}
		}
		w.broken, w.synced = "", nil
	}
	if err := j.ChangePause(func(*ports.Pause) *ports.Pause { return nil }); err != nil {
		t.Fatal(err)
	}
	w.saw(t, "no pause", dir)
	noTemporary(t, dir)
}

func TestFoldersAreMadeDurably(t *testing.T) {
	w, top := &witness{}, t.TempDir()
	dir := filepath.Join(top, "a", "b")
	if err := w.disk().makeDir(dir); err != nil {
		t.Fatal(err)
	}
	w.saw(t, "two folders", top, filepath.Join(top, "a"))
	if err := w.disk().makeDir(dir); err != nil {
		t.Fatal(err)
	}
	w.saw(t, "folders that are there")
	w.broken = filepath.Join(top, "c")
	_, err := openOn(w.disk(), filepath.Join(top, "c", "d"), 200, hclog.NewNullLogger())
	wantFault(t, err, fault.Invalid, "STATE_DIR")
	if err := os.WriteFile(filepath.Join(top, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"file", "file/below"} {
		_, err := openOn(w.disk(), filepath.Join(top, dir), 200, hclog.NewNullLogger())
		wantFault(t, err, fault.Invalid, "STATE_DIR")
	}
}
