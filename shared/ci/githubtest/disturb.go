package githubtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Disturbance is what happens to a request instead of its answer, or before it.
type Disturbance struct {
	// do reports whether it answered.
	do func(s *Server, w http.ResponseWriter, r *http.Request) bool
	// breaks says that the client may be gone before the server knows: the request does not count as
	// one in work.
	breaks bool
}

type disturbance struct {
	path  string
	times int
	how   Disturbance
}

// Disturb disturbs the next so many requests whose path holds a part ("" is in every path).
// Disturbances apply in the order in which they were set.
func (s *Server) Disturb(path string, times int, how Disturbance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disturbances = append(s.disturbances, &disturbance{path, times, how})
}

// disturbs finds the disturbance of a request and uses it up. The lock is held.
func (s *Server) disturbs(path string) *Disturbance {
	for _, d := range s.disturbances {
		if d.times > 0 && strings.Contains(path, d.path) {
			d.times--
			return &d.how
		}
	}
	return nil
}

// Delay answers as usual, once released is closed. Until then the request is in work.
func Delay(released <-chan struct{}) Disturbance {
	return Disturbance{do: func(s *Server, _ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-released:
		case <-r.Context().Done():
		case <-s.closing:
		}
		return false
	}}
}

// Respond answers with whatever is given, and a request id.
func Respond(status int, header http.Header, body string) Disturbance {
	return Disturbance{do: func(s *Server, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		w.Header().Set("X-GitHub-Request-Id", "D15B:0:0:0:0")
		for name, values := range header {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // whoever hung up does not want it
		return true
	}}
}

// HTML answers as GitHub's front does when what is behind it does not: a page, not JSON.
func HTML(status int) Disturbance {
	page := "<html>\n<head><title>Unicorn! &middot; GitHub</title></head>\n<body><p>This page is taking too long to load.</p></body>\n</html>\n"
	return Respond(status, http.Header{"Content-Type": {"text/html"}}, page)
}

// Truncate announces more than it sends: the answer ends in the middle.
func Truncate() Disturbance {
	return Disturbance{breaks: true, do: func(_ *Server, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", "4096")
		_, _ = fmt.Fprint(w, `{"total_count": 2, "workflow_runs": [{"id": 1,`) // the rest never comes
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}}
}

// Hang never answers. The connection stays until the client leaves or the server closes.
func Hang() Disturbance {
	return Disturbance{breaks: true, do: func(s *Server, _ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-r.Context().Done():
		case <-s.closing:
		}
		panic(http.ErrAbortHandler)
	}}
}

// Reset breaks the connection instead of answering.
func Reset() Disturbance {
	return Disturbance{breaks: true, do: func(*Server, http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }}
}

// Redirect sends the client to another base address, path and query unchanged.
func Redirect(status int, base string) Disturbance {
	return Disturbance{do: func(_ *Server, w http.ResponseWriter, r *http.Request) bool {
		target, err := url.Parse(base)
		if err != nil {
			panic(err)
		}
		target.Path, target.RawQuery = r.URL.Path, r.URL.RawQuery
		w.Header().Set("Location", target.String())
		w.WriteHeader(status)
		return true
	}}
}
