//go:build !linux

package peercred

import "syscall"

// Supported is whether the system tells who is at the other end.
const Supported = false

// Of is not there on this system.
func Of(syscall.Conn) (Peer, error) { return Peer{}, ErrUnsupported }
