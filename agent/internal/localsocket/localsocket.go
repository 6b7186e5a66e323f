// Package localsocket makes the agent's socket in the file system.
//
// It promises that the socket appears under its name with the owner and mode it is to have, that one
// which a dead agent left is replaced while one that somebody serves never is, that nothing else
// in its place is touched. Who may call what is not decided here. Start reading at [Listen].
package localsocket

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// ReasonSocket is the reason of every refusal but [ReasonInUse]; the kind is Invalid.
const ReasonSocket = "SOCKET"

// ReasonInUse is the reason when another agent, or another program, serves the socket; the kind is Refused.
const ReasonInUse = "SOCKET_IN_USE"

// MaxPath bounds the path, in bytes: sun_path has 108 with its end (unix(7)), and the socket is made under a longer name.
const MaxPath = 107 - len(suffixNew)

const (
	suffixNew  = ".new"  // a socket that is being made
	suffixLock = ".lock" // is locked by the agent that serves the socket
)

// NoGroup is for [Access] where no group is to use the socket.
const NoGroup = -1

// Access is who may connect, besides root. The kernel lets nobody else in.
type Access struct {
	UID int // the socket belongs to this user
	GID int // the group that may use it, too; NoGroup is none
}

// Mode is the socket's mode: to connect is to write (unix(7)).
func (a Access) Mode() fs.FileMode {
	if a.GID == NoGroup {
		return 0o600
	}
	return 0o660
}

// Check says whether Listen would refuse a path; it changes nothing. served is whether somebody serves it now.
func Check(path string, a Access) (served bool, err error) {
	if _, err := os.Lstat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return false, parent(path)
	}
	if err := trust.Us().Folder(filepath.Dir(path)); err != nil {
		return false, folder(err)
	}
	return look(path, a)
}

// Listen makes the socket, and its folder where that is missing (/run is empty after each start of a host). Closing the
// listener removes the socket. Where a user that is not root cannot give it away, it stays as far closed as it then is.
func Listen(path string, a Access) (net.Listener, error) {
	if err := makeFolder(path); err != nil {
		return nil, err
	}
	held, err := takeLock(path + suffixLock)
	if err != nil {
		return nil, err
	}
	l, err := listen(path, a)
	if err != nil {
		return nil, errors.Join(err, held.release())
	}
	l.lock = held
	return l, nil
}

func makeFolder(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := parent(path); err != nil {
			return err
		}
		// Whoever uses the socket passes through the folder, whatever our umask is.
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:gosec // see above
			return fault.Wrap(err, fault.Invalid, ReasonSocket, "make the folder of the socket").WithHint("under systemd: RuntimeDirectory=%s; or name another `socket:` in agent.yaml, \"\" for none", filepath.Base(dir))
		} else if err == nil {
			if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
				return fault.Wrap(err, fault.Invalid, ReasonSocket, "open the folder of the socket")
			}
		}
	}
	return folder(trust.Us().Folder(dir))
}

// parent judges the folder that the socket's folder is made in.
func parent(path string) error {
	up := filepath.Dir(filepath.Dir(path))
	err := trust.Us().Folder(up)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(err, fault.Invalid, ReasonSocket, "the folder of the socket cannot be made").WithHint("make %s, or name another `socket:` in agent.yaml", trust.Quote(up))
	}
	return folder(err)
}

func folder(err error) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(err, fault.Invalid, ReasonSocket, "the folder of the socket cannot be believed")
}

// look says whether the path is free, or has a socket that nobody serves (an error else). Nothing else is replaced.
func look(path string, a Access) (served bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fault.Wrap(err, fault.Invalid, ReasonSocket, "look at the socket")
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return false, fault.New(fault.Invalid, ReasonSocket, "%s is there, and is no socket but a %s", path, kind(info.Mode())).
			WithHint("look at it, then move it away, or name another `socket:` in agent.yaml: ls -l %s", trust.Quote(path))
	}
	if uid, ok := trust.Owner(info); ok && !slices.Contains([]int{0, os.Geteuid(), a.UID}, uid) {
		return false, fault.New(fault.Invalid, ReasonSocket, "%s belongs to user %d, who is neither root, nor us, nor the checkout's owner", path, uid).
			WithHint("find out who made it, then: rm %s", trust.Quote(path))
	}
	return answers(path)
}

// dialTimeout bounds the look for somebody who serves: a Unix socket is connected, refused, or its queue is full.
const dialTimeout = 2 * time.Second

// answers reports whether somebody listens on the socket. Only a refusal proves that nobody does.
func answers(path string) (bool, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(context.Background(), "unix", path)
	switch {
	case err == nil:
		return true, conn.Close()
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded):
		return true, nil // its queue is full
	}
	return false, fault.Wrap(err, fault.Invalid, ReasonSocket, "whether somebody serves the socket is not known")
}

func inUse(path, holder string) error {
	return fault.New(fault.Refused, ReasonInUse, "%s is served already%s", path, holder).
		WithHint("another agent may be running; find it with: ss -lxp | grep %s", trust.Quote(path))
}

// listen makes the socket; the lock is held.
func listen(path string, a Access) (*listener, error) {
	switch served, err := look(path, a); {
	case err != nil:
		return nil, err
	case served:
		return nil, inUse(path, "")
	}
	fresh := path + suffixNew
	if info, err := os.Lstat(fresh); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil, fault.New(fault.Invalid, ReasonSocket, "%s is there, and is no socket but a %s", fresh, kind(info.Mode())).
			WithHint("the socket is made under this name; look at it, then move it away")
	}
	_ = os.Remove(fresh) // of an agent that died while it made one; bind tells when it is still there
	// The mode is the socket's own before it has a name, so that nobody connects before it is what it is to be.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0) }) // where that does nothing, the listener's judgement of each caller holds alone
	}}
	made, err := config.Listen(context.Background(), "unix", fresh)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, ReasonSocket, "make the socket")
	}
	l := &listener{Listener: made, path: path}
	made.(*net.UnixListener).SetUnlinkOnClose(false) // it is renamed, and may have a successor
	if err := l.publish(fresh, a); err != nil {
		_ = os.Remove(fresh) // err says why it is of no use
		return nil, errors.Join(fault.Wrap(err, fault.Invalid, ReasonSocket, "make the socket"), made.Close())
	}
	return l, nil
}

// publish gives the socket its owner and mode, then its name.
func (l *listener) publish(fresh string, a Access) error {
	mode := a.Mode()
	if err := os.Lchown(fresh, a.UID, a.GID); err != nil && os.Geteuid() == 0 {
		return err
	} else if err != nil && os.Lchown(fresh, -1, a.GID) != nil {
		mode = 0o600 // we are no member of the group
	}
	if err := os.Chmod(fresh, mode); err != nil {
		return err
	}
	info, err := os.Lstat(fresh)
	if err != nil {
		return err
	}
	l.made = info
	return os.Rename(fresh, l.path)
}

// listener is the socket that serves. Closing it removes what it made.
type listener struct {
	net.Listener
	path string
	made fs.FileInfo
	lock *lock

	closing sync.Once
}

// Close removes the socket if it is still ours, then ends listening. Again is no error.
func (l *listener) Close() (err error) {
	l.closing.Do(func() {
		var errs []error
		if info, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(info, l.made) {
			errs = append(errs, os.Remove(l.path))
		}
		err = errors.Join(append(errs, l.Listener.Close(), l.lock.release())...)
	})
	return err
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "file"
	case mode.IsDir():
		return "folder"
	case mode&fs.ModeSymlink != 0:
		return "link"
	case mode&fs.ModeNamedPipe != 0:
		return "pipe"
	}
	return "device"
}
