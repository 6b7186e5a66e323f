package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// Webhook is the address of a Discord webhook, made by [ParseWebhook]. Its token lets anybody post: no verb of fmt prints it,
// nor does a struct that holds it.
type Webhook struct {
	at *location // behind a pointer, because fmt looks into the unexported fields of others' structs
}

type location struct {
	origin string // "https://discord.com"
	id     string
	token  string
	thread string // thread to post to; "" for the channel itself
}

var (
	// webhookPath is the path of a webhook as Discord's client copies it, or with a version.
	webhookPath = regexp.MustCompile(`^/api(?:/v\d+)?/webhooks/(\d{17,20})/([A-Za-z0-9_-]{60,128})/?$`)
	// compatible are webhooks that take the body of another service (https://discord.com/developers/docs/resources/webhook).
	compatible  = regexp.MustCompile(`/(?:slack|github)/?$`)
	discordHost = regexp.MustCompile(`^(?:(canary\.|ptb\.)?)discord(?:app)?\.com$`)
	snowflake   = regexp.MustCompile(`^\d{17,20}$`)
)

// ParseWebhook reads DISCORD_WEBHOOK_URL. The host is Discord's by https, or a loopback address by plain http. The version in
// the path becomes v10, whose answers this package reads: without one Discord takes the deprecated v6.
// Of the query, thread_id is kept. Errors are of kind Invalid and do not repeat the address.
func ParseWebhook(raw string) (Webhook, error) {
	bad := func(why string) (Webhook, error) {
		return Webhook{}, fault.New(fault.Invalid, "WEBHOOK_URL", "the Discord webhook's address is not usable: %s", why).
			WithHint("copy it from the channel's settings, Integrations, Webhooks, and give it in DISCORD_WEBHOOK_URL")
	}
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return bad("it is empty")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return bad("it is no URL") // err repeats the address
	}
	origin, why := webhookOrigin(u)
	if why != "" {
		return bad(why)
	}
	if compatible.MatchString(u.EscapedPath()) {
		return bad("it ends with /slack or /github, which take other messages; leave that part out")
	}
	parts := webhookPath.FindStringSubmatch(u.EscapedPath())
	if parts == nil {
		return bad("its path is not /api/webhooks/ID/TOKEN")
	}
	thread := u.Query().Get("thread_id")
	if thread != "" && !snowflake.MatchString(thread) {
		return bad("its thread_id is no identifier of Discord")
	}
	return Webhook{&location{origin: origin, id: parts[1], token: parts[2], thread: thread}}, nil
}

// webhookOrigin is scheme and host to talk to, or why not.
func webhookOrigin(u *url.URL) (origin, why string) {
	host := strings.ToLower(u.Hostname())
	found := discordHost.FindStringSubmatch(host)
	switch {
	case u.User != nil:
		return "", "it has a user name in it"
	case u.Scheme == "http" && loopback(host):
		return "http://" + u.Host, ""
	case found == nil:
		return "", "its host is not Discord's"
	case u.Scheme != "https":
		return "", "it is not https"
	case u.Port() != "" && u.Port() != "443":
		return "", "it has a port that is not Discord's"
	}
	return "https://" + found[1] + "discord.com", "" // discordapp.com is the old name
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// Secrets lists what must not be printed of an address, to be masked before anything else is:
// the address as given, its last part, and its path. Also of an address that [ParseWebhook] refuses, because a
// mistyped one can hold a good token.
func Secrets(raw string) []string {
	raw = strings.TrimSpace(raw)
	var found []string
	add := func(s string) {
		if len(s) >= 8 { // masking less would make logs unreadable
			found = append(found, s)
		}
	}
	add(raw)
	path, _, _ := strings.Cut(raw, "?")
	path = strings.TrimRight(compatible.ReplaceAllString(path, ""), "/")
	if path != raw {
		add(path)
	}
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		add(path[i+1:])
	}
	return found
}

// Channel names the webhook, with its thread, without giving away its address: those who have the same one find the messages of one another
// by it. It is a hash that the token is part of, so that it cannot be guessed.
func (w Webhook) Channel() string {
	if w.at == nil {
		return ""
	}
	sum := sha256.Sum256([]byte("landfall channel\n" + w.at.id + "\n" + w.at.token + "\n" + w.at.thread))
	return "discord-" + hex.EncodeToString(sum[:12])
}

// String says where the webhook is and keeps the rest.
func (w Webhook) String() string {
	if w.at == nil {
		return "no webhook"
	}
	return "webhook at " + w.at.origin
}

// Format is String for every verb.
func (w Webhook) Format(f fmt.State, _ rune) { fmt.Fprint(f, w.String()) }

// address is the URL for a new message, or for the message to edit.
func (w Webhook) address(edit string) string {
	query := url.Values{}
	if w.at.thread != "" {
		query.Set("thread_id", w.at.thread)
	}
	path := w.self()
	if edit != "" {
		path += "/messages/" + edit
	} else {
		query.Set("wait", "true") // else a message that is not saved is no error
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// self is the URL of the webhook itself.
func (w Webhook) self() string {
	return w.at.origin + "/api/v10/webhooks/" + w.at.id + "/" + w.at.token
}

// redact takes the webhook out of text that others made.
func (w Webhook) redact(s string) string {
	for _, secret := range []string{w.at.token, w.at.id} {
		s = strings.ReplaceAll(s, secret, "(removed)")
	}
	return s
}
