// Package peercred tells which user is at the other end of a Unix socket.
//
// It promises that the answer is the kernel's, taken when the connection was made: the other end
// can neither choose nor change it. Start reading at [Of].
package peercred

import (
	"errors"
	"os/user"
	"regexp"
	"slices"
	"strconv"
)

// Peer is the process at the other end, as it was when it connected, or began to listen.
type Peer struct {
	PID      int
	UID, GID uint32   // the effective ones
	Groups   []uint32 // the supplementary ones of the process; never looked up by the user's name
}

// ErrUnsupported is the error where the system does not tell.
var ErrUnsupported = errors.New("this system does not tell who is at the other end of a socket")

// In reports whether the process was a member of a group.
func (p Peer) In(gid uint32) bool { return p.GID == gid || slices.Contains(p.Groups, gid) }

// Name is a user for people and records: "1000-chris", or "1000" where no account has the number.
func Name(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	account, err := user.LookupId(number)
	if err != nil {
		return number
	}
	return number + "-" + odd.ReplaceAllString(account.Username[:min(len(account.Username), maxName)], "_")
}

// maxName bounds what is kept of an account's name (useradd(8) allows 32 characters).
const maxName = 48

// odd is what a name must not bring into records and log lines.
var odd = regexp.MustCompile(`[^A-Za-z0-9._-]`)
