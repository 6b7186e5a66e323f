package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"ataraxis.dev/landfall/agent/internal/journal"
	"ataraxis.dev/landfall/agent/internal/operation"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/identity"
)

// What a flood may do to the agent, and to somebody else's call meanwhile.
const (
	mostMemory = 150 << 20 // bytes of RSS
	mostFiles  = 256
	mostWait   = time.Second
)

// serveEnv makes the test binary an agent: it serves the agent.yaml that it names.
const serveEnv = "AGENT_TEST_SERVE"

// binaryEnv names an agent's binary to flood in place of this one, to compare figures with.
const binaryEnv = "AGENT_FLOOD_BINARY"

func TestMain(m *testing.M) {
	if config := os.Getenv(serveEnv); config != "" {
		os.Exit(Run([]string{"serve", "--config", config}, command.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	os.Exit(m.Run())
}

// besieged is a real agent in a process of its own, with people who may call it.
type besieged struct {
	t       *testing.T
	machine *machine
	people  map[string]string // identity folders: observer, operator
	pid     int
	log     *lockedBuffer
	big     string // an operation with 16 MiB of output
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// besiege starts an agent.
func besiege(t *testing.T) *besieged {
	t.Helper()
	if testing.Short() {
		t.Skip("floods take some seconds each")
	}
	noEngine(t)
	b := &besieged{t: t, machine: newMachine(t, ""), people: map[string]string{}, log: &lockedBuffer{}}
	ca, err := identity.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, req := range map[string]identity.Request{
		"agent": {Role: identity.RoleAgent, Name: "caroline", Hosts: []string{"127.0.0.1"}}, "observer": {Role: identity.RoleObserver, Name: "eve"},
		"operator": {Role: identity.RoleOperator, Name: "ada"},
	} {
		bundle, err := ca.Issue(req, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		b.people[name] = filepath.Join(t.TempDir(), name)
		if err := bundle.Replace(b.people[name]); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(b.machine.config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("identity: "+b.machine.dir+"/identity"), []byte("identity: "+b.people["agent"]), 1)
	if err := os.WriteFile(b.machine.config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	b.big = bigOperation(t, filepath.Join(b.machine.dir, "state"))
	b.start()
	return b
}

// bigOperation records an operation with 16 MiB of output.
func bigOperation(t *testing.T, state string) string {
	t.Helper()
	j, err := journal.Open(state, 200, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	op, _, err := j.Create(operation.Event{Sequence: 1, Time: time.Now(), Accepted: &operation.Accepted{CommandID: "big", Kind: operation.KindDeploy, Requester: "operator/ada"}})
	if err != nil {
		t.Fatal(err)
	}
	var events []operation.Event
	for i := range 4096 {
		events = append(events, operation.Event{Sequence: uint64(i) + 2, Time: time.Now(), Output: &operation.OutputLine{StepID: "s", Text: strings.Repeat("x", 4<<10)}})
	}
	if err := errors.Join(j.Append(op.ID, events), j.Close()); err != nil {
		t.Fatal(err)
	}
	return op.ID
}

func (b *besieged) start() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0])
	if binary := os.Getenv(binaryEnv); binary != "" {
		cmd = exec.CommandContext(ctx, binary, "serve", "--config", b.machine.config)
	}
	cmd.Env = append(os.Environ(), serveEnv+"="+b.machine.config, "GORACE=halt_on_error=1")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.pid = cmd.Process.Pid
	serving, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			_, _ = b.log.Write(append(lines.Bytes(), '\n'))
			if strings.Contains(lines.Text(), "serving: ") {
				close(serving)
			}
		}
	}()
	b.t.Cleanup(func() {
		cancel()
		<-over
		_ = cmd.Wait() // killed by us
		if b.t.Failed() {
			text := b.log.String()
			b.t.Logf("the agent's log ends:\n%s", text[max(0, len(text)-4000):])
		}
	})
	select {
	case <-serving:
	case <-over:
		b.t.Fatalf("the agent did not start:\n%s", b.log)
	case <-time.After(30 * time.Second):
		b.t.Fatal("the agent does not serve")
	}
}

func (b *besieged) source(who string) *identity.Source {
	b.t.Helper()
	s, err := identity.Open(b.people[who], identity.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *besieged) dial(who string) *grpc.ClientConn {
	b.t.Helper()
	// As the coordinator dials: who was put out at the door comes again soon, not after gRPC's own second.
	again := grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}, MinConnectTimeout: 10 * time.Second}
	conn, err := grpc.NewClient("passthrough:///"+b.machine.address, grpc.WithTransportCredentials(b.source(who).ClientCredentials()), grpc.WithConnectParams(again))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// memory is the agent's RSS in bytes, files its open files, children its processes.
func (b *besieged) memory() int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", b.pid))
	if err != nil {
		b.t.Fatalf("the agent is gone: %v", err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(raw))[1])
	if err != nil {
		b.t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func (b *besieged) files() int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.pid))
	return len(entries)
}

// children counts the processes below the agent.
func (b *besieged) children() (n int) {
	parent := map[int]int{}
	procs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range procs {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		rest := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		parent[pid], _ = strconv.Atoi(rest[1])
	}
	for pid := range parent {
		for at := parent[pid]; at > 1; at = parent[at] {
			if at == b.pid {
				n++
				break
			}
		}
	}
	return n
}

// siege is what a flood did.
type siege struct {
	memory, files, children int
	open, fresh             time.Duration // the slowest call of somebody else, on his open connection and on fresh ones
	calls                   int
}

// during floods the agent while somebody else calls it, and holds it to the bounds.
func (b *besieged) during(flood func(ctx context.Context)) siege {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 40*time.Second)
	defer cancel()
	var s siege
	done := make(chan struct{})
	go func() {
		defer close(done)
		flood(ctx)
	}()
	var watchers sync.WaitGroup
	watch := func(every time.Duration, look func()) {
		watchers.Go(func() {
			for {
				look()
				select {
				case <-done:
					return
				case <-time.After(every):
				}
			}
		})
	}
	before := b.memory()
	watch(20*time.Millisecond, func() { s.memory, s.files = max(s.memory, b.memory()), max(s.files, b.files()) })
	watch(20*time.Millisecond, func() { s.children = max(s.children, b.children()) })
	open := b.dial("operator")
	call := func(conn *grpc.ClientConn) time.Duration {
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := landfallv1.NewGitOpsServiceClient(conn).GetGitOps(ctx, &landfallv1.GetGitOpsRequest{}, grpc.WaitForReady(true))
		if err != nil {
			b.t.Errorf("somebody else's call: %v", err)
		}
		return time.Since(began)
	}
	call(open)
	watch(20*time.Millisecond, func() { s.open = max(s.open, call(open)); s.calls++ })
	watch(100*time.Millisecond, func() {
		conn := b.dial("operator")
		s.fresh = max(s.fresh, call(conn))
		_ = conn.Close()
	})
	watchers.Wait()
	b.t.Logf("RSS %d -> %d MiB, %d files, %d children, slowest call %d ms (%d calls), on a fresh connection %d ms; log %d bytes",
		before>>20, s.memory>>20, s.files, s.children, s.open.Milliseconds(), s.calls, s.fresh.Milliseconds(), len(b.log.String()))
	if os.Getenv(binaryEnv) != "" {
		return s // figures of another agent are told, not judged
	}
	bound := mostMemory
	if raceEnabled {
		bound = 8 * mostMemory // the race detector's own memory: https://go.dev/doc/articles/race_detector#Runtime_Overheads
	}
	if s.memory > bound || s.files >= mostFiles || s.open > mostWait || s.fresh > mostWait {
		b.t.Errorf("out of bounds: %d MiB, %d files, %s, %s", s.memory>>20, s.files, s.open, s.fresh)
	}
	return s
}

// strangers opens connections that send something and hold them until all are open for a while.
func (b *besieged) strangers(ctx context.Context, n int, say []byte) {
	const side = 64 // who open at the same time
	var held sync.Map
	var next atomic.Int64
	var group sync.WaitGroup
	for range side {
		group.Go(func() {
			for i := next.Add(1); i <= int64(n) && ctx.Err() == nil; i = next.Add(1) {
				conn, err := net.DialTimeout("tcp", b.machine.address, 5*time.Second)
				if err != nil {
					continue
				}
				_, _ = conn.Write(say) // it may have been put out already
				held.Store(i, conn)
			}
		})
	}
	group.Wait()
	time.Sleep(2 * time.Second)
	held.Range(func(_, conn any) bool {
		_ = conn.(net.Conn).Close()
		return true
	})
}

func TestFloodOfSilentStrangers(t *testing.T) {
	b := besiege(t)
	b.during(func(ctx context.Context) {
		b.strangers(ctx, 3000, []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))
	})
	if size := len(b.log.String()); size > 16<<10 && os.Getenv(binaryEnv) == "" {
		t.Errorf("the strangers wrote %d bytes of log", size)
	}
}

func TestFloodOfGarbage(t *testing.T) {
	b := besiege(t)
	noise := make([]byte, 1000)
	_, _ = rand.Read(noise)
	b.during(func(ctx context.Context) { b.strangers(ctx, 3000, noise) })
	if size := len(b.log.String()); size > 16<<10 && os.Getenv(binaryEnv) == "" {
		t.Errorf("the garbage wrote %d bytes of log", size)
	}
}

// Those who begin a handshake cost a signature each.
func TestFloodOfHalfHandshakes(t *testing.T) {
	b := besiege(t)
	hello := helloOf(t)
	b.during(func(ctx context.Context) { b.strangers(ctx, 2000, hello) })
}

// helloOf is the first message of a TLS 1.3 handshake.
func helloOf(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go func() {
		_ = tls.Client(ours, &tls.Config{ServerName: "127.0.0.1", InsecureSkipVerify: true, NextProtos: []string{"h2"}}).Handshake()
		_ = ours.Close()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(theirs, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(theirs, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// raw is HTTP/2 by hand over an observer's connection.
type raw struct {
	conn   net.Conn
	framer *http2.Framer
	writes sync.Mutex
	served atomic.Int64 // response headers, and resets, that came back
	over   chan struct{}
}

// raw connects; settings are what the client allows the server.
func (b *besieged) raw(settings ...http2.Setting) *raw {
	b.t.Helper()
	config := b.source("observer").ClientTLS()
	config.ServerName = "127.0.0.1"
	conn, err := (&tls.Dialer{Config: config}).DialContext(b.t.Context(), "tcp", b.machine.address)
	if err != nil {
		b.t.Fatal(err)
	}
	r := &raw{conn: conn, over: make(chan struct{})}
	buffered := bufio.NewWriterSize(conn, 64<<10)
	r.framer = http2.NewFramer(flushing{buffered}, conn)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		b.t.Fatal(err)
	}
	if err := r.framer.WriteSettings(settings...); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		defer close(r.over)
		for {
			f, err := r.framer.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.HeadersFrame, *http2.RSTStreamFrame:
				r.served.Add(1)
			case *http2.SettingsFrame:
				if !f.IsAck() {
					r.write(func() error { return r.framer.WriteSettingsAck() })
				}
			case *http2.PingFrame:
				if !f.IsAck() {
					r.write(func() error { return r.framer.WritePing(true, f.Data) })
				}
			}
		}
	}()
	b.t.Cleanup(func() { _ = conn.Close(); <-r.over })
	return r
}

type flushing struct{ w *bufio.Writer }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	return n, errors.Join(err, f.w.Flush())
}

func (r *raw) write(do func() error) bool {
	r.writes.Lock()
	defer r.writes.Unlock()
	_ = r.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	return do() == nil
}

// request sends a call's headers and, with a message, its only message.
func (r *raw) request(stream uint32, path string, message []byte) bool {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":path", path}, {":authority", "127.0.0.1"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: true}) // no dynamic table: streams are independent
	}
	return r.write(func() error {
		err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
		if err == nil && message != nil {
			body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
			err = r.framer.WriteData(stream, true, append(body, message...))
		}
		return err
	})
}

const (
	pathWatch  = "/landfall.v1.DiagnosticsService/WatchOperation"
	pathGitOps = "/landfall.v1.GitOpsService/GetGitOps"
	pathList   = "/landfall.v1.DiagnosticsService/ListOperations"
)

func TestFloodOfHeaders(t *testing.T) {
	b := besiege(t)
	r := b.raw()
	b.during(func(ctx context.Context) {
		for i := range 20 {
			var start bytes.Buffer
			encoder := hpack.NewEncoder(&start)
			_ = encoder.WriteField(hpack.HeaderField{Name: ":path", Value: pathGitOps, Sensitive: true})
			for _, h := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
				_ = encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: true})
			}
			_ = encoder.WriteField(hpack.HeaderField{Name: "a"})                   // 33 bytes each, by RFC 7541, 4.1: less than 16 MiB in all
			stream, many := uint32(2*i+1), bytes.Repeat([]byte{0x80 | 62}, 16<<10) // 62: the youngest of the dynamic table (RFC 7541, 2.3.3)
			ok := r.write(func() error {
				return r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: start.Bytes()})
			})
			for left := 480000; ok && left > 0 && ctx.Err() == nil; left -= len(many) {
				part := many[:min(left, len(many))]
				ok = r.write(func() error { return r.framer.WriteContinuation(stream, left <= len(many), part) })
			}
			if !ok {
				break // the agent hung up
			}
		}
		time.Sleep(time.Second)
	})
}

func TestFloodOfStreams(t *testing.T) {
	b := besiege(t)
	r := b.raw()
	b.during(func(ctx context.Context) {
		for i := range 10000 {
			if ctx.Err() != nil || !r.request(uint32(2*i+1), "/grpc.health.v1.Health/Watch", []byte{}) {
				break
			}
		}
		time.Sleep(time.Second)
		t.Logf("%d of 10,000 streams were answered", r.served.Load())
	})
}

func TestFloodOfResets(t *testing.T) {
	b := besiege(t)
	r := b.raw()
	b.during(func(ctx context.Context) {
		for i := range 20000 {
			stream := uint32(2*i + 1)
			if ctx.Err() != nil || !r.request(stream, pathGitOps, nil) || !r.write(func() error { return r.framer.WriteRSTStream(stream, http2.ErrCodeCancel) }) {
				break
			}
		}
		time.Sleep(time.Second)
	})
}

// Callers who ask for much and take nothing: watchers of an operation with 16 MiB of output, and lists.
func TestFloodOfZeroWindows(t *testing.T) {
	b := besiege(t)
	message := append([]byte{0x0a, byte(len(b.big))}, b.big...) // operation_id = 1
	var conns []*raw
	for range 10 {
		conns = append(conns, b.raw(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	}
	b.during(func(ctx context.Context) {
		for i := range 90 {
			for _, r := range conns {
				if ctx.Err() != nil || !r.request(uint32(4*i+1), pathWatch, message) || !r.request(uint32(4*i+3), pathList, []byte{}) {
					break
				}
			}
		}
		time.Sleep(3 * time.Second)
	})
}

func TestFloodOfWatchers(t *testing.T) {
	b := besiege(t)
	var conns []*grpc.ClientConn
	for range 20 {
		conns = append(conns, b.dial("observer"))
	}
	b.during(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
		defer cancel()
		var open, refused atomic.Int64
		var group sync.WaitGroup
		for i := range 2000 {
			group.Go(func() {
				stream, err := healthv1.NewHealthClient(conns[i%len(conns)]).Watch(ctx, &healthv1.HealthCheckRequest{})
				if err == nil {
					_, err = stream.Recv()
				}
				if err != nil {
					refused.Add(1)
					return
				}
				open.Add(1)
				_, _ = stream.Recv() // to the end
			})
		}
		group.Wait()
		t.Logf("%d of 2,000 watchers were open, %d refused", open.Load(), refused.Load())
	})
}

// Sixty people who ask the same at once cost what one or two cost.
func TestFloodOfQuestions(t *testing.T) {
	b := besiege(t)
	head := b.machine.tree.Head()
	questions := map[string]func(context.Context, landfallv1.DiagnosticsServiceClient) error{
		"Probe": func(ctx context.Context, c landfallv1.DiagnosticsServiceClient) error {
			_, err := c.Probe(ctx, &landfallv1.ProbeRequest{})
			return err
		},
		"ListServices": func(ctx context.Context, c landfallv1.DiagnosticsServiceClient) error {
			_, err := c.ListServices(ctx, &landfallv1.ListServicesRequest{})
			return err
		},
		"GetPlan": func(ctx context.Context, c landfallv1.DiagnosticsServiceClient) error {
			_, err := c.GetPlan(ctx, &landfallv1.GetPlanRequest{TargetSha: head, EverythingReason: "a question"})
			return err
		},
	}
	for _, name := range []string{"Probe", "ListServices", "GetPlan"} {
		var slowest []time.Duration
		var mu sync.Mutex
		s := b.during(func(ctx context.Context) {
			var group sync.WaitGroup
			for range 60 {
				client := landfallv1.NewDiagnosticsServiceClient(b.dial("observer"))
				group.Go(func() {
					began := time.Now()
					_ = questions[name](ctx, client) // without an engine some of them fail, as fast as they can
					mu.Lock()
					defer mu.Unlock()
					slowest = append(slowest, time.Since(began))
				})
			}
			group.Wait()
		})
		t.Logf("%s: %d processes at most, the slowest answer after %s", name, s.children, slices.Max(slowest))
		if s.children > 16 && os.Getenv(binaryEnv) == "" {
			t.Errorf("%s started %d processes at once", name, s.children)
		}
	}
}
