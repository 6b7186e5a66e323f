package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// verdict is a chain that was found good under one generation of the files, between two times.
type verdict struct {
	generation uint64
	from, to   time.Time
}

// verdicts remembers good chains, because a call is judged more often than anything changes.
// What is bad is judged anew each time.
type verdicts struct {
	mu    sync.Mutex
	known map[*x509.Certificate]verdict // by the leaf of one connection; at most maxVerdicts
}

// maxVerdicts bounds what is remembered; an agent has fewer connections.
const maxVerdicts = 1024

// Admit judges who is at the other end of an open connection by the files and the clock as
// they are NOW: validity, chain to the present CAs, present revocation list, role. The
// handshake asks the same, so that a connection never lives longer than what it was opened
// with. The error is Unauthenticated: CERT_EXPIRED, CERT_NOT_YET_VALID, UNKNOWN_AUTHORITY,
// CERT_REVOKED, REVOCATION_BROKEN, WRONG_ROLE or IDENTITY_MISSING.
func (s *Source) Admit(state tls.ConnectionState) (Principal, error) {
	peer, err := PrincipalFromState(state)
	if err != nil {
		return Principal{}, err
	}
	if !peer.Role.Client() {
		return Principal{}, wrongRole(peer, "a client")
	}
	p, now := s.present(), s.options.Now()
	if p.broken != nil {
		return Principal{}, p.broken
	}
	leaf, what := state.PeerCertificates[0], fmt.Sprintf("the certificate of %s", peer)
	if s.verdicts.good(leaf, p.generation, now) {
		return peer, nil
	}
	if err := checkValidity(what, leaf, now); err != nil {
		return Principal{}, err
	}
	intermediates := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: p.clients, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return Principal{}, fault.Wrap(err, fault.Unauthenticated, ReasonUnknownAuthority, "%s does not come from a CA that is trusted here now", what).
			WithHint("use an identity of the present CA: landfall-coordinator identity issue NAME")
	}
	chain := chains[0]
	v := verdict{generation: p.generation, from: leaf.NotBefore, to: leaf.NotAfter}
	for _, cert := range chain {
		if err := p.lists.check(what, cert); err != nil {
			return Principal{}, err
		}
		if cert.NotBefore.After(v.from) {
			v.from = cert.NotBefore
		}
		if cert.NotAfter.Before(v.to) {
			v.to = cert.NotAfter
		}
	}
	if r := s.options.Renewal; r != nil && chain[len(chain)-1].Equal(r.ca.cert) {
		if err := p.checkRenewed(leaf, what); err != nil {
			return Principal{}, err
		}
	}
	s.verdicts.remember(leaf, v)
	return peer, nil
}

// admitAgent judges what the standard verification of a client's handshake does not: the
// agent's role, and whether it was revoked.
func (s *Source) admitAgent(state tls.ConnectionState) (Principal, error) {
	peer, err := PrincipalFromState(state)
	if err != nil {
		return Principal{}, err
	}
	if peer.Role != RoleAgent {
		return Principal{}, wrongRole(peer, "an agent")
	}
	p := s.present()
	if p.broken != nil {
		return Principal{}, p.broken
	}
	for _, cert := range state.VerifiedChains[0] {
		if err := p.lists.check(fmt.Sprintf("the certificate of %s", peer), cert); err != nil {
			return Principal{}, err
		}
	}
	return peer, nil
}

func (v *verdicts) good(leaf *x509.Certificate, generation uint64, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	known, ok := v.known[leaf]
	return ok && known.generation == generation && !now.Before(known.from) && !now.After(known.to)
}

func (v *verdicts) remember(leaf *x509.Certificate, known verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil || len(v.known) >= maxVerdicts {
		v.known = map[*x509.Certificate]verdict{}
	}
	v.known[leaf] = known
}
