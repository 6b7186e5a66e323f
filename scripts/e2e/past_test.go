package e2e

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
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

// What people have done by hand comes back with what ran: a paused container, a further network with names of its own, a detached HEAD beside a branch
// that is elsewhere. Docker and git are asked themselves; what is lost on the way is told beforehand.
func TestWhatWasDoneByHandComesBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	first := s.readStamp()
	s.deploys(s.push("two", map[string]string{"side/message.txt": "two\n"}), 0, "SUCCEEDED")
	stamp := s.readStamp()

	tools := s.project + "_tools"
	s.docker("network", "create", tools)
	t.Cleanup(func() {
		for _, c := range []string{"side", "app"} {
			_ = exec.Command("docker", "network", "disconnect", "--force", tools, s.project+"-"+c+"-1").Run() // it may not be in it
		}
		_ = exec.Command("docker", "network", "rm", tools).Run() // nor be there
	})
	s.docker("network", "connect", "--alias", "bulletin", tools, s.project+"-side-1")
	s.docker("pause", s.project+"-app-1", s.project+"-store-1")
	s.tree.Git("checkout", "--quiet", "--detach", stamp)
	s.tree.Git("branch", "--quiet", "--force", "main", first)
	byHand := func() {
		t.Helper()
		for _, service := range []string{"app", "store"} {
			if got := s.docker("inspect", "--format", "{{.State.Status}}", s.project+"-"+service+"-1")[0]; got != "paused" {
				t.Errorf("%s is %s", service, got)
			}
		}
		if got := s.docker("inspect", "--format", `{{with index .NetworkSettings.Networks "`+tools+`"}}{{.Aliases}}{{end}}`, s.project+"-side-1")[0]; !strings.Contains(got, "bulletin") {
			t.Errorf("side goes by %s in %s", got, tools)
		}
		if head, err := s.tree.Try("symbolic-ref", "--quiet", "HEAD"); err == nil || s.tree.Head() != stamp || s.tree.Git("rev-parse", "main") != first {
			t.Errorf("HEAD is %q at %s, main at %s; want it detached at %s, main at %s", head, s.tree.Head(), s.tree.Git("rev-parse", "main"), stamp, first)
		}
	}
	byHand()
	before := s.containers()
	bad := s.push("bad", map[string]string{"app/run.sh": "exit 1\n", "side/message.txt": "three\n", "landfall.yaml": shopConfigWith("6s", "300ms")})
	s.deploys(bad, 4, "ROLLED_BACK", "HEAD is detached; main gets checked out", "/app is paused; what changes or restarts it lets it run again",
		"is in a network that no compose file gives it: "+tools, "docker network connect --alias bulletin "+tools)
	byHand()
	s.kept(before, "app", "side")
	if now := s.containers(); now["app"] == before["app"] || now["side"] == before["side"] {
		t.Error("nothing was replaced, so that nothing was shown")
	}
	if got := s.docker("exec", s.containers()["side"], "cat", "/side/message.txt")[0]; got != "two" {
		t.Errorf("side reads %q", got)
	}
}
