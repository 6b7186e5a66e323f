package identity_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/trust"
)

// dialBoth makes one connection from client to server and returns what either says of it.
func dialBoth(t *testing.T, server, client *identity.Source) error {
	t.Helper()
	_, _, atClient, atServer := connect(t, server.ServerTLS(), speak(to("localhost", client.ClientTLS())))
	return errors.Join(atClient, atServer)
}

func (a *authority) revoke(serials ...string) identity.Revocation {
	a.t.Helper()
	r, err := a.ca.Revoke(filepath.Join(a.dir, "ca"), serials, noon)
	requireNoError(a.t, err)
	return r
}

func serialOf(t *testing.T, dir string) string {
	t.Helper()
	serial, _, err := identity.Origin(dir)
	requireNoError(t, err)
	return serial
}

func TestRevokedAtTheHandshake(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	agentDir, clientDir := pki.leaf(agentRequest, noon), pki.leaf(deployerRequest, noon)
	other := pki.leaf(identity.Request{Role: identity.RoleObserver, Name: "eve"}, noon)
	server, reported := open(t, agentDir)
	client, _ := open(t, clientDir)
	observer, _ := open(t, other)
	requireNoError(t, dialBoth(t, server, client))

	list := pki.revoke(serialOf(t, clientDir))
	writeFile(t, filepath.Join(agentDir, identity.FileRevoked), list.List, 0o644)
	if err := dialBoth(t, server, client); err == nil || !strings.Contains(err.Error(), "was revoked") {
		t.Errorf("a revoked client: %v", err)
	}
	requireNoError(t, dialBoth(t, server, observer))

	// A client keeps a revoked agent out as well: somebody may have its key.
	list = pki.revoke(serialOf(t, agentDir))
	if list.Added != 1 || list.Revoked != 2 {
		t.Errorf("%+v", list)
	}
	changed, n, err := identity.InstallList(other, list.List)
	if err != nil || !changed || n != 2 {
		t.Errorf("installed %v %d, %v", changed, n, err)
	}
	_, _, err, _ = connect(t, server.ServerTLS(), speak(to("localhost", observer.ClientTLS())))
	requireFault(t, identity.ExplainHandshake(err, "x"), fault.Unauthenticated, identity.ReasonRevoked)
	if got := reported.reasons(); len(got) > 0 {
		t.Errorf("reports %v", got)
	}
}

// Whatever is wrong with a list that is there keeps everybody out until it is mended.
func TestBrokenListsFailClosed(t *testing.T) {
	t.Parallel()
	for name, ruin := range map[string]func(t *testing.T, pki *authority, path string){
		"empty": func(t *testing.T, _ *authority, path string) { writeFile(t, path, nil, 0o644) },
		"half":  func(t *testing.T, _ *authority, path string) { writeFile(t, path, readAll(t, path)[:200], 0o644) },
		"gone":  func(t *testing.T, _ *authority, path string) { requireNoError(t, os.Remove(path)) },
		"a certificate": func(t *testing.T, pki *authority, path string) {
			writeFile(t, path, readAll(t, pki.dir+"/ca/ca.pem"), 0o644)
		},
		"twice": func(t *testing.T, _ *authority, path string) {
			writeFile(t, path, append(readAll(t, path), readAll(t, path)...), 0o644)
		},
		"more behind it": func(t *testing.T, _ *authority, path string) {
			writeFile(t, path, append(readAll(t, path), "more"...), 0o644)
		},
		"of another CA": func(t *testing.T, _ *authority, path string) {
			writeFile(t, path, newAuthority(t).revoke("abc").List, 0o644)
		},
		"changed": func(t *testing.T, _ *authority, path string) {
			block, _ := pem.Decode(readAll(t, path))
			block.Bytes[len(block.Bytes)-100] ^= 1
			writeFile(t, path, pem.EncodeToMemory(block), 0o644)
		},
		"older": func(t *testing.T, pki *authority, path string) {
			requireNoError(t, os.Remove(filepath.Join(pki.dir, "ca", identity.FileRevoked)))
			r, err := pki.ca.Revoke(filepath.Join(pki.dir, "ca"), []string{"abc"}, noon.Add(-time.Hour))
			requireNoError(t, err)
			writeFile(t, path, r.List, 0o644)
		},
		"open":        func(t *testing.T, _ *authority, path string) { requireNoError(t, os.Chmod(path, 0o666)) },
		"folder open": func(t *testing.T, _ *authority, path string) { requireNoError(t, os.Chmod(filepath.Dir(path), 0o777)) },
		"a folder": func(t *testing.T, _ *authority, path string) {
			requireNoError(t, errors.Join(os.Remove(path), os.Mkdir(path, 0o755)))
		},
		"a stranger's": func(t *testing.T, _ *authority, path string) {
			if os.Geteuid() != 0 {
				t.Skip("only root gives files away")
			}
			requireNoError(t, os.Chown(path, 65534, 65534))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pki := newAuthority(t)
			agentDir := pki.leaf(agentRequest, noon)
			client, _ := open(t, pki.leaf(deployerRequest, noon))
			path := filepath.Join(agentDir, identity.FileRevoked)
			good := pki.revoke("abc").List
			writeFile(t, path, good, 0o644)
			server, reported := open(t, agentDir)
			requireNoError(t, dialBoth(t, server, client))

			ruin(t, pki, path)
			if err := dialBoth(t, server, client); err == nil || !strings.Contains(err.Error(), "nobody is admitted") {
				t.Errorf("somebody is admitted: %v", err)
			}
			if got := reported.reasons(); len(got) == 0 || got[len(got)-1] != identity.ReasonListBroken {
				t.Errorf("reports %v", got)
			}
			if len(server.Troubles()) == 0 {
				t.Error("the host has no problem to tell")
			}
			if name != "gone" && name != "older" { // of which a new process knows nothing
				if _, err := identity.Open(agentDir, identity.Options{Now: at(noon)}); err == nil {
					t.Error("an agent starts with it")
				}
			}
			requireNoError(t, os.Chmod(agentDir, 0o700))
			requireNoError(t, os.RemoveAll(path))
			writeFile(t, path, good, 0o644)
			requireNoError(t, dialBoth(t, server, client))
		})
	}
}

// While one CA takes another's place, each has its own list, and neither takes the other's away.
func TestListsOfTwoAuthorities(t *testing.T) {
	t.Parallel()
	old, fresh := newAuthority(t), newAuthority(t)
	dir := old.leaf(agentRequest, noon)
	fresh.replace(dir, agentRequest, noon)
	_, n, err := identity.InstallList(dir, old.revoke("a1").List)
	if err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	_, n, err = identity.InstallList(dir, fresh.revoke("b1", "b2").List)
	if err != nil || n != 3 {
		t.Fatalf("%d, %v", n, err)
	}
	writeFile(t, filepath.Join(dir, "ca.pem"), readAll(t, fresh.dir+"/ca/ca.pem"), 0o644)
	if _, err := identity.Open(dir, identity.Options{Now: at(noon)}); fault.ReasonOf(err) != identity.ReasonListBroken {
		t.Errorf("a list that no CA stands behind: %v", err)
	}
	_, n, err = identity.InstallList(dir, fresh.revoke("b3").List)
	if err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := identity.Open(dir, identity.Options{Now: at(noon)}); err != nil {
		t.Error(err)
	}
}

// All leaves of a name can be revoked, and half a line of a crash hides none.
func TestIssuedIsRemembered(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	caDir := filepath.Join(pki.dir, "ca")
	for range 2 {
		b, err := pki.ca.Issue(deployerRequest, noon)
		requireNoError(t, err)
		requireNoError(t, identity.Record(caDir, b))
	}
	f, err := os.OpenFile(filepath.Join(caDir, "issued"), os.O_APPEND|os.O_WRONLY, 0)
	requireNoError(t, err)
	_, err = f.WriteString("half a li")
	requireNoError(t, errors.Join(err, f.Close()))
	got, err := identity.ReadIssued(caDir)
	if err != nil || len(got) != 2 || got[0].Who != "deployer/atlas" || got[0].Serial == got[1].Serial || !got[0].NotAfter.Equal(noon.Add(identity.DefaultValidity)) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Who can write what decides trust decides who is trusted: refused at the start, and not taken up later.
func TestFilesThatOthersCanWrite(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem", ".", ".."} {
		for _, mode := range []os.FileMode{0o666, 0o664, 0o646, 0o777} {
			pki := newAuthority(t)
			dir := filepath.Join(pki.dir, "deep", "caroline")
			requireNoError(t, os.MkdirAll(dir, 0o700))
			pki.replace(dir, agentRequest, noon)
			client, _ := open(t, pki.leaf(deployerRequest, noon))
			server, reported := open(t, dir)
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				mode |= 0o111
			}
			requireNoError(t, os.Chmod(path, mode))
			_, err := identity.Open(dir, identity.Options{Now: at(noon)})
			if name == "key.pem" {
				requireFault(t, err, fault.Invalid, identity.ReasonKeyTooOpen)
			} else {
				requireFault(t, err, fault.Invalid, trust.ReasonUntrusted)
				if !strings.Contains(err.Error(), "chmod go-w "+path) {
					t.Errorf("no command that mends it: %v", err)
				}
			}
			// The proven attack: another CA is planted, and its operator calls.
			mallory := newAuthority(t)
			planted := append(readAll(t, filepath.Join(dir, "ca.pem")), readAll(t, mallory.dir+"/ca/ca.pem")...)
			requireNoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), planted, 0o644))
			intruder := mallory.leaf(identity.Request{Role: identity.RoleOperator, Name: "mallory"}, noon)
			requireNoError(t, os.WriteFile(filepath.Join(intruder, "ca.pem"), readAll(t, pki.dir+"/ca/ca.pem"), 0o644))
			evil, err := identity.LoadFiles(intruder)
			requireNoError(t, err)
			if _, _, atClient, atServer := connect(t, server.ServerTLS(), speak(to("localhost", clientWith(client, evil.Certificate)))); atClient == nil && atServer == nil {
				t.Errorf("%s %04o: a planted authority is believed", name, mode)
			}
			requireNoError(t, dialBoth(t, server, client))
			if len(reported.reasons()) == 0 || len(server.Troubles()) == 0 {
				t.Errorf("%s %04o: nothing is told", name, mode)
			}
		}
	}
}

func TestFilesOfSomebodyElse(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem", "."} {
		pki := newAuthority(t)
		dir := pki.leaf(agentRequest, noon)
		path := filepath.Join(dir, name)
		requireNoError(t, os.Chown(path, 65534, 65534))
		_, err := identity.Open(dir, identity.Options{Now: at(noon)})
		if err == nil || !strings.Contains(err.Error(), "chown") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The renewal authority can sign clients and nothing else, whatever somebody does with its key.
func TestRenewalAuthorityCannotVouchForAgents(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "renewal")
	_, err := identity.OpenRenewal(dir, 24*time.Hour, noon)
	requireNoError(t, err)
	ca, err := identity.OpenCA(dir)
	requireNoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate())
	for role, may := range map[identity.Role]bool{identity.RoleAgent: false, identity.RoleDeployer: true} {
		req := identity.Request{Role: role, Name: "x"}
		if role == identity.RoleAgent {
			req.Hosts = []string{"localhost"}
		}
		bundle, err := ca.Issue(req, noon) // as with a stolen key
		requireNoError(t, err)
		block, _ := pem.Decode(bundle.Cert)
		leaf, err := x509.ParseCertificate(block.Bytes)
		requireNoError(t, err)
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{usage}})
			if want := may && usage == x509.ExtKeyUsageClientAuth; (err == nil) != want {
				t.Errorf("%s, usage %d: %v", role, usage, err)
			}
		}
	}
	again, err := identity.OpenRenewal(dir, 24*time.Hour, noon)
	if err != nil || again == nil {
		t.Errorf("opened again: %v", err)
	}
	requireNoError(t, os.Chmod(dir, 0o777))
	_, err = identity.OpenRenewal(dir, 24*time.Hour, noon)
	requireFault(t, err, fault.Invalid, trust.ReasonUntrusted)
	// A person's CA in its place would make the agent a CA for everything.
	pki := newAuthority(t)
	_, err = identity.OpenRenewal(filepath.Join(pki.dir, "ca"), time.Hour, noon)
	requireFault(t, err, fault.Invalid, identity.ReasonBroken)
}
