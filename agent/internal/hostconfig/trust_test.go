package hostconfig

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// Who can write agent.yaml decides whom the agent believes.
func TestLoadAsksWhoCanWrite(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "agent.yaml")
		if err := os.WriteFile(path, []byte("checkout: /srv/fleet\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	refused := func(t *testing.T, path, command string) {
		t.Helper()
		_, err := Load(path)
		if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != trust.ReasonUntrusted || !strings.Contains(err.Error(), command) {
			t.Errorf("got %v, want %q", err, command)
		}
	}
	change := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	good := write(t)
	if _, err := Load(good); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "agent.yaml")
	change(t, os.Symlink(good, link))
	if _, err := Load(link); err != nil {
		t.Errorf("a link of ours: %v", err)
	}
	for _, mode := range []os.FileMode{0o666, 0o664, 0o646} {
		path := write(t)
		change(t, os.Chmod(path, mode))
		refused(t, path, "chmod go-w "+path)
	}
	path := write(t)
	change(t, os.Chmod(filepath.Dir(path), 0o777))
	refused(t, path, "chmod go-w "+filepath.Dir(path))

	pipe := filepath.Join(t.TempDir(), "agent.yaml")
	change(t, syscall.Mkfifo(pipe, 0o600))
	refused(t, pipe, "pipe")

	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	path = write(t)
	change(t, os.Chown(path, 65534, 65534))
	refused(t, path, "chown -h 0 "+path)
}
