package journal

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// lock is the kernel's lock on a state directory. It dies with its holder, whatever
// way that goes; the text inside only names the holder.
type lock struct{ f *os.File }

func takeLock(path string) (*lock, error) {
	// Never through a link: the agent, as root, would write into what it leads to.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fault.Wrap(err, fault.Invalid, reasonStateDir, "%s is a link", path).WithHint("look where it leads, then: rm %s", trust.Quote(path))
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, reasonStateDir, "open the lock").WithHint("state_dir must belong to the user the agent runs as")
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 128)
		n, _ := f.ReadAt(holder, 0) // an unreadable holder is an unnamed one
		_ = f.Close()               // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fault.New(fault.Refused, "HOST_LOCKED", "another agent holds %s: %s", path, strings.TrimSpace(string(holder[:n]))).
				WithHint("stop it first; two agents must not share a state_dir")
		}
		return nil, fault.Wrap(err, fault.Internal, reasonStateDir, "lock %s", path)
	}
	info, err := f.Stat()
	if err == nil {
		err = trust.Us().Regular(path, info)
	}
	if err != nil {
		return nil, errors.Join(untrusted(err), f.Close())
	}
	l := &lock{f}
	if err := l.sign(); err != nil {
		return nil, errors.Join(fault.Wrap(err, fault.Failed, reasonStateDir, "write %s", path), l.release())
	}
	return l, nil
}

func (l *lock) sign() error {
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err := l.f.WriteAt([]byte(fmt.Sprintf("pid %d\n", os.Getpid())), 0)
	return err
}

// release gives the lock up. The file stays: removing it would let two agents hold two files of one name.
func (l *lock) release() error { return l.f.Close() }
