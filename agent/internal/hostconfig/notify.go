package hostconfig

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/notify"
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

// plain is what an error says without its hint, which speaks of an environment variable.
func plain(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	return err.Error()
}
