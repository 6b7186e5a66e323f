package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// reasonStateDir is the reason when state_dir is not what it must be; the kind is Invalid.
const reasonStateDir = "STATE_DIR"

// dirSide is the one entry that may belong to somebody else: the checkout's owner.
const dirSide = "side"

// maxSentinel bounds what is read of an operators' file, in bytes.
const maxSentinel = 1 << 20

// Check says whether Open would refuse a state directory for who can write it; it changes
// nothing. One that is not there yet is in order.
func Check(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := guard(dir, false)
	return err
}

// guard refuses a state directory that somebody else than root and us can write to, or has
// written to: what lies in it decides what runs next. What only we have made too open is
// tightened. The returned names are those whose mode was changed.
func guard(dir string, change bool) (tightened []string, err error) {
	judge := trust.Us()
	if err := judge.Folder(dir); err != nil {
		return nil, untrusted(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, reasonStateDir, "look into state_dir")
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another agent's temporary file; the lock decides between us
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, reasonStateDir, "look into state_dir")
		}
		open, err := guardEntry(judge, path, info)
		if err == nil && open && change {
			err = tighten(path, info)
		}
		if err != nil {
			return nil, untrusted(err)
		}
		if open {
			tightened = append(tightened, entry.Name())
		}
	}
	return tightened, nil
}

// guardEntry reports whether a file of ours can be used by others, which is mended; what we cannot mend is an error.
func guardEntry(judge trust.Judge, path string, info fs.FileInfo) (open bool, err error) {
	owner, known := trust.Owner(info)
	foreign := known && owner != 0 && owner != judge.UID
	switch {
	case info.IsDir() && filepath.Base(path) == dirSide:
		return false, nil // the checkout judges it, which knows its owner
	case info.IsDir() && foreign:
		return false, fault.New(fault.Invalid, trust.ReasonUntrusted, "%s belongs to user %d, who is neither root nor us", path, owner).
			WithHint("look at what it holds, then move it away")
	case info.IsDir():
		return false, nil
	case info.Mode()&fs.ModeSocket != 0:
		return false, nil // the local socket, given to the checkout's owner, which a dead agent left: its maker judges it, and nothing is read of it
	}
	bits := info.Mode()
	if n, ok := trust.Links(info); ok && n > 1 && bits.IsRegular() {
		return false, fault.New(fault.Invalid, trust.ReasonUntrusted, "%s has %d names, so that what we write lands in another place as well", path, n).
			WithHint("make it a file of its own: cp -p %[1]s %[1]s.own && mv %[1]s.own %[1]s", trust.Quote(path))
	}
	if bits.IsRegular() && !foreign && bits.Perm()&0o077 != 0 {
		return true, nil
	}
	return false, judge.Regular(path, info)
}

// tighten takes from group and others what they may do with a file, which is the one that was looked at.
func tighten(path string, seen fs.FileInfo) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(info, seen) {
		err = fault.New(fault.Invalid, trust.ReasonUntrusted, "%s was replaced while it was looked at", path)
	}
	if err == nil {
		err = f.Chmod(info.Mode().Perm() &^ 0o077)
	}
	return errors.Join(err, f.Close())
}

func untrusted(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return fault.Wrap(err, fault.Invalid, reasonStateDir, "state_dir cannot be believed")
	}
	return fault.Wrap(err, f.Kind, reasonStateDir, "state_dir cannot be believed")
}

// readOwn reads an operators' file as it is now: one that somebody else can write, or a
// link, decides nothing. The error is fs.ErrNotExist when there is none.
func readOwn(judge trust.Judge, path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if err := judge.Regular(path, info); err != nil { // a link is refused here; nobody but root and we can put one there after
		return nil, nil, err
	}
	return judge.Read(path, maxSentinel)
}
