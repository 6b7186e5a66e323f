package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// Issued is one leaf that a CA has issued.
type Issued struct {
	Serial   string // lower-case hexadecimal
	Who      string // ROLE/NAME
	NotAfter time.Time
}

// Record notes in the CA's folder that it has issued the bundle's leaf, so that all leaves
// of a name can be revoked, and not only the one whose file is still there.
func Record(caDir string, b Bundle) error {
	certs, err := parseCerts("the new certificate", b.Cert)
	if err != nil {
		return err
	}
	who, err := principalOf(certs[0])
	if err != nil {
		return err
	}
	path := filepath.Join(caDir, fileIssued)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s %s %s\n", who.Serial, who, stamp(who.NotAfter))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return fault.Wrap(err, fault.Failed, "IDENTITY_NOT_WRITTEN", "note what was issued")
	}
	return nil
}

// ReadIssued lists what a CA has issued; CAs of early versions have no such list.
func ReadIssued(caDir string) ([]Issued, error) {
	path := filepath.Join(caDir, fileIssued)
	content, _, err := trust.Us().Read(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Issued
	for line := range strings.Lines(string(content)) {
		var i Issued
		var end string
		if n, _ := fmt.Sscanf(line, "%s %s %s", &i.Serial, &i.Who, &end); n != 3 {
			continue // half a line, of a crash
		}
		if i.NotAfter, err = time.Parse(time.RFC3339, end); err == nil {
			all = append(all, i)
		}
	}
	return all, nil
}

// Origin is the serial number to revoke for the leaf in an identity folder: its own, or that
// of the leaf which its holder has renewed over the wire since.
func Origin(dir string) (serial string, who Principal, err error) {
	certs, err := readCerts(filepath.Join(dir, fileCert))
	if err != nil {
		return "", Principal{}, err
	}
	if who, err = principalOf(certs[0]); err != nil {
		return "", Principal{}, err
	}
	if o, ok := originOf(certs[0]); ok {
		return o.serial, who, nil
	}
	return who.Serial, who, nil
}

// ListOf is the CA's revocation list, nil when nothing was revoked.
func (ca *CA) ListOf(dir string) ([]byte, error) {
	ls, err := readLists(dir, []*x509.Certificate{ca.cert})
	return ls.pem(), err
}
