package localsocket

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// lock is the kernel's lock that the agent holds which serves a socket: between the look at a stale socket and its replacement
// nobody else makes one. It dies with its holder; the text inside only names him. The file goes with an orderly release.
type lock struct {
	f    *os.File
	path string
}

// takeLock takes the lock of a file that is still the one of its name: a release removes it.
func takeLock(path string) (*lock, error) {
	for range 100 { // each time somebody else has taken and released it between
		l, current, err := tryLock(path)
		if err != nil || current {
			return l, err
		}
	}
	return nil, fault.New(fault.Invalid, ReasonSocket, "%s is taken and released again and again", path)
}

func tryLock(path string) (_ *lock, current bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, false, fault.Wrap(err, fault.Invalid, ReasonSocket, "open the socket's lock")
	}
	l := &lock{f, path}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 128)
		n, _ := f.ReadAt(holder, 0) // an unreadable holder is an unnamed one
		_ = f.Close()               // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, false, inUse(strings.TrimSuffix(path, suffixLock), ", by "+strings.TrimSpace(string(holder[:n])))
		}
		return nil, false, fault.Wrap(err, fault.Invalid, ReasonSocket, "lock %s", path)
	}
	mine, err := f.Stat()
	if err == nil {
		err = trust.Us().Regular(path, mine)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, false, fault.Wrap(err, fault.Invalid, ReasonSocket, "the socket's lock cannot be believed")
	}
	if named, err := os.Lstat(path); err != nil || !os.SameFile(mine, named) {
		return nil, false, f.Close()
	}
	l.sign()
	return l, true, nil
}

// sign names the holder. A disk that is too full for it is no reason not to serve.
func (l *lock) sign() {
	if l.f.Truncate(0) == nil {
		_, _ = l.f.WriteAt(fmt.Appendf(nil, "pid %d\n", os.Getpid()), 0)
	}
}

// release removes the file while it is locked, then gives the lock up.
func (l *lock) release() error { return errors.Join(os.Remove(l.path), l.f.Close()) }
