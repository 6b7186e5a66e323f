package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

const (
	caValidity = 10 * 365 * 24 * time.Hour
	// DefaultValidity is how long a leaf is valid unless the request says otherwise.
	DefaultValidity = 365 * 24 * time.Hour
	// backdate makes a fresh leaf valid on a machine whose clock is behind: a Pi
	// without a battery-backed clock starts with a past time.
	backdate = 5 * time.Minute
)

// CA signs leaves. Keys are ECDSA on P-256: the one signature scheme besides RSA-PSS
// that TLS 1.3 makes mandatory (RFC 8446, 9.1), so every client from grpcurl to a
// Mac's LibreSSL has it, which cannot be said of Ed25519.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Certificate is the CA's own certificate.
func (ca *CA) Certificate() *x509.Certificate { return ca.cert }

// NewCA makes a CA in memory, valid for ten years from now.
func NewCA(now time.Time) (*CA, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return nil, internal(err, "draw a random name")
	}
	template := &x509.Certificate{
		// A name of its own keeps two CAs apart while one replaces the other.
		Subject:   pkix.Name{CommonName: "Landfall CA " + hex.EncodeToString(id)},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(caValidity),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 0, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &CA{cert: cert, key: key}, nil
}

// WriteNew writes the CA into dir (ca.pem, ca-key.pem), which it makes. It never
// overwrites: the error is then Invalid, IDENTITY_EXISTS.
func (ca *CA) WriteNew(dir string) error {
	if err := refuseExisting(dir, fileCA, fileCAKey); err != nil {
		return err
	}
	key, err := encodeKey(ca.key)
	if err != nil {
		return err
	}
	return writeFiles(dir, []file{{fileCAKey, key, 0o600}, {fileCA, encodeCert(ca.cert), 0o644}})
}

// OpenCA reads the CA of dir.
func OpenCA(dir string) (*CA, error) {
	certs, err := readCerts(filepath.Join(dir, fileCA))
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, fileCAKey))
	if err != nil {
		return nil, err
	}
	for _, cert := range certs {
		if public, ok := cert.PublicKey.(*ecdsa.PublicKey); ok && cert.IsCA && public.Equal(&key.PublicKey) {
			return &CA{cert: cert, key: key}, nil
		}
	}
	return nil, fault.New(fault.Invalid, ReasonBroken, "%s holds no CA certificate of the key beside it", filepath.Join(dir, fileCA)).
		WithHint("restore both files from one backup")
}

// Request describes a leaf.
type Request struct {
	Role     Role
	Name     string        // letters, digits, dot, dash and underscore; at most 63
	Hosts    []string      // host names and IP addresses that an agent answers at; none for clients
	ValidFor time.Duration // 0 is DefaultValidity
}

// Bundle is a leaf with its key and the CAs it trusts, as PEM.
type Bundle struct {
	CA, Cert, Key []byte
}

// Issue signs a new leaf with a new key. The error is Invalid, IDENTITY_REQUEST when
// the request makes no sense or outlives the CA.
func (ca *CA) Issue(req Request, now time.Time) (Bundle, error) {
	if req.ValidFor == 0 {
		req.ValidFor = DefaultValidity
	}
	if err := ca.check(req, now); err != nil {
		return Bundle{}, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: string(req.Role) + " " + req.Name},
		URIs:      []*url.URL{uriOf(req.Role, req.Name)},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(req.ValidFor),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if req.Role == RoleAgent {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, host := range req.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key, err := newKey()
	if err != nil {
		return Bundle{}, err
	}
	cert, err := sign(template, ca.cert, key, ca.key)
	if err != nil {
		return Bundle{}, err
	}
	keyPEM, err := encodeKey(key)
	return Bundle{CA: encodeCert(ca.cert), Cert: encodeCert(cert), Key: keyPEM}, err
}

// hostPattern is a DNS name of letters, digits and dashes.
var hostPattern = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

func (ca *CA) check(req Request, now time.Time) error {
	bad := func(format string, args ...any) *fault.Error {
		return fault.New(fault.Invalid, ReasonRequest, format, args...)
	}
	switch {
	case !slices.Contains(Roles(), req.Role):
		return bad("there is no role %q", req.Role).WithHint("the roles are agent, observer, deployer and operator")
	case !namePattern.MatchString(req.Name):
		return bad("%q cannot be the name of an identity", req.Name).WithHint("use up to 63 letters, digits, dots, dashes and underscores")
	case req.Role == RoleAgent && len(req.Hosts) == 0:
		return bad("an agent needs the host names it is reached at").WithHint("add --host caroline.local, once for every name and address")
	case req.Role != RoleAgent && len(req.Hosts) > 0:
		return bad("a %s opens connections and has no host names", req.Role).WithHint("leave --host out, or issue role agent")
	case req.ValidFor < 0:
		return bad("a validity of %s is over before it begins", req.ValidFor)
	case now.After(ca.cert.NotAfter):
		return checkValidity("the CA", ca.cert, now)
	case now.Add(req.ValidFor).After(ca.cert.NotAfter):
		return bad("a leaf cannot outlive its CA, which expires at %s", stamp(ca.cert.NotAfter)).WithHint("choose a shorter --valid-for")
	}
	for _, host := range req.Hosts {
		if net.ParseIP(host) == nil && (len(host) > 253 || !hostPattern.MatchString(host)) {
			return bad("%q is neither a host name nor an IP address", host).WithHint("leave the port out")
		}
	}
	return nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, internal(err, "make a key")
	}
	return key, nil
}

// sign makes a certificate with a random serial number, which package x509 draws.
func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, internal(err, "sign a certificate")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, internal(err, "read the signed certificate")
	}
	return cert, nil
}

func encodeCert(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: cert.Raw})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, internal(err, "encode a key")
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

func internal(err error, what string) error {
	return fault.Wrap(err, fault.Internal, "IDENTITY_INTERNAL", "%s", what)
}
