// Package githubtest is a GitHub for tests: one process-local server with state that answers
// over real HTTP in the shapes GitHub was recorded with.
//
// It promises to be as unhelpful as the original: filtered lists come from an index that can
// lag ([Index]), limits are kept ([Limit], [Secondary]), answers carry ETags that depend on who
// asks, anything can break ([Server.Disturb]). What a client must not do (an unknown endpoint, no
// User-Agent, parallel requests) fails the test. It needs no network but loopback, and time is
// the caller's ([Clock]). Start reading at [New]; a program under test is given [Server.URL] as
// GITHUB_API_URL and [Token] as GITHUB_TOKEN.
package githubtest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Token is accepted for every repository from the start; see [Server.Grant] for others.
const Token = "token-of-the-tests" //nolint:gosec // no credential: the server that takes it ends with the test

// Server is one GitHub. Its methods, and those of what it contains, may be called at any time
// from any goroutine.
type Server struct {
	tb          testing.TB
	http        *httptest.Server
	now         func() time.Time
	concurrency int
	closing     chan struct{} // closed before the server waits for its handlers: hung ones let go

	mu           sync.Mutex
	lastID       int64
	repositories []*Repository
	grants       map[string]Grant
	limit        Limit
	windows      map[string]*window
	secondary    *Secondary
	index        Index
	filtered     int // answers from the index so far
	disturbances []*disturbance
	busy         map[string]int // requests in work, by token
	log          []Request
}

// Option changes a [Server] before it starts.
type Option func(*Server)

// WithClock makes the server live in another time than the machine's: [Clock.Now], say.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// WithConcurrency allows n requests of one token at the same time. The default is 1: GitHub asks
// for serial requests (docs.github.com, best practices for using the REST API).
func WithConcurrency(n int) Option { return func(s *Server) { s.concurrency = n } }

// New starts a server without repositories. It ends with the test.
func New(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	s := &Server{
		tb: tb, now: time.Now, concurrency: 1, closing: make(chan struct{}),
		lastID: 6804432000, grants: map[string]Grant{Token: {}}, limit: Limit{Most: 1000},
		windows: map[string]*window{}, busy: map[string]int{},
	}
	for _, option := range options {
		option(s)
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	tb.Cleanup(func() {
		close(s.closing)
		s.http.Close()
	})
	return s
}

// URL is the address of the API, without a slash at its end.
func (s *Server) URL() string { return s.http.URL }

// Request is one request as the server saw it.
type Request struct {
	At          time.Time
	Method      string
	Path        string
	Query       string // as it was sent, without "?"
	Token       string // "" when there was none
	Conditional bool   // it carried If-None-Match
	Status      int    // 0 when the connection was broken on purpose
	Counted     bool   // against the primary limit
}

// Requests lists all requests so far, in order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.log...)
}

// ForgetRequests empties the log.
func (s *Server) ForgetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// id gives the next number; all things of GitHub have one. The lock is held.
func (s *Server) id() int64 {
	s.lastID++
	return s.lastID
}

// seconds is the server's time as GitHub tells it.
func (s *Server) seconds() time.Time { return s.now().UTC().Truncate(time.Second) }
