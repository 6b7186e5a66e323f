package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
)

func sum(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

// shelf is a registry, go-containerregistry's own, that counts what it is asked and may be made to misbehave.
type shelf struct {
	t    testing.TB
	host string

	mu     sync.Mutex
	asked  []string // "HEAD manifests", "GET manifests"
	before http.HandlerFunc
}

func newShelf(t testing.TB) *shelf {
	t.Helper()
	s := &shelf{t: t}
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		before := s.before
		if r.Method != http.MethodPut {
			s.asked = append(s.asked, r.Method+" "+r.URL.Path)
		}
		s.mu.Unlock()
		if before != nil {
			answered := &noting{ResponseWriter: w}
			if before(answered, r); answered.wrote {
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.host = server.Listener.Addr().String()
	return s
}

type noting struct {
	http.ResponseWriter
	wrote bool
}

func (n *noting) WriteHeader(code int) { n.wrote = true; n.ResponseWriter.WriteHeader(code) }
func (n *noting) Write(b []byte) (int, error) {
	n.wrote = true
	return n.ResponseWriter.Write(b)
}

// misbehave has answers given before the registry's own; nil takes it back.
func (s *shelf) misbehave(before http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// count tells what was asked since the last count: HEADs and GETs of manifests.
func (s *shelf) count() (heads, gets int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.asked {
		switch {
		case !strings.Contains(a, "/manifests/"):
		case strings.HasPrefix(a, "HEAD"):
			heads++
		default:
			gets++
		}
	}
	s.asked = nil
	return heads, gets
}

func (s *shelf) put(reference, mediaType, body string) string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, "http://"+s.host+"/v2/db/manifests/"+reference, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		s.t.Fatalf("%s: %s", resp.Status, text)
	}
	http.DefaultClient.CloseIdleConnections()
	return sum(body)
}

// image puts a manifest and returns its digest and that of the configuration that it names.
func (s *shelf) image(reference, content string) (digest, config string) {
	config = sum("config of " + content)
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[]}`, ociManifest, config)
	if reference == "" {
		reference = sum(body)
	}
	return s.put(reference, ociManifest, body), config
}

// entry is a line of an index.
func entry(digest, platform string) string {
	os, rest, _ := strings.Cut(platform, "/")
	arch, variant, _ := strings.Cut(rest, "/")
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":2,"platform":{"os":%q,"architecture":%q,"variant":%q}}`, ociManifest, digest, os, arch, variant)
}

func (s *shelf) index(reference string, entries ...string) string {
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ociIndex, strings.Join(entries, ","))
	if reference == "" {
		reference = sum(body)
	}
	return s.put(reference, ociIndex, body)
}

// multi puts an index of an image for two platforms, with an attestation of how ours was built.
func (s *shelf) multi(reference, content, attestation string) (index, child, config string) {
	child, config = s.image("", content)
	other, _ := s.image("", content+" elsewhere")
	attested, _ := s.image("", attestation)
	return s.index(reference, entry(other, "linux/amd64"), entry(child, "linux/arm64/v8"), entry(attested, "unknown/unknown")), child, config
}

// engine is what the host has.
type engine struct {
	digests  map[string][]string
	platform string
	err      error
	asked    int
}

func (e *engine) Origin(_ context.Context, id string) ([]string, string, error) {
	e.asked++
	return e.digests[id], e.platform, e.err
}

// bench is a host with one service, made from the shelf's db:1.
type bench struct {
	*shelf
	t          testing.TB
	engine     *engine
	path       string
	registries *Registries
	config     pipeline.ImagesConfig
	models     []picture.Model
	now        picture.Picture
	ref        string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{shelf: newShelf(t), t: t, engine: &engine{digests: map[string][]string{}, platform: "linux/arm64/v8"}, path: filepath.Join(t.TempDir(), "registries.json")}
	b.ref = b.host + "/db:1"
	b.config = pipeline.ImagesConfig{Every: 24 * time.Hour, Services: []string{"core/*"}}
	b.models = []picture.Model{{Stack: "core", Project: "p", Services: map[string]picture.Spec{"db": {Image: b.ref}, "own": {Image: "own", Builds: true}, "pinned": {Image: b.ref + "@" + sum("x")}}}}
	b.now = picture.Picture{Refs: map[string]string{"own": "i", b.ref + "@" + sum("x"): "i"}, Contents: map[string]string{}}
	for _, name := range []string{"db", "own", "pinned"} {
		b.now.Containers = append(b.now.Containers, picture.Container{Project: "p", Service: name, ID: name})
	}
	b.restart()
	return b
}

// restart is an agent that starts again.
func (b *bench) restart() {
	b.registries = New(Settings{Path: b.path, Engine: b.engine, CertDir: b.t.TempDir()}, hclog.NewNullLogger())
}

// has says what the name means here, and what that holds.
func (b *bench) has(id, content string, digests ...string) {
	b.now.Refs[b.ref], b.now.Contents = id, map[string]string{id: content}
	b.engine.digests[id] = nil
	for _, d := range digests {
		b.engine.digests[id] = append(b.engine.digests[id], b.host+"/db@"+d)
	}
}

func (b *bench) look() ([]converge.Newer, []string) {
	return b.registries.Newer(b.t.Context(), b.config, b.models, b.now)
}

// must looks and checks what comes of it: "" for as it should be, "?" for unknown, else the newer digest.
func (b *bench) must(want string, heads, gets int) string {
	b.t.Helper()
	newer, notes := b.look()
	got := ""
	switch {
	case len(newer) == 1 && newer[0].Image.Ref == b.ref && slices.Equal(newer[0].Services, []picture.Key{{Project: "p", Service: "db"}}):
		got = newer[0].Image.Digest
	case len(newer) > 0:
		b.t.Fatalf("%+v", newer)
	case len(notes) > 0:
		got = "?"
	}
	h, g := b.count()
	if got != want || h != heads || g != gets {
		b.t.Fatalf("%q after %d HEADs and %d GETs, want %q after %d and %d: %v", got, h, g, want, heads, gets, notes)
	}
	return strings.Join(notes, "\n")
}

// later has the registry asked again at the next look.
func (b *bench) later() {
	b.t.Helper()
	if _, notes := b.look(); b.registries.known == nil {
		b.t.Fatal(notes)
	}
	b.count()
	for ref, s := range b.registries.known.Images {
		s.Asked, s.Until = s.Asked.Add(-25*time.Hour), time.Time{}
		b.registries.known.Images[ref] = s
	}
	clear(b.registries.known.Limits)
}

// TestALookIsOneHead: what the tag means is one HEAD, whatever store the engine has, and between two looks nobody is asked, also by an agent
// that started again.
func TestALookIsOneHead(t *testing.T) {
	b := newBench(t)
	index, _, config := b.multi("1", "one", "built on Monday")
	b.count()
	b.has(config, config, sum("a foreign digest"), index)
	b.must("", 1, 0)
	for range 100 {
		b.must("", 0, 0)
	}
	b.restart()
	b.must("", 0, 0)
	b.later()
	b.must("", 1, 0)
}

// TestTicksWithNothingToDoWriteNothing: neither bytes nor a new file.
func TestTicksWithNothingToDoWriteNothing(t *testing.T) {
	b := newBench(t)
	index, _, config := b.multi("1", "one", "built on Monday")
	b.has(config, config, index)
	b.look()
	before, err := os.Stat(b.path)
	if err != nil {
		t.Fatal(err)
	}
	if before.Mode().Perm() != 0o600 {
		t.Errorf("the state may be read by others: %s", before.Mode())
	}
	for range 50 {
		b.look()
	}
	b.restart()
	b.look()
	after, err := os.Stat(b.path)
	if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("written again: %v", err)
	}
	if b.engine.asked > 1 {
		t.Errorf("the engine was asked %d times", b.engine.asked)
	}
}

// TestATagThatMovesOn: for each way in which an engine knows its images.
func TestATagThatMovesOn(t *testing.T) {
	for name, c := range map[string]struct {
		id, content func(index, child, config string) string
		digests     func(index, child string) []string
		gets        int // of a miss
	}{
		"classic store": {
			id: func(_, _, config string) string { return config }, content: func(_, _, config string) string { return config },
			digests: func(index, _ string) []string { return []string{index} }, gets: 2,
		},
		"containerd, which tells manifests": {
			id: func(index, _, _ string) string { return index }, content: func(_, child, _ string) string { return "manifest:" + strings.TrimPrefix(child, "sha256:") },
			digests: func(index, _ string) []string { return []string{index} }, gets: 1,
		},
		"containerd, which tells none": {
			id: func(index, _, _ string) string { return index }, content: func(_, child, _ string) string { return "shown:" + child },
			digests: func(index, _ string) []string { return []string{index} }, gets: 2,
		},
		"pulled for its platform": {
			id: func(_, child, _ string) string { return child }, content: func(_, child, _ string) string { return "shown:" + child },
			digests: func(_, child string) []string { return []string{child} }, gets: -1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			index, child, config := b.multi("1", "one", "built on Monday")
			b.has(c.id(index, child, config), c.content(index, child, config), c.digests(index, child)...)
			b.count()
			if c.gets < 0 { // the tag's digest is not what was pulled, so its index is read
				b.must("", 1, 1)
				return
			}
			b.must("", 1, 0)

			// The same, built again: the index is another one, and what is in it for us the same.
			b.later()
			again, _, _ := b.multi("1", "one", "built on Tuesday")
			b.must("", 1, c.gets)
			b.must("", 0, 0)
			b.later()
			b.must("", 1, 0) // the pair is remembered
			b.restart()
			b.must("", 0, 0)

			// Something else.
			b.later()
			newer, newChild, newConfig := b.multi("1", "two", "built on Wednesday")
			b.must(newer, 1, c.gets)
			b.must(newer, 0, 0)
			b.restart()
			b.must(newer, 0, 0)

			// Pulled and running: fresh, and nobody is asked.
			old := b.now.Refs[b.ref]
			b.has(c.id(newer, newChild, newConfig), c.content(newer, newChild, newConfig), c.digests(newer, newChild)...)
			b.must("", 0, 0)

			// Rolled back: newer again, so that the block of its digest is what keeps it away.
			b.has(old, c.content(index, child, config), c.digests(index, child)...)
			if got, _ := b.look(); len(got) != 1 || got[0].Image.Digest != newer {
				t.Errorf("after a rollback: %+v", got)
			}
			_ = again
		})
	}
}

// TestSingleManifest: a tag that is no index needs one GET in the classic store, too.
func TestSingleManifest(t *testing.T) {
	b := newBench(t)
	digest, config := b.image("1", "one")
	b.has(config, config, digest)
	b.count()
	b.must("", 1, 0)
	b.later()
	newer, _ := b.image("1", "two")
	b.count()
	b.must(newer, 1, 1)
}

// TestIndexInAnIndex: buildx nests them.
func TestIndexInAnIndex(t *testing.T) {
	b := newBench(t)
	index, child, _ := b.multi("inner", "one", "built on Monday")
	b.index("1", fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":2}`, ociIndex, index))
	b.has("i1", "manifest:"+strings.TrimPrefix(child, "sha256:"))
	b.count()
	b.must("", 1, 2)
}

// TestWhatGoesWrongIsUnknown: never newer, told, tried again an hour later, and the answer that comes then counts.
func TestWhatGoesWrongIsUnknown(t *testing.T) {
	status := func(code int, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			io.WriteString(w, "<h1>\x1b[31mno\r\n</h1>")
		}
	}
	onGet := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				h(w, r)
			}
		}
	}
	for name, before := range map[string]http.HandlerFunc{
		"500":                            status(500),
		"401 without a way in":           status(401),
		"401 with a way in that refuses": status(401, "WWW-Authenticate", `Basic realm="x"`),
		"403":                            status(403),
		"404":                            status(404),
		"no digest, and no content":      status(200, "Content-Type", ociIndex),
		"a digest of another algorithm":  status(200, "Content-Type", ociIndex, "Docker-Content-Digest", "sha512:"+strings.Repeat("a", 128)),
		"a digest that is none":          status(200, "Content-Type", ociIndex, "Docker-Content-Digest", "sha256:../../etc"),
		"a page":                         status(200, "Content-Type", "text/html", "Docker-Content-Digest", sum("page")),
		"no image":                       status(200, "Content-Type", "application/vnd.oci.artifact.manifest.v1+json", "Docker-Content-Digest", sum("page")),
		"a manifest of long ago":         status(200, "Content-Type", "application/vnd.docker.distribution.manifest.v1+json", "Docker-Content-Digest", sum("old")),
		"sent on by plain http":          status(307, "Location", "http://registry.invalid/v2/db/manifests/1"),
		"a GET that fails":               onGet(status(502)),
		"a GET with another content":     onGet(status(200, "Content-Type", ociIndex)),
		"a GET that never ends": onGet(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", ociIndex)
			for range 2 << 10 {
				if _, err := w.Write(make([]byte, 16<<10)); err != nil {
					return
				}
			}
		}),
		"a connection that breaks": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			index, _, config := b.multi("1", "one", "built on Monday")
			b.has(config, config, index)
			newer, _, _ := b.multi("1", "two", "built on Tuesday")
			b.misbehave(before)
			defer b.misbehave(nil)
			got, notes := b.look()
			if len(got) > 0 || len(notes) != 1 || strings.ContainsAny(notes[0], "\n\r\x1b") {
				t.Fatalf("%+v, %q", got, notes)
			}
			t.Log(notes[0])
			b.count()
			b.must("?", 0, 0) // nobody is asked for an hour
			b.restart()
			b.must("?", 0, 0)
			b.misbehave(nil)
			b.later()
			if got, notes := b.look(); len(got) != 1 || got[0].Image.Digest != newer || len(notes) > 0 {
				t.Errorf("later: %+v, %v", got, notes)
			}
		})
	}
}

// TestAnIndexWithoutOurPlatform: nothing to go to.
func TestAnIndexWithoutOurPlatform(t *testing.T) {
	b := newBench(t)
	b.has("i1", sum("config"), sum("index"))
	other, _ := b.image("", "elsewhere")
	b.index("1", entry(other, "linux/amd64"), entry(other, "unknown/unknown"))
	b.count()
	if note := b.must("?", 1, 1); !strings.Contains(note, "linux/arm64") {
		t.Error(note)
	}
}

// TestADeadRegistryIsAskedOnce: the second of its images does not wait as long again.
func TestADeadRegistryIsAskedOnce(t *testing.T) {
	b := newBench(t)
	second := b.host + "/other:1"
	b.models[0].Services["second"] = picture.Spec{Image: second}
	b.now.Containers = append(b.now.Containers, picture.Container{Project: "p", Service: "second", ID: "second"})
	b.has("i1", "i1")
	b.now.Refs[second] = "i2"
	b.misbehave(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	newer, notes := b.look()
	b.misbehave(nil)
	if heads, gets := b.count(); len(newer) > 0 || len(notes) != 2 || heads+gets > 2 { // the transport tries a HEAD twice
		t.Errorf("%v, %q after %d HEADs and %d GETs", newer, notes, heads, gets)
	}
}

// TestLimits: a registry that wants to be left alone is, for as long as it says, for all of its images, and over restarts.
func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		code    int
		headers []string
		want    time.Duration
	}{
		"seconds":                   {429, []string{"Retry-After", "7200"}, 2 * time.Hour},
		"a date":                    {429, []string{"Retry-After", time.Now().Add(3 * time.Hour).UTC().Format(http.TimeFormat)}, 3 * time.Hour},
		"the window's end":          {429, []string{"RateLimit-Reset", "1800"}, 30 * time.Minute},
		"nothing":                   {429, nil, time.Hour},
		"nonsense":                  {429, []string{"Retry-After", "tomorrow", "RateLimit-Reset", "-1"}, time.Hour},
		"for ever":                  {429, []string{"Retry-After", "99999999999"}, 24 * time.Hour},
		"at once":                   {429, []string{"Retry-After", "1"}, time.Minute},
		"while it is not to be had": {503, []string{"Retry-After", "600"}, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			second := b.host + "/other:1"
			b.models[0].Services["second"] = picture.Spec{Image: second}
			b.now.Containers = append(b.now.Containers, picture.Container{Project: "p", Service: "second", ID: "second"})
			b.has("i1", "i1")
			b.now.Refs[second] = "i2"
			b.misbehave(func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i+1 < len(c.headers); i += 2 {
					w.Header().Set(c.headers[i], c.headers[i+1])
				}
				w.WriteHeader(c.code)
			})
			began := time.Now()
			newer, notes := b.look()
			if heads, gets := b.count(); len(newer) > 0 || len(notes) != 2 || heads+gets != 1 || time.Since(began) > 10*time.Second {
				t.Errorf("%v, %q after %d HEADs and %d GETs in %s", newer, notes, heads, gets, time.Since(began))
			}
			b.restart()
			newer, notes = b.look()
			if heads, gets := b.count(); len(newer) > 0 || len(notes) != 2 || heads+gets > 0 {
				t.Errorf("%v, %q after %d HEADs and %d GETs", newer, notes, heads, gets)
			}
			for host, l := range b.registries.known.Limits {
				if off := l.Until.Sub(began.Add(c.want)); host != b.host || off.Abs() > 10*time.Second {
					t.Errorf("%s until %s, want %s more", host, l.Until, c.want)
				}
			}
			if len(b.registries.known.Limits) != 1 {
				t.Errorf("%v", b.registries.known.Limits)
			}
		})
	}
}

// TestTheLastGetsAreLeft: what a registry says is left of GETs is kept for pulls.
func TestTheLastGetsAreLeft(t *testing.T) {
	b := newBench(t)
	index, _, config := b.multi("1", "one", "built on Monday")
	b.has(config, config, index)
	b.multi("1", "two", "built on Tuesday")
	b.misbehave(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit-Limit", "100;w=21600")
		w.Header().Set("RateLimit-Remaining", "10;w=21600")
	})
	b.count()
	if note := b.must("?", 1, 0); !strings.Contains(note, "10 more") {
		t.Error(note)
	}
}

func TestStateThatCannotBeRead(t *testing.T) {
	b := newBench(t)
	if err := os.WriteFile(b.path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	index, _, config := b.multi("1", "one", "built on Monday")
	b.has(config, config, index)
	b.count()
	if note := b.must("?", 0, 0); !strings.Contains(note, b.path) {
		t.Error(note)
	}
}

func TestAnEngineThatDoesNotTell(t *testing.T) {
	b := newBench(t)
	b.multi("1", "two", "built on Tuesday")
	b.has("i1", "", sum("index"))
	b.engine.err = errors.New("it hangs")
	b.count()
	b.must("?", 1, 0)
	b.engine.err = nil
	b.later()
	b.must("?", 1, 1) // nobody knows what the image here holds
}

// TestPlainHTTP: with this machine alone.
func TestPlainHTTP(t *testing.T) {
	for host, want := range map[string]bool{"127.0.0.1:5000": true, "localhost": true, "[::1]:80": true, "localhost.evil.example": false, "10.0.0.1:5000": false, "docker.io": false, "127.0.0.1.example": false} {
		if got := onLoopback(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
	for _, c := range []struct{ registry, url string }{
		{"registry.example", "http://registry.example/v2/"}, {"registry.example", "https://127.0.0.1:2375/v2/"}, {"127.0.0.1:5000", "http://registry.example/v2/"},
	} {
		g, err := newGate(c.registry, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := g.RoundTrip(req); err == nil {
			resp.Body.Close()
			t.Errorf("%s went to %s", c.registry, c.url)
		}
	}
}

// BenchmarkNothingDue is what a tick pays when it is not time to ask; BenchmarkHead is a look that finds the tag as it was.
func BenchmarkNothingDue(b *testing.B) {
	bench := newBench(b)
	index, _, config := bench.multi("1", "one", "built on Monday")
	bench.has(config, config, index)
	bench.look()
	b.ReportAllocs()
	for b.Loop() {
		bench.look()
	}
}

func BenchmarkHead(b *testing.B) {
	bench := newBench(b)
	index, _, config := bench.multi("1", "one", "built on Monday")
	bench.has(config, config, index)
	for b.Loop() {
		bench.later()
		bench.look()
	}
}
