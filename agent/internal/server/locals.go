package server

import (
	"net"
	"slices"
	"syscall"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/peercred"
)

// Locals says who of this host may call over the local socket, and as what. Root is an operator always.
type Locals struct {
	Owner     uint32   // the checkout's owner: an operator, too
	Observers []uint32 // groups whose members are observers
}

// localPeer is who the kernel says is at the other end of the local socket.
type localPeer struct {
	peercred.Peer
	err error // the kernel does not tell
}

// lookLocal asks the kernel; what it says was true when the other end connected, and stays.
func lookLocal(conn net.Conn) *localPeer {
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return &localPeer{err: peercred.ErrUnsupported}
	}
	p, err := peercred.Of(raw)
	return &localPeer{Peer: p, err: err}
}

// AuthType names what proved the other end; see [credentials.AuthInfo].
func (c *connection) AuthType() string {
	if c.local != nil {
		return "peercred"
	}
	return c.TLSInfo.AuthType()
}

// admit says who a user of this host is here. One who may not call has a name, no role, and an error that is Unauthenticated.
func (l Locals) admit(p *localPeer) (identity.Principal, error) {
	if p.err != nil {
		return identity.Principal{Local: true, Name: "unknown"},
			fault.Wrap(p.err, fault.Unauthenticated, "PEER_UNKNOWN", "who calls over the local socket is not known, so nobody may")
	}
	who := identity.Principal{Local: true, Role: l.role(p.Peer), Name: peercred.Name(p.UID)}
	if who.Role == "" {
		return who, fault.New(fault.Unauthenticated, "USER_NOT_ALLOWED", "the user %s may not call this agent", who.Name).
			WithHint("root and the owner of the checkout may, and members of the group landfall may look; " +
				"a group counts for who has logged in since he became a member")
	}
	return who, nil
}

// role is what a process of this host may be, "" nothing.
func (l Locals) role(p peercred.Peer) identity.Role {
	switch {
	case p.UID == 0 || p.UID == l.Owner:
		return identity.RoleOperator
	case slices.ContainsFunc(l.Observers, p.In):
		return identity.RoleObserver
	}
	return ""
}
