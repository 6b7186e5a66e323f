// Package peercredtest connects to Unix sockets as other users of this machine.
//
// It promises that the kernel sees the user that was asked for, that the rest of the test goes on as who it is. It
// needs root. Start reading at [Dial].
package peercredtest

import (
	"net"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"ataraxis.dev/landfall/shared/peercred"
)

// Dial connects to a socket as a user with these groups. The caller closes the connection.
func Dial(t testing.TB, path string, as peercred.Peer) (net.Conn, error) {
	t.Helper()
	return being(t, as, func() (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(t.Context(), "unix", path)
	})
}

// Listen makes a socket as a user. The caller closes it.
func Listen(t testing.TB, path string, as peercred.Peer) (net.Listener, error) {
	t.Helper()
	return being(t, as, func() (net.Listener, error) {
		var config net.ListenConfig
		return config.Listen(t.Context(), "unix", path)
	})
}

// being does something as a user.
func being[T any](t testing.TB, as peercred.Peer, do func() (T, error)) (T, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("only root can be somebody else: skip the test, or run it as root")
	}
	var made T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and nobody else is this user
		if err = become(as); err == nil {
			made, err = do()
		}
	}()
	<-done
	return made, err
}

// become changes the credentials of this thread alone: Go's own functions change those of all.
func become(as peercred.Peer) error {
	groups := append([]uint32{}, as.Groups...)
	pointer := unsafe.Pointer(unsafe.SliceData(groups)) //nolint:gosec // x/sys/unix has no function for one thread
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(pointer), 0},
		{unix.SYS_SETRESGID, uintptr(as.GID), uintptr(as.GID), uintptr(as.GID)},
		{unix.SYS_SETRESUID, uintptr(as.UID), uintptr(as.UID), uintptr(as.UID)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	runtime.KeepAlive(groups)
	return nil
}
