package e2e

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// shelf is a registry of a test's own, which the machine's engine pushes to and pulls from.
type shelf struct {
	*alone
	ref         string
	heads, gets atomic.Int32 // of manifests, by the agent
}

// newShelf is a host whose service side comes from it.
func newShelf(t *testing.T) *shelf {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("an engine in a virtual machine does not reach a registry of this one")
	}
	s := &shelf{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") && strings.HasPrefix(r.UserAgent(), "landfall-agent") {
			map[string]*atomic.Int32{http.MethodHead: &s.heads, http.MethodGet: &s.gets}[r.Method].Add(1)
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.ref = server.Listener.Addr().String() + "/side:1"
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", s.ref).Run() }) // it may be in use by what is cleaned up later
	build(t, s.ref, "LABEL edition=one")
	run1(t, nil, "docker", "push", "-q", s.ref)
	s.alone = newAloneWith(t, aloneConfig("gitops: {images: {every: 24h, services: [all/side]}}"), s.ref)
	return s
}

// build builds an image of the base with a line more, and tells its ID.
func build(t *testing.T, ref, line string) string {
	t.Helper()
	cmd := exec.Command("docker", "build", "-q", "-t", ref, "-")
	cmd.Stdin = strings.NewReader("FROM " + baseImage(t) + "\n" + line + "\n")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

var pushed = regexp.MustCompile(`digest: (sha256:[0-9a-f]{64})`)

// publish has the registry's tag mean another image, and the name here what it meant.
func (s *shelf) publish(line string) (id, digest string) {
	s.t.Helper()
	was := s.docker("image", "inspect", "--format", "{{.Id}}", s.ref)[0]
	id = build(s.t, s.ref, line)
	found := pushed.FindStringSubmatch(strings.Join(s.docker("push", s.ref), "\n"))
	if found == nil {
		s.t.Fatal("docker push told no digest")
	}
	s.docker("tag", was, s.ref)
	return id, found[1]
}

// tomorrow has the registry asked again: the agent that starts knows of no earlier time.
func (s *shelf) tomorrow() {
	s.t.Helper()
	s.again()
	s.heads.Store(0)
	s.gets.Store(0)
}

// again starts the agent again, without what it remembers of registries.
func (s *shelf) again() {
	s.t.Helper()
	s.stopAgent()
	if err := os.Remove(filepath.Join(s.state, "registries.json")); err != nil {
		s.t.Fatal(err)
	}
	s.startAgent("converge: {every: 15m}", "github: {repository: owner/name, token_file: "+filepath.Join(s.ids, "github-token")+", api_url: "+s.github.URL()+"}")
}

func (s *shelf) image(service string) string {
	s.t.Helper()
	return s.docker("inspect", "--format", "{{.Image}}", s.containers()[service])[0]
}

// TestNewerImages: a retagged image replaces the service that is made from it, and no other; a bad one is rolled back, its digest is blocked,
// and it is not tried again until the tag moves on.
func TestNewerImages(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	for range 3 {
		s.tick("NOTHING", "IN_STEP")
	}
	if heads, gets := s.heads.Load(), s.gets.Load(); heads != 1 || gets != 0 {
		t.Errorf("three ticks asked by %d HEADs and %d GETs", heads, gets)
	}
	before := s.containers()

	good, _ := s.publish("LABEL edition=two")
	s.tick("NOTHING", "IN_STEP") // it is not time to ask
	s.tomorrow()
	if got := s.tick("UPDATE", "NEWER_IMAGE"); got.Operation.State != "SUCCEEDED" {
		t.Fatalf("%+v, %s", got, s.failure("message"))
	}
	if s.image("side") != good || s.containers()["side"] == before["side"] || s.containers()["front"] != before["front"] {
		t.Fatalf("side runs %s, want %s; %v, they were %v", s.image("side"), good, s.containers(), before)
	}
	s.tick("NOTHING", "IN_STEP")
	if heads, gets := s.heads.Load(), s.gets.Load(); heads != 1 || gets > 2 {
		t.Errorf("an update asked by %d HEADs and %d GETs", heads, gets)
	}

	before = s.containers()
	_, bad := s.publish(`ENTRYPOINT ["/nowhere"]`)
	s.tomorrow()
	if got := s.tick("UPDATE", "NEWER_IMAGE"); got.Operation.State != "ROLLED_BACK" {
		t.Fatalf("%+v", got)
	}
	if s.image("side") != good || s.containers()["front"] != before["front"] || !slices.Contains(s.blocked(), bad) {
		t.Fatalf("side runs %s, want %s; blocked are %v, want %s", s.image("side"), good, s.blocked(), bad)
	}
	if named := s.docker("image", "inspect", "--format", "{{.Id}}", s.ref)[0]; named != good {
		t.Errorf("the name means %s, want %s", named, good)
	}
	before = s.containers()
	s.tick("NOTHING", "IN_STEP")
	s.tomorrow()
	s.tick("NOTHING", "IN_STEP")
	if now := s.containers(); !sameContainers(before, now) {
		t.Errorf("a blocked image was tried again: %v, %v", now, before)
	}
	s.coordinate("observer", "status").expect(t, 0, "image "+bad[:19], s.ref)

	better, _ := s.publish("LABEL edition=three")
	s.tomorrow()
	if got := s.tick("UPDATE", "NEWER_IMAGE"); got.Operation.State != "SUCCEEDED" || s.image("side") != better {
		t.Fatalf("%+v, side runs %s, want %s", got, s.image("side"), better)
	}
	s.coordinate("operator", "unblock", bad[:15]).expect(t, 0, "unblocked "+bad)
	if left := s.blocked(); len(left) > 0 {
		t.Errorf("blocked are %v", left)
	}
}

// TestContainerdDeploys: on an engine that keeps its images in containerd three deploys that build the same, and ten ticks, replace nothing.
func TestContainerdDeploys(t *testing.T) {
	if os.Getenv("LANDFALL_CONTAINERD_ENGINE") == "" {
		t.Skip("needs an engine with the containerd image store, which make containerd starts")
	}
	config := strings.Replace(aloneConfig("gitops: {drift: {pulled_images: true}}"), "environment: {REVISION: \"${target_sha}\"}\n", "", 1)
	a := newAloneWith(t, strings.Replace(config, ", args: {REVISION: \"${target_sha}\"}", "", 1), "")
	a.compose("", nil, "up", "--detach", "--build") // without a revision
	a.tick("NOTHING", "IN_STEP")
	before := a.containers()
	for _, edition := range []string{"one", "two", "three"} {
		sha := a.push("nothing "+edition, map[string]string{"front/README": edition + "\n"})
		a.deploys(sha, 0)
		for range 10 {
			a.tick("NOTHING", "IN_STEP")
		}
		if now := a.containers(); !sameContainers(before, now) {
			t.Fatalf("a deploy of nothing replaced containers: %v, they were %v", now, before)
		}
	}
}
