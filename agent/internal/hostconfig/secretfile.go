package hostconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// SecretFile is a file with one secret in it: an absolute path, or a credential of the unit, as $CREDENTIALS_DIRECTORY/NAME or NAME alone
// (systemd.exec(5), LoadCredential=).
type SecretFile string

const (
	credentialsVariable = "CREDENTIALS_DIRECTORY"
	// maxSecretFile bounds a file with an address or a key, in bytes.
	maxSecretFile = 4 << 10
	// byAll is the permission bit that lets everybody read.
	byAll fs.FileMode = 0o004
)

// Path is where the file is. The error says why nobody can tell.
func (f SecretFile) Path() (string, error) {
	path := string(f)
	name, credential := strings.CutPrefix(path, "$"+credentialsVariable+"/")
	if !credential {
		name, credential = strings.CutPrefix(path, "${"+credentialsVariable+"}/")
	}
	if !credential && path != "" && !strings.Contains(path, "/") {
		name, credential = path, true
	}
	switch {
	case credential && (name == "" || name == "." || name == ".." || strings.Contains(name, "/")):
		return "", errors.New("a credential is named by one word: $" + credentialsVariable + "/NAME")
	case credential && !filepath.IsAbs(os.Getenv(credentialsVariable)):
		return "", fmt.Errorf("%s is a credential, and the agent was given none: LoadCredential=%s:FILE in its unit", name, name)
	case credential:
		return filepath.Join(os.Getenv(credentialsVariable), name), nil
	case !filepath.IsAbs(path) || path != filepath.Clean(path):
		return "", fmt.Errorf("%q is neither a clean absolute path nor $%s/NAME", path, credentialsVariable)
	}
	return path, nil
}

// Read reads the secret, without the space round it. The file is one that only root or we can have written, and not everybody can read.
// No error holds what is in it.
func (f SecretFile) Read() (string, error) {
	path, err := f.Path()
	if err != nil {
		return "", err
	}
	if err := trust.Us().File(path); err != nil {
		return "", err
	}
	raw, info, err := trust.Us().Read(path, maxSecretFile)
	if err != nil {
		return "", err
	}
	if info.Mode()&byAll != 0 {
		return "", fault.New(fault.Invalid, trust.ReasonUntrusted, "%s can be read by everybody (mode %04o)", path, info.Mode().Perm()).
			WithHint("chmod o-r %s", trust.Quote(path))
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	if strings.ContainsAny(secret, "\n\r\x00") {
		return "", fmt.Errorf("%s has more than one line", path)
	}
	return secret, nil
}

// secret reads a file, or says what is wrong with it at its key. Where secrets are not looked at there is none, and nothing wrong.
func (k *checker) secret(f SecretFile, key ...string) (string, bool) {
	if !k.secrets {
		return "", false
	}
	secret, err := f.Read()
	if err != nil {
		k.bad("%v", key, err)
	}
	return secret, err == nil
}
