package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"path/filepath"
	"slices"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

const pemList = "X509 CRL" // RFC 7468, 6

// list is one CA's revocation list (RFC 5280, 5). It is signed, so that whoever carries it
// to a host can neither add nor take away a name, and numbered, so that an old one cannot
// take a new one's place. Its nextUpdate is the CA's own end and is not asked: a list does
// not stop holding because nobody had anything to add.
type list struct {
	ca     *x509.Certificate
	number *big.Int
	serial map[string]bool // lower-case hexadecimal
	pem    []byte
}

// lists are the revocation lists of one identity folder, at most one for each CA.
type lists []list

// check fails when cert is named by the list of its issuer; what names it in the message.
func (ls lists) check(what string, cert *x509.Certificate) error {
	for _, l := range ls {
		if bytes.Equal(l.ca.RawSubject, cert.RawIssuer) && l.serial[cert.SerialNumber.Text(16)] {
			return fault.New(fault.Unauthenticated, ReasonRevoked, "%s was revoked (serial %s)", what, cert.SerialNumber.Text(16)).
				WithHint("if that was a mistake, issue another: landfall-coordinator identity issue NAME")
		}
	}
	return nil
}

// count is how many certificates are revoked.
func (ls lists) count() (n int) {
	for _, l := range ls {
		n += len(l.serial)
	}
	return n
}

// of is the list of a CA, nil when there is none.
func (ls lists) of(ca *x509.Certificate) *list {
	for i := range ls {
		if ls[i].ca.Equal(ca) {
			return &ls[i]
		}
	}
	return nil
}

func (ls lists) pem() []byte {
	var b bytes.Buffer
	for _, l := range ls {
		b.Write(l.pem)
	}
	return b.Bytes()
}

// readLists reads the revocation lists beside ca.pem. No file means that nothing is
// revoked; one that is there and cannot be believed is REVOCATION_BROKEN: the one who
// wrote it wanted somebody kept out.
func readLists(dir string, cas []*x509.Certificate) (lists, error) {
	path := filepath.Join(dir, FileRevoked)
	content, _, err := trust.Us().Read(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ls lists
	if err == nil {
		ls, err = parseLists(content, cas)
	}
	if err != nil {
		return nil, listBroken(path, err)
	}
	return ls, nil
}

func listBroken(path string, err error) error {
	f := fault.Wrap(err, fault.Unauthenticated, ReasonListBroken, "nobody is admitted, because the revocation list %s cannot be believed", path)
	var inner *fault.Error
	if errors.As(err, &inner) && inner.Hint != "" {
		return f // the cause says what to do
	}
	return f.WithHint("write it again on the CA's machine with landfall-coordinator identity revoke, and copy it here")
}

// parseLists reads one or more lists, each signed by one of the CAs.
func parseLists(content []byte, cas []*x509.Certificate) (ls lists, err error) {
	rest := content
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != pemList {
			return nil, fmt.Errorf("it holds a %s", block.Type)
		}
		l, err := parseList(block.Bytes, cas)
		if err != nil {
			return nil, err
		}
		if ls.of(l.ca) != nil {
			return nil, fmt.Errorf("it holds two lists of %q", l.ca.Subject.CommonName)
		}
		ls = append(ls, l)
	}
	if len(ls) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it holds no whole revocation list, or more than lists")
	}
	return ls, nil
}

func parseList(der []byte, cas []*x509.Certificate) (list, error) {
	parsed, err := x509.ParseRevocationList(der)
	if err != nil {
		return list{}, err
	}
	for _, ca := range cas {
		// Not CheckSignatureFrom: CAs of early versions lack the key usage cRLSign, which says nothing of who has the key.
		if !bytes.Equal(parsed.RawIssuer, ca.RawSubject) ||
			ca.CheckSignature(parsed.SignatureAlgorithm, parsed.RawTBSRevocationList, parsed.Signature) != nil {
			continue
		}
		l := list{ca: ca, number: parsed.Number, serial: map[string]bool{}, pem: pem.EncodeToMemory(&pem.Block{Type: pemList, Bytes: der})}
		if l.number == nil {
			return list{}, errors.New("the list has no number")
		}
		for _, entry := range parsed.RevokedCertificateEntries {
			l.serial[entry.SerialNumber.Text(16)] = true
		}
		return l, nil
	}
	return list{}, fmt.Errorf("the list of %q is signed by no CA of the %s beside it", parsed.Issuer.CommonName, fileCA)
}

// Revocation is what a CA's list says after [CA.Revoke].
type Revocation struct {
	List    []byte   // PEM
	Number  *big.Int // grows with each list
	Revoked int      // certificates in the list
	Added   int      // of which were not in it before
}

// Revoke adds serial numbers (hexadecimal) to the CA's list in its folder and writes it there.
func (ca *CA) Revoke(dir string, serials []string, now time.Time) (Revocation, error) {
	old, err := readLists(dir, []*x509.Certificate{ca.cert})
	if err != nil {
		return Revocation{}, err
	}
	// Not below the clock: a CA's folder that was restored from a backup goes on where it was.
	number, known := big.NewInt(now.Unix()), map[string]bool{}
	template := &x509.RevocationList{ThisUpdate: now.Add(-backdate), NextUpdate: ca.cert.NotAfter}
	if l := old.of(ca.cert); l != nil {
		known = l.serial
		if next := new(big.Int).Add(l.number, big.NewInt(1)); next.Cmp(number) > 0 {
			number = next
		}
		template.RevokedCertificateEntries = entriesOf(l.pem)
	}
	r := Revocation{Number: number, Revoked: len(known)}
	for _, text := range serials {
		serial, ok := new(big.Int).SetString(text, 16)
		if !ok || serial.Sign() <= 0 || serial.BitLen() > 160 { // RFC 5280, 4.1.2.2
			return Revocation{}, fault.New(fault.Invalid, ReasonRequest, "%q is no serial number", text).
				WithHint("landfall-coordinator identity show prints it in hexadecimal")
		}
		if key := serial.Text(16); !known[key] {
			known[key] = true
			r.Added++
			template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: now})
		}
	}
	r.Revoked = len(known)
	template.Number = number
	issuer := *ca.cert
	issuer.KeyUsage |= x509.KeyUsageCRLSign // see parseList
	der, err := x509.CreateRevocationList(rand.Reader, template, &issuer, ca.key)
	if err != nil {
		return Revocation{}, internal(err, "sign the revocation list")
	}
	r.List = pem.EncodeToMemory(&pem.Block{Type: pemList, Bytes: der})
	return r, writeFiles(dir, []file{{FileRevoked, r.List, 0o644}})
}

func entriesOf(list []byte) []x509.RevocationListEntry {
	block, _ := pem.Decode(list)
	parsed, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		return nil // it was parsed from these bytes
	}
	return parsed.RevokedCertificateEntries
}

// InstallList brings a CA's list into an identity folder, in place of an older one of the
// same CA; lists of CAs that ca.pem no longer has go. changed is false when it was there
// already. The error is Invalid, REVOCATION_BROKEN for a list that no CA of the folder has
// signed, Refused, REVOCATION_OLDER for one that is older than what is there.
func InstallList(dir string, content []byte) (changed bool, revoked int, err error) {
	if err := checkFolder(dir); err != nil {
		return false, 0, err
	}
	cas, err := readCerts(filepath.Join(dir, fileCA))
	if err != nil {
		return false, 0, err
	}
	fresh, err := parseLists(content, cas)
	if err != nil {
		return false, 0, fault.Wrap(err, fault.Invalid, ReasonListBroken, "the revocation list is not taken").
			WithHint("use the list of the CA that this folder trusts: landfall-coordinator identity revoke")
	}
	have, err := readLists(dir, cas)
	if err != nil {
		have = keepReadable(dir, cas) // what is broken is what the new list mends
	}
	for _, l := range fresh {
		old := have.of(l.ca)
		switch {
		case old == nil:
			have, changed = append(have, l), true
		case l.number.Cmp(old.number) < 0:
			return false, have.count(), fault.New(fault.Refused, "REVOCATION_OLDER", "the revocation list has number %s, and number %s is known already", l.number, old.number).
				WithHint("send the newest: it lies in the CA's folder")
		case !bytes.Equal(l.pem, old.pem):
			*old, changed = l, true
		}
	}
	if !changed && err == nil {
		return false, have.count(), nil
	}
	return true, have.count(), writeFiles(dir, []file{{FileRevoked, have.pem(), 0o644}})
}

// keepReadable is what can still be believed of a file that as a whole cannot.
func keepReadable(dir string, cas []*x509.Certificate) (ls lists) {
	content, _, err := trust.Us().Read(filepath.Join(dir, FileRevoked), maxFile)
	if err != nil {
		return nil
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if l, err := parseList(block.Bytes, cas); err == nil && ls.of(l.ca) == nil {
			ls = append(ls, l)
		}
	}
	return slices.Clip(ls)
}
