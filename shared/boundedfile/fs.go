package boundedfile

import (
	"io/fs"
	"os"
)

// FS is root as a file system whose files are read by [ReadIn]. Opening one is refused for what is neither a regular file
// nor a folder.
func FS(root *os.Root, limit int64) fs.FS { return tree{FS: root.FS(), root: root, limit: limit} }

type tree struct {
	fs.FS
	root  *os.Root
	limit int64
}

var (
	_ fs.ReadFileFS = tree{}
	_ fs.StatFS     = tree{}
	_ fs.ReadDirFS  = tree{}
)

// Open implements fs.FS.
func (t tree) Open(name string) (fs.File, error) {
	info, err := fs.Stat(t.FS, name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if err := regular(name, info); err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
	return t.FS.Open(name)
}

// ReadFile implements fs.ReadFileFS.
func (t tree) ReadFile(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	return ReadIn(t.root, name, t.limit)
}

// Stat implements fs.StatFS.
func (t tree) Stat(name string) (fs.FileInfo, error) { return fs.Stat(t.FS, name) }

// ReadDir implements fs.ReadDirFS.
func (t tree) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(t.FS, name) }
