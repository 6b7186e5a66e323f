//go:build unix

package workflows

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/fault"
)

// TestWriteIsNotHeldUp puts a FIFO and a link where the temporary file goes.
func TestWriteIsNotHeldUp(t *testing.T) {
	for name, put := range map[string]func(root, path string) error{
		"fifo": func(_, path string) error { return syscall.Mkfifo(path, 0o600) },
		"link": func(root, path string) error { return os.Symlink(filepath.Join(root, "victim"), path) },
	} {
		root := t.TempDir()
		folder := filepath.Join(root, Folder)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "victim"), []byte("kept"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := put(root, filepath.Join(folder, ".a.yml.landfall")); err != nil {
			t.Fatal(err)
		}
		if err := Write(root, []Change{{Path: Folder + "/a.yml", After: []byte("on: push\n")}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if raw, err := boundedfile.Read(filepath.Join(folder, "a.yml"), 100); err != nil || string(raw) != "on: push\n" {
			t.Errorf("%s: %q, %v", name, raw, err)
		}
		if raw, err := os.ReadFile(filepath.Join(root, "victim")); err != nil || string(raw) != "kept" {
			t.Errorf("%s: %q, %v", name, raw, err)
		}
	}
}

// TestCompareReadsWithinBounds: what stands in a rendered file's place may be anything.
func TestCompareReadsWithinBounds(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, Folder, "a.yml")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, put := range []func() error{
		func() error { return syscall.Mkfifo(path, 0o600) },
		func() error { return os.Symlink("/dev/zero", path) },
		func() error { return os.Mkdir(path, 0o700) },
	} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if _, err := Compare(root, []File{{Folder + "/a.yml", []byte("on: push\n")}}, true); fault.ReasonOf(err) != "WORKFLOW_READ" {
			t.Error(err)
		}
	}
}
