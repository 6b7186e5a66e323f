package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, o options, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	handler(o).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestVersionNamesTheCommitOfTheImage(t *testing.T) {
	_, body := get(t, options{name: "api", builtFrom: "1a2b"}, "/version")
	var got version
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(version{Name: "api", SHA: "1a2b"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMessageAndFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "message.txt")
	tests := []struct {
		text   string
		health int
		fault  fault
	}{
		{"hello\n", 200, none},
		{"fault: unhealthy\nbroken release\n", 503, unhealthy},
		{"fault: crash\n", 200, crash},
		{"hello\nfault: crash\n", 200, none},
	}
	for _, test := range tests {
		write(t, file, test.text)
		o := options{message: file}
		if code, _ := get(t, o, "/healthz"); code != test.health {
			t.Errorf("%q: /healthz answers %d, want %d", test.text, code, test.health)
		}
		if _, body := get(t, o, "/"); body != test.text {
			t.Errorf("/ answers %q, want %q", body, test.text)
		}
		if got := state(file); got != test.fault {
			t.Errorf("%q asks for %q, want %q", test.text, got, test.fault)
		}
	}
}

func TestCheck(t *testing.T) {
	o := options{}
	server := httptest.NewServer(handler(o))
	defer server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveTCP(ctx, options{listen: address}, log.New(io.Discard, "", 0)) }()

	noEnv := func(string) string { return "" }
	var stderr bytes.Buffer
	if code := run(ctx, []string{"once", "--upstream", "tcp://" + address}, noEnv, io.Discard, &stderr); code != 0 {
		t.Errorf("once ended with %d: %s", code, &stderr)
	}
	if code := run(ctx, []string{"health", server.URL + "/healthz"}, noEnv, io.Discard, &stderr); code != 0 {
		t.Errorf("health ended with %d: %s", code, &stderr)
	}
	if code := run(ctx, []string{"health", server.URL + "/nothing"}, noEnv, io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), "404") {
		t.Errorf("health of a missing page ended with %d: %s", code, &stderr)
	}
	if code := run(ctx, []string{"dance"}, noEnv, io.Discard, &stderr); code != usageExit {
		t.Errorf("an unknown subcommand ended with %d", code)
	}
	o.upstream = "tcp://" + address
	if code, body := get(t, o, "/ready"); code != 200 {
		t.Errorf("/ready answers %d: %s", code, body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if code, _ := get(t, o, "/ready"); code != 503 {
		t.Errorf("/ready answers %d without its upstream, want 503", code)
	}
}

func TestServeEndsOnCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	if code := run(ctx, []string{"serve", "--listen", "127.0.0.1:0"}, os.Getenv, io.Discard, &stderr); code != 0 && !strings.Contains(stderr.String(), "cancel") {
		t.Errorf("serve ended with %d: %s", code, &stderr)
	}
}
