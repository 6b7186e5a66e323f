package hostconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/notify"
	"ataraxis.dev/landfall/shared/trust"
)

// Notify says where the agent tells what it did by itself.
type Notify struct {
	Discord *NotifyDiscord `yaml:"discord"`
	Webhook *NotifyWebhook `yaml:"webhook"`
	Command []string       `yaml:"command"` // program and arguments; it reads JSON on its standard input
}

// NotifyDiscord is a webhook of Discord.
type NotifyDiscord struct {
	WebhookFile SecretFile `yaml:"webhook_file,required"` // holds its address
}

// NotifyWebhook is any webhook that takes signed JSON.
type NotifyWebhook struct {
	URLFile    SecretFile `yaml:"url_file,required"`
	SecretFile SecretFile `yaml:"secret_file,required"`
}

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

func (k *checker) notify(c Config) {
	n := c.Notify
	if n == nil {
		return
	}
	if n.Discord == nil && n.Webhook == nil && len(n.Command) == 0 {
		k.bad("names nobody to tell: discord, webhook or command", []string{"notify"})
	}
	if d := n.Discord; d != nil && d.WebhookFile != "" {
		if raw, ok := k.secret(d.WebhookFile, "notify", "discord", "webhook_file"); ok {
			if _, err := notify.ParseWebhook(raw); err != nil {
				k.bad("%s", []string{"notify", "discord", "webhook_file"}, plain(err))
			}
		}
	}
	if w := n.Webhook; w != nil && w.URLFile != "" && w.SecretFile != "" {
		address, ok := k.secret(w.URLFile, "notify", "webhook", "url_file")
		secret, too := k.secret(w.SecretFile, "notify", "webhook", "secret_file")
		if ok && too {
			if _, err := notify.ParseHook(address, secret); err != nil {
				at := "url_file"
				if fault.ReasonOf(err) == notify.ReasonHookSecret {
					at = "secret_file"
				}
				k.bad("%v", []string{"notify", "webhook", at}, err)
			}
		}
	}
	k.command(n.Command)
}

func (k *checker) command(argv []string) {
	if len(argv) == 0 {
		return
	}
	path := []string{"notify", "command"}
	info, err := os.Stat(argv[0])
	switch {
	case !filepath.IsAbs(argv[0]) || argv[0] != filepath.Clean(argv[0]):
		k.bad("%q is not a clean absolute path of a program", path, argv[0])
	case err != nil:
		k.bad("%v", path, err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		k.bad("%s is no program", path, argv[0])
	}
	for _, arg := range argv {
		if strings.Contains(arg, "\x00") {
			k.bad("an argument has a NUL in it", path)
		}
	}
}

// secret reads a file, or says what is wrong with it at its key.
func (k *checker) secret(f SecretFile, key ...string) (string, bool) {
	secret, err := f.Read()
	if err != nil {
		k.bad("%v", key, err)
	}
	return secret, err == nil
}

// plain is what an error says without its hint, which speaks of an environment variable.
func plain(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	return err.Error()
}
