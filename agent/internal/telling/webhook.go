package telling

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/notify"
	"ataraxis.dev/landfall/shared/version"
)

// Webhook sends documents to a webhook: POST, JSON, signed as Standard Webhooks has it (https://www.standardwebhooks.com). Make it with
// [NewWebhook].
//
// A letter may arrive twice, when an answer was lost: header webhook-id and the body's id are then the same, by which the receiver tells.
type Webhook struct {
	read func() (notify.Hook, error)
	http *http.Client
	now  func() time.Time

	hook notify.Hook // of the lane's goroutine
}

// NewWebhook makes a sender. read reads the address and the secret; it is called before every letter. transport is for tests, nil is right.
func NewWebhook(read func() (notify.Hook, error), transport http.RoundTripper, now func() time.Time) *Webhook {
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	}
	if now == nil {
		now = time.Now
	}
	return &Webhook{read: read, now: now, http: &http.Client{
		Transport: transport, Timeout: webhookTimeout,
		// What is told here is not told wherever an answer points to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// webhookTimeout bounds one request, answer included.
const webhookTimeout = 15 * time.Second

// Name implements Sender.
func (w *Webhook) Name() string { return "webhook" }

// Once implements Sender.
func (w *Webhook) Once() bool { return false }

// Ready implements Sender.
func (w *Webhook) Ready() (err error) {
	w.hook, err = w.read()
	return err
}

// Send implements Sender.
func (w *Webhook) Send(ctx context.Context, p Parcel) Outcome {
	req, err := w.hook.Request(ctx, p.ID, w.now(), p.Body)
	if err != nil {
		return Outcome{Fate: Later, Err: unreachable(err)}
	}
	req.Header.Set("User-Agent", "landfall-agent/"+version.Get().Version)
	res, err := w.http.Do(req)
	if err != nil {
		return Outcome{Fate: Later, Err: unreachable(err)}
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // what it says besides its status is nobody's business
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return Outcome{}
	}
	o := Outcome{Fate: Refused, Err: fault.New(fault.Refused, "WEBHOOK_REFUSED", "the webhook answers %d", res.StatusCode), Wait: retryAfter(res.Header, w.now())}
	switch code := res.StatusCode; {
	case code >= 300 && code < 400:
		o.Err = fault.New(fault.Refused, "WEBHOOK_REDIRECT", "the webhook answers %d, a redirect, which is not followed", code)
		o.Fate = Later
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly,
		code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound, code == http.StatusGone:
		o.Fate = Later // a receiver that is being set up, moved or limited: the letter is not at fault
	}
	return o
}

// unreachable keeps of a transport's error the text without the address that net/http adds.
func unreachable(err error) error {
	var wrapped *url.Error
	for errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &timeout) && timeout.Timeout()) {
		return fault.New(fault.Unreachable, "WEBHOOK_UNREACHABLE", "the webhook did not answer in time")
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) { // it may name the host
		return fault.New(fault.Unreachable, "WEBHOOK_UNREACHABLE", "the certificate of the webhook's host is not believed: of an unknown authority, of another name, or over")
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // without the address that was dialled
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fault.New(fault.Unreachable, "WEBHOOK_UNREACHABLE", "the name of the webhook's host cannot be resolved")
	}
	return fault.New(fault.Unreachable, "WEBHOOK_UNREACHABLE", "the webhook is out of reach: %s", cut(err.Error(), mostLine))
}

// retryAfter is how long the receiver wants us to wait (RFC 9110, 10.2.3), 0 when it does not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if n, err := strconv.ParseInt(value, 10, 32); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
