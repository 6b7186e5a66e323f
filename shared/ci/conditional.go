package ci

import (
	"bytes"
	"container/list"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"sync"
)

const (
	mostKept      = 64       // answers
	mostKeptBytes = 32 << 20 // of their bodies
)

// conditional asks for what it has seen before only whether it is still so, and answers from
// memory when GitHub says 304. It asks every time: GitHub marks its answers fresh for 60 s
// (Cache-Control: private, max-age=60), in which a poller would see nothing new.
type conditional struct {
	next http.RoundTripper
	kept *store
}

// RoundTrip adds If-None-Match where an answer is kept. GitHub's ETags depend on the
// Authorization and Accept headers, so these are part of the key: what one token saw is never
// shown for another.
func (c *conditional) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || r.Header.Get("If-None-Match") != "" || r.Header.Get("Range") != "" {
		return c.next.RoundTrip(r)
	}
	key := keyOf(r)
	had, ok := c.kept.get(key)
	if ok {
		r = r.Clone(r.Context())
		r.Header.Set("If-None-Match", had.etag)
	}
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch etag := resp.Header.Get("ETag"); {
	case ok && resp.StatusCode == http.StatusNotModified:
		return had.answer(r), nil
	case resp.StatusCode == http.StatusOK && etag != "":
		body, err := io.ReadAll(resp.Body) // whole, bounded and JSON: [meter] saw to it
		if err != nil {
			return nil, err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		c.kept.put(key, kept{etag: etag, header: resp.Header.Clone(), body: body})
	case resp.StatusCode != http.StatusNotModified && resp.StatusCode < 500:
		c.kept.drop(key) // gone, moved or forbidden: what was there is no answer any more
	}
	return resp, nil
}

type key [sha256.Size]byte

func keyOf(r *http.Request) key {
	// The token goes through the hash, so that no key can be printed back into it.
	authorization := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	return sha256.Sum256([]byte(strings.Join([]string{r.Method, r.URL.String(), string(authorization[:]), r.Header.Get("Accept")}, "\n")))
}

// kept is one answer.
type kept struct {
	etag   string
	header http.Header
	body   []byte
}

// answer is the kept answer, with its links, in place of a 304. What the 304 says about limits
// [meter] has read. X-From-Cache is the field's word for "not from GitHub just now".
func (k kept) answer(r *http.Request) *http.Response {
	header := k.header.Clone()
	header.Set("X-From-Cache", "1")
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(k.body)), ContentLength: int64(len(k.body)), Request: r,
	}
}

// store keeps the answers used last, within bounds.
type store struct {
	mu    sync.Mutex
	bytes int
	order *list.List // of entry, the one used last in front
	byKey map[key]*list.Element
}

type entry struct {
	key  key
	kept kept
}

func newStore() *store { return &store{order: list.New(), byKey: map[key]*list.Element{}} }

func (s *store) get(k key) (kept, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byKey[k]
	if !ok {
		return kept{}, false
	}
	s.order.MoveToFront(e)
	return e.Value.(entry).kept, true
}

func (s *store) put(k key, v kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(s.byKey[k])
	s.byKey[k] = s.order.PushFront(entry{k, v})
	s.bytes += len(v.body)
	for s.order.Len() > mostKept || s.bytes > mostKeptBytes {
		s.remove(s.order.Back())
	}
}

func (s *store) drop(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(s.byKey[k])
}

// remove forgets an entry, if there is one. The lock is held.
func (s *store) remove(e *list.Element) {
	if e == nil {
		return
	}
	old := s.order.Remove(e).(entry)
	delete(s.byKey, old.key)
	s.bytes -= len(old.kept.body)
}
