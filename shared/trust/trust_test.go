package trust_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// stranger is a user that is neither root nor us.
const stranger = 65534

// folder makes DIR/mid/low with DIR/mid/low/file in it, all in order, and returns DIR.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "mid", "low"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "mid", "low", "file"), []byte("x"), 0o644))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, hint string) {
	t.Helper()
	if fault.KindOf(err) != fault.Invalid || !trust.Untrusted(err) || !strings.Contains(err.Error(), hint) {
		t.Errorf("got %v, want a refusal that says %q", err, hint)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"", "mid", "mid/low", "mid/low/file"} {
		for _, mode := range []os.FileMode{0o777, 0o775, 0o757, 0o666, 0o702} {
			dir := folder(t)
			path := filepath.Join(dir, part)
			must(t, os.Chmod(path, mode))
			refused(t, trust.Us().File(filepath.Join(dir, "mid", "low", "file")), "chmod go-w "+path)
			if part != "mid/low/file" {
				refused(t, trust.Us().Folder(filepath.Join(dir, "mid", "low")), "chmod go-w "+path)
			}
		}
	}
	dir := folder(t)
	low := filepath.Join(dir, "mid", "low")
	must(t, trust.Us().Folder(low))
	must(t, trust.Us().File(filepath.Join(low, "file")))
	must(t, os.Chmod(filepath.Join(dir, "mid"), os.ModeSticky|0o777)) // like /tmp
	must(t, trust.Us().Folder(low))
	must(t, os.Chmod(low, os.ModeSticky|0o777)) // but nothing may be planted beside the file
	refused(t, trust.Us().Folder(low), "chmod go-w "+low)
}

func TestOwners(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	for _, part := range []string{"", "mid", "mid/low", "mid/low/file"} {
		dir := folder(t)
		path := filepath.Join(dir, part)
		must(t, os.Chown(path, stranger, -1))
		refused(t, trust.Us().File(filepath.Join(dir, "mid", "low", "file")), "chown -h 0 "+path)
		if err := (trust.Judge{UID: stranger}).File(filepath.Join(dir, "mid", "low", "file")); err != nil {
			t.Errorf("root's and our own files are refused: %v", err)
		}
		refused(t, trust.Judge{UID: 1234}.File(filepath.Join(dir, "mid", "low", "file")), "chown -h 1234 "+path)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	to := func(target string) string {
		link := filepath.Join(t.TempDir(), "link")
		must(t, os.Symlink(target, link))
		return link
	}
	must(t, trust.Us().Folder(to(filepath.Join(dir, "mid", "low"))))
	must(t, trust.Us().File(filepath.Join(to(to(filepath.Join(dir, "mid", "low"))), "file")))
	relative := filepath.Join(dir, "mid", "back")
	must(t, os.Symlink("../mid/low", relative))
	must(t, trust.Us().File(filepath.Join(relative, "file")))

	loop := filepath.Join(dir, "loop")
	must(t, os.Symlink("loop", loop))
	if err := trust.Us().File(loop); err == nil {
		t.Error("a link to itself is trusted")
	}
	open := folder(t)
	must(t, os.Chmod(filepath.Join(open, "mid"), 0o777))
	refused(t, trust.Us().File(filepath.Join(to(to(filepath.Join(open, "mid", "low"))), "file")), filepath.Join(open, "mid"))
	if os.Geteuid() == 0 {
		planted := to(filepath.Join(dir, "mid", "low"))
		must(t, os.Lchown(planted, stranger, -1))
		refused(t, trust.Us().Folder(planted), "chown -h 0 "+planted)
	}
}

func TestReadHangsOnNothing(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	pipe := filepath.Join(dir, "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	done := make(chan error, 1)
	go func() {
		_, _, err := trust.Us().Read(pipe, 10)
		done <- err
	}()
	select {
	case err := <-done:
		refused(t, err, "pipe")
	case <-time.After(10 * time.Second):
		t.Fatal("reading a pipe hangs")
	}
	_, _, err := trust.Us().Read(dir, 10)
	refused(t, err, "folder")
	big := filepath.Join(dir, "big")
	must(t, os.WriteFile(big, make([]byte, 11), 0o600))
	_, _, err = trust.Us().Read(big, 10)
	refused(t, err, "10 bytes")
	must(t, os.Truncate(big, 10))
	if got, _, err := trust.Us().Read(big, 10); err != nil || len(got) != 10 {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/etc/a-b_c.d": "/etc/a-b_c.d", "/a b": "'/a b'", "/a'b": `'/a'\''b'`, "-rf": "'-rf'", "/$(x)": "'/$(x)'"} {
		if got := trust.Quote(path); got != want {
			t.Errorf("%s is quoted %s, want %s", path, got, want)
		}
	}
}
