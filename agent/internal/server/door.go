package server

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// door is the listener. It bounds what somebody may hold who has proven nothing: whoever is
// over the bound puts out the one that has been at it for longest, of the address that holds
// the most, and among those first one that was refused already or has said nothing yet. So
// the silent cannot lock out those who speak.
type door struct {
	net.Listener
	local  bool // the socket of this host: who comes is proven by the kernel
	limits limits
	put    func() // is called for each that was put out

	mu       sync.Mutex
	underway *list.List     // of *guest, oldest first
	from     map[string]int // handshakes under way, by address
}

func newDoor(l net.Listener, limits limits, put func()) *door {
	return &door{Listener: l, limits: limits, put: put, underway: list.New(), from: map[string]int{}}
}

// stage is how far a guest's handshake is; who has got less far goes first.
type stage int

const (
	lingering stage = iota // refused, and told why
	silent
	spoken
)

// guest is a connection that came in by the door.
type guest struct {
	net.Conn
	door    *door
	address string

	place *list.Element // in door.underway, nil once proven or closed; by door.mu
	stage stage         // by door.mu

	closing sync.Once
	closed  func() // of one that has proven itself; by door.mu
	written atomic.Int64
}

// localAddr is where the callers of the local socket call from.
var localAddr = &net.UnixAddr{Net: "unix", Name: "local"}

// RemoteAddr is where the guest came from. The other end of a Unix socket has no address of its own.
func (g *guest) RemoteAddr() net.Addr {
	if g.door.local {
		return localAddr
	}
	return g.Conn.RemoteAddr()
}

// Write counts what was handed to the kernel; see [connection.owed].
func (g *guest) Write(b []byte) (int, error) {
	n, err := g.Conn.Write(b)
	g.written.Add(int64(n))
	return n, err
}

// Accept takes one connection, and never waits for another's handshake.
func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: conn, door: d, stage: silent}
	g.address = addressOf(g.RemoteAddr())
	for _, out := range d.enter(g) {
		_ = out.Close() // it has been told nothing, and there is nothing to tell
		d.put()
	}
	return g, nil
}

// enter counts a guest, and returns those that must go for it.
func (d *door) enter(g *guest) (out []*guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.from[g.address] >= d.limits.underwayAddress {
		out = append(out, d.putOut(g.address))
	}
	if d.underway.Len() >= d.limits.underway {
		most := ""
		for address, n := range d.from {
			if n > d.from[most] {
				most = address
			}
		}
		out = append(out, d.putOut(most))
	}
	g.place = d.underway.PushBack(g)
	d.from[g.address]++
	return out
}

// putOut takes the guest of an address off the list whose handshake has got least far, of several the oldest.
func (d *door) putOut(address string) *guest {
	var out *guest
	for e := d.underway.Front(); e != nil; e = e.Next() {
		g := e.Value.(*guest)
		if g.address != address {
			continue
		}
		if g.stage == silent && (out == nil || out.stage > silent) && g.speaks() {
			g.stage = spoken
		}
		if out == nil || g.stage < out.stage {
			out = g
		}
	}
	d.forget(out)
	return out
}

// leastHello is less than any TLS 1.3 ClientHello has, in bytes: version, random and the extensions that RFC 8446, 9.2
// makes mandatory.
const leastHello = 64

// recordHandshake is the first byte of a TLS handshake (RFC 8446, 5.1).
const recordHandshake = 22

// speaks reports whether a greeting lies in the kernel that we had no time to read: under a
// flood those who speak must not go for that.
func (g *guest) speaks() (yes bool) {
	raw, ok := g.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	conn, err := raw.SyscallConn()
	if err != nil {
		return false
	}
	err = conn.Control(func(fd uintptr) {
		var look [leastHello]byte
		n, _, err := unix.Recvfrom(int(fd), look[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		yes = err == nil && n == leastHello && look[0] == recordHandshake
	})
	return err == nil && yes
}

// forget takes a guest off the list.
func (d *door) forget(g *guest) {
	if g.place == nil {
		return
	}
	d.underway.Remove(g.place)
	g.place = nil
	if d.from[g.address]--; d.from[g.address] == 0 {
		delete(d.from, g.address)
	}
}

// Greeted and Lingers note how far the handshake is; see [identity.Greeter].
func (g *guest) Greeted() { g.reach(spoken) }

// Lingers; see Greeted.
func (g *guest) Lingers() { g.reach(lingering) }

func (g *guest) reach(s stage) {
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	g.stage = s
}

// proven takes the guest out of the door's count; closed is called when it closes. It is
// false when the guest was put out or closed already.
func (g *guest) proven(closed func()) bool {
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	if g.place == nil {
		return false
	}
	g.closed = closed
	g.door.forget(g)
	return true
}

// Close closes the connection; again is no error.
func (g *guest) Close() (err error) {
	g.closing.Do(func() {
		err = g.Conn.Close()
		g.door.mu.Lock()
		g.door.forget(g)
		closed := g.closed
		g.door.mu.Unlock()
		if closed != nil {
			closed()
		}
	})
	return err
}

// addressOf is whom a connection is counted for: an address, with IPv6 a /64, which one subscriber has.
func addressOf(a net.Addr) string {
	tcp, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	ip := tcp.Addr().Unmap()
	if ip.Is6() {
		if prefix, err := ip.WithZone("").Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return ip.String()
}
