package ci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	// mostBytes of one answer. A page of 100 runs takes about 2 MB.
	mostBytes = 16 << 20
	// mostHops of one question; a renamed repository takes one.
	mostHops = 3
)

// guard lets requests pass to one host only and gives them the token. go-github would send it
// on every hop, also to the host that a redirect names. It also asks for what is documented:
// version 60 still asks some endpoints for previews that ended years ago.
type guard struct {
	base  *url.URL
	token string
	next  http.RoundTripper
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if !sameHost(g.base, r.URL) {
		return nil, &strayed{r.URL.Host}
	}
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "application/vnd.github+json")
	if g.token != "" {
		r.Header.Set("Authorization", "Bearer "+g.token)
	}
	return g.next.RoundTrip(r)
}

func sameHost(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// strayed is a redirect that left the API's host. It is not followed: the answer would come
// from somebody whom nobody chose to trust.
type strayed struct{ host string }

func (e *strayed) Error() string { return "redirected to another host: " + clean(e.host) }

// checkRedirect is asked by net/http before it follows one; where it leads to, [guard] judges.
func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > mostHops {
		return &unusable{"too many redirects"}
	}
	return nil
}

// unusable is an answer that means nothing, and would not the next time.
type unusable struct{ why string }

func (e *unusable) Error() string { return e.why }

// garbled is an answer that means nothing, but may the next time.
type garbled struct{ why string }

func (e *garbled) Error() string { return e.why }

// meter counts requests and takes answers whole or not at all: bounded, complete, and as
// a success only what is JSON. go-github reads the empty body of a 200 as an empty list, which
// here would read "not triggered".
type meter struct {
	next http.RoundTripper

	mu    sync.Mutex
	stats Stats
}

// Stats counts what the client has sent, and what it knows of the primary rate limit.
type Stats struct {
	Requests    int // sent, retries and hops included; not what net/http repeats when a kept connection turns out closed
	NotModified int // answered by 304, which does not count against the limit
	Counted     int // answered otherwise
	// Limit, Remaining and Reset are what GitHub told last; zero before it did.
	Limit     int
	Remaining int
	Reset     time.Time
}

// Stats tells the counts so far.
func (c *Client) Stats() Stats {
	c.meter.mu.Lock()
	defer c.meter.mu.Unlock()
	return c.meter.stats
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	m.stats.Requests++
	m.mu.Unlock()
	resp, err := m.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read, or is not wanted
	m.count(resp)
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostBytes+1))
	switch {
	case err != nil:
		return nil, &garbled{fmt.Sprintf("the answer broke off after %d bytes: %s", len(body), clean(err.Error()))}
	case len(body) > mostBytes:
		return nil, &unusable{fmt.Sprintf("the answer is larger than %d MiB", mostBytes>>20)}
	case resp.StatusCode/100 == 2 && resp.StatusCode != http.StatusOK:
		return nil, &garbled{"GitHub answered " + strconv.Itoa(resp.StatusCode) + " where 200 was expected"}
	case resp.StatusCode == http.StatusOK && !json.Valid(body):
		return nil, &garbled{fmt.Sprintf("the answer of %d bytes is not JSON%s", len(body), requestID(resp.Header))}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}

func (m *meter) count(resp *http.Response) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if resp.StatusCode == http.StatusNotModified {
		m.stats.NotModified++
	} else {
		m.stats.Counted++
	}
	limit, err := strconv.Atoi(resp.Header.Get("X-Ratelimit-Limit"))
	if err != nil {
		return
	}
	m.stats.Limit = limit
	m.stats.Remaining, _ = strconv.Atoi(resp.Header.Get("X-Ratelimit-Remaining")) // 0 when it makes no sense
	m.stats.Reset = epoch(resp.Header.Get("X-Ratelimit-Reset"))
}
