package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// seed makes the faults of a run; the one that LANDFALL_SEED gives, to see a failure again.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := rand.Uint64()
	if text := os.Getenv("LANDFALL_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("LANDFALL_SEED: %v", err)
		}
	}
	t.Logf("faults of LANDFALL_SEED=%d", n)
	return n
}

// badLine is a TCP proxy that cuts, stalls and delays connections at random bytes, TLS
// handshakes included, once it is told to.
type badLine struct {
	t        *testing.T
	listener net.Listener
	target   string
	seed     uint64
	least    int // bytes that pass at least before the next fault
	most     int
	enough   int64 // cuts after which the line is good again; 0 is never

	bad                  atomic.Bool
	cuts, stalls, delays atomic.Int64
	connections          atomic.Uint64
	group                sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
}

// newBadLine stands between a coordinator and the agent at target until the test ends.
func newBadLine(t *testing.T, target string, least, most int) *badLine {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &badLine{t: t, listener: listener, target: target, seed: seed(t), least: least, most: most, open: map[net.Conn]bool{}}
	b.group.Go(b.accept)
	t.Cleanup(func() {
		_ = listener.Close() // ends accept
		b.mu.Lock()
		for c := range b.open {
			_ = c.Close() // ends its copies
		}
		b.mu.Unlock()
		b.group.Wait()
	})
	return b
}

func (b *badLine) address() string { return b.listener.Addr().String() }

func (b *badLine) String() string {
	return fmt.Sprintf("%d connections, %d cuts, %d stalls, %d delays", b.connections.Load(), b.cuts.Load(), b.stalls.Load(), b.delays.Load())
}

func (b *badLine) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		agent, err := net.DialTimeout("tcp", b.target, time.Second)
		if err != nil {
			_ = client.Close() // the agent is away: so are we
			continue
		}
		n := b.connections.Add(1)
		b.mu.Lock()
		b.open[client], b.open[agent] = true, true
		b.mu.Unlock()
		end := sync.OnceFunc(func() {
			for _, c := range []net.Conn{client, agent} {
				_ = c.(*net.TCPConn).SetLinger(0) // a reset, as a broken line makes; it may be closed already
				_ = c.Close()
			}
			b.mu.Lock()
			delete(b.open, client)
			delete(b.open, agent)
			b.mu.Unlock()
		})
		for direction, ends := range [][2]net.Conn{{client, agent}, {agent, client}} {
			faults := rand.New(rand.NewPCG(b.seed, 2*n+uint64(direction)))
			b.group.Go(func() {
				defer end()
				b.carry(ends[1], ends[0], faults)
			})
		}
	}
}

// carry copies bytes until one side ends or a fault cuts them.
func (b *badLine) carry(to io.Writer, from io.Reader, faults *rand.Rand) {
	left := b.least + faults.IntN(b.most-b.least)
	buffer := make([]byte, 16<<10)
	for {
		room := len(buffer)
		if b.bad.Load() {
			room = min(room, left)
		}
		n, err := from.Read(buffer[:room])
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
		if !b.bad.Load() {
			continue
		}
		if left -= n; left > 0 {
			continue
		}
		if b.fault(faults) {
			return
		}
		left = b.least + faults.IntN(b.most-b.least)
	}
}

// fault does one fault; true is a cut.
func (b *badLine) fault(faults *rand.Rand) bool {
	switch faults.IntN(4) {
	case 0:
		b.stalls.Add(1)
		<-time.After(time.Duration(100+faults.IntN(900)) * time.Millisecond)
	case 1:
		b.delays.Add(1)
		<-time.After(time.Duration(1+faults.IntN(50)) * time.Millisecond)
	default:
		if n := b.cuts.Add(1); n == b.enough {
			b.bad.Store(false)
		}
		return true
	}
	return false
}
