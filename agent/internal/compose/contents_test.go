package compose

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/image"

	"ataraxis.dev/landfall/agent/internal/picture"
)

func digestOf(hex string) string { return "sha256:" + strings.Repeat(hex, 64) }

// TestManifestOf: of an index the manifest counts that containers are made from, and neither attestations nor other platforms.
func TestManifestOf(t *testing.T) {
	t.Parallel()
	entry := func(digest, kind, platform string, available bool) string {
		os, arch, _ := strings.Cut(platform, "/")
		return fmt.Sprintf(`{"Descriptor": {"digest": %q}, "Kind": %q, "Available": %v, "ImageData": {"Platform": {"os": %q, "architecture": %q}}}`, digest, kind, available, os, arch)
	}
	mine := entry(digestOf("1"), "image", "linux/arm64", true)
	for name, c := range map[string]struct {
		manifests []string
		want      string
	}{
		"one":                         {[]string{mine}, "manifest:" + strings.Repeat("1", 64)},
		"with an attestation":         {[]string{mine, entry(digestOf("2"), "attestation", "linux/arm64", true)}, "manifest:" + strings.Repeat("1", 64)},
		"with another platform":       {[]string{entry(digestOf("2"), "image", "linux/amd64", true), mine}, "manifest:" + strings.Repeat("1", 64)},
		"one that is not here":        {[]string{entry(digestOf("1"), "image", "linux/arm64", false)}, ""},
		"two for the platform":        {[]string{mine, entry(digestOf("2"), "image", "linux/arm64", true)}, ""},
		"for another platform alone":  {[]string{entry(digestOf("2"), "image", "linux/amd64", true)}, ""},
		"none":                        {nil, ""},
		"something that is no digest": {[]string{entry("latest", "image", "linux/arm64", true)}, ""},
		"nothing of its platform":     {[]string{fmt.Sprintf(`{"Descriptor": {"digest": %q}, "Kind": "image", "Available": true}`, digestOf("1"))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var a image.InspectResponse
			if err := json.Unmarshal([]byte(`{"Os": "linux", "Architecture": "arm64", "Manifests": [`+strings.Join(c.manifests, ",")+`]}`), &a); err != nil {
				t.Fatal(err)
			}
			if got := manifestOf(a); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestShownOf: of an engine that tells no manifests, what decides what a container is counts, and nothing of when and how it was built.
func TestShownOf(t *testing.T) {
	t.Parallel()
	const plain = `{"Id": "sha256:1", "Created": "yesterday", "Os": "linux", "Architecture": "arm64", "Config": {"Env": ["A=1"], "Cmd": ["sh"]}, "RootFS": {"Type": "layers", "Layers": ["sha256:a"]}}`
	want, err := shownOf([]byte(plain))
	if err != nil || !strings.HasPrefix(want, picture.ContentShown+":") {
		t.Fatal(want, err)
	}
	for text, same := range map[string]bool{
		`{"Id": "sha256:2", "Created": "today", "Os": "linux", "Architecture": "arm64", "Config": {"Cmd": ["sh"], "Env": ["A=1"]}, "RootFS": {"Layers": ["sha256:a"], "Type": "layers"}}`: true,
		strings.Replace(plain, "A=1", "A=2", 1):                                                                 false,
		strings.Replace(plain, "sha256:a", "sha256:b", 1):                                                       false,
		strings.Replace(plain, "arm64", "amd64", 1):                                                             false,
		strings.Replace(plain, `"Cmd": ["sh"]`, `"Cmd": ["sh"], "Healthcheck": {"Test": ["CMD", "x"]}`, 1):      false,
		strings.Replace(plain, `"Cmd": ["sh"]`, `"Cmd": ["sh"], "SomethingNew": {"nobody": "knows it yet"}`, 1): false,
	} {
		if got, err := shownOf([]byte(text)); err != nil || (got == want) != same {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{`{}`, `[]`, `{"Os": "linux", "Architecture": "arm64"}`, `{"RootFS": {"Layers": []}}`, `nothing`} {
		if got, err := shownOf([]byte(text)); err == nil {
			t.Errorf("%s is %s", text, got)
		}
	}
}

// newerEngine answers as an engine of API 1.48 does that keeps its images in containerd.
type newerEngine struct {
	driver     string
	containers []string          // inspected, JSON
	images     map[string]string // inspected, JSON by ID
	named      string            // the list of images, JSON
	infos      atomic.Int32
	inspected  atomic.Int32
	broken     bool
}

func (e *newerEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.48")
	w.Header().Set("Content-Type", "application/json")
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case strings.HasSuffix(r.URL.Path, "/_ping"):
	case path == "info":
		e.infos.Add(1)
		if e.broken {
			http.Error(w, `{"message": "no"}`, http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, `{"DriverStatus": [["driver-type", %q]]}`, e.driver)
	case path == "containers/json":
		var list []string
		for i := range e.containers {
			list = append(list, fmt.Sprintf(`{"Id": "c%d", "Labels": {"com.docker.compose.project": "p"}}`, i))
		}
		fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
	case strings.HasPrefix(path, "containers/c"):
		var i int
		fmt.Sscanf(path, "containers/c%d/json", &i)
		fmt.Fprint(w, e.containers[i])
	case path == "images/json":
		fmt.Fprint(w, e.named)
	case strings.HasPrefix(path, "images/"):
		e.inspected.Add(1)
		if told, known := e.images[strings.TrimSuffix(strings.TrimPrefix(path, "images/"), "/json")]; known && r.URL.Query().Get("manifests") == "1" {
			fmt.Fprint(w, told)
			return
		}
		http.Error(w, `{"message": "No such image"}`, http.StatusNotFound)
	default:
		http.Error(w, `{"message": "not served"}`, http.StatusNotImplemented)
	}
}

// TestContentsOfANewerEngine: containers that were made from the same manifest hold the same, though their images have other IDs, and though
// the record of one is gone.
func TestContentsOfANewerEngine(t *testing.T) {
	containerOn := func(service, imageID, manifest string) string {
		return fmt.Sprintf(`{"Id": %q, "Image": %q, "ImageManifestDescriptor": {"digest": %q}, "State": {"Status": "running"},
			"Config": {"Image": "app", "Labels": {"com.docker.compose.project": "p", "com.docker.compose.service": %q}}}`, service, imageID, manifest, service)
	}
	imageOn := func(id, manifest string) string {
		return fmt.Sprintf(`{"Id": %q, "Os": "linux", "Architecture": "arm64", "Manifests": [{"Descriptor": {"digest": %q}, "Kind": "image", "Available": true,
			"ImageData": {"Platform": {"os": "linux", "architecture": "arm64"}}}]}`, id, manifest)
	}
	e := &newerEngine{
		driver: "io.containerd.snapshotter.v1",
		containers: []string{
			containerOn("fresh", digestOf("a"), digestOf("1")), containerOn("same", digestOf("b"), digestOf("1")),
			containerOn("gone", digestOf("c"), digestOf("1")), containerOn("stale", digestOf("d"), digestOf("2")),
			containerOn("foreign", digestOf("b"), digestOf("3")), containerOn("mute", digestOf("e"), ""),
		},
		images: map[string]string{digestOf("a"): imageOn(digestOf("a"), digestOf("1")), digestOf("b"): imageOn(digestOf("b"), digestOf("1")), digestOf("d"): imageOn(digestOf("d"), digestOf("2"))},
		named:  fmt.Sprintf(`[{"Id": %q, "RepoTags": ["app:latest"]}]`, digestOf("a")),
	}
	look := func(e *newerEngine) (map[string]picture.Freshness, *Compose) {
		t.Helper()
		server := httptest.NewServer(e)
		t.Cleanup(server.Close)
		t.Setenv("DOCKER_HOST", "tcp://"+server.Listener.Addr().String())
		c := newCompose(t, t.TempDir())
		p, err := c.Look(t.Context(), []string{"p"}, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]picture.Freshness{}
		for _, of := range p.Containers {
			found[of.Service] = p.Freshness(of, "app")
		}
		return found, c
	}
	got, c := look(e)
	want := map[string]picture.Freshness{
		"fresh": picture.ImageFresh, "same": picture.ImageFresh, "gone": picture.ImageFresh, "stale": picture.ImageStale,
		"foreign": picture.ImageUnknown, "mute": picture.ImageUnknown,
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	before := e.inspected.Load()
	for range 10 {
		if _, err := c.Look(t.Context(), []string{"p"}, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	if asked, infos := e.inspected.Load()-before, e.infos.Load(); asked != 10*2 || infos != 1 { // those whose record is gone are asked about again
		t.Errorf("ten looks asked %d times about images, and %d times about the store", asked, infos)
	}

	// The same engine with the classic store: the ID is the content, nobody is asked.
	classic := &newerEngine{driver: "overlay2", containers: e.containers[:1], named: e.named}
	if got, _ := look(classic); got["fresh"] != picture.ImageFresh || classic.inspected.Load() != 0 {
		t.Errorf("%v after %d questions", got, classic.inspected.Load())
	}

	// One that does not tell its store: what differs is unknown, never stale.
	mute := &newerEngine{broken: true, containers: []string{strings.Replace(e.containers[3], digestOf("2"), "", 1), e.containers[0]}, named: e.named}
	if got, _ := look(mute); got["stale"] != picture.ImageUnknown || got["fresh"] != picture.ImageFresh {
		t.Errorf("%v", got)
	}
}
