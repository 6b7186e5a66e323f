//go:build unix

package starter

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWriteReadsWithinBounds: what is no file of a person's is passed over, and the rest is looked at.
func TestWriteReadsWithinBounds(t *testing.T) {
	root := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, ".github/workflows"), 0o700))
	must(os.WriteFile(filepath.Join(root, "compose.yml"), []byte("name: good\nservices: {web: {image: x}}\n"), 0o600))
	must(os.WriteFile(filepath.Join(root, "compose.huge.yml"), nil, 0o600))
	must(os.Truncate(filepath.Join(root, "compose.huge.yml"), 500<<20))
	must(syscall.Mkfifo(filepath.Join(root, "docker-compose.yml"), 0o600))
	must(syscall.Mkfifo(filepath.Join(root, ".github/workflows/test.yml"), 0o600))
	must(os.Symlink("/dev/zero", filepath.Join(root, "compose.zero.yml")))
	result, err := Write(root, Options{})
	if err != nil || result.Config.Project != "good" || strings.Contains(string(result.Content), "huge") {
		t.Errorf("%v\n%s", err, result.Content)
	}
}
