package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Hook is a webhook of anybody's: where it is, and the secret that what it is sent is signed with, as Standard Webhooks has it
// (https://www.standardwebhooks.com). Made by [ParseHook]; no verb of fmt prints it.
type Hook struct{ at *hookAt }

type hookAt struct {
	address string
	secret  []byte
}

// String keeps everything to itself.
func (h Hook) String() string { return "a webhook" }

// Format is String for every verb.
func (h Hook) Format(f fmt.State, _ rune) { fmt.Fprint(f, h.String()) }

// ReasonHookSecret is the reason of an error of [ParseHook] that is about the secret.
const ReasonHookSecret = "WEBHOOK_SECRET" // #nosec G101 -- a name

// leastSecret is what a secret has at least, in bytes; Standard Webhooks asks for 24.
const leastSecret = 24

// ParseHook reads the address and the secret of a webhook. The address is https, or http on this machine. A secret that begins with "whsec_" is base64
// after that, as of Standard Webhooks; any other is taken as it stands. Errors are Invalid and repeat neither.
func ParseHook(address, secret string) (Hook, error) {
	bad := func(why string) (Hook, error) {
		return Hook{}, fault.New(fault.Invalid, "WEBHOOK_URL", "the webhook's address is not usable: %s", why)
	}
	u, err := url.Parse(strings.TrimSpace(address))
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return bad("it is no URL") // err repeats it
	case u.User != nil:
		return bad("it has a user name in it")
	case u.Fragment != "":
		return bad("it has a fragment (#) in it")
	case u.Scheme == "http" && !loopback(strings.ToLower(u.Hostname())):
		return bad("it is http, and not on this machine: use https")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("it is not https")
	}
	secret = strings.TrimSpace(secret)
	key := []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return Hook{}, fault.New(fault.Invalid, ReasonHookSecret, "the webhook's secret begins with whsec_, and is not base64 after that")
		}
	}
	if len(key) < leastSecret {
		return Hook{}, fault.New(fault.Invalid, ReasonHookSecret, "the webhook's secret has %d bytes, fewer than %d", len(key), leastSecret).
			WithHint("make one: openssl rand -base64 32 | sed s/^/whsec_/")
	}
	return Hook{&hookAt{address: u.String(), secret: key}}, nil
}

// HookSecrets lists what must not be printed of an address and a secret: both, and what in the address looks like a token. Of an
// address on this machine the host and the words of the path are no secrets.
func HookSecrets(address, secret string) []string {
	address, secret = strings.TrimSpace(address), strings.TrimSpace(secret)
	all := []string{secret, strings.TrimPrefix(secret, "whsec_")}
	u, err := url.Parse(address)
	if err != nil || !loopback(strings.ToLower(u.Hostname())) {
		all = append(all, address)
	}
	if err != nil {
		return all
	}
	const token = 16 // shorter parts are words
	for _, part := range strings.FieldsFunc(u.RequestURI(), func(r rune) bool { return strings.ContainsRune("/?&=", r) }) {
		if len(part) >= token {
			all = append(all, part)
		}
	}
	return all
}

// Request is a POST of a JSON body. The same id tells the receiver that it has the body already; at is the clock that it holds against its own.
func (h Hook) Request(ctx context.Context, id string, at time.Time, body []byte) (*http.Request, error) {
	if h.at == nil {
		return nil, fault.New(fault.Internal, "WEBHOOK_URL", "there is no webhook")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.at.address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, h.at.secret)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", timestamp)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return req, nil
}
