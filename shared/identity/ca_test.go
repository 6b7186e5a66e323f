package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

func TestCA(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ca")
	ca, err := identity.NewCA(noon)
	requireNoError(t, err)
	requireNoError(t, ca.WriteNew(dir))
	cert := ca.Certificate()
	if !cert.IsCA || cert.MaxPathLen != 0 || !cert.MaxPathLenZero || cert.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("CA %v, path length %d, usage %b", cert.IsCA, cert.MaxPathLen, cert.KeyUsage)
	}
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("key %T", cert.PublicKey)
	}
	if want := noon.AddDate(10, 0, -3); cert.NotAfter.Before(want) {
		t.Errorf("expires at %s", cert.NotAfter)
	}
	requireModes(t, dir, map[string]os.FileMode{".": 0o700, "ca.pem": 0o644, "ca-key.pem": 0o600})

	reopened, err := identity.OpenCA(dir)
	requireNoError(t, err)
	if !reopened.Certificate().Equal(cert) {
		t.Error("the reopened CA is another one")
	}
	requireFault(t, ca.WriteNew(dir), fault.Invalid, identity.ReasonExists)

	requireNoError(t, os.Chmod(filepath.Join(dir, "ca-key.pem"), 0o604))
	_, err = identity.OpenCA(dir)
	requireFault(t, err, fault.Invalid, identity.ReasonKeyTooOpen)
	_, err = identity.OpenCA(t.TempDir())
	requireFault(t, err, fault.Unauthenticated, identity.ReasonMissing)
}

func requireModes(t *testing.T, dir string, want map[string]os.FileMode) {
	t.Helper()
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		requireNoError(t, err)
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %04o, want %04o", name, info.Mode().Perm(), mode)
		}
	}
}

func TestIssue(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	for _, role := range identity.Roles() {
		req := identity.Request{Role: role, Name: "x-" + string(role), ValidFor: 48 * time.Hour}
		usage := x509.ExtKeyUsageClientAuth
		if role == identity.RoleAgent {
			req.Hosts, usage = []string{"caroline.local", "192.0.2.7", "2001:db8::7"}, x509.ExtKeyUsageServerAuth
		}
		id, err := identity.LoadFiles(pki.leaf(req, noon))
		requireNoError(t, err)
		requireNoError(t, id.Check(noon))
		leaf := id.Leaf
		if !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{usage}) || leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature {
			t.Errorf("%s: usage %v %b, CA %v", role, leaf.ExtKeyUsage, leaf.KeyUsage, leaf.IsCA)
		}
		if id.Principal.Role != role || leaf.URIs[0].String() != "landfall://"+string(role)+"/"+req.Name {
			t.Errorf("%s: principal %s, URI %s", role, id.Principal, leaf.URIs[0])
		}
		if !leaf.NotBefore.Equal(noon.Add(-5*time.Minute)) || !leaf.NotAfter.Equal(noon.Add(48*time.Hour)) {
			t.Errorf("%s: valid from %s to %s", role, leaf.NotBefore, leaf.NotAfter)
		}
		if role == identity.RoleAgent && (len(leaf.DNSNames) != 1 || len(leaf.IPAddresses) != 2) {
			t.Errorf("hosts %v %v", leaf.DNSNames, leaf.IPAddresses)
		}
	}
}

func TestIssueRefusals(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	const agent, deployer = identity.RoleAgent, identity.RoleDeployer
	tests := map[string]identity.Request{
		"role":          {Role: "root", Name: "x"},
		"no role":       {Name: "x"},
		"no name":       {Role: deployer},
		"path in name":  {Role: deployer, Name: "../x"},
		"agent nowhere": {Role: agent, Name: "x"},
		"client's host": {Role: deployer, Name: "x", Hosts: []string{"h"}},
		"host and port": {Role: agent, Name: "x", Hosts: []string{"h:7443"}},
		"wildcard":      {Role: agent, Name: "x", Hosts: []string{"*.example.org"}},
		"empty host":    {Role: agent, Name: "x", Hosts: []string{""}},
		"over at once":  {Role: deployer, Name: "x", ValidFor: -time.Hour},
		"outlives CA":   {Role: deployer, Name: "x", ValidFor: 20 * 365 * 24 * time.Hour},
	}
	for name, req := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pki.ca.Issue(req, noon)
			requireFault(t, err, fault.Invalid, identity.ReasonRequest)
		})
	}
	_, err := pki.ca.Issue(deployerRequest, noon.AddDate(11, 0, 0))
	requireFault(t, err, fault.Unauthenticated, identity.ReasonExpired)
}

func TestBundleFiles(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	dir := filepath.Join(t.TempDir(), "new", "identity")
	bundle, err := pki.ca.Issue(deployerRequest, noon)
	requireNoError(t, err)
	requireNoError(t, bundle.WriteNew(dir))
	requireModes(t, dir, map[string]os.FileMode{".": 0o700, "..": 0o700, "ca.pem": 0o644, "cert.pem": 0o644, "key.pem": 0o600})
	requireFault(t, bundle.WriteNew(dir), fault.Invalid, identity.ReasonExists)
}

// A replacement that cannot be written whole leaves the old files and no others.
func TestFilesAreReplacedWhole(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	dir := pki.leaf(deployerRequest, noon)
	before := map[string]string{}
	for _, name := range []string{"ca.pem", "cert.pem"} {
		before[name] = string(readAll(t, filepath.Join(dir, name)))
	}
	// A folder in the key's place stops the renames after the first.
	requireNoError(t, os.Remove(filepath.Join(dir, "key.pem")))
	requireNoError(t, os.Mkdir(filepath.Join(dir, "key.pem"), 0o700))
	bundle, err := pki.ca.Issue(deployerRequest, noon)
	requireNoError(t, err)
	requireFault(t, bundle.Replace(dir), fault.Failed, "IDENTITY_NOT_WRITTEN")
	for name, content := range before {
		if got := string(readAll(t, filepath.Join(dir, name))); got != content {
			t.Errorf("%s changed", name)
		}
	}
	entries, err := os.ReadDir(dir)
	requireNoError(t, err)
	if len(entries) != 3 {
		t.Errorf("leftovers: %v", entries)
	}

	requireNoError(t, os.Remove(filepath.Join(dir, "key.pem")))
	requireNoError(t, bundle.Replace(dir)) // replacing again mends it
	_, err = identity.LoadFiles(dir)
	requireNoError(t, err)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	dir := pki.leaf(deployerRequest, noon)
	opened := func(now time.Time) error {
		_, err := identity.Open(dir, identity.Options{Now: at(now)})
		return err
	}
	requireNoError(t, opened(noon))
	requireFault(t, opened(noon.Add(identity.DefaultValidity+time.Second)), fault.Unauthenticated, identity.ReasonExpired)
	requireFault(t, opened(noon.Add(-6*time.Minute)), fault.Unauthenticated, identity.ReasonNotYetValid)

	options := identity.Options{Now: at(noon)}
	_, err := identity.ServerTLS(dir, options)
	requireFault(t, err, fault.Unauthenticated, identity.ReasonWrongRole)
	_, err = identity.ClientTLS(dir, options)
	requireNoError(t, err)
	_, err = identity.ClientTLS(pki.leaf(agentRequest, noon), options)
	requireFault(t, err, fault.Unauthenticated, identity.ReasonWrongRole)
	_, err = identity.ServerTLS(filepath.Join(pki.dir, "caroline"), options)
	requireNoError(t, err)

	for _, mode := range []os.FileMode{0o640, 0o604, 0o660} {
		requireNoError(t, os.Chmod(filepath.Join(dir, "key.pem"), mode))
		requireFault(t, opened(noon), fault.Invalid, identity.ReasonKeyTooOpen)
	}
	_, err = identity.Open(t.TempDir(), options)
	requireFault(t, err, fault.Unauthenticated, identity.ReasonMissing)
}

func TestKeyOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	dir := newAuthority(t).leaf(deployerRequest, noon)
	requireNoError(t, os.Chown(filepath.Join(dir, "key.pem"), 54321, 54321))
	_, err := identity.LoadFiles(dir)
	requireFault(t, err, fault.Invalid, identity.ReasonKeyTooOpen)
}

func TestExpiresWithin(t *testing.T) {
	t.Parallel()
	p := identity.Principal{NotAfter: noon.Add(24 * time.Hour)}
	if p.ExpiresWithin(23*time.Hour, noon) || !p.ExpiresWithin(25*time.Hour, noon) || !p.ExpiresWithin(0, noon.Add(25*time.Hour)) {
		t.Error("ExpiresWithin is off")
	}
}
