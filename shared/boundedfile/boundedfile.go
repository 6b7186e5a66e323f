// Package boundedfile reads files that somebody else may have put where they are.
//
// It promises that a read ends, and holds no more than it was allowed: only regular files are read, nothing waits for the
// other end of a FIFO, no device is opened, and the limit counts before and while the content is read. A link out of the
// tree is never followed. Start reading at [ReadIn]; [Read] is for a single file outside of any tree, [ReadOpen]
// for one whose place somebody else has judged (package trust).
package boundedfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ataraxis.dev/landfall/shared/fault"
)

// The reasons of the faults, all of kind Invalid. Other errors are those of package os, and errors.Is finds fs.ErrNotExist in them.
const (
	ReasonIrregular = "FILE_IRREGULAR" // a folder, a FIFO, a device, a socket
	ReasonTooLarge  = "FILE_TOO_LARGE" // more than the limit
	ReasonLink      = "FILE_LINK"      // a link that must not be followed
)

// Refused reports whether an error is one of this package's own: the file is there, and is not one to read.
func Refused(err error) bool {
	switch fault.ReasonOf(err) {
	case ReasonIrregular, ReasonTooLarge, ReasonLink:
		return true
	}
	return false
}

// Read reads the regular file at path, of limit bytes at most. The last element of path must not be a link; what stands
// before it is the caller's to trust.
func Read(path string, limit int64) ([]byte, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if before.Mode()&fs.ModeSymlink != 0 {
		return nil, fault.New(fault.Invalid, ReasonLink, "%s is a link", path)
	}
	if err := regular(path, before); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|flags|noFollow, 0)
	if err != nil {
		return nil, err
	}
	return read(file, path, before, limit)
}

// ReadIn reads the regular file called name (with slashes) below root, of limit bytes at most. Links are followed as long
// as they stay inside: a link out of the tree, an absolute one too, is a fault of reason [ReasonLink].
func ReadIn(root *os.Root, name string, limit int64) ([]byte, error) {
	local := filepath.FromSlash(name)
	before, err := root.Stat(local)
	if err != nil {
		return nil, escaped(root, local, err)
	}
	if err := regular(name, before); err != nil {
		return nil, err
	}
	file, err := root.OpenFile(local, os.O_RDONLY|flags, 0)
	if err != nil {
		return nil, escaped(root, local, err)
	}
	return read(file, name, before, limit)
}

// escaped gives the error of a link that leads out of root its reason. The os package has no value to compare with.
func escaped(root *os.Root, name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info, lstatErr := root.Lstat(name); lstatErr == nil && info.Mode()&fs.ModeSymlink != 0 {
		return fault.Wrap(err, fault.Invalid, ReasonLink, "%s is a link that leads nowhere within the tree", filepath.ToSlash(name))
	}
	return err
}

func regular(name string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return fault.New(fault.Invalid, ReasonIrregular, "%s is %s, not a regular file", name, kindOf(info.Mode()))
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return fmt.Sprintf("of the type %s", mode.Type())
}

// read reads an open file whole, and closes it. What was opened is asked again what it is: it may be another one by now.
func read(file *os.File, name string, before fs.FileInfo, limit int64) ([]byte, error) {
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(before, info) {
		return nil, fault.New(fault.Invalid, ReasonIrregular, "%s became another file while it was opened", name)
	}
	return ReadOpen(file, name, limit)
}

// ReadOpen reads a file whole that is open already, and leaves it open: whoever opened it has judged where it lies. name is for errors.
func ReadOpen(file *os.File, name string, limit int64) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := regular(name, info); err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, tooLarge(name, limit)
	}
	raw, err := io.ReadAll(io.LimitReader(file, limit+1)) // files of /proc, and growing ones, have another size than they say
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, tooLarge(name, limit)
	}
	return raw, nil
}

func tooLarge(name string, limit int64) error {
	return fault.New(fault.Invalid, ReasonTooLarge, "%s has more than the %d bytes allowed", name, limit)
}
