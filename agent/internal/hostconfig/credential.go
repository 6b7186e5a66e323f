package hostconfig

import (
	"os"
	"path/filepath"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// CredentialPath is where a secret that agent.yaml names lies: a path as it is, a plain name in the folder in which systemd puts the
// credentials of a unit (LoadCredential=, systemd.exec(5)).
func CredentialPath(name string) string {
	if strings.ContainsRune(name, filepath.Separator) {
		return name
	}
	return filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), name)
}

// maxCredential bounds a secret, in bytes.
const maxCredential = 64 << 10

// Credential reads a secret, which only root or we can have written. Space around it is no part of it; an empty one is an error.
func Credential(name string) (string, error) {
	path := CredentialPath(name)
	if err := trust.Us().File(path); err != nil {
		return "", err
	}
	raw, _, err := trust.Us().Read(path, maxCredential)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "CREDENTIAL", "read %s", path)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || strings.ContainsAny(text, " \t\r\n") {
		return "", fault.New(fault.Invalid, "CREDENTIAL", "%s holds no secret: one word is wanted", path)
	}
	return text, nil
}
