package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// pipeListener hands out connections that were put into it.
type pipeListener struct{ conns chan net.Conn }

func (p pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-p.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipeListener) Close() error   { return nil }
func (p pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// fakeConn is a connection from an address.
type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

func (f *fakeConn) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", f.from)
	return a
}

func (f *fakeConn) Close() error {
	f.closed = true
	return nil
}

func TestDoorPutsOutWhoHasGotLeastFar(t *testing.T) {
	t.Parallel()
	in := pipeListener{make(chan net.Conn, 1)}
	put := 0
	d := newDoor(in, limits{underway: 4, underwayAddress: 3}, func() { put++ })
	enter := func(from string) (*guest, *fakeConn) {
		t.Helper()
		f := &fakeConn{from: from}
		in.conns <- f
		c, err := d.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c.(*guest), f
	}
	a1, f1 := enter("192.0.2.1:1")
	a1.Greeted()
	_, f2 := enter("192.0.2.1:2")
	a3, f3 := enter("192.0.2.1:3")
	_, f4 := enter("192.0.2.1:4") // the address's fourth: its oldest silent one goes
	if f1.closed || !f2.closed || f3.closed {
		t.Errorf("put out: %v %v %v, want the second", f1.closed, f2.closed, f3.closed)
	}
	a3.Greeted()
	a3.Lingers()
	_, _ = enter("192.0.2.2:1")
	_, g := enter("192.0.2.3:1") // the door's fifth: somebody of the address with the most goes, first who was refused
	if f1.closed || !f3.closed || f4.closed || g.closed {
		t.Errorf("put out: %v %v %v %v, want the second", f1.closed, f3.closed, f4.closed, g.closed)
	}
	told := false
	if !a1.proven(func() { told = true }) || a3.proven(nil) {
		t.Error("who is inside is not known")
	}
	_ = a1.Close()
	_ = a1.Close()
	if !told || !f1.closed || put != 2 || d.underway.Len() != 3 || d.from["192.0.2.1"] != 1 {
		t.Errorf("told %v, %d put out, %d under way, %v", told, put, d.underway.Len(), d.from)
	}
}

func TestAddressesAreCountedForSubscribers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8:1:2:3::4]:1": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64",
	} {
		if got := addressOf((&fakeConn{from: in}).RemoteAddr()); got != want {
			t.Errorf("%s is counted for %s, want %s", in, got, want)
		}
	}
}

// Anybody can be refused as often as he likes: that is counted, not written line by line.
func TestRefusalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tally := newTally(hclog.New(&hclog.LoggerOptions{Output: &out}), time.Minute)
		written := func() string {
			tally.mu.Lock() // a timer writes, too
			defer tally.mu.Unlock()
			return out.String()
		}
		for range 5000 {
			tally.add("identity", "X", "error", errors.New("refused"))
		}
		for range 500 {
			tally.add("identity", "Y", "error", errors.New("another reason"))
		}
		if n := strings.Count(written(), "\n"); n != 2 {
			t.Errorf("%d lines at once:\n%s", n, written())
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if n := strings.Count(written(), "\n"); n != 4 || !strings.Contains(written(), "more_of_them=4999") || !strings.Contains(written(), "more_of_them=499") {
			t.Errorf("%d lines after a minute:\n%s", n, written())
		}
		for i := range 1000 {
			tally.add("identity", string(rune('a'+i)), "error", errors.New("many kinds"))
		}
		if len(tally.kinds) > maxKinds+1 {
			t.Errorf("%d kinds are remembered", len(tally.kinds))
		}
		tally.close()
	})
}

// limited is a bench whose server has small limits.
func limited(t *testing.T, change func(*limits)) *bench {
	t.Helper()
	l := defaults()
	change(&l)
	return newBenchLimited(t, l)
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	b := limited(t, func(l *limits) { l.watches, l.watchesOne = 8, 4 })
	watch := func(conn *grpc.ClientConn) error {
		stream, err := healthv1.NewHealthClient(conn).Watch(b.context(), &healthv1.HealthCheckRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	conn := b.dial(identity.RoleObserver)
	for i := range 6 {
		err := watch(conn)
		switch {
		case i < 4 && err != nil:
			t.Errorf("stream %d: %v", i, err)
		case i >= 4:
			requireStatus(t, err, codes.ResourceExhausted, reasonBusy)
		}
	}
	if _, err := landfallv1.NewGitOpsServiceClient(conn).GetGitOps(b.context(), &landfallv1.GetGitOpsRequest{}); err != nil {
		t.Errorf("a call beside the streams: %v", err)
	}
	for range 4 {
		if err := watch(b.dial(identity.RoleDeployer)); err != nil {
			t.Errorf("somebody else's stream: %v", err)
		}
	}
}

func TestObserversLeaveAPart(t *testing.T) {
	t.Parallel()
	c := newCalls(limits{calls: 8, callsPrincipal: 100, watches: 100, watchesOne: 100})
	observer := identity.Principal{Role: identity.RoleObserver, Name: "eve"}
	for range 6 {
		if _, err := c.enter(observer, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.enter(observer, false); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("an observer took more than three quarters: %v", err)
	}
	leave, err := c.enter(identity.Principal{Role: identity.RoleDeployer, Name: "atlas"}, false)
	if err != nil {
		t.Error(err)
	}
	leave()
	leave()
	if c.all.calls != 6 || len(c.of) != 1 {
		t.Errorf("%d calls, of %d", c.all.calls, len(c.of))
	}
}

func TestConnectionsOfOnePrincipal(t *testing.T) {
	t.Parallel()
	b := limited(t, func(l *limits) { l.connectionsPrincipal = 3 })
	first := b.wire(identity.RoleObserver)
	if got := first.call(1, "/landfall.v1.GitOpsService/GetGitOps"); got["grpc-status"] != "0" {
		t.Fatal(got)
	}
	for range 3 {
		if got := b.wire(identity.RoleObserver).call(1, "/landfall.v1.GitOpsService/GetGitOps"); got["grpc-status"] != "0" {
			t.Errorf("a further connection: %v", got)
		}
	}
	if _, err := io.Copy(io.Discard, first.conn); err != nil {
		t.Errorf("the connection that was idle for longest is not closed: %v", err)
	}
	b = limited(t, func(l *limits) { l.connectionsPrincipal = 2 })
	for range 2 { // each with a stream under way
		stream, err := healthv1.NewHealthClient(b.dial(identity.RoleObserver)).Watch(b.context(), &healthv1.HealthCheckRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(b.context(), 2*time.Second)
	defer cancel()
	_, err := landfallv1.NewGitOpsServiceClient(b.dial(identity.RoleObserver)).GetGitOps(ctx, &landfallv1.GetGitOpsRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a connection too many: %v", err)
	}
	if _, err := landfallv1.NewGitOpsServiceClient(b.dial(identity.RoleOperator)).GetGitOps(b.context(), &landfallv1.GetGitOpsRequest{}); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

func TestSilentHandshakesEnd(t *testing.T) {
	t.Parallel()
	b := limited(t, func(l *limits) { l.handshake = 300 * time.Millisecond })
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	_ = conn.SetReadDeadline(began.Add(waiting))
	if _, err := io.Copy(io.Discard, conn); err != nil && fault.KindOf(err) == fault.Deadline {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a silent connection was held for %s", took)
	}
	if d := defaults(); d.handshake != 10*time.Second {
		t.Errorf("handshakes may take %s", d.handshake)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := metadata.AppendToOutgoingContext(b.context(), "x", strings.Repeat("y", 20<<10))
	client := landfallv1.NewGitOpsServiceClient(b.dial(identity.RoleOperator))
	if _, err := client.Resume(ctx, &landfallv1.ResumeRequest{}); err == nil {
		t.Error("20 KiB of headers were read")
	}
	if calls := b.Calls("Sentinels."); len(calls) > 0 {
		t.Errorf("the call was served: %q", calls)
	}
	if _, err := client.Resume(b.context(), &landfallv1.ResumeRequest{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A caller who asks on and on and takes nothing is refused before he costs memory.
func TestUntakenAnswersAreBounded(t *testing.T) {
	t.Parallel()
	cs := newConnections(defaults(), nil)
	c := &connection{guest: &guest{}}
	cs.open[c] = struct{}{}
	c.answered.Store(3 << 20)
	requireStatus(t, cs.owes(c), codes.ResourceExhausted, reasonBusy)
	c.guest.written.Store(2 << 20)
	if err := cs.owes(c); err != nil {
		t.Errorf("one MiB: %v", err)
	}
	for range 40 {
		other := &connection{guest: &guest{}}
		other.answered.Store(1 << 20)
		cs.open[other] = struct{}{}
	}
	requireStatus(t, cs.owes(c), codes.ResourceExhausted, reasonBusy)
	c.guest.written.Store(3 << 20)
	if err := cs.owes(c); err != nil {
		t.Errorf("who owes nothing: %v", err)
	}
}

// Stop ends everything that New and Serve began, under load too.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var group sync.WaitGroup
	for range 20 {
		client := b.diagnostics()
		group.Go(func() { _, _ = client.ListServices(b.context(), &landfallv1.ListServicesRequest{}) })
	}
	group.Wait()
}
