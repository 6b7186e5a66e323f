package identity

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Options adjust a [Source]; the zero value suits a program.
type Options struct {
	Now func() time.Time // nil is time.Now
	// Report receives what is wrong with replaced files, once for each replacement, and
	// why a peer was turned away. It may be called from several goroutines. nil drops it.
	Report func(error)
}

// Source is an identity folder in use. It looks at the files before each handshake and
// keeps the last good identity while they are broken. Safe for concurrent use.
type Source struct {
	dir     string
	options Options

	mu     sync.Mutex
	good   *Identity
	loaded fingerprint  // of the files behind good
	failed *fingerprint // of files that were refused already; may be nil
}

// fingerprint tells whether files were replaced without reading them.
type fingerprint [3]struct {
	size     int64
	modified time.Time
	mode     fs.FileMode
	inode    uint64
}

// Open loads the identity in dir and checks that it is valid now.
func Open(dir string, options Options) (*Source, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Report == nil {
		options.Report = func(error) {}
	}
	s := &Source{dir: dir, options: options}
	s.loaded = s.look()
	id, err := s.load()
	if err != nil {
		return nil, err
	}
	s.good = id
	return s, nil
}

// Identity is the identity on disk, or the last good one.
func (s *Source) Identity() *Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.look()
	if now == s.loaded || (s.failed != nil && now == *s.failed) {
		return s.good
	}
	id, err := s.load()
	if err != nil {
		if fault.ReasonOf(err) != ReasonNotYetValid { // which time alone mends
			s.failed = &now
		}
		s.options.Report(fault.Wrap(err, fault.KindOf(err), fault.ReasonOf(err), "the replaced identity in %s is not used", s.dir))
		return s.good
	}
	s.good, s.loaded, s.failed = id, now, nil
	return id
}

func (s *Source) load() (*Identity, error) {
	id, err := LoadFiles(s.dir)
	if err != nil {
		return nil, err
	}
	return id, id.Check(s.options.Now())
}

// look takes the fingerprint before the files are read, so that a file replaced
// meanwhile is seen at the next look.
func (s *Source) look() fingerprint {
	var f fingerprint
	for i, name := range []string{fileCA, fileCert, fileKey} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil {
			continue
		}
		f[i].size, f[i].modified, f[i].mode = info.Size(), info.ModTime(), info.Mode()
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			f[i].inode = stat.Ino
		}
	}
	return f
}

// protocols is what gRPC negotiates (RFC 9113, 3.2).
var protocols = [...]string{"h2"}

// ServerTLS is the configuration of an agent's listener. Replaced files count from the
// next handshake on. Sessions are not resumed: a resumed one would be judged by
// certificates that may be gone.
func (s *Source) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protocols[:], SessionTicketsDisabled: true,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.serverTLS(), nil },
	}
}

func (s *Source) serverTLS() *tls.Config {
	id := s.Identity()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protocols[:], SessionTicketsDisabled: true, Time: s.options.Now,
		Certificates: []tls.Certificate{id.Certificate},
		// The standard verification: chain, validity, clientAuth usage.
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: id.pool,
		VerifyConnection: func(state tls.ConnectionState) error {
			peer, err := PrincipalFromState(state)
			if err == nil && !peer.Role.Client() {
				err = wrongRole(peer, "a client")
			}
			return err
		},
	}
}

// ClientTLS is the configuration of one connection to an agent, as the files are now.
// Ask again for each connection, or use [Source.ClientCredentials], which does. The
// host name is verified as soon as ServerName is set, as every dialler does.
func (s *Source) ClientTLS() *tls.Config {
	id := s.Identity()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protocols[:], Time: s.options.Now,
		// Sent even when the agent names other CAs: it then says that it does not know
		// ours, where Certificates would send nothing and hear only that one is required.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &id.Certificate, nil },
		// The standard verification: chain, validity, serverAuth usage, host name.
		RootCAs: id.pool,
		VerifyConnection: func(state tls.ConnectionState) error {
			peer, err := PrincipalFromState(state)
			if err == nil && peer.Role != RoleAgent {
				err = wrongRole(peer, "an agent")
			}
			return err
		},
	}
}

// wrongRoleText is looked for by ExplainHandshake, for gRPC hands on only texts.
const wrongRoleText = "has a role that cannot be"

func wrongRole(peer Principal, wanted string) error {
	return fault.New(fault.Unauthenticated, ReasonWrongRole, "the certificate of %s %s %s", peer, wrongRoleText, wanted)
}

// ServerTLS is [Source.ServerTLS] of dir; the identity must be an agent's.
func ServerTLS(dir string, options Options) (*tls.Config, error) {
	s, err := OpenRole(dir, options, RoleAgent)
	if err != nil {
		return nil, err
	}
	return s.ServerTLS(), nil
}

// ClientTLS is [Source.ClientTLS] of dir; the identity must be a client's.
func ClientTLS(dir string, options Options) (*tls.Config, error) {
	s, err := OpenRole(dir, options, RoleObserver, RoleDeployer, RoleOperator)
	if err != nil {
		return nil, err
	}
	return s.ClientTLS(), nil
}

// OpenRole is Open for an identity that must have one of the roles; the error for
// others is Unauthenticated, WRONG_ROLE, before anything is dialled or served.
func OpenRole(dir string, options Options, roles ...Role) (*Source, error) {
	s, err := Open(dir, options)
	if err != nil {
		return nil, err
	}
	have := s.Identity().Principal
	for _, role := range roles {
		if have.Role == role {
			return s, nil
		}
	}
	return nil, fault.New(fault.Unauthenticated, ReasonWrongRole, "the identity in %s is %s, and here %s is needed", dir, have, fmt.Sprint(roles)).
		WithHint("name another folder, or issue one: landfall-coordinator identity issue NAME --role %s", roles[0])
}
