package registry

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"ataraxis.dev/landfall/shared/boundedfile"
)

// gate is what every request to one registry goes through, the library's to its token service among them: it keeps the rules, obeys the
// registry's limits, and holds what answers may be.
type gate struct {
	loopback bool // the registry is on this machine: plain http is spoken with it, and it may send us on to this machine
	base     *http.Transport

	mu     sync.Mutex
	until  time.Time // no request before
	why    string
	left   int  // GETs of manifests that the registry still answers; -1 where it does not say
	broken bool // a request got no answer
	heads  int
	gets   int
}

// The bounds of one request.
const (
	answerWithin = 15 * time.Second
	maxAnswer    = 8 << 20 // bytes
)

// The bounds of how long a registry may ask to be left alone, whatever it says.
const (
	minPause = time.Minute
	maxPause = 24 * time.Hour
	// pauseUnsaid is for one that does not say how long: Docker Hub counts by six hours (https://docs.docker.com/docker-hub/usage/).
	pauseUnsaid = time.Hour
)

// reserve is how many of the GETs that a registry has left are other people's: the host pulls by the same address.
const reserve = 10

func newGate(host, certs string) (*gate, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("somebody replaced the default transport")
	}
	base = base.Clone()
	base.ResponseHeaderTimeout, base.MaxResponseHeaderBytes = answerWithin, 1<<20
	base.DialContext = (&net.Dialer{Timeout: answerWithin}).DialContext
	pool, err := authorities(filepath.Join(certs, host))
	if err != nil {
		return nil, err
	}
	base.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return &gate{loopback: onLoopback(host), base: base, left: -1}, nil
}

// authorities are those of the system and of a folder of Docker's; nil are the system's alone.
func authorities(dir string) (*x509.CertPool, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".crt") { // as Docker reads them
			continue
		}
		raw, err := boundedfile.Read(filepath.Join(dir, e.Name()), 1<<20)
		if err != nil {
			return nil, err
		}
		pool.AppendCertsFromPEM(raw)
	}
	return pool, nil
}

// onLoopback reports whether a HOST or HOST:PORT is this machine.
func onLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	local := onLoopback(req.URL.Host)
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead && req.Method != http.MethodPost: // POST is for tokens
		return nil, fmt.Errorf("nothing is changed in a registry, and %s would", req.Method)
	case local && !g.loopback:
		return nil, fmt.Errorf("it sends us on to this machine, %s", req.URL.Host)
	case req.URL.Scheme != "https" && !local:
		return nil, fmt.Errorf("plain http is spoken with this machine alone, and %s wants it", req.URL.Host)
	}
	if err := g.pass(req); err != nil {
		return nil, err
	}
	resp, err := g.base.RoundTrip(req)
	if err != nil {
		g.mu.Lock()
		g.broken = true
		g.mu.Unlock()
		return nil, err
	}
	if err := g.obey(resp); err != nil {
		_ = resp.Body.Close() // nobody reads it
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

// pass lets a request go, or says why not.
func (g *gate) pass(req *http.Request) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Now().Before(g.until) {
		return fmt.Errorf("%s; it is left alone until %s", g.why, g.until.UTC().Format(time.RFC3339))
	}
	manifest := strings.Contains(req.URL.Path, "/manifests/")
	switch {
	case manifest && req.Method == http.MethodGet && g.left >= 0 && g.left <= reserve:
		return fmt.Errorf("it lets this address fetch %d more manifests, which are kept for pulls", g.left)
	case manifest && req.Method == http.MethodGet:
		g.gets++
	case manifest:
		g.heads++
	}
	return nil
}

// obey reads the limits that an answer tells. The error is that of one who wants to be left alone.
func (g *gate) obey(resp *http.Response) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if left, told := rateLimit(resp.Header.Get("RateLimit-Remaining")); told {
		g.left = left
	}
	after := resp.Header.Get("Retry-After")
	if resp.StatusCode != http.StatusTooManyRequests && (resp.StatusCode != http.StatusServiceUnavailable || after == "") {
		return nil
	}
	pause := retryAfter(after)
	if reset, told := rateLimit(resp.Header.Get("RateLimit-Reset")); pause == 0 && told {
		pause = time.Duration(min(reset, int(maxPause/time.Second))) * time.Second
	}
	if pause == 0 {
		pause = pauseUnsaid
	}
	g.until = time.Now().Add(min(max(pause, minPause), maxPause))
	g.why = fmt.Sprintf("it answered %d, too many requests", resp.StatusCode)
	if resp.StatusCode != http.StatusTooManyRequests {
		g.why = fmt.Sprintf("it answered %d, and when to come again", resp.StatusCode)
	}
	return fmt.Errorf("%s; it is left alone until %s", g.why, g.until.UTC().Format(time.RFC3339))
}

// rateLimit reads a number that may have its window behind it, "76;w=21600", as Docker Hub tells it.
func rateLimit(value string) (n int, told bool) {
	number, _, _ := strings.Cut(value, ";")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	return n, err == nil && n >= 0
}

// retryAfter reads a time to wait: seconds, or a date (RFC 9110, 10.2.3); 0 where it is none.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && seconds > 0 {
		return time.Duration(min(seconds, int(maxPause/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
