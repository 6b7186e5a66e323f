package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// Options adjust a [Source]; the zero value suits a program.
type Options struct {
	Now func() time.Time // nil is time.Now
	// Report receives what is wrong with replaced files, once for each replacement. It may be
	// called from several goroutines. nil drops it.
	Report func(error)
	// Refused receives why a peer was turned away; anybody on the network can have it called
	// as often as he likes. nil is Report.
	Refused func(error)
	// Met receives the other end of each connection that a client opens. nil drops it.
	Met func(Principal)
	// Renewal is the agent's own authority for renewed clients; nil where there is none.
	Renewal *Renewal
}

// Source is an identity folder in use. It looks at the files before each handshake and
// each verdict, and keeps the last good identity while they are broken. A revocation list
// that is broken or gone is no reason to go on with an older one: then nobody is admitted.
// Safe for concurrent use.
type Source struct {
	dir      string
	options  Options
	verdicts verdicts

	installing sync.Mutex // held while the list on disk is replaced

	mu     sync.Mutex
	now    present
	loaded fingerprint  // of the files behind now
	failed *fingerprint // of files that were refused already; may be nil
	listed fingerprint  // of the files behind now.lists
}

// present is what holds at one moment.
type present struct {
	identity   *Identity
	clients    *x509.CertPool // the identity's CAs, and the renewal authority
	lists      lists
	broken     error  // why nobody is admitted; nil when the lists can be believed
	generation uint64 // grows with each change of the fields above
}

// fingerprint tells whether files were replaced, or can be written by others now, without reading them.
type fingerprint struct {
	files  [4]seen
	folder string // what is wrong with the folder and the way to it
}

type seen struct {
	size     int64
	modified time.Time
	mode     fs.FileMode
	inode    uint64
	owner    uint32
}

// Open loads the identity in dir and checks that it is valid now. A revocation list that
// cannot be believed is an error, too.
func Open(dir string, options Options) (*Source, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Report == nil {
		options.Report = func(error) {}
	}
	if options.Refused == nil {
		options.Refused = options.Report
	}
	if options.Met == nil {
		options.Met = func(Principal) {}
	}
	s := &Source{dir: dir, options: options}
	s.loaded = s.look()
	id, err := s.load()
	if err != nil {
		return nil, err
	}
	ls, err := readLists(dir, id.CAs)
	if err != nil {
		return nil, err
	}
	s.listed, s.now = s.loaded, present{identity: id, clients: s.clients(id), lists: ls, generation: 1}
	return s, nil
}

// Dir is the identity folder.
func (s *Source) Dir() string { return s.dir }

// Identity is the identity on disk, or the last good one.
func (s *Source) Identity() *Identity { return s.present().identity }

// Revoked is how many certificates are revoked. The error, Unauthenticated and
// REVOCATION_BROKEN, says why nobody is admitted.
func (s *Source) Revoked() (int, error) {
	p := s.present()
	return p.lists.count(), p.broken
}

// Troubles are what a person should mend: files that are not the ones in use, and why nobody is admitted.
func (s *Source) Troubles() (troubles []error) {
	p := s.present()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		if _, err := s.load(); err != nil {
			troubles = append(troubles, fault.Wrap(err, fault.KindOf(err), fault.ReasonOf(err), "the files on disk are not the ones in use"))
		}
	}
	if p.broken != nil {
		troubles = append(troubles, p.broken)
	}
	return troubles
}

// Install takes up a CA's signed revocation list; see [InstallList]. From its return on it
// counts for every handshake and every verdict.
func (s *Source) Install(content []byte) (changed bool, revoked int, err error) {
	s.installing.Lock()
	defer s.installing.Unlock()
	if changed, _, err = InstallList(s.dir, content); err != nil {
		return false, 0, err
	}
	p := s.present()
	return changed, p.lists.count(), p.broken
}

// present looks at the files and takes up what is new.
func (s *Source) present() present {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.look()
	if now != s.loaded && (s.failed == nil || now != *s.failed) {
		s.reload(now)
	}
	if now != s.listed {
		s.relist(now)
	}
	return s.now
}

func (s *Source) reload(now fingerprint) {
	id, err := s.load()
	if err != nil {
		if fault.ReasonOf(err) != ReasonNotYetValid { // which time alone mends
			s.failed = &now
		}
		s.options.Report(fault.Wrap(err, fault.KindOf(err), fault.ReasonOf(err), "the replaced identity in %s is not used", s.dir))
		return
	}
	s.loaded, s.failed = now, nil
	s.now.identity, s.now.clients = id, s.clients(id)
	s.now.generation++
}

func (s *Source) clients(id *Identity) *x509.CertPool {
	pool := id.pool.Clone()
	if s.options.Renewal != nil {
		pool.AddCert(s.options.Renewal.ca.cert)
	}
	return pool
}

// relist takes up the revocation lists. They never go back: neither to an older number nor to none.
func (s *Source) relist(now fingerprint) {
	ls, err := lists(nil), error(nil)
	switch {
	case now.folder == "":
		ls, err = readLists(s.dir, s.now.identity.CAs)
	case now.files[3] != seen{} || len(s.now.lists) > 0: // who can write the folder can take a list away
		err = listBroken(filepath.Join(s.dir, FileRevoked), errors.New(now.folder))
	}
	if err == nil {
		err = s.forward(ls)
	}
	s.listed = now
	s.now.generation++
	if s.now.broken = err; err != nil {
		s.options.Report(err)
		return
	}
	s.now.lists = ls
}

// forward fails for lists that know less than those in use.
func (s *Source) forward(ls lists) error {
	for _, was := range s.now.lists {
		stays := slices.ContainsFunc(s.now.identity.CAs, was.ca.Equal)
		if is := ls.of(was.ca); stays && (is == nil || is.number.Cmp(was.number) < 0) {
			return listBroken(filepath.Join(s.dir, FileRevoked),
				fmt.Errorf("the list number %s of %q was in use, and what is there now is older or nothing", was.number, was.ca.Subject.CommonName))
		}
	}
	return nil
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
	for i, name := range []string{fileCA, fileCert, fileKey, FileRevoked} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil {
			continue
		}
		f.files[i] = seen{size: info.Size(), modified: info.ModTime(), mode: info.Mode()}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			f.files[i].inode, f.files[i].owner = stat.Ino, stat.Uid
		}
	}
	if err := trust.Us().Folder(s.dir); err != nil {
		f.folder = err.Error()
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
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if g, ok := connOf(hello).(Greeter); ok {
				g.Greeted()
			}
			return s.serverTLS(), nil
		},
	}
}

// connOf is the connection a greeting came by; nil when somebody only asks for the configuration.
func connOf(hello *tls.ClientHelloInfo) net.Conn {
	if hello == nil {
		return nil
	}
	return hello.Conn
}

func (s *Source) serverTLS() *tls.Config {
	p := s.present()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protocols[:], SessionTicketsDisabled: true, Time: s.options.Now,
		Certificates: []tls.Certificate{p.identity.Certificate},
		// The standard verification: chain, validity, clientAuth usage.
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.clients,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := s.Admit(state)
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
			peer, err := s.admitAgent(state)
			if err == nil {
				s.options.Met(peer)
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
