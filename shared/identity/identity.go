// Package identity proves to each end of a connection who the other end is.
//
// A private CA signs leaves that carry one role in a SAN URI, landfall://ROLE/NAME. It
// promises: TLS 1.3 only, both sides verify chain, validity, key usage and role, the
// client also the host name; a private key that others can read, and any file that others
// can write, is refused; files that are replaced on disk count from the next handshake and the
// next [Source.Admit] on, and a half-written replacement never does. Errors are faults;
// their reasons are the constants of this package. Start reading at [Source] for
// connections, [CA] for issuing.
package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Reasons of the faults of this package.
const (
	ReasonMissing          = "IDENTITY_MISSING"   // Unauthenticated: a file is not there, or no certificate was sent
	ReasonBroken           = "IDENTITY_BROKEN"    // Invalid: a file is not what its name says, or key and certificate do not match
	ReasonExists           = "IDENTITY_EXISTS"    // Invalid: it would be overwritten
	ReasonRequest          = "IDENTITY_REQUEST"   // Invalid: role, name, hosts or validity of a new leaf
	ReasonKeyTooOpen       = "KEY_TOO_OPEN"       // Invalid: others can read the private key
	ReasonExpired          = "CERT_EXPIRED"       // Unauthenticated
	ReasonNotYetValid      = "CERT_NOT_YET_VALID" // Unauthenticated
	ReasonWrongRole        = "WRONG_ROLE"         // Unauthenticated
	ReasonUnknownAuthority = "UNKNOWN_AUTHORITY"  // Unauthenticated
	ReasonWrongHost        = "WRONG_HOST"         // Unauthenticated
	ReasonNotTLS           = "NOT_TLS"            // Unauthenticated: the other end speaks no TLS 1.3
	ReasonRevoked          = "CERT_REVOKED"       // Unauthenticated: the revocation list names the certificate
	ReasonListBroken       = "REVOCATION_BROKEN"  // Unauthenticated: the revocation list cannot be believed, so nobody is
)

// Role says what the holder of a leaf may be.
type Role string

// The roles. An agent leaf serves; the others are clients, each allowed more than
// the one before it.
const (
	RoleAgent    Role = "agent"
	RoleObserver Role = "observer"
	RoleDeployer Role = "deployer"
	RoleOperator Role = "operator"
)

// Roles lists every role.
func Roles() []Role { return []Role{RoleAgent, RoleObserver, RoleDeployer, RoleOperator} }

// Client reports whether the role may open connections to an agent.
func (r Role) Client() bool { return r != RoleAgent && slices.Contains(Roles(), r) }

// Principal is the proven holder of a leaf, or a proven user of the agent's host.
type Principal struct {
	Role     Role
	Name     string
	Serial   string // lower-case hexadecimal
	NotAfter time.Time

	// Local is a user of the agent's host whom the kernel has named on the local socket. He has no leaf, so no serial and no end.
	Local bool
}

// String is ROLE/NAME of a leaf, local/NAME of a user of the host. No role is called local.
func (p Principal) String() string {
	if p.Local {
		return "local/" + p.Name
	}
	return string(p.Role) + "/" + p.Name
}

// EndingSoon is how long before its end everybody who meets a certificate is warned.
const EndingSoon = 30 * 24 * time.Hour

// ExpiresWithin reports whether the leaf is no longer valid at now + d.
func (p Principal) ExpiresWithin(d time.Duration, now time.Time) bool {
	return now.Add(d).After(p.NotAfter)
}

// PrincipalFromState is who is at the other end of a connection. The error is
// Unauthenticated when the handshake verified nobody, as on a plaintext connection.
func PrincipalFromState(state tls.ConnectionState) (Principal, error) {
	if len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return Principal{}, fault.New(fault.Unauthenticated, ReasonMissing, "the connection carries no verified certificate")
	}
	return principalOf(state.VerifiedChains[0][0])
}

// scheme of the SAN URI.
const scheme = "landfall"

func uriOf(role Role, name string) *url.URL {
	return &url.URL{Scheme: scheme, Host: string(role), Path: "/" + name}
}

// namePattern keeps names safe in URIs, file names and log lines.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// principalOf reads the one role of a leaf.
func principalOf(leaf *x509.Certificate) (Principal, error) {
	var found []*url.URL
	for _, u := range leaf.URIs {
		if u.Scheme == scheme {
			found = append(found, u)
		}
	}
	wrong := func(format string, args ...any) (Principal, error) {
		return Principal{}, fault.New(fault.Unauthenticated, ReasonWrongRole, "%s", fmt.Sprintf(format, args...)).
			WithHint("issue a certificate with one role: landfall-coordinator identity issue")
	}
	if len(found) != 1 {
		return wrong("the certificate %q names %d roles instead of one", leaf.Subject.CommonName, len(found))
	}
	u := found[0]
	role, name := Role(u.Host), strings.TrimPrefix(u.Path, "/")
	if !slices.Contains(Roles(), role) || !namePattern.MatchString(name) || *u != *uriOf(role, name) {
		return wrong("the certificate names the unknown role %q", u)
	}
	return Principal{Role: role, Name: name, Serial: leaf.SerialNumber.Text(16), NotAfter: leaf.NotAfter}, nil
}

// checkValidity tells an expired certificate from one of the future.
func checkValidity(what string, cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fault.New(fault.Unauthenticated, ReasonExpired, "%s expired at %s", what, stamp(cert.NotAfter)).
			WithHint("renew it: landfall-coordinator identity renew NAME")
	case now.Before(cert.NotBefore):
		return fault.New(fault.Unauthenticated, ReasonNotYetValid, "%s is valid from %s on, and now it is %s", what, stamp(cert.NotBefore), stamp(now)).
			WithHint("compare the clocks of both machines: timedatectl, or sntp time.apple.com")
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
