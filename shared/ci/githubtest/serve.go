package githubtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
)

// answer is what a route says, before conditions and headers.
type answer struct {
	status int // 200 when 0
	header http.Header
	body   any
}

// serve takes one request through what GitHub's front does, in its order: who asks, limits, the
// answer, its condition.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.checkManners(r)
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	entry, disturb := s.arrive(token, r)
	if disturb != nil && disturb.breaks {
		s.leave(token)
		disturb.do(s, w, r)
		return
	}
	// The answer is made whole first: the request is over before the client can send the next one.
	recorder := httptest.NewRecorder()
	s.note(entry, recorder, s.produce(recorder, token, disturb, r))
	s.leave(token)
	maps.Copy(w.Header(), recorder.Header())
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes()) // whoever hung up does not want it
}

// produce answers, disturbed or not, and says whether it counted.
func (s *Server) produce(w http.ResponseWriter, token string, disturb *Disturbance, r *http.Request) (counted bool) {
	if disturb != nil && disturb.do(s, w, r) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answer(w, token, r)
}

// checkManners fails the test for what GitHub asks clients not to do.
func (s *Server) checkManners(r *http.Request) {
	if agent := r.Header.Get("User-Agent"); agent == "" || strings.HasPrefix(agent, "Go-http-client") {
		s.tb.Errorf("githubtest: %s %s has no User-Agent of its own: GitHub refuses it", r.Method, r.URL)
	}
	if accept := r.Header.Get("Accept"); accept != "application/vnd.github+json" && accept != "application/vnd.github.v3+json" {
		s.tb.Errorf("githubtest: %s %s accepts %q: GitHub asks for application/vnd.github+json", r.Method, r.URL, accept)
	}
	if version := r.Header.Get("X-GitHub-Api-Version"); version != "2022-11-28" {
		s.tb.Errorf("githubtest: %s %s wants the API version %q; what is recorded here is 2022-11-28", r.Method, r.URL, version)
	}
}

// arrive writes the request down and finds out whether it is to be disturbed.
func (s *Server) arrive(token string, r *http.Request) (entry int, disturb *Disturbance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[token]++
	if s.busy[token] > s.concurrency {
		s.tb.Errorf("githubtest: %s %s came while %d others of its token were in work: GitHub asks for serial requests", r.Method, r.URL, s.busy[token]-1)
	}
	s.log = append(s.log, Request{
		At: s.now(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Token: token,
		Conditional: r.Header.Get("If-None-Match") != "",
	})
	return len(s.log) - 1, s.disturbs(r.URL.Path)
}

func (s *Server) leave(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[token]--
}

// note completes the entry of the log, if the log was not emptied meanwhile.
func (s *Server) note(entry int, sent *httptest.ResponseRecorder, counted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry < len(s.log) {
		s.log[entry].Status, s.log[entry].Counted = sent.Code, counted
	}
}

// answer writes the whole answer and says whether it counted. The lock is held.
func (s *Server) answer(w http.ResponseWriter, token string, r *http.Request) (counted bool) {
	h := w.Header()
	s.commonHeaders(h)
	grant, known := s.grants[token]
	if token != "" && !known {
		s.write(w, r, fail(http.StatusUnauthorized, "Bad credentials"))
		return false
	}
	window := s.window(token)
	if a, refused := s.slowDown(); refused {
		window.headers(h)
		s.write(w, r, a)
		return false
	}
	free := r.URL.Path == "/rate_limit" // docs.github.com, get rate limit status: it does not count
	if window.used >= window.most && !free {
		window.headers(h)
		s.write(w, r, s.exceeded())
		return false
	}
	a := s.route(grant, token != "", r)
	unchanged := s.unchanged(h, a, r)
	counted = !unchanged && !free
	if counted {
		window.used++
	}
	window.headers(h)
	if unchanged {
		w.WriteHeader(http.StatusNotModified)
	} else {
		s.write(w, r, a)
	}
	return counted
}

// commonHeaders are those that every recorded answer has.
func (s *Server) commonHeaders(h http.Header) {
	h.Set("Server", "GitHub.com")
	h.Set("Date", s.now().UTC().Format(http.TimeFormat))
	h.Set("X-GitHub-Media-Type", "github.v3; format=json")
	h.Set("X-GitHub-Api-Version-Selected", "2022-11-28")
	h.Set("X-GitHub-Request-Id", fmt.Sprintf("81E8:F5F16:%X:E4509B9:65C602BE", len(s.log)))
	h["Vary"] = []string{"Accept, Authorization, Cookie, X-GitHub-OTP", "Accept-Encoding, Accept, X-Requested-With"}
}

// unchanged sets the validators of an answer and reports whether the client has it already. The
// ETag is weak and depends on who asks and how, as recorded.
func (s *Server) unchanged(h http.Header, a answer, r *http.Request) bool {
	if r.Method != http.MethodGet || (a.status != 0 && a.status != http.StatusOK) {
		return false
	}
	hash := sha256.New()
	hash.Write([]byte(r.Header.Get("Authorization") + "\n" + r.Header.Get("Accept") + "\n" + a.header.Get("Link") + "\n"))
	hash.Write(encode(a.body))
	etag := fmt.Sprintf(`W/"%x"`, hash.Sum(nil))
	h.Set("ETag", etag)
	h.Set("Cache-Control", "private, max-age=60, s-maxage=60")
	return r.Header.Get("If-None-Match") == etag
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer) {
	h := w.Header()
	maps.Copy(h, a.header)
	h.Set("Content-Type", "application/json; charset=utf-8")
	if a.status == 0 {
		a.status = http.StatusOK
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(encode(a.body)) // into memory
	}
}

func encode(body any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		panic(err) // only what this package made is encoded
	}
	return b.Bytes()
}
