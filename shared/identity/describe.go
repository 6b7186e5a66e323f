package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Description is what a person wants to know about a certificate.
type Description struct {
	Path        string    `json:"path"` // of the certificate
	Role        string    `json:"role"` // a role, or "ca"
	Name        string    `json:"name"`
	Hosts       []string  `json:"hosts"`
	Serial      string    `json:"serial"` // lower-case hexadecimal
	Issuer      string    `json:"issuer"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	DaysLeft    int       `json:"days_left"`   // whole days, negative when expired
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the certificate, lower-case hexadecimal
	ChainOK     bool      `json:"chain_ok"`    // signed by a CA beside it and valid now
	ChainError  string    `json:"chain_error,omitempty"`
	KeyOK       bool      `json:"key_ok"` // beside it, private and of this certificate
	KeyError    string    `json:"key_error,omitempty"`
}

// Describe looks at an identity folder, a CA folder or a certificate with its files
// beside it. What is wrong with chain and key is told in the answer; the error is for
// a certificate that cannot be read.
func Describe(path string, now time.Time) (Description, error) {
	certPath := path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		certPath = filepath.Join(path, fileCert)
		if _, err := os.Stat(certPath); err != nil && exists(filepath.Join(path, fileCAKey)) {
			certPath = filepath.Join(path, fileCA)
		}
	}
	certs, err := readCerts(certPath)
	if err != nil {
		return Description{}, err
	}
	cert, dir := certs[0], filepath.Dir(certPath)
	d := Description{
		Path: certPath, Hosts: HostsOf(cert), Serial: cert.SerialNumber.Text(16), Issuer: cert.Issuer.CommonName,
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), DaysLeft: daysUntil(cert.NotAfter, now),
		Fingerprint: fmt.Sprintf("%x", sha256.Sum256(cert.Raw)),
	}
	if cert.IsCA {
		d.Role, d.Name = "ca", cert.Subject.CommonName
		_, keyErr := OpenCA(dir)
		return d.judge(checkValidity("the CA", cert, now), keyErr), nil
	}
	principal, err := principalOf(cert)
	if err != nil {
		return Description{}, err
	}
	d.Role, d.Name = string(principal.Role), principal.Name
	id, keyErr := LoadFiles(dir)
	return d.judge(checkChain(dir, certs, now), judgeKey(id, keyErr, cert)), nil
}

// HostsOf lists the host names and addresses of a certificate; never nil.
func HostsOf(cert *x509.Certificate) []string {
	hosts := append([]string{}, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

func (d Description) judge(chain, key error) Description {
	d.ChainOK, d.KeyOK = chain == nil, key == nil
	if chain != nil {
		d.ChainError = chain.Error()
	}
	if key != nil {
		d.KeyError = key.Error()
	}
	return d
}

// checkChain judges a leaf by the ca.pem beside it, without its key.
func checkChain(dir string, certs []*x509.Certificate, now time.Time) error {
	cas, err := readCerts(filepath.Join(dir, fileCA))
	if err != nil {
		return err
	}
	id := &Identity{Leaf: certs[0], CAs: cas}
	if id.Principal, err = principalOf(certs[0]); err != nil {
		return err
	}
	if id.pool, err = poolOf(filepath.Join(dir, fileCA), cas); err != nil {
		return err
	}
	for _, cert := range certs {
		id.Certificate.Certificate = append(id.Certificate.Certificate, cert.Raw)
	}
	if err := id.Check(now); err != nil {
		return err
	}
	lists, err := readLists(dir, cas)
	if err != nil {
		return err
	}
	return lists.check("the certificate of "+id.Principal.String(), certs[0])
}

func judgeKey(id *Identity, err error, cert *x509.Certificate) error {
	if err == nil && !id.Leaf.Equal(cert) {
		return fault.New(fault.Invalid, ReasonBroken, "the key beside it belongs to another certificate")
	}
	return err
}

// daysUntil rounds down, so that a certificate of yesterday has -1 days left.
func daysUntil(t, now time.Time) int {
	const day = 24 * time.Hour
	left := t.Sub(now)
	days := int(left / day)
	if left < 0 && left%day != 0 {
		days--
	}
	return days
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Reissue is the request for a successor of the leaf in dir: same role, name and hosts.
// The key is not looked at, so a folder with a lost or broken key can be renewed.
func Reissue(dir string, validFor time.Duration) (Request, error) {
	certs, err := readCerts(filepath.Join(dir, fileCert))
	if err != nil {
		return Request{}, err
	}
	principal, err := principalOf(certs[0])
	if err != nil {
		return Request{}, err
	}
	return Request{Role: principal.Role, Name: principal.Name, Hosts: HostsOf(certs[0]), ValidFor: validFor}, nil
}
