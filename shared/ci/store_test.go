package ci

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Large answers count by their size: of three with 14 MiB each, 32 MiB hold two.
func TestTheStoreIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	s := newStore()
	large := make([]byte, 14<<20)
	for k := range byte(3) {
		s.put(key{k}, kept{body: large})
	}
	s.put(key{2}, kept{body: large}) // in its own place
	for k, want := range []bool{false, true, true} {
		if _, ok := s.get(key{byte(k)}); ok != want {
			t.Errorf("answer %d: kept is %v", k, ok)
		}
	}
	s.drop(key{1})
	s.drop(key{1})
	if s.bytes != len(large) || s.order.Len() != 1 || len(s.byKey) != 1 {
		t.Errorf("%d bytes in %d answers, %d keys", s.bytes, s.order.Len(), len(s.byKey))
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Method, address, token and media type: where one of them differs, nothing kept is offered.
func TestAnswersAreKeptByWhatTheyDependOn(t *testing.T) {
	t.Parallel()
	var offered string
	c := &conditional{kept: newStore(), next: roundTripper(func(r *http.Request) (*http.Response, error) {
		offered = r.Header.Get("If-None-Match")
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Etag": {`W/"1"`}}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	})}
	ask := func(change func(*http.Request)) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.github.com/repos/o/r", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer one")
		r.Header.Set("Accept", "application/json")
		change(r)
		resp, err := c.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return offered
	}
	same := func(*http.Request) {}
	ask(same)
	for name, change := range map[string]func(*http.Request){
		"token":    func(r *http.Request) { r.Header.Set("Authorization", "Bearer two") },
		"no token": func(r *http.Request) { r.Header.Del("Authorization") },
		"accept":   func(r *http.Request) { r.Header.Set("Accept", "text/plain") },
		"query":    func(r *http.Request) { r.URL.RawQuery = "page=2" },
		"method":   func(r *http.Request) { r.Method = http.MethodHead },
	} {
		if got := ask(change); got != "" {
			t.Errorf("another %s: offered %s", name, got)
		}
	}
	if got := ask(same); got != `W/"1"` {
		t.Errorf("the same: offered %q", got)
	}
}
