package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

func TestHandshakeProvesBothEnds(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	server, _ := open(t, pki.leaf(agentRequest, noon))
	client, _ := open(t, pki.leaf(deployerRequest, noon))
	for _, host := range []string{"localhost", "127.0.0.1"} {
		atClient, atServer, clientErr, serverErr := connect(t, server.ServerTLS(), speak(to(host, client.ClientTLS())))
		requireNoError(t, errors.Join(clientErr, serverErr))
		if atServer.Version != tls.VersionTLS13 || atServer.NegotiatedProtocol != "h2" {
			t.Errorf("version %x, protocol %q", atServer.Version, atServer.NegotiatedProtocol)
		}
		for want, state := range map[string]tls.ConnectionState{"deployer/atlas": atServer, "agent/caroline": atClient} {
			peer, err := identity.PrincipalFromState(state)
			if err != nil || peer.String() != want || peer.Serial == "" || !peer.NotAfter.Equal(noon.Add(identity.DefaultValidity)) {
				t.Errorf("peer %+v, %v: want %s", peer, err, want)
			}
		}
	}
}

func TestPlaintextHasNoPrincipal(t *testing.T) {
	t.Parallel()
	_, err := identity.PrincipalFromState(tls.ConnectionState{})
	requireFault(t, err, fault.Unauthenticated, identity.ReasonMissing)
}

// Each row is one thing that is wrong; the client must be told what.
func TestHandshakeRefusals(t *testing.T) {
	t.Parallel()
	pki, foreign := newAuthority(t), newAuthority(t)
	good := func(config *tls.Config) *tls.Config { return to("localhost", config) }
	agent, _ := open(t, pki.leaf(agentRequest, noon))
	deployer, _ := open(t, pki.leaf(deployerRequest, noon))
	foreignAgent, _ := open(t, foreign.leaf(agentRequest, noon))
	foreignDeployer, _ := open(t, foreign.leaf(deployerRequest, noon))

	// leafOf loads an identity unchecked, to misuse it.
	leafOf := func(req identity.Request, at time.Time) tls.Certificate {
		id, err := identity.LoadFiles(pki.leaf(req, at))
		requireNoError(t, err)
		return id.Certificate
	}
	named := func(req identity.Request, name string) identity.Request {
		req.Name = name
		return req
	}
	client := func(cert tls.Certificate) *tls.Config { return good(clientWith(deployer, cert)) }
	serverWith := func(cert tls.Certificate) *tls.Config {
		inner, err := agent.ServerTLS().GetConfigForClient(nil)
		requireNoError(t, err)
		inner.Certificates = []tls.Certificate{cert}
		return inner
	}
	const year = identity.DefaultValidity
	expired := noon.Add(-year - time.Hour)
	future := noon.Add(time.Hour)
	hostless := leafOf(named(deployerRequest, "client-as-server"), noon)
	agentAsClient := leafOf(named(agentRequest, "agent-as-client"), noon)
	old := good(deployer.ClientTLS())
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12

	tests := []struct {
		name   string
		server *tls.Config
		client *tls.Config
		reason string // that the client is told
	}{
		{"no certificate", agent.ServerTLS(), client(tls.Certificate{}), identity.ReasonMissing},
		{"client of another CA", agent.ServerTLS(), func() *tls.Config {
			config := good(foreignDeployer.ClientTLS())
			config.RootCAs = x509.NewCertPool()
			config.RootCAs.AddCert(pki.ca.Certificate())
			return config
		}(), identity.ReasonUnknownAuthority},
		{"agent of another CA", foreignAgent.ServerTLS(), good(deployer.ClientTLS()), identity.ReasonUnknownAuthority},
		{"client expired", agent.ServerTLS(), client(leafOf(named(deployerRequest, "expired"), expired.Add(30*time.Minute))), identity.ReasonExpired},
		{"client not yet valid", agent.ServerTLS(), client(leafOf(named(deployerRequest, "future"), future)), identity.ReasonExpired},
		{"agent expired", serverWith(leafOf(named(agentRequest, "expired-agent"), expired.Add(30*time.Minute))), good(deployer.ClientTLS()), identity.ReasonExpired},
		{"agent not yet valid", serverWith(leafOf(named(agentRequest, "future-agent"), future)), good(deployer.ClientTLS()), identity.ReasonNotYetValid},
		{"agent's certificate used by a client", agent.ServerTLS(), client(agentAsClient), identity.ReasonWrongRole},
		{"client's certificate used by a server", serverWith(hostless), good(deployer.ClientTLS()), identity.ReasonWrongHost},
		{"other host", agent.ServerTLS(), to("example.org", deployer.ClientTLS()), identity.ReasonWrongHost},
		{"other address", agent.ServerTLS(), to("10.0.0.1", deployer.ClientTLS()), identity.ReasonWrongHost},
		{"TLS 1.2", agent.ServerTLS(), old, identity.ReasonNotTLS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, clientErr, _ := connect(t, tt.server, speak(tt.client))
			err := identity.ExplainHandshake(clientErr, "caroline:7443")
			requireFault(t, err, fault.Unauthenticated, tt.reason)
			if !strings.Contains(err.Error(), "caroline:7443") {
				t.Errorf("%q does not name the agent", err)
			}
		})
	}
}

// Leaves that this package would never issue, but a CA's key in other hands could.
func TestForgedRolesAreRefused(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	agent, _ := open(t, pki.leaf(agentRequest, noon))
	deployer, _ := open(t, pki.leaf(deployerRequest, noon))
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	tests := []struct {
		name   string
		uris   []string
		accept bool // as a client
	}{
		{"as issued", []string{"landfall://observer/me"}, true},
		{"beside another name", []string{"spiffe://x/y", "landfall://observer/me"}, true},
		{"agent's role with clientAuth", []string{"landfall://agent/me"}, false},
		{"two roles", []string{"landfall://observer/me", "landfall://operator/me"}, false},
		{"no role", nil, false},
		{"unknown role", []string{"landfall://root/me"}, false},
		{"no name", []string{"landfall://operator/"}, false},
		{"query", []string{"landfall://operator/me?role=agent"}, false},
		{"user", []string{"landfall://x@operator/me"}, false},
		{"path", []string{"landfall://operator/me/too"}, false},
		{"capitals", []string{"landfall://OPERATOR/me"}, false},
		{"opaque", []string{"landfall:operator/me"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forged := forge(t, pki, both, tt.uris...)
			config := to("localhost", clientWith(deployer, forged))
			_, _, clientErr, serverErr := connect(t, agent.ServerTLS(), speak(config))
			if accepted := errors.Join(clientErr, serverErr) == nil; accepted != tt.accept {
				t.Errorf("accepted: %v, want %v (%v, %v)", accepted, tt.accept, clientErr, serverErr)
			}
			if !tt.accept {
				requireFault(t, identity.ExplainHandshake(clientErr, "x"), fault.Unauthenticated, identity.ReasonWrongRole)
			}
		})
	}
	t.Run("client's role with serverAuth and host", func(t *testing.T) {
		t.Parallel()
		inner, err := agent.ServerTLS().GetConfigForClient(nil)
		requireNoError(t, err)
		inner.Certificates = []tls.Certificate{forge(t, pki, both, "landfall://operator/me")}
		_, _, clientErr, _ := connect(t, inner, speak(to("localhost", deployer.ClientTLS())))
		requireFault(t, identity.ExplainHandshake(clientErr, "x"), fault.Unauthenticated, identity.ReasonWrongRole)
	})
	t.Run("agent's role without serverAuth", func(t *testing.T) {
		t.Parallel()
		inner, err := agent.ServerTLS().GetConfigForClient(nil)
		requireNoError(t, err)
		inner.Certificates = []tls.Certificate{forge(t, pki, both[:1], "landfall://agent/me")}
		_, _, clientErr, _ := connect(t, inner, speak(to("localhost", deployer.ClientTLS())))
		requireFault(t, identity.ExplainHandshake(clientErr, "x"), fault.Unauthenticated, identity.ReasonWrongRole)
	})
}

func TestPlaintextOnEitherSide(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	agent, _ := open(t, pki.leaf(agentRequest, noon))
	deployer, _ := open(t, pki.leaf(deployerRequest, noon))
	_, _, _, serverErr := connect(t, agent.ServerTLS(), func(raw net.Conn) (tls.ConnectionState, error) {
		_, err := io.WriteString(raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		return tls.ConnectionState{}, err
	})
	if serverErr == nil {
		t.Error("the agent spoke to a plaintext client")
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		_, _ = theirs.Read(make([]byte, 1<<12))
		_, _ = io.WriteString(theirs, "HTTP/1.1 400 Bad Request\r\n\r\n")
		_ = theirs.Close()
	}()
	_, err := speak(to("localhost", deployer.ClientTLS()))(ours)
	requireFault(t, identity.ExplainHandshake(err, "x"), fault.Unauthenticated, identity.ReasonNotTLS)
}

func TestExplainHandshakeLeavesTheRest(t *testing.T) {
	t.Parallel()
	other := errors.New("dial tcp 127.0.0.1:1: connect: connection refused")
	if got := identity.ExplainHandshake(other, "x"); !errors.Is(got, other) || fault.ReasonOf(got) != "" {
		t.Errorf("got %v", got)
	}
	if got := identity.ExplainHandshake(nil, "x"); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestRotationOnBothSides(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	agentDir, clientDir := pki.leaf(agentRequest, noon), pki.leaf(deployerRequest, noon)
	server, serverReports := open(t, agentDir)
	client, clientReports := open(t, clientDir)
	listening := server.ServerTLS() // made once, as a listener does
	serials := func() (agent, deployer string) {
		t.Helper()
		atClient, atServer, clientErr, serverErr := connect(t, listening, speak(to("localhost", client.ClientTLS())))
		requireNoError(t, errors.Join(clientErr, serverErr))
		a, err1 := identity.PrincipalFromState(atClient)
		d, err2 := identity.PrincipalFromState(atServer)
		requireNoError(t, errors.Join(err1, err2))
		return a.Serial, d.Serial
	}
	agent1, client1 := serials()
	pki.replace(agentDir, agentRequest, noon)
	agent2, client2 := serials()
	if agent2 == agent1 || client2 != client1 {
		t.Errorf("after the agent's rotation: agent %s -> %s, client %s -> %s", agent1, agent2, client1, client2)
	}
	pki.replace(clientDir, deployerRequest, noon)
	agent3, client3 := serials()
	if agent3 != agent2 || client3 == client2 {
		t.Errorf("after the client's rotation: agent %s -> %s, client %s -> %s", agent2, agent3, client2, client3)
	}
	if got := append(serverReports.reasons(), clientReports.reasons()...); len(got) != 0 {
		t.Errorf("reports %v", got)
	}
}

// A new CA is added to both ca.pem, then either end moves over, then the old one goes.
func TestRolloverToAnotherCA(t *testing.T) {
	t.Parallel()
	first, second := newAuthority(t), newAuthority(t)
	agentDir, clientDir := first.leaf(agentRequest, noon), first.leaf(deployerRequest, noon)
	server, _ := open(t, agentDir)
	client, _ := open(t, clientDir)
	listening := server.ServerTLS()
	requireWorks := func(step string) {
		t.Helper()
		if _, _, clientErr, serverErr := connect(t, listening, speak(to("localhost", client.ClientTLS()))); clientErr != nil || serverErr != nil {
			t.Fatalf("%s: %v, %v", step, clientErr, serverErr)
		}
	}
	requireWorks("one CA")
	bothCAs := append(readAll(t, filepath.Join(agentDir, "ca.pem")), readAll(t, filepath.Join(second.dir, "ca", "ca.pem"))...)
	writeFile(t, filepath.Join(agentDir, "ca.pem"), bothCAs, 0o644)
	requireWorks("the agent trusts both")
	second.replace(clientDir, deployerRequest, noon) // adds the second CA, keeps the first
	requireWorks("the client moved over")
	second.replace(agentDir, agentRequest, noon)
	requireWorks("the agent moved over")
	writeFile(t, filepath.Join(agentDir, "ca.pem"), readAll(t, filepath.Join(second.dir, "ca", "ca.pem")), 0o644)
	requireWorks("the agent forgot the first")

	stale, _ := open(t, first.leaf(identity.Request{Role: identity.RoleOperator, Name: "stale"}, noon))
	config := to("localhost", stale.ClientTLS())
	config.RootCAs.AddCert(second.ca.Certificate())
	_, _, clientErr, _ := connect(t, listening, speak(config))
	requireFault(t, identity.ExplainHandshake(clientErr, "x"), fault.Unauthenticated, identity.ReasonUnknownAuthority)
}

// Whatever is wrong with a replacement, the last good identity serves on, and it is said once.
func TestBrokenRotationKeepsTheLastGood(t *testing.T) {
	t.Parallel()
	half := func(t *testing.T, path string) {
		content := readAll(t, path)
		writeFile(t, path, content[:len(content)/2], 0o600)
	}
	tests := []struct {
		name   string
		damage func(t *testing.T, pki *authority, dir string)
		reason string
	}{
		{"half a certificate", func(t *testing.T, _ *authority, dir string) { half(t, filepath.Join(dir, "cert.pem")) }, identity.ReasonBroken},
		{"half a key", func(t *testing.T, _ *authority, dir string) { half(t, filepath.Join(dir, "key.pem")) }, identity.ReasonBroken},
		{"half a CA", func(t *testing.T, _ *authority, dir string) { half(t, filepath.Join(dir, "ca.pem")) }, identity.ReasonBroken},
		{"key of another pair", func(t *testing.T, pki *authority, dir string) {
			other := pki.leaf(identity.Request{Role: identity.RoleAgent, Name: "other", Hosts: []string{"x"}}, noon)
			writeFile(t, filepath.Join(dir, "key.pem"), readAll(t, filepath.Join(other, "key.pem")), 0o600)
		}, identity.ReasonBroken},
		{"missing", func(t *testing.T, _ *authority, dir string) {
			requireNoError(t, os.Remove(filepath.Join(dir, "cert.pem")))
		}, identity.ReasonMissing},
		{"all missing", func(t *testing.T, _ *authority, dir string) { requireNoError(t, os.RemoveAll(dir)) }, identity.ReasonMissing},
		{"key readable by others", func(t *testing.T, _ *authority, dir string) {
			requireNoError(t, os.Chmod(filepath.Join(dir, "key.pem"), 0o640))
		}, identity.ReasonKeyTooOpen},
		{"expired", func(_ *testing.T, pki *authority, dir string) {
			pki.replace(dir, agentRequest, noon.Add(-2*identity.DefaultValidity))
		}, identity.ReasonExpired},
		{"of a CA that is not beside it", func(t *testing.T, _ *authority, dir string) {
			writeFile(t, filepath.Join(dir, "ca.pem"), readAll(t, filepath.Join(newAuthority(t).dir, "ca", "ca.pem")), 0o644)
		}, identity.ReasonUnknownAuthority},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pki := newAuthority(t)
			dir := pki.leaf(agentRequest, noon)
			server, reported := open(t, dir)
			client, _ := open(t, pki.leaf(deployerRequest, noon))
			before := server.Identity()
			tt.damage(t, pki, dir)
			for range 3 {
				_, _, clientErr, serverErr := connect(t, server.ServerTLS(), speak(to("localhost", client.ClientTLS())))
				requireNoError(t, errors.Join(clientErr, serverErr))
			}
			if server.Identity() != before {
				t.Error("the last good identity is gone")
			}
			if got := reported.reasons(); !slices.Equal(got, []string{tt.reason}) {
				t.Errorf("reports %v, want %s once", got, tt.reason)
			}
			requireNoError(t, os.RemoveAll(dir))
			pki.replace(dir, agentRequest, noon)
			if server.Identity() == before {
				t.Error("the mended identity is not taken up")
			}
		})
	}
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	requireNoError(t, err)
	return content
}
