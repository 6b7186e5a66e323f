package compose

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// engineSocket is the real engine's.
func engineSocket() string {
	if host, found := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); found {
		return host
	}
	return "/var/run/docker.sock"
}

// hanging stands in front of the engine and does not answer requests that match "METHOD PATH".
type hanging struct {
	pattern atomic.Pointer[regexp.Regexp]
	resets  atomic.Bool // it ends the connection instead
}

func (h *hanging) on(pattern string) { h.pattern.Store(regexp.MustCompile(pattern)) }

// behind makes the runtime ask the engine through a socket that may hang. Its children do not.
func behind(t *testing.T, c *Compose) *hanging {
	t.Helper()
	h := &hanging{}
	h.on("^nothing$")
	engine := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	engine.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", engineSocket())
	}}
	over := make(chan struct{})
	serve(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.pattern.Load().MatchString(r.Method + " " + r.URL.Path) {
			if h.resets.Load() {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client has gone
			select {
			case <-r.Context().Done():
			case <-over:
			}
			return
		}
		engine.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { close(over) })
	return h
}

// serve makes the runtime ask an engine of the test's own.
func serve(t *testing.T, c *Compose, handler http.Handler) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "e.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); go server.Close() })
	if c.docker, err = client.NewClientWithOpts(client.WithHost("unix://"+socket), client.WithAPIVersionNegotiation()); err != nil {
		t.Fatal(err)
	}
}

// Every call that changes something ends in its time when the engine hangs in it, with a fault that says so, and can be made again.
func TestEngineThatHangsInOneCall(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  app: " + sleeper + "  two: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core"}})
	h := behind(t, b.Compose)
	t.Cleanup(b.unpin)
	b.changeTimeout, b.deadlines.Up = 500*time.Millisecond, 2*time.Second
	ctx := t.Context()
	now := b.look()
	images := now.Images()
	key := picture.Key{Project: b.project, Service: "app"}
	app := now.Of(key)[0]
	do := func(verb picture.Verb) func() error {
		return func() error {
			return b.Carry(ctx, b.plan, picture.Batch{Verb: verb, Deeds: []picture.Deed{{Key: key, Verb: verb, Containers: []string{app.ID}}}}, b.said.output)
		}
	}
	run := func(words ...string) func() error {
		return func() error {
			_, err := b.Exec(ctx, b.plan, pipeline.Exec{Stack: "core", Service: "two", Command: words}, b.said.output)
			return err
		}
	}
	name := b.project + "-two-1"
	leaves := func(as string) func() error {
		return func() error {
			if as != "" {
				docker(t, "rename", name, as)
			}
			return b.repair(ctx, b.project, b.said.output)
		}
	}
	for _, c := range []struct {
		what, hangs string
		call        func() error
	}{
		{"pin", "^POST .*/images/.*/tag$", func() error { return b.Pin(ctx, images) }},
		{"rename", "^POST .*/images/.*/tag$", func() error { return b.Rename(ctx, now.Refs, b.said.output) }},
		{"unpin", "^DELETE .*/images/", func() error { return b.Unpin(ctx, nil) }},
		{"stop", "^POST .*/containers/.*/stop$", do(picture.Stop)},
		{"start", "^POST .*/containers/.*/start$", do(picture.Start)},
		{"restart", "^POST .*/containers/.*/restart$", do(picture.Restart)},
		{"remove, stop", "^POST .*/containers/.*/stop$", do(picture.Remove)},
		{"remove", "^DELETE .*/containers/", do(picture.Remove)},
		{"exec", "^POST .*/containers/.*/exec$", run("true")},
		{"exec, start", "^POST .*/exec/.*/start$", run("true")},
	} {
		began := time.Now()
		h.on(c.hangs)
		err := c.call()
		if took := time.Since(began); err == nil || took > 8*time.Second || (fault.KindOf(err) != fault.Deadline && fault.ReasonOf(err) != "ENGINE_DOWN") {
			t.Errorf("%s, an engine that hangs: %v %s after %s: %v", c.what, fault.KindOf(err), fault.ReasonOf(err), took, err)
		}
		h.on("^nothing$")
		if err := c.call(); err != nil {
			t.Errorf("%s, once it answers: %v", c.what, err)
		}
	}
	key.Service = "two"
	app = now.Of(key)[0]
	h.resets.Store(true)
	for verb, path := range map[picture.Verb]string{picture.Stop: "stop", picture.Start: "start", picture.Restart: "restart"} {
		h.on("^POST .*/containers/.*/" + path + "$")
		if err := do(verb)(); fault.ReasonOf(err) != "ENGINE_DOWN" {
			t.Errorf("%s, an engine that goes away: %v", verb, err)
		}
	}
	h.resets.Store(false)
	h.on("^POST .*/containers/.*/rename$")
	began := time.Now()
	if err := leaves("0123456789ab_" + name)(); fault.ReasonOf(err) != "ENGINE_DOWN" || time.Since(began) > 8*time.Second {
		t.Errorf("a leftover, the engine hangs: %v", err)
	}
	h.on("^nothing$")
	if err := leaves("")(); err != nil || state(t, name) != "running" {
		t.Errorf("a leftover: %v", err)
	}
}

// Engines that are not ready, and one that refuses.
func TestEnginesThatAreNotReady(t *testing.T) {
	t.Parallel()
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"message":"no"}`, status) }
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		ready   string
		list    string
	}{
		"500":     {answer(500), "ENGINE_DOWN", "ENGINE_FAILED"},
		"502":     {answer(502), "ENGINE_DOWN", "ENGINE_FAILED"},
		"503":     {answer(503), "ENGINE_DOWN", "ENGINE_DOWN"},
		"refused": {answer(403), "ENGINE_FAILED", "ENGINE_FAILED"},
		"resets": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}, "ENGINE_DOWN", "ENGINE_DOWN"},
		"half an answer": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				return
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n["))
				_ = conn.Close()
			}
		}, "", "ENGINE_DOWN"},
	} {
		r := newCompose(t, t.TempDir())
		serve(t, r, c.handler)
		if err := r.Ready(t.Context()); reasonOf(err) != c.ready {
			t.Errorf("%s: ready says %v, want %s", name, err, c.ready)
		}
		if _, err := r.list(t.Context(), "x"); reasonOf(err) != c.list {
			t.Errorf("%s: a list says %v, want %s", name, err, c.list)
		}
	}
	mute := newCompose(t, t.TempDir())
	serve(t, mute, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	mute.lookTimeout = time.Second
	began := time.Now()
	if err := mute.Ready(t.Context()); fault.ReasonOf(err) != "ENGINE_DOWN" || time.Since(began) > 6*time.Second {
		t.Errorf("mute: %v after %s", err, time.Since(began))
	}
}

func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.ReasonOf(err)
}

// While the engine hangs nobody waits for ever for its rest.
func TestRestOfAnEngineThatHangs(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  app: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	h := behind(t, b.Compose)
	b.lookTimeout = 2 * time.Second
	for _, hangs := range []string{"^GET .*/events$", "^GET .*/containers/.*/json$"} {
		h.on(hangs)
		began := time.Now()
		cut := ports.Cut{Projects: []string{b.project}, Reaches: []picture.Reach{{Project: b.project}}, Began: began}
		if err := b.Rest(t.Context(), cut, b.said.output); fault.ReasonOf(err) != "ENGINE_DOWN" || time.Since(began) > 4*b.lookTimeout {
			t.Errorf("%s: %v after %s", hangs, err, time.Since(began))
		}
	}
}
