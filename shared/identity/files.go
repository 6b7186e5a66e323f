package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// Files of an identity folder, and of a CA folder.
const (
	fileCA    = "ca.pem"
	fileCert  = "cert.pem"
	fileKey   = "key.pem"
	fileCAKey = "ca-key.pem"

	// FileRevoked holds the revocation lists of the CAs beside it; it may be missing.
	FileRevoked = "revoked.crl"
	fileIssued  = "issued" // what a CA has issued, one leaf a line
)

const (
	pemCert = "CERTIFICATE"
	pemKey  = "PRIVATE KEY"
)

// maxFile bounds what is read of a PEM file, in bytes.
const maxFile = 1 << 20

// Identity is a loaded identity folder: ca.pem, cert.pem and key.pem.
type Identity struct {
	Principal   Principal
	Leaf        *x509.Certificate
	Certificate tls.Certificate
	CAs         []*x509.Certificate // all of ca.pem: several while one CA replaces another
	pool        *x509.CertPool
}

// LoadFiles reads an identity folder that only root or we can have written: one that others
// may change proves nothing. Whether the leaf is valid now and comes from one of the CAs is
// not asked; see [Identity.Check].
func LoadFiles(dir string) (*Identity, error) {
	if err := checkFolder(dir); err != nil {
		return nil, err
	}
	cas, err := readCerts(filepath.Join(dir, fileCA))
	if err != nil {
		return nil, err
	}
	pool, err := poolOf(filepath.Join(dir, fileCA), cas)
	if err != nil {
		return nil, err
	}
	certPath, keyPath := filepath.Join(dir, fileCert), filepath.Join(dir, fileKey)
	certPEM, err := readFile(certPath)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readPrivate(keyPath)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, broken(fmt.Sprintf("the pair of %s and %s", certPath, keyPath), err)
	}
	principal, err := principalOf(pair.Leaf)
	if err != nil {
		return nil, err
	}
	return &Identity{Principal: principal, Leaf: pair.Leaf, Certificate: pair, CAs: cas, pool: pool}, nil
}

func poolOf(path string, cas []*x509.Certificate) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, ca := range cas {
		if !ca.IsCA {
			return nil, broken(path, errors.New("it holds a certificate that is no CA"))
		}
		pool.AddCert(ca)
	}
	return pool, nil
}

// Check verifies that the leaf is valid at now and was signed by one of the CAs, with
// CERT_EXPIRED, CERT_NOT_YET_VALID or UNKNOWN_AUTHORITY (all Unauthenticated).
func (id *Identity) Check(now time.Time) error {
	what := fmt.Sprintf("the certificate of %s", id.Principal)
	if err := checkValidity(what, id.Leaf, now); err != nil {
		return err
	}
	intermediates := x509.NewCertPool()
	for _, der := range id.Certificate.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			intermediates.AddCert(cert)
		}
	}
	_, err := id.Leaf.Verify(x509.VerifyOptions{
		Roots: id.pool, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fault.Wrap(err, fault.Unauthenticated, ReasonUnknownAuthority, "%s does not come from a CA of the %s beside it", what, fileCA).
			WithHint("copy all files of an identity together")
	}
	return nil
}

// WriteNew writes the bundle into dir, which it makes. It never overwrites: the error is
// then Invalid, IDENTITY_EXISTS.
func (b Bundle) WriteNew(dir string) error {
	if err := refuseExisting(dir, fileCert, fileKey); err != nil {
		return err
	}
	return b.Replace(dir)
}

// Replace writes the bundle into dir over what is there. CAs that its ca.pem already
// trusts stay. A running program takes the new files up at its next handshake; a crash
// between two of the files is mended by replacing again.
func (b Bundle) Replace(dir string) error {
	ca := b.CA
	path := filepath.Join(dir, fileCA)
	if old, err := readFile(path); err == nil {
		ca = old
		if !bytes.Contains(old, bytes.TrimSpace(b.CA)) {
			ca = append(append(bytes.TrimSpace(old), '\n'), b.CA...)
		}
	}
	return writeFiles(dir, []file{{fileCA, ca, 0o644}, {fileKey, b.Key, 0o600}, {fileCert, b.Cert, 0o644}})
}

func refuseExisting(dir string, names ...string) error {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return fault.New(fault.Invalid, ReasonExists, "%s exists and is not overwritten", path).
				WithHint("renew a leaf with landfall-coordinator identity renew, or choose another folder")
		}
	}
	return nil
}

// file is one file to write.
type file struct {
	name    string
	content []byte
	mode    fs.FileMode
}

// writeFiles replaces the files of dir durably: all are on disk under temporary names
// before the first is renamed. TestFilesAreReplacedWhole shows it.
func writeFiles(dir string, files []file) (err error) {
	defer func() {
		if err != nil && !trust.Untrusted(err) {
			err = fault.Wrap(err, fault.Failed, "IDENTITY_NOT_WRITTEN", "write the identity in %s", dir)
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := trust.Us().Folder(dir); err != nil {
		return err
	}
	temps := make([]string, len(files))
	defer func() {
		for _, temp := range temps {
			if temp != "" {
				_ = os.Remove(temp) // renamed already unless something failed
			}
		}
	}()
	for i, f := range files {
		if temps[i], err = writeTemp(dir, f); err != nil {
			return err
		}
	}
	for i, f := range files {
		if err := os.Rename(temps[i], filepath.Join(dir, f.name)); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// writeTemp writes a file under a temporary name, never more readable than its mode.
func writeTemp(dir string, f file) (path string, err error) {
	temp, err := os.CreateTemp(dir, "."+f.name+"-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = temp.Write(f.content)
	return temp.Name(), errors.Join(err, temp.Chmod(f.mode), temp.Sync(), temp.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checkFolder judges who may write an identity folder; one that is not there is IDENTITY_MISSING.
func checkFolder(dir string) error {
	err := trust.Us().Folder(dir)
	if err == nil || trust.Untrusted(err) {
		return err
	}
	return unreadable(dir, err)
}

// readFile reads a file that may be public, and that others must not be able to write.
func readFile(path string) ([]byte, error) {
	content, _, err := trust.Us().Read(path, maxFile)
	if err != nil && !trust.Untrusted(err) {
		return nil, unreadable(path, err)
	}
	return content, err
}

// readPrivate reads a file that nobody but its owner may read.
func readPrivate(path string) ([]byte, error) {
	content, info, err := trust.Us().Read(path, maxFile)
	if info != nil { // a key that others can read is told as that, whatever else is wrong with it
		if private := checkPrivate(path, info, os.Geteuid()); private != nil {
			return nil, private
		}
	}
	if err != nil && !trust.Untrusted(err) {
		return nil, unreadable(path, err)
	}
	return content, err
}

func unreadable(path string, err error) error {
	f := fault.Wrap(err, fault.Unauthenticated, ReasonMissing, "the identity is not complete")
	if errors.Is(err, fs.ErrPermission) {
		return f.WithHint("run as the user that owns %s", path)
	}
	return f.WithHint("make one with landfall-coordinator identity init or issue, and name its folder by --identity or LANDFALL_IDENTITY")
}

// checkPrivate judges mode and owner of a private key for a reader with the user id.
func checkPrivate(path string, info fs.FileInfo, uid int) error {
	if mode := info.Mode().Perm(); info.Mode().IsRegular() && mode&0o077 != 0 {
		return fault.New(fault.Invalid, ReasonKeyTooOpen, "the private key %s can be read by others (mode %04o)", path, mode).
			WithHint("chmod 600 %s", trust.Quote(path))
	}
	if owner, ok := trust.Owner(info); ok && owner != uid && owner != 0 {
		return fault.New(fault.Invalid, ReasonKeyTooOpen, "the private key %s belongs to user %d", path, owner).
			WithHint("chown %d %s && chmod 600 %s", uid, trust.Quote(path), trust.Quote(path))
	}
	return nil
}

// readCerts reads one or more certificates.
func readCerts(path string) ([]*x509.Certificate, error) {
	content, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseCerts(path, content)
}

// parseCerts is readCerts of content; path names it in errors.
func parseCerts(path string, rest []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != pemCert {
			return nil, broken(path, fmt.Errorf("it holds a %s", block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, broken(path, err)
		}
		certs = append(certs, cert)
	}
	// Bytes behind the last block are a block whose end was not written yet.
	if len(certs) == 0 || bytes.Contains(rest, []byte("-----BEGIN")) {
		return nil, broken(path, errors.New("it holds no whole certificate"))
	}
	return certs, nil
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	content, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != pemKey {
		return nil, broken(path, errors.New("it holds no private key"))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, broken(path, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, broken(path, fmt.Errorf("it holds a %T, not an ECDSA key", parsed))
	}
	return key, nil
}

func broken(what string, err error) error {
	return fault.Wrap(err, fault.Invalid, ReasonBroken, "%s cannot be used", what).
		WithHint("copy the files again, or renew: landfall-coordinator identity renew NAME")
}
