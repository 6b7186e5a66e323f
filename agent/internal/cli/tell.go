package cli

import (
	"context"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/checkout"
	"ataraxis.dev/landfall/agent/internal/hostconfig"
	"ataraxis.dev/landfall/agent/internal/journal"
	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/agent/internal/telling"
	"ataraxis.dev/landfall/shared/notify"
	"ataraxis.dev/landfall/shared/pipeline"
)

// openTeller makes what tells people. plan reads the plan of an operation; it is first called when the teller has been started.
func openTeller(c hostconfig.Config, tree *checkout.Checkout, j *journal.Journal, secrets *redact.Redactor, plan func(string) (*pipeline.Plan, error), log hclog.Logger) (*telling.Teller, error) {
	senders, err := senders(c, tree, secrets)
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname() // without it the message has less to tell
	return telling.Open(telling.Config{
		Store: j, Records: j, Sentinels: j, Senders: senders, Host: host, Plan: plan, Pipeline: tree.Pipeline, Redact: secrets.Text,
		Subject: func(ctx context.Context, sha string) (string, string, error) {
			commit, err := tree.Commit(ctx, sha)
			return commit.Subject, commit.Author, err
		},
	}, log), nil
}

// senders are the channels that agent.yaml names. What their files hold is taught to the redactor whenever they are read, the first time here:
// nothing prints an address before it is known.
func senders(c hostconfig.Config, tree *checkout.Checkout, secrets *redact.Redactor) (all []telling.Sender, err error) {
	n := c.Notify
	if n == nil {
		return nil, nil
	}
	if d := n.Discord; d != nil {
		read := func() (string, error) {
			raw, err := d.WebhookFile.Read()
			if err != nil {
				return "", err
			}
			return raw, secrets.Learn("notify.discord", discordSecrets(raw))
		}
		if _, err := read(); err != nil {
			return nil, err
		}
		all = append(all, telling.NewDiscord(read, notify.Options{}))
	}
	if w := n.Webhook; w != nil {
		read := func() (notify.Hook, error) {
			address, err := w.URLFile.Read()
			if err != nil {
				return notify.Hook{}, err
			}
			secret, err := w.SecretFile.Read()
			if err != nil {
				return notify.Hook{}, err
			}
			if err := secrets.Learn("notify.webhook", notify.HookSecrets(address, secret)); err != nil {
				return notify.Hook{}, err
			}
			return notify.ParseHook(address, secret)
		}
		if _, err := read(); err != nil {
			return nil, err
		}
		all = append(all, telling.NewWebhook(read, nil, nil))
	}
	if len(n.Command) > 0 {
		all = append(all, telling.NewCommand(n.Command, tree.Owner(), secrets.Text, 0))
	}
	return all, nil
}

// tells lists the channels of agent.yaml, "" for none.
func tells(n *hostconfig.Notify) string {
	var names []string
	if n != nil && n.Discord != nil {
		names = append(names, "Discord")
	}
	if n != nil && n.Webhook != nil {
		names = append(names, "a webhook")
	}
	if n != nil && len(n.Command) > 0 {
		names = append(names, n.Command[0])
	}
	if len(names) == 0 {
		return ""
	}
	return "what the agent does by itself is told by " + strings.Join(names, ", ")
}

// discordSecrets are what must not be printed of an address of Discord's. The host is no secret, and parts of what is learned are taken out
// wherever they stand.
func discordSecrets(raw string) []string {
	all := notify.Secrets(raw)
	for i, s := range all {
		if _, secret, ok := strings.Cut(s, "/webhooks/"); ok {
			all[i] = secret
		}
	}
	return all
}

// notifySecrets are the files that the agent's addresses and keys are in.
func notifySecrets(c hostconfig.Config) (paths []string) {
	if c.Notify == nil {
		return nil
	}
	var files []hostconfig.SecretFile
	if d := c.Notify.Discord; d != nil {
		files = append(files, d.WebhookFile)
	}
	if w := c.Notify.Webhook; w != nil {
		files = append(files, w.URLFile, w.SecretFile)
	}
	for _, f := range files {
		if path, err := f.Path(); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}
