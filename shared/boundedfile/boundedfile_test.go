//go:build unix

package boundedfile

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

const limit = 1 << 20

// layOut makes a tree with everything that may stand in a file's place, and one file outside of it.
func layOut(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	root := filepath.Join(top, "tree")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "folder"), 0o755))
	must(os.WriteFile(filepath.Join(top, "outside"), []byte("secret"), 0o600))
	must(os.WriteFile(filepath.Join(root, "good"), []byte("text"), 0o600))
	must(os.WriteFile(filepath.Join(root, "empty"), nil, 0o600))
	must(os.WriteFile(filepath.Join(root, "full"), make([]byte, limit), 0o600))
	must(os.WriteFile(filepath.Join(root, "over"), make([]byte, limit+1), 0o600))
	must(os.WriteFile(filepath.Join(root, "sparse"), nil, 0o600))
	must(os.Truncate(filepath.Join(root, "sparse"), 500<<20))
	must(syscall.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	for name, target := range map[string]string{
		"inside": "good", "folder/up": "../good", "through": "inside", "out": "../outside", "absolute": filepath.Join(root, "good"),
		"zero": "/dev/zero", "proc": "/proc/self/environ", "broken": "missing", "loop": "loop", "to-fifo": "fifo", "to-folder": "folder", "folder/far": "../../outside",
	} {
		must(os.Symlink(target, filepath.Join(root, name)))
	}
	return root
}

func TestReadIn(t *testing.T) {
	dir := layOut(t)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	for name, want := range map[string]string{
		"good": "", "empty": "", "full": "", "inside": "", "folder/up": "", "through": "",
		"over": ReasonTooLarge, "sparse": ReasonTooLarge,
		"fifo": ReasonIrregular, "folder": ReasonIrregular, "to-fifo": ReasonIrregular, "to-folder": ReasonIrregular,
		"out": ReasonLink, "absolute": ReasonLink, "zero": ReasonLink, "proc": ReasonLink, "loop": ReasonLink, "folder/far": ReasonLink,
	} {
		check(t, name, want, func() ([]byte, error) { return ReadIn(root, name, limit) })
		// The same by way of a file system.
		check(t, name, want, func() ([]byte, error) { return fs.ReadFile(FS(root, limit), name) })
	}
	for _, name := range []string{"missing", "broken", "folder/missing"} {
		if _, err := ReadIn(root, name, limit); !errors.Is(err, fs.ErrNotExist) || Refused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"../outside", "/etc/hostname", ""} {
		if raw, err := ReadIn(root, name, limit); err == nil {
			t.Errorf("%s: read %q", name, raw)
		}
	}
}

func TestRead(t *testing.T) {
	dir := layOut(t)
	for name, want := range map[string]string{
		"good": "", "empty": "", "full": "", "over": ReasonTooLarge, "sparse": ReasonTooLarge,
		"fifo": ReasonIrregular, "folder": ReasonIrregular,
		"inside": ReasonLink, "out": ReasonLink, "zero": ReasonLink, "broken": ReasonLink, "loop": ReasonLink, "to-fifo": ReasonLink,
	} {
		check(t, name, want, func() ([]byte, error) { return Read(filepath.Join(dir, name), limit) })
	}
	for _, device := range []string{"/dev/zero", "/dev/tty", "/dev/null"} {
		check(t, device, ReasonIrregular, func() ([]byte, error) { return Read(device, limit) })
	}
	if _, err := Read(filepath.Join(dir, "missing"), limit); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A socket, whose path must be short.
func TestSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "bf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	check(t, "socket", ReasonIrregular, func() ([]byte, error) { return Read(filepath.Join(dir, "s"), limit) })
}

// Files of /proc say that they are empty.
func TestFilesThatSayNoSize(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	if raw, err := Read("/proc/meminfo", limit); err != nil || !strings.Contains(string(raw), "MemTotal") {
		t.Errorf("%v, %d bytes", err, len(raw))
	}
	check(t, "meminfo", ReasonTooLarge, func() ([]byte, error) { return Read("/proc/meminfo", 10) })
}

// What is too large is not in memory before it is refused.
func TestMemoryIsBounded(t *testing.T) {
	dir := layOut(t)
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	before := allocated()
	for range 10 {
		check(t, "sparse", ReasonTooLarge, func() ([]byte, error) { return Read(filepath.Join(dir, "sparse"), limit) })
	}
	if got := allocated() - before; got > 10*limit {
		t.Errorf("%d bytes were allocated", got)
	}
}

// TestOpenReturns looks at the race between looking and opening: the flags alone keep an open of a FIFO from waiting.
func TestOpenReturns(t *testing.T) {
	dir := layOut(t)
	good, err := os.Lstat(filepath.Join(dir, "good"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"fifo": ReasonIrregular, "folder": ReasonIrregular, "full": ReasonIrregular} {
		file, err := os.OpenFile(filepath.Join(dir, name), os.O_RDONLY|flags|noFollow, 0)
		if err != nil {
			t.Fatal(name, err)
		}
		check(t, name, want, func() ([]byte, error) { return read(file, name, good, limit) })
	}
	if file, err := os.OpenFile(filepath.Join(dir, "inside"), os.O_RDONLY|flags|noFollow, 0); err == nil {
		t.Errorf("followed the link %s", file.Name())
	}
}

func check(t *testing.T, name, reason string, read func() ([]byte, error)) {
	t.Helper()
	raw, err := read()
	switch {
	case reason == "" && err != nil, reason != "" && fault.ReasonOf(err) != reason:
		t.Errorf("%s: got %v, want %q", name, err, reason)
	case reason != "" && (raw != nil || fault.KindOf(err) != fault.Invalid || !Refused(err)):
		t.Errorf("%s: %q, %v", name, raw, err)
	}
}
