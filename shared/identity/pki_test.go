package identity_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the time of every test.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func requireNoError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func requireFault(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Fatalf("got %v %q (%v), want %v %q", fault.KindOf(err), fault.ReasonOf(err), err, kind, reason)
	}
}

// authority is a CA with a folder for what it issues.
type authority struct {
	t   *testing.T
	ca  *identity.CA
	dir string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	dir := t.TempDir()
	ca, err := identity.NewCA(noon.Add(-24 * time.Hour))
	requireNoError(t, err)
	requireNoError(t, ca.WriteNew(filepath.Join(dir, "ca")))
	return &authority{t: t, ca: ca, dir: dir}
}

// leaf issues an identity at a time and returns its folder.
func (a *authority) leaf(req identity.Request, at time.Time) string {
	a.t.Helper()
	dir := filepath.Join(a.dir, req.Name)
	a.replace(dir, req, at)
	return dir
}

func (a *authority) replace(dir string, req identity.Request, at time.Time) {
	a.t.Helper()
	bundle, err := a.ca.Issue(req, at)
	requireNoError(a.t, err)
	requireNoError(a.t, bundle.Replace(dir))
}

var (
	agentRequest    = identity.Request{Role: identity.RoleAgent, Name: "caroline", Hosts: []string{"localhost", "127.0.0.1"}}
	deployerRequest = identity.Request{Role: identity.RoleDeployer, Name: "atlas"}
)

// reports collects what a Source reports.
type reports struct {
	mu   sync.Mutex
	list []error
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, err)
}

func (r *reports) reasons() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, err := range r.list {
		out = append(out, fault.ReasonOf(err))
	}
	return out
}

func open(t *testing.T, dir string) (*identity.Source, *reports) {
	t.Helper()
	r := &reports{}
	s, err := identity.Open(dir, identity.Options{Now: at(noon), Report: r.add})
	requireNoError(t, err)
	return s, r
}

// connect makes one connection over loopback, and returns what each side says about it.
// client speaks on the raw connection until the server's greeting came or it failed.
func connect(t *testing.T, server *tls.Config, client func(net.Conn) (tls.ConnectionState, error)) (seenByClient, seenByServer tls.ConnectionState, clientErr, serverErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	requireNoError(t, err)
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := listener.Accept()
		if err != nil {
			serverErr = err
			return
		}
		defer raw.Close()
		_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
		secured := tls.Server(raw, server)
		if serverErr = secured.Handshake(); serverErr != nil {
			_, _ = io.Copy(io.Discard, raw)
			return
		}
		seenByServer = secured.ConnectionState()
		_, serverErr = secured.Write([]byte("hello"))
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	requireNoError(t, err)
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	seenByClient, clientErr = client(raw)
	_ = raw.Close()
	<-done
	return seenByClient, seenByServer, clientErr, serverErr
}

// speak is a client of connect.
func speak(config *tls.Config) func(net.Conn) (tls.ConnectionState, error) {
	return func(raw net.Conn) (tls.ConnectionState, error) {
		secured := tls.Client(raw, config)
		if err := secured.Handshake(); err != nil {
			return tls.ConnectionState{}, err
		}
		// With TLS 1.3 the server judges the client after the client's handshake is over.
		_, err := io.ReadFull(secured, make([]byte, len("hello")))
		return secured.ConnectionState(), err
	}
}

// clientWith is source's client configuration with another certificate; the zero one sends none.
func clientWith(source *identity.Source, cert tls.Certificate) *tls.Config {
	config := source.ClientTLS()
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	return config
}

// to sets the host name as a dialler does.
func to(host string, config *tls.Config) *tls.Config {
	config.ServerName = host
	return config
}

func writeFile(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	requireNoError(t, os.WriteFile(path, content, mode))
	requireNoError(t, os.Chmod(path, mode))
}
