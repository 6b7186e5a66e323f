package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// What failed before anything was done is no verdict on what is done: an endpoint of somebody else's that is down makes no rollback fail, and no deploy of
// what it has nothing to do with. What changes something is judged by it: it may be the mend.
func TestAProbeThatFailedBefore(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	var down atomic.Bool
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer outside.Close()
	config := strings.Replace(shopConfigWith("4s", "300ms"), "    up: {containers: {}}\n", "    up: {containers: {}}\n    outside: {http: {url: \""+outside.URL+"/\"}}\n", 1)
	if !strings.Contains(config, outside.URL) {
		t.Fatal("the sample has other probes")
	}
	s.deploys(s.push("with a probe", map[string]string{"landfall.yaml": config}), 0, "SUCCEEDED")

	down.Store(true)
	t.Run("a deploy that touches a service is judged by it, and its rollback is not", func(t *testing.T) {
		defer s.in(t)()
		s.fails(s.push("two", map[string]string{"app/run.sh": serves("two")}), "PROBE_DEADLINE", []string{"app"}, "failed before: outside: HTTP 503",
			"services run what ran before; not judged by what failed before: outside: HTTP 503")
	})
	t.Run("a deploy that does nothing is not judged by it", func(t *testing.T) {
		defer s.in(t)()
		before := s.containers()
		s.dev.Git("revert", "--no-edit", "HEAD")
		s.dev.Push()
		s.deploys(s.dev.Head(), 0, "SUCCEEDED", "failed before: outside: HTTP 503")
		s.kept(before)
	})
}
