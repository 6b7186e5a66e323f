package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/version"
)

// Client sends messages to one webhook. Its methods may be called at the same time.
type Client struct {
	hook    Webhook
	options Options
	http    *http.Client

	mu        sync.Mutex
	notBefore time.Time // Discord takes nothing more of us before
	at        Place     // of the webhook, once it is known
}

// Options are for tests and for the impatient; the zero value is right for deploys.
type Options struct {
	// Within bounds [Client.Send], waits included; default 30 s. A notification must not stall a deploy.
	Within time.Duration
	// PerRequest bounds one request; default 10 s.
	PerRequest time.Duration
	// Transport carries the requests; default one that honours the proxies of the environment.
	Transport http.RoundTripper
	// Now and Sleep are the clock; defaults are real. Sleep ends early with ctx.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Once has a new message sent at most once: where the request went out and no answer came, nobody knows whether Discord has the message,
	// and the error's reason is [ReasonUnsure] instead of another attempt. Edits are repeated all the same, which changes nothing twice.
	Once bool
	// Jitter spreads a wait, so that jobs that failed together do not return together; default up to a quarter more.
	Jitter func(d time.Duration) time.Duration
}

// attempts bounds the requests of one message, whatever time is left.
const attempts = 5

// mostAnswer is the part of an answer that is read, in bytes.
const mostAnswer = 64 << 10

// NewClient makes a client. It connects when the first message is sent.
func NewClient(hook Webhook, o Options) *Client {
	if o.Within <= 0 {
		o.Within = 30 * time.Second
	}
	if o.PerRequest <= 0 {
		o.PerRequest = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Jitter == nil {
		o.Jitter = func(d time.Duration) time.Duration {
			return d + rand.N(d/4+1) // #nosec G404 -- a spread of waits guards nothing
		}
	}
	return &Client{hook: hook, options: o, http: &http.Client{
		Transport: o.Transport,
		// A redirect would carry the token to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Sent is a message that Discord has.
type Sent struct {
	MessageID string // to edit it later; "" when Discord did not tell
	Edited    bool   // an existing message was edited
	Reduced   error  // why only a few words could be sent; nil when all was
}

// Send posts a message, or edits the one with identifier edit, which it must have posted through the same webhook; when that
// one is gone it posts anew. An edit of "" always posts.
//
// It waits as Discord asks, up to Options.Within in all, and tries again what may pass: at
// the price that a message whose answer was lost can appear twice. An error means that nobody
// was told; it is a warning for the deploy. No error holds the webhook's address. Kinds:
// Invalid for a webhook or message that Discord will never take, Refused for limits and bans, Unreachable when Discord did not answer
// or failed, Interrupted when ctx was cancelled.
func (c *Client) Send(ctx context.Context, m Message, edit string) (Sent, error) {
	deadline := c.options.Now().Add(c.options.Within)
	limited, cancel := context.WithTimeout(ctx, c.options.Within)
	defer cancel()
	sent, err := c.send(limited, deadline, m, edit)
	if fault.ReasonOf(err) == reasonMessage && m.bare != nil {
		reduced := err
		if sent, err = c.send(limited, deadline, *m.bare, edit); err == nil {
			sent.Reduced = reduced
		}
	}
	if err != nil && ctx.Err() != nil && fault.ReasonOf(err) != ReasonUnsure {
		err = fault.Wrap(context.Cause(ctx), fault.KindOf(ctx.Err()), "NOTIFY_INTERRUPTED", "the notification was not sent")
	}
	return sent, err
}

// Edit is [Client.Send] for a message that must be there already: where it is not any more nothing is posted, and the error is NotFound.
func (c *Client) Edit(ctx context.Context, m Message, id string) (Sent, error) {
	deadline := c.options.Now().Add(c.options.Within)
	ctx, cancel := context.WithTimeout(ctx, c.options.Within)
	defer cancel()
	body, err := json.Marshal(m)
	if err != nil {
		return Sent{}, fault.Wrap(err, fault.Internal, "NOTIFY_ENCODE", "write the message for Discord")
	}
	if !snowflake.MatchString(id) {
		return Sent{}, fault.New(fault.NotFound, reasonEdit, "there is no message to edit")
	}
	if _, err := c.try(ctx, deadline, http.MethodPatch, c.hook.address(id), body); err != nil {
		return Sent{}, err
	}
	return Sent{MessageID: id, Edited: true}, nil
}

func (c *Client) send(ctx context.Context, deadline time.Time, m Message, edit string) (Sent, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return Sent{}, fault.Wrap(err, fault.Internal, "NOTIFY_ENCODE", "write the message for Discord")
	}
	if snowflake.MatchString(edit) {
		id, err := c.try(ctx, deadline, http.MethodPatch, c.hook.address(edit), body)
		if err == nil {
			if id == "" {
				id = edit
			}
			return Sent{MessageID: id, Edited: true}, nil
		}
		if fault.ReasonOf(err) != reasonEdit {
			return Sent{}, err
		}
	}
	id, err := c.try(ctx, deadline, http.MethodPost, c.hook.address(""), body)
	if err != nil {
		return Sent{}, err
	}
	return Sent{MessageID: id}, nil
}

// try makes one request until Discord has taken it, refused it, or the time is up. It
// returns the message's identifier.
func (c *Client) try(ctx context.Context, deadline time.Time, method, address string, body []byte) (string, error) {
	for attempt := 1; ; attempt++ {
		if err := c.pause(ctx, deadline); err != nil {
			return "", err
		}
		a := c.request(ctx, method, address, body)
		v := judge(a)
		if c.options.Once && method == http.MethodPost && a.lost() {
			v = verdict{err: fault.New(fault.Unreachable, ReasonUnsure, "whether Discord has the message is not known: %s", v.err.Message)}
		}
		if v.err == nil {
			c.hold(v.quiet)
			return v.id, nil
		}
		if !v.again || attempt == attempts || ctx.Err() != nil {
			return "", v.err
		}
		wait := v.wait
		if wait == 0 {
			wait = time.Second << (attempt - 1) / 2
		}
		wait = c.options.Jitter(wait)
		c.hold(wait) // for those who come later, too
		if c.options.Now().Add(wait).After(deadline) {
			return "", v.err
		}
	}
}

// NotBefore is when Discord takes something of us again, as far as it said; the zero time when it said nothing. A [Client.Send] that cannot
// wait so long fails at once, without a request.
func (c *Client) NotBefore() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notBefore
}

// hold keeps every message back for d.
func (c *Client) hold(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := c.options.Now().Add(d); d > 0 && until.After(c.notBefore) {
		c.notBefore = until
	}
}

// pause waits for hold to end, or fails at once when that is after the deadline.
func (c *Client) pause(ctx context.Context, deadline time.Time) error {
	c.mu.Lock()
	until := c.notBefore
	c.mu.Unlock()
	wait := until.Sub(c.options.Now())
	if wait <= 0 {
		return nil
	}
	if until.After(deadline) {
		return limitedFor(wait, "")
	}
	if err := c.options.Sleep(ctx, wait); err != nil {
		return fault.New(fault.Unreachable, reasonUnreachable, "the time for the notification was up")
	}
	return nil
}

// answer is what came back of one request, or why nothing did. Nothing in it holds the webhook's secrets.
type answer struct {
	status  int // 0: nothing came
	header  http.Header
	body    []byte
	timeout bool
	failure string // of the transport
	sent    bool   // the request went out, or a part of it
}

// lost reports whether the request went out and what came of it is not known: nothing came back, or a gateway gave up waiting
// (RFC 9110, 15.6.5; 524 is Cloudflare's own).
func (a answer) lost() bool {
	const cloudflareTimeout = 524
	return (a.status == 0 && a.sent) || a.status == http.StatusGatewayTimeout || a.status == cloudflareTimeout
}

func (c *Client) request(ctx context.Context, method, address string, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, c.options.PerRequest)
	defer cancel()
	var sent atomic.Bool // the transport may write in a goroutine of its own
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return c.unanswered(err, false)
	}
	req.Header.Set("Content-Type", "application/json")
	// Discord asks for this form (https://discord.com/developers/docs/reference#user-agent).
	req.Header.Set("User-Agent", "DiscordBot (https://ataraxis.dev, "+version.Get().Version+")")
	res, err := c.http.Do(req)
	if err != nil {
		return c.unanswered(err, sent.Load())
	}
	defer func() { _ = res.Body.Close() }()
	// An answer that ends early still has its status: a message that was taken is not sent again.
	read, _ := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	return answer{status: res.StatusCode, header: res.Header, body: []byte(c.hook.redact(string(read)))}
}

// unanswered keeps of a transport's error the text without what net/http adds: the address, token
// and all. The error itself is not kept, for somebody would print it.
func (c *Client) unanswered(err error, sent bool) answer {
	var wrapped *url.Error
	for errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var timeout interface{ Timeout() bool }
	late := errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &timeout) && timeout.Timeout())
	return answer{timeout: late, failure: c.hook.redact(err.Error()), sent: sent}
}
