package githubtest

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Limit is the primary rate limit of every token. 304s do not count.
type Limit struct {
	Most   int           // requests in one window; a request without token has 60
	Window time.Duration // an hour when zero
	Status int           // of the refusal: 403 (default) or 429
}

// SetLimit changes the limit of every token; used is what each has used up in the window that
// begins now.
func (s *Server) SetLimit(limit Limit, used int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
	clear(s.windows)
	for token := range s.grants {
		s.window(token).used = used
	}
	s.window("").used = used
}

// window is what one token has used.
type window struct {
	used  int
	most  int
	reset time.Time
}

// window is the token's, renewed when it is over. The lock is held.
func (s *Server) window(token string) *window {
	now := s.seconds()
	w := s.windows[token]
	if w == nil || !now.Before(w.reset) {
		length := s.limit.Window
		if length == 0 {
			length = time.Hour
		}
		w = &window{most: s.limit.Most, reset: now.Add(length)}
		if token == "" {
			w.most = min(w.most, 60)
		}
		s.windows[token] = w
	}
	return w
}

// headers tells the window as GitHub does.
func (w *window) headers(h http.Header) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(w.most))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, w.most-w.used)))
	h.Set("X-RateLimit-Used", strconv.Itoa(min(w.used, w.most)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(w.reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}

// exceeded refuses by the primary limit.
func (s *Server) exceeded() answer {
	status := s.limit.Status
	if status == 0 {
		status = http.StatusForbidden
	}
	return answer{status: status, body: object{
		"message":           "API rate limit exceeded for installation ID 1.",
		"documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api",
		"status":            strconv.Itoa(status),
	}}
}

// Secondary is a secondary rate limit that is in force: whatever is asked is refused, though
// the primary limit has not been reached.
type Secondary struct {
	Requests   int    // so many are refused
	Status     int    // 403 (default) or 429
	RetryAfter string // the header: seconds or an HTTP date; left out when empty, as it may be
	// Documentation adds the documentation_url by which some clients tell the limit.
	Documentation bool
}

// SetSecondary puts a secondary limit in force from the next request on.
func (s *Server) SetSecondary(limit Secondary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secondary = &limit
}

// slowDown refuses by the secondary limit, while it is in force. The lock is held.
func (s *Server) slowDown() (answer, bool) {
	if s.secondary == nil || s.secondary.Requests <= 0 {
		return answer{}, false
	}
	s.secondary.Requests--
	a := answer{status: s.secondary.Status, header: http.Header{}, body: object{
		"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again",
	}}
	if a.status == 0 {
		a.status = http.StatusForbidden
	}
	if s.secondary.RetryAfter != "" {
		a.header.Set("Retry-After", s.secondary.RetryAfter)
	}
	if s.secondary.Documentation {
		a.body.(object)["documentation_url"] = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
	}
	return a, true
}

// Grant is what a token may do.
type Grant struct {
	// Repositories are the private ones it sees; nil is all of them.
	Repositories []string
	// NoActions takes away `actions: read`: 403 for every workflow, run and job.
	NoActions bool
}

// Grant makes a token known, or changes what it may do. Unknown tokens are refused: 401.
func (s *Server) Grant(token string, grant Grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants[token] = grant
}

// Revoke makes a token unknown.
func (s *Server) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.grants, token)
}

func fail(status int, message string) answer {
	return answer{status: status, body: object{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": fmt.Sprint(status),
	}}
}
