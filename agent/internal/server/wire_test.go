package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

func nopLog() hclog.Logger { return hclog.NewNullLogger() }

// strangers are contexts of calls that came without a verified certificate.
func strangers() map[string]context.Context {
	with := func(info credentials.AuthInfo) context.Context {
		return peer.NewContext(context.Background(), &peer.Peer{AuthInfo: info})
	}
	return map[string]context.Context{
		"no peer": context.Background(), "a peer in clear": with(nil), "a peer without certificate": with(credentials.TLSInfo{}),
	}
}

// wire speaks HTTP/2 by hand: no gRPC library puts its own idea of a path in between.
type wire struct {
	t      *testing.T
	conn   *tls.Conn
	framer *http2.Framer
}

func (b *bench) wire(role identity.Role) *wire {
	b.t.Helper()
	config := b.source(role).ClientTLS()
	config.ServerName, config.NextProtos = "127.0.0.1", []string{"h2"}
	raw, err := (&tls.Dialer{Config: config}).DialContext(b.context(), "tcp", b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(waiting))
	if _, err := io.WriteString(raw, http2.ClientPreface); err != nil {
		b.t.Fatal(err)
	}
	w := &wire{t: b.t, conn: raw.(*tls.Conn), framer: http2.NewFramer(raw, raw)}
	w.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := w.framer.WriteSettings(); err != nil {
		b.t.Fatal(err)
	}
	return w
}

// call sends an empty message to a path and returns the headers of the answer, trailers included.
func (w *wire) call(stream uint32, path string) map[string]string {
	w.t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":path", path}, {":authority", "127.0.0.1"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	err := errors.Join(
		w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}),
		w.framer.WriteData(stream, true, make([]byte, 5)), // one empty message: no compression, length 0
	)
	if err != nil {
		w.t.Fatal(err)
	}
	got := map[string]string{}
	for {
		frame, err := w.framer.ReadFrame()
		if err != nil {
			w.t.Fatalf("%s: %v", path, err)
		}
		if id := frame.Header().StreamID; id != 0 && id != stream {
			continue // the end of a call before: a refused path may be reset after its answer
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				got[h.Name] = h.Value
			}
			if f.StreamEnded() {
				return got
			}
		case *http2.RSTStreamFrame:
			return map[string]string{"reset": f.ErrCode.String()}
		case *http2.GoAwayFrame:
			w.t.Fatalf("%s: the server hangs up: %s %s", path, f.ErrCode, f.DebugData())
		}
	}
}

// Paths that are not exactly a method's must reach no handler, whoever calls
// (CVE-2026-33186: a path without its slash went past rules that deny by name).
func TestOddPathsReachNoHandler(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.wire(identity.RoleOperator)
	const ok = "/landfall.v1.GitOpsService/Resume"
	if got := w.call(1, ok); got["grpc-status"] != "0" {
		t.Fatalf("the harness itself does not work: %v", got)
	}
	before := len(b.Calls(""))
	for i, path := range []string{
		"landfall.v1.GitOpsService/Resume", "//landfall.v1.GitOpsService/Resume", "/landfall.v1.GitOpsService//Resume",
		"/landfall.v1.GitOpsService/resume", "/Landfall.V1.GitOpsService/Resume", "/LANDFALL.V1.GITOPSSERVICE/RESUME",
		"/landfall.v1.GitOpsService/Resume/", "/landfall.v1.GitOpsService/Resume?x=1", "/x/../landfall.v1.GitOpsService/Resume",
		"/landfall.v1.GitOpsService%2FResume", "/landfall.v1.GitOpsService/Destroy", "/landfall.v1.Nothing/Resume", "/", "*", "Resume",
	} {
		if got := w.call(uint32(2*i+3), path); got["grpc-status"] == "0" || (got["grpc-status"] == "" && got[":status"] == "200") {
			t.Errorf("%q was served: %v", path, got)
		}
	}
	if calls := b.Calls("")[before:]; len(calls) > 0 {
		t.Errorf("odd paths reached the host: %q", calls)
	}
	if got := w.call(101, ok); got["grpc-status"] != "0" {
		t.Errorf("the connection is spoilt: %v", got)
	}
}

// An observer gains nothing by leaving the slash out.
func TestOddPathsOfAnObserver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.wire(identity.RoleObserver)
	for i, path := range []string{"/landfall.v1.GitOpsService/Resume", "landfall.v1.GitOpsService/Resume"} {
		if got := w.call(uint32(2*i+1), path); got["grpc-status"] == "0" || got["grpc-status"] == "" {
			t.Errorf("%q was served: %v", path, got)
		}
	}
	if calls := b.Calls("Sentinels."); len(calls) > 0 {
		t.Errorf("an observer resumed: %q", calls)
	}
}

// TestAQuietWatcherStaysConnected lets a client watch a silent operation for two hours of
// fake time with the pings that it really sends: the server must not hang up on it.
func TestAQuietWatcherStaysConnected(t *testing.T) {
	if p, e := identity.KeepaliveClient(), identity.KeepaliveEnforcement(); p.Time < e.MinTime || p.PermitWithoutStream != e.PermitWithoutStream {
		t.Errorf("the client pings every %s, the server allows one in %s", p.Time, e.MinTime)
	}
	synctest.Test(t, func(t *testing.T) {
		b := &bench{Host: hosttest.NewHost(), t: t, dir: t.TempDir(), limits: defaults(), address: "localhost"}
		b.issue("localhost")
		b.engine = b.Engine()
		b.config = b.configure()
		listener := bufconn.Listen(1 << 16)
		b.serve(listener)
		dials := 0
		conn := b.dial(identity.RoleObserver, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			dials++
			return listener.DialContext(ctx)
		}))
		defer conn.Close()
		reached, release := b.HoldAt("Commits.Fetch")
		req, err := b.Request("quiet", b.Head())
		if err != nil {
			t.Fatal(err)
		}
		op, _, err := b.engine.Deploy(req)
		if err != nil {
			t.Fatal(err)
		}
		<-reached
		stream, err := landfallv1.NewDiagnosticsServiceClient(conn).WatchOperation(t.Context(), &landfallv1.WatchOperationRequest{OperationId: op.ID, AfterSequence: op.LastSequence})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2*time.Hour, release)
		began, seen := time.Now(), false
		for !seen {
			resp, err := stream.Recv()
			if err != nil {
				t.Fatalf("after %s: %v", time.Since(began), err)
			}
			for _, e := range resp.GetBatch().GetEvents() {
				seen = seen || e.GetPlanCompiled() != nil
			}
		}
		if time.Since(began) < 2*time.Hour || dials != 1 || conn.GetState() != connectivity.Ready {
			t.Errorf("after %s and %d connections the connection is %s", time.Since(began), dials, conn.GetState())
		}
	})
}
