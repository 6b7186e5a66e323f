package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"net/url"
	"path/filepath"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Renewal is an agent's own authority, by which callers renew their certificates over the
// wire. The CA's key stays with the person, so the agent has a key of its own, which is
// believed by this agent alone, for clients alone (by name constraints, by key usage, and by
// [Source.Admit]), and only while the certificate that the caller once had from the CA is not
// revoked and its CA is still trusted. Who has the key has the host, and could do more there
// than any client can.
type Renewal struct {
	ca       *CA
	validFor time.Duration
}

// OpenRenewal opens the authority in a folder, making it when there is none. validFor is how
// long a renewed certificate is valid.
func OpenRenewal(dir string, validFor time.Duration, now time.Time) (*Renewal, error) {
	if !exists(filepath.Join(dir, fileCAKey)) {
		ca, err := newRenewalCA(now)
		if err != nil {
			return nil, err
		}
		if err := ca.WriteNew(dir); err != nil {
			return nil, err
		}
	}
	if err := checkFolder(dir); err != nil {
		return nil, err
	}
	ca, err := OpenCA(dir)
	if err != nil {
		return nil, err
	}
	if len(ca.cert.PermittedURIDomains) == 0 {
		return nil, broken(dir, fault.New(fault.Invalid, ReasonBroken, "its CA may sign anything, and a renewal authority must not"))
	}
	return &Renewal{ca: ca, validFor: validFor}, checkValidity("the renewal authority", ca.cert, now)
}

// newRenewalCA makes a CA that can sign clients only: the role is the host of a leaf's URI, to
// which name constraints apply (RFC 5280, 4.2.1.10).
func newRenewalCA(now time.Time) (*CA, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return nil, internal(err, "draw a random name")
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Landfall renewal " + hex.EncodeToString(id)},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(caValidity),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 0, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		PermittedDNSDomainsCritical: true, // of all name constraints, whatever the field's name says
		PermittedURIDomains:         []string{string(RoleObserver), string(RoleDeployer), string(RoleOperator)},
	}
	cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &CA{cert: cert, key: key}, nil
}

// origin is the certificate that a person's CA once issued, of which a renewed one descends.
// It stands in the renewed one's subject: the serial number, and the CA as organisational unit.
type origin struct{ serial, ca string }

func caName(ca *x509.Certificate) string {
	sum := sha256.Sum256(ca.Raw)
	return hex.EncodeToString(sum[:16]) // 32 characters; a unit may have 64 (RFC 5280, A.1)
}

func originOf(leaf *x509.Certificate) (o origin, ok bool) {
	if len(leaf.Subject.OrganizationalUnit) != 1 || leaf.Subject.SerialNumber == "" {
		return origin{}, false
	}
	return origin{serial: leaf.Subject.SerialNumber, ca: leaf.Subject.OrganizationalUnit[0]}, true
}

// checkRenewed judges a leaf that the renewal authority has signed by what it descends of.
func (p present) checkRenewed(leaf *x509.Certificate, what string) error {
	o, ok := originOf(leaf)
	if ok {
		for _, ca := range p.identity.CAs {
			if caName(ca) != o.ca {
				continue
			}
			if l := p.lists.of(ca); l != nil && l.serial[o.serial] {
				return fault.New(fault.Unauthenticated, ReasonRevoked, "%s descends of one that was revoked (serial %s)", what, o.serial).
					WithHint("if that was a mistake, issue another: landfall-coordinator identity issue NAME")
			}
			return nil
		}
	}
	return fault.New(fault.Unauthenticated, ReasonUnknownAuthority, "%s was renewed from a certificate of a CA that is not trusted here now", what).
		WithHint("use an identity of the present CA: landfall-coordinator identity issue NAME")
}

// Renewed is a certificate for a caller's new key.
type Renewed struct {
	Cert, Authority []byte // PEM
	NotAfter        time.Time
}

// Renew signs a certificate for the key of a signing request (DER), of the same role and
// name as the caller at the other end of a connection has now. The error is Refused,
// NO_RENEWAL where there is no renewal authority, Invalid for a bad request, that of
// [Source.Admit] for a caller who may not be here.
func (s *Source) Renew(state tls.ConnectionState, request []byte) (Renewed, error) {
	who, err := s.Admit(state)
	if err != nil {
		return Renewed{}, err
	}
	r := s.options.Renewal
	if r == nil {
		return Renewed{}, fault.New(fault.Refused, "NO_RENEWAL", "this agent renews no certificates").
			WithHint("renew it where the CA is: landfall-coordinator identity renew %s; or set renewal in agent.yaml", who.Name)
	}
	key, err := keyOf(request)
	if err != nil {
		return Renewed{}, fault.Wrap(err, fault.Invalid, ReasonRequest, "the certificate signing request cannot be used")
	}
	leaf := state.PeerCertificates[0]
	from, renewed := originOf(leaf)
	if !renewed || leaf.CheckSignatureFrom(r.ca.cert) != nil {
		root := state.VerifiedChains[0][len(state.VerifiedChains[0])-1]
		from = origin{serial: who.Serial, ca: caName(root)}
	}
	now := s.options.Now()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: string(who.Role) + " " + who.Name, SerialNumber: from.serial, OrganizationalUnit: []string{from.ca}},
		URIs:      []*url.URL{uriOf(who.Role, who.Name)},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(r.validFor),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if template.NotAfter.After(r.ca.cert.NotAfter) {
		template.NotAfter = r.ca.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, r.ca.cert, key, r.ca.key)
	if err != nil {
		return Renewed{}, internal(err, "sign a certificate")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Renewed{}, internal(err, "read the signed certificate")
	}
	return Renewed{Cert: encodeCert(cert), Authority: encodeCert(r.ca.cert), NotAfter: cert.NotAfter}, nil
}

// keyOf is the key that a signing request is for, whose holder has signed it.
func keyOf(request []byte) (*ecdsa.PublicKey, error) {
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, err
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fault.New(fault.Invalid, ReasonRequest, "the key is not an ECDSA key on P-256")
	}
	return key, nil
}

// Succession is a new key that waits for its certificate.
type Succession struct{ key *ecdsa.PrivateKey }

// NewSuccession makes a new key for an identity that is to be renewed over the wire.
func NewSuccession() (*Succession, error) {
	key, err := newKey()
	return &Succession{key}, err
}

// Request is the certificate signing request, in DER.
func (s *Succession) Request() ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, s.key)
	if err != nil {
		return nil, internal(err, "make a certificate signing request")
	}
	return der, nil
}

// Install puts the renewed certificate and its key into an identity folder. What does not
// fit the folder (another role, name or key) is refused and nothing is changed.
func (s *Succession) Install(dir string, r Renewed) error {
	was, err := LoadFiles(dir)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(s.key)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(r.Cert, keyPEM)
	if err != nil {
		return broken("the renewed certificate", err)
	}
	who, err := principalOf(pair.Leaf)
	if err != nil {
		return err
	}
	if who.String() != was.Principal.String() {
		return fault.New(fault.Invalid, ReasonWrongRole, "the renewed certificate is of %s, and not of %s", who, was.Principal)
	}
	authority, err := parseCerts("the renewal authority", r.Authority)
	if err != nil {
		return err
	}
	for _, ca := range authority {
		// In our ca.pem it must not be able to vouch for an agent.
		if !ca.IsCA || len(ca.PermittedURIDomains) == 0 || permits(ca, RoleAgent) {
			return fault.New(fault.Invalid, ReasonBroken, "the renewal authority %q could sign agents, too", ca.Subject.CommonName)
		}
	}
	return Bundle{CA: r.Authority, Cert: r.Cert, Key: keyPEM}.Replace(dir)
}

// permits reports whether name constraints let a CA sign a role.
func permits(ca *x509.Certificate, role Role) bool {
	clientOnly := len(ca.ExtKeyUsage) == 1 && ca.ExtKeyUsage[0] == x509.ExtKeyUsageClientAuth
	for _, domain := range ca.PermittedURIDomains {
		if domain == string(role) || domain == "" {
			return true
		}
	}
	return !clientOnly
}
