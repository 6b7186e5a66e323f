package checkout

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the name that git gives a blob, no protection of anything
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
)

// Modes of what lies on the disk beside those that git knows.
const (
	modeNothing = ""        // no such path
	modeSpecial = "special" // pipe, socket, device: no commit can hold it
)

// disk looks at what really lies in the tree. It never follows a symbolic link: as root it would
// be led out of the tree. Not safe for concurrent use; good for one look, since it remembers folders.
type disk struct {
	root    *os.Root
	folders map[string]folder
}

// folder is what lies at the place of a folder.
type folder struct {
	exists  bool
	blocker string // path of what lies in its place or in that of a folder above it; "" when nothing does
}

// place is what lies at a path.
type place struct {
	mode    string // one of git's modes, modeNothing or modeSpecial
	size    int64  // bytes
	blocker string // path of what is no folder although the path needs it to be one
}

func (c *Checkout) disk() (*disk, error) {
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return nil, fault.Wrap(err, fault.Failed, "CHECKOUT_MISSING", "open the checkout")
	}
	return &disk{root: root, folders: map[string]folder{".": {exists: true}}}, nil
}

func (d *disk) close() { _ = d.root.Close() } // nothing was written through it

// folder looks at a folder, and at those above it first.
func (d *disk) folder(name string) (folder, error) {
	if f, known := d.folders[name]; known {
		return f, nil
	}
	f, err := d.folder(path.Dir(name))
	if err != nil {
		return f, err
	}
	if f.exists {
		info, err := d.root.Lstat(name)
		switch {
		case nothing(err):
			f.exists = false
		case err != nil:
			return f, err
		case !info.IsDir():
			f = folder{blocker: name}
		}
	}
	d.folders[name] = f
	return f, nil
}

// nothing reports whether there can be nothing at a path.
func nothing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

// at looks at one path.
func (d *disk) at(name string) (place, error) {
	f, err := d.folder(path.Dir(name))
	if err != nil || !f.exists {
		return place{blocker: f.blocker}, err
	}
	info, err := d.root.Lstat(name)
	if nothing(err) {
		return place{}, nil
	}
	if err != nil {
		return place{}, err
	}
	p := place{size: info.Size()}
	switch {
	case info.IsDir():
		p.mode = git.ModeTree
	case info.Mode()&fs.ModeSymlink != 0:
		p.mode = git.ModeSymlink
	case !info.Mode().IsRegular():
		p.mode = modeSpecial
	case info.Mode()&0o100 != 0:
		p.mode = git.ModeExecutable
	default:
		p.mode = git.ModeFile
	}
	return p, nil
}

// file reports whether a commit can hold what lies there.
func (p place) file() bool {
	return p.mode == git.ModeFile || p.mode == git.ModeExecutable || p.mode == git.ModeSymlink
}

// open opens the bytes of a file, or of a link's target.
func (d *disk) open(name string, p place) (io.ReadCloser, int64, error) {
	if p.mode == git.ModeSymlink {
		target, err := d.root.Readlink(name)
		return io.NopCloser(strings.NewReader(target)), int64(len(target)), err
	}
	// A pipe that took the file's place meanwhile must not hold us.
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file any more")
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// id is the name that git gives to a blob of these very bytes, no filter applied, in the
// repository's kind of hash: like names another object of it.
func (d *disk) id(name string, p place, like string) (string, error) {
	content, size, err := d.open(name, p)
	if err != nil {
		return "", err
	}
	h := sha1.New() //nolint:gosec // as above
	if len(like) == 2*sha256.Size {
		h = sha256.New()
	}
	_, _ = fmt.Fprintf(h, "blob %d\x00", size) // a hash takes everything
	_, err = io.Copy(h, content)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, content.Close())
}

// begins reports whether a file holds the first bytes of something, or all of it.
func (d *disk) begins(name string, p place, whole []byte) bool {
	content, size, err := d.open(name, p)
	if err != nil {
		return false
	}
	if size > int64(len(whole)) {
		_ = content.Close() // it was only looked at
		return false
	}
	has, err := io.ReadAll(io.LimitReader(content, size))
	return errors.Join(err, content.Close()) == nil && bytes.HasPrefix(whole, has)
}

// strangers reports whether a folder holds anything but folders that is not tracked. What
// cannot be looked into counts as strange.
func (d *disk) strangers(name string, tracked func(string) bool) bool {
	f, err := d.root.Open(name)
	if err != nil {
		return true
	}
	entries, err := f.ReadDir(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return true
	}
	for _, e := range entries {
		child := path.Join(name, e.Name())
		if e.IsDir() {
			if d.strangers(child, tracked) {
				return true
			}
		} else if !tracked(child) {
			return true
		}
	}
	return false
}
