package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// Authority says who may be here at this moment. [identity.Source] is the real one.
type Authority interface {
	// Admit judges the other end of an open connection by the files and the clock of now. The
	// error is Unauthenticated.
	Admit(tls.ConnectionState) (identity.Principal, error)
	// Install takes up a signed revocation list and tells how many certificates are revoked.
	Install(list []byte) (changed bool, revoked int, err error)
	// Renew signs a certificate for a new key of the one at the other end.
	Renew(state tls.ConnectionState, request []byte) (identity.Renewed, error)
	// Troubles are what a person should mend before it keeps somebody out, or in.
	Troubles() []error
}

var _ Authority = (*identity.Source)(nil)

// connection is one connection whose principal was proven. gRPC carries it as its AuthInfo.
type connection struct {
	credentials.TLSInfo            // zero on the local socket, so that no question about a certificate is answered well
	local               *localPeer // nil with TLS
	who                 identity.Principal
	guest               *guest
	ctx                 context.Context //nolint:containedctx // the connection's own life, from which its calls take theirs
	end                 context.CancelCauseFunc

	answered atomic.Int64 // bytes of messages that were handed to gRPC

	strikes int       // looks in a row that found the revocation list broken; by connections.mu
	calls   int       // under way; by connections.mu
	idle    time.Time // since when there is none; by connections.mu
}

// owed is about how many bytes of answers wait for the caller to take them: HTTP/2 lets him
// open no window and ask again.
func (c *connection) owed() int64 { return c.answered.Load() - c.guest.written.Load() }

// connections are all open connections whose principal was proven.
type connections struct {
	limits    limits
	authority Authority
	locals    Locals

	mu   sync.Mutex
	open map[*connection]struct{}
}

func newConnections(l limits, a Authority) *connections {
	return &connections{limits: l, authority: a, open: map[*connection]struct{}{}}
}

// errCrowded is why a connection is closed right after its handshake.
var errCrowded = errors.New("too many connections are open, and each has a call under way")

// guarded are a server's credentials that register each connection.
type guarded struct {
	credentials.TransportCredentials
	connections *connections
}

// ServerHandshake proves the other end and registers its connection.
func (g guarded) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if guest, came := raw.(*guest); came && guest.door.local {
		c, err := g.connections.addLocal(guest)
		if err != nil {
			return nil, nil, err
		}
		return guest, c, nil
	}
	secured, info, err := g.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	c, err := g.connections.add(raw, info)
	if err != nil {
		_ = secured.Close() // err says why
		return nil, nil, err
	}
	return secured, c, nil
}

// Clone shares the connections.
func (g guarded) Clone() credentials.TransportCredentials {
	return guarded{g.TransportCredentials.Clone(), g.connections}
}

// add registers a connection over TLS.
func (cs *connections) add(raw net.Conn, info credentials.AuthInfo) (*connection, error) {
	secured, ok := info.(credentials.TLSInfo)
	guest, came := raw.(*guest)
	if !ok || !came {
		return nil, fault.New(fault.Unauthenticated, "NO_CERTIFICATE", "the connection has no certificate, or did not come by the door")
	}
	who, err := identity.PrincipalFromState(secured.State)
	if err != nil {
		return nil, err
	}
	return cs.register(&connection{TLSInfo: secured, who: who, guest: guest})
}

// addLocal registers a connection of the local socket.
func (cs *connections) addLocal(guest *guest) (*connection, error) {
	peer := lookLocal(guest.Conn)
	who, _ := cs.locals.admit(peer) // who is refused is told so at each call, and can read why
	return cs.register(&connection{local: peer, who: who, guest: guest})
}

// register registers a connection, and puts out an idle one where there are too many.
func (cs *connections) register(c *connection) (*connection, error) {
	c.idle = time.Now()
	c.ctx, c.end = context.WithCancelCause(context.Background())
	cs.mu.Lock()
	out, fits := cs.room(c.who)
	if fits {
		if out != nil {
			delete(cs.open, out)
		}
		cs.open[c] = struct{}{}
	}
	cs.mu.Unlock()
	switch {
	case !fits:
		return nil, errCrowded
	case !c.guest.proven(func() { cs.remove(c) }):
		cs.remove(c)
		return nil, errCrowded
	case out != nil:
		_ = out.guest.Close() // it is idle: its owner dials again when he needs it
	}
	return c, nil
}

// room says whether one more connection of a principal fits, and which one must go for it:
// the one that has been idle for longest, of the principal himself when he has too many.
// Observers leave a part to those who may change something.
func (cs *connections) room(who identity.Principal) (out *connection, fits bool) {
	mine, total := 0, 0
	var own, other *connection
	longer := func(a, b *connection) bool { return b == nil || a.idle.Before(b.idle) }
	for c := range cs.open {
		same := c.who.String() == who.String()
		if same {
			mine++
		}
		if !lesser(who.Role) || lesser(c.who.Role) {
			total++
		}
		switch {
		case c.calls > 0:
		case same && longer(c, own):
			own = c
		case !same && longer(c, other) && (!lesser(who.Role) || lesser(c.who.Role)):
			other = c
		}
	}
	switch {
	case mine >= cs.limits.connectionsPrincipal:
		return own, own != nil
	case total >= share(cs.limits.connections, who.Role):
		if other == nil {
			other = own
		}
		return other, other != nil
	}
	return nil, true
}

// share is how much of a total a role may take: observers leave a quarter to those who may change something.
func share(total int, role identity.Role) int {
	if lesser(role) {
		return total - total/4
	}
	return total
}

// lesser is a role that may change nothing; a refused user of the host has none.
func lesser(role identity.Role) bool { return !slices.Contains(deployers, role) }

func (cs *connections) remove(c *connection) {
	cs.mu.Lock()
	delete(cs.open, c)
	cs.mu.Unlock()
	c.end(errors.New("the connection was closed"))
}

// begin and done count the calls of a connection.
func (cs *connections) begin(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.calls++
}

func (cs *connections) done(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c.calls--; c.calls == 0 {
		c.idle = time.Now()
	}
}

// judge says whether a connection may still be used. One that may not has its calls ended
// at once, is told so for as long as grace, and is closed then.
func (cs *connections) judge(c *connection) error {
	err := cs.admit(c)
	if err == nil {
		return nil
	}
	// A list that is being copied is broken for a moment: new calls are refused at once,
	// what is under way ends when it stays so.
	if fault.ReasonOf(err) != identity.ReasonListBroken {
		cs.finish(c, err)
	}
	return err
}

// admit asks whether the other end may be here now.
func (cs *connections) admit(c *connection) (err error) {
	switch {
	case c.local == nil:
		_, err = cs.authority.Admit(c.State)
	case c.who.Role == "": // what the kernel said when he came does not change, nor does who may be here
		_, err = cs.locals.admit(c.local)
	}
	return err
}

func (cs *connections) finish(c *connection, err error) {
	if c.ctx.Err() != nil {
		return
	}
	c.end(err)
	time.AfterFunc(cs.limits.grace, func() { _ = c.guest.Close() })
}

// strikesOut is how many looks in a row must find the revocation list broken before streams end.
const strikesOut = 3

// watch looks at every connection again and again, until ctx ends: a stream that nothing
// happens on asks nothing itself.
func (cs *connections) watch(ctx context.Context) {
	ticker := time.NewTicker(cs.limits.look)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			cs.look()
		case <-ctx.Done():
			return
		}
	}
}

func (cs *connections) look() {
	for _, c := range cs.all() {
		err := cs.judge(c)
		cs.mu.Lock()
		if c.strikes++; fault.ReasonOf(err) != identity.ReasonListBroken {
			c.strikes = 0
		}
		out := c.strikes >= strikesOut
		cs.mu.Unlock()
		if out {
			cs.finish(c, err)
		}
	}
}

func (cs *connections) all() []*connection {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	all := make([]*connection, 0, len(cs.open))
	for c := range cs.open {
		all = append(all, c)
	}
	return all
}
