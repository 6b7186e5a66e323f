package cli

import (
	"context"
	"net"
	"os"
	"os/user"
	"strconv"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/hostconfig"
	"ataraxis.dev/landfall/agent/internal/localsocket"
	"ataraxis.dev/landfall/agent/internal/server"
	"ataraxis.dev/landfall/shared/peercred"
	"ataraxis.dev/landfall/shared/process"
)

// localGroup is the group of the host whose members may look over the local socket.
const localGroup = "landfall"

// groupID is the number of that group; not ok where the host has no such group. Only its being there is asked: who is a member
// is told by the kernel, of the process that calls.
func groupID() (gid uint32, ok bool) {
	group, err := user.LookupGroup(localGroup)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(group.Gid, 10, 32)
	return uint32(n), err == nil
}

// locals are those of the host who may call over the local socket.
func locals(owner *process.Owner) server.Locals {
	l := server.Locals{Owner: owner.UID}
	if gid, ok := groupID(); ok {
		l.Observers = []uint32{gid}
	}
	return l
}

// access is the same for the kernel, as owner and group of the socket.
func access(owner *process.Owner) localsocket.Access {
	a := localsocket.Access{UID: int(owner.UID), GID: localsocket.NoGroup}
	if gid, ok := groupID(); ok {
		a.GID = int(gid)
	}
	return a
}

// local is the local socket; without a listener there is none.
type local struct{ listener net.Listener }

// listenLocal makes the local socket, where agent.yaml wants one and the system tells who calls.
func listenLocal(c hostconfig.Config, owner *process.Owner, log hclog.Logger) (local, error) {
	switch {
	case c.Socket == "":
		return local{}, nil
	case !peercred.Supported:
		log.Warn("the local socket is not served", "error", peercred.ErrUnsupported)
		return local{}, nil
	}
	a := access(owner)
	l, err := localsocket.Listen(c.Socket, a)
	if err != nil {
		return local{}, err
	}
	log.Info("serving this host", "socket", c.Socket, "operators", peercred.Name(owner.UID), "observers", observers(a))
	if info, err := os.Lstat(c.Socket); err == nil && info.Mode().Perm() != a.Mode() {
		log.Warn("the group cannot use the socket, because only root, or a member, can give it to the group", "group", localGroup)
	}
	return local{l}, nil
}

func observers(a localsocket.Access) string {
	if a.GID == localsocket.NoGroup {
		return "nobody else (the host has no group " + localGroup + ")"
	}
	return "the group " + localGroup
}

// serve serves the socket until the server stops; without one it waits for that.
func (l local) serve(ctx context.Context, s *server.Server) error {
	if l.listener == nil {
		<-ctx.Done()
		return nil
	}
	return s.ServeLocal(l.listener)
}

// close removes the socket.
func (l local) close() {
	if l.listener != nil {
		_ = l.listener.Close() // the server has closed it, or it was never served
	}
}

// checkSocket says who may use the local socket, or why it cannot be made.
func checkSocket(c hostconfig.Config, add func(string, string, error)) {
	if c.Socket == "" {
		add("socket", "none: agent.yaml wants none", nil)
		return
	}
	owner, err := process.LookupOwner(c.Checkout)
	if err != nil {
		return // told of the checkout
	}
	a := access(owner)
	served, err := localsocket.Check(c.Socket, a)
	detail := c.Socket + " is for root, " + peercred.Name(owner.UID) + " and " + observers(a)
	if served {
		detail += "; it is served now"
	}
	add("socket", detail, err)
}
