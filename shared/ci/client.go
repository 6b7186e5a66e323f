package ci

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"ataraxis.dev/landfall/shared/fault"
)

// DefaultBaseURL is GitHub's API; an Enterprise server's is in GITHUB_API_URL.
const DefaultBaseURL = "https://api.github.com"

const (
	// retries of one question after an answer that may be better the next time.
	retries = 3
	// firstPause before a retry; it doubles.
	firstPause = time.Second
	// requestTimeout of one request with its whole answer.
	requestTimeout = 30 * time.Second
)

// Options say whom to ask and as whom. Only Repository is needed.
type Options struct {
	Repository string // owner/name
	// Token is sent to the host of BaseURL and to no other. Without one GitHub allows 60 requests an
	// hour and shows public repositories only.
	Token     string
	BaseURL   string        // [DefaultBaseURL] when empty; https, or http to a loopback address
	UserAgent string        // "landfall" when empty; GitHub refuses requests without one
	Timeout   time.Duration // of one request with its answer, 30 s when zero
	// Transport carries the requests; nil is one that belongs to the client. There is no way to give
	// an http.Client: its cookies and redirects could undo what is promised for the token.
	Transport http.RoundTripper
	Now       func() time.Time                           // time.Now when nil
	Sleep     func(context.Context, time.Duration) error // between retries; fails when the context ends
	Jitter    func() float64                             // in [0,1); random when nil
}

// Client asks GitHub about one repository. Its questions may come from several goroutines;
// GitHub gets them one after the other, as it asks for (docs.github.com, best practices for using
// the REST API).
//
// An unchanged answer is known by its ETag, which costs nothing of the primary rate limit. A
// transient failure is tried again up to three times. A rate limit is never slept on: the error
// says when ([RetryAt]), and until then questions are answered by the same error, without a request.
type Client struct {
	owner, name string
	token       string
	base        *url.URL
	userAgent   string
	timeout     time.Duration
	http        *http.Client
	idle        func()
	now         func() time.Time
	sleep       func(context.Context, time.Duration) error
	jitter      func() float64

	turn  chan struct{} // capacity 1: who holds it may send; also guards limit
	limit limiter
	meter *meter
}

var _ Source = (*Client)(nil)

// NewClient checks the options; nothing is sent. The errors are Invalid.
func NewClient(o Options) (*Client, error) {
	owner, name, err := splitRepository(o.Repository)
	if err != nil {
		return nil, err
	}
	base, err := parseBase(o.BaseURL)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(o.Token) // files end in a newline
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fault.New(fault.Invalid, "GITHUB_TOKEN", "the GitHub token holds characters that no token has").
			WithHint("is it a file with more than the token, or two tokens?")
	}
	c := &Client{
		owner: owner, name: name, token: token, base: base, userAgent: orDefault(o.UserAgent, "landfall"),
		timeout: o.Timeout, now: o.Now, sleep: o.Sleep, jitter: o.Jitter, turn: make(chan struct{}, 1), idle: func() {},
	}
	if c.timeout <= 0 {
		c.timeout = requestTimeout
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.sleep == nil {
		c.sleep = sleep
	}
	if c.jitter == nil {
		c.jitter = rand.Float64
	}
	next := o.Transport
	if next == nil {
		own := &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 1, MaxResponseHeaderBytes: 256 << 10,
		}
		c.idle = own.CloseIdleConnections
		next = own
	}
	c.meter = &meter{next: next}
	c.http = &http.Client{
		CheckRedirect: checkRedirect,
		Transport:     &guard{base: base, token: token, next: &conditional{next: c.meter, kept: newStore()}},
	}
	return c, nil
}

// Close ends idle connections. The client can still be used.
func (c *Client) Close() { c.idle() }

// Name is the repository as it was asked for: owner/name.
func (c *Client) Name() string { return c.owner + "/" + c.name }

// call asks GitHub one thing through go-github.
type call func(context.Context, *github.Client) (*github.Response, error)

// ask asks until there is an answer, a failure that asking again does not change, or no try
// left. what says in an error what was wanted: "list the jobs of run 7".
func (c *Client) ask(ctx context.Context, what string, do call) error {
	for try := 0; ; try++ {
		err := c.once(ctx, what, do)
		if try == retries || fault.ReasonOf(err) != reasonUnavailable || ctx.Err() != nil {
			return err
		}
		pause := time.Duration(float64(firstPause<<try) * (0.5 + c.jitter())) // 50 to 150 %: clients that failed together do not return together
		if stopped := c.sleep(ctx, pause); stopped != nil {
			return ended(what, stopped)
		}
	}
}

// once sends one question when it is its turn.
func (c *Client) once(ctx context.Context, what string, do call) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ended(what, ctx.Err())
	}
	if held, ok := c.limit.holds(c.now()); ok {
		return held.fault(what)
	}
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	_, err := do(limited, c.api())
	switch {
	case ctx.Err() != nil && err != nil:
		return ended(what, ctx.Err())
	case limited.Err() != nil && err != nil:
		return unavailable(what, "no answer within %v", c.timeout)
	}
	return c.classify(what, err)
}

// api makes a go-github client for one question. Version 60 remembers limits by the machine's clock
// and answers for GitHub until they are over, by errors that GitHub never sent: after an
// answer with "remaining: 0" even when it was a success, after a clock's jump for as long as
// the jump. A client without a past cannot; [limiter] does that work.
func (c *Client) api() *github.Client {
	gh := github.NewClient(c.http)
	gh.BaseURL = c.base
	gh.UserAgent = c.userAgent
	return gh
}

// sleep is the real one.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
