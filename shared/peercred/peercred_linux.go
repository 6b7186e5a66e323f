package peercred

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Supported is whether the system tells who is at the other end.
const Supported = true

// Of asks the kernel who is at the other end (SO_PEERCRED and SO_PEERGROUPS, unix(7)).
func Of(conn syscall.Conn) (Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var p Peer
	var asked error
	if err := raw.Control(func(fd uintptr) { p, asked = of(int(fd)) }); err != nil {
		return Peer{}, err
	}
	return p, asked
}

func of(fd int) (Peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, fmt.Errorf("ask who is at the other end: %w", err)
	}
	if c.Pid == 0 && c.Uid == ^uint32(0) { // a pair of sockets that nobody connected, or no Unix socket
		return Peer{}, fmt.Errorf("ask who is at the other end: %w", unix.ENOTCONN)
	}
	groups, err := groupsOf(fd)
	if err != nil {
		return Peer{}, fmt.Errorf("ask for the groups of the other end: %w", err)
	}
	return Peer{PID: int(c.Pid), UID: c.Uid, GID: c.Gid, Groups: groups}, nil
}

// maxGroups is the most groups a process has (NGROUPS_MAX, setgroups(2)).
const maxGroups = 65536

// groupsOf reads the supplementary groups of the other end. A kernel before 4.13 does not tell, which is an error: to guess
// them by the user's name would be another question.
func groupsOf(fd int) ([]uint32, error) {
	for size := 32; ; size *= 8 {
		groups := make([]uint32, size)
		length := uint32(size * 4) // in bytes
		//nolint:gosec // getsockopt for an array of numbers, which x/sys/unix has no function for
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&length)), 0)
		switch {
		case errno == 0:
			return groups[:length/4], nil
		case errno == unix.ERANGE && size < maxGroups:
		default:
			return nil, errno
		}
	}
}
