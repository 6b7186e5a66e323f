package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/pipeline"
)

// inspector answers with what a test gives it.
type inspector struct {
	services []picture.Service
	stacks   []string // that were asked for
	err      error

	execs []pipeline.Exec
	code  int
	lines []string

	log    map[string][]string
	logErr error
}

func (i *inspector) Services(_ context.Context, _ *pipeline.Plan, stacks []string) ([]picture.Service, error) {
	i.stacks = stacks
	return i.services, i.err
}

func (i *inspector) Exec(ctx context.Context, _ *pipeline.Plan, exec pipeline.Exec, out ports.Output) (int, error) {
	if _, limited := ctx.Deadline(); !limited {
		return -1, errors.New("the command has no deadline")
	}
	i.execs = append(i.execs, exec)
	for _, l := range i.lines {
		out(operation.Stdout, l, false)
	}
	return i.code, i.err
}

func (i *inspector) LastLines(_ context.Context, id string, lines int) ([]string, error) {
	if lines != logLines {
		return nil, fmt.Errorf("%d lines", lines)
	}
	return slices.Clone(i.log[id]), i.logErr
}

func ask(t *testing.T, i ports.Inspector, p pipeline.Probe) operation.ProbeResult {
	t.Helper()
	return New(i, time.Minute).Probe(t.Context(), &pipeline.Plan{}, p, nil)
}

func want(t *testing.T, got operation.ProbeResult, outcome operation.ProbeOutcome, parts ...string) {
	t.Helper()
	if got.Outcome != outcome {
		t.Errorf("%s: %s; want %s", got.Outcome, got.Message, outcome)
	}
	for _, part := range parts {
		if !strings.Contains(got.Message, part) {
			t.Errorf("the message %q does not say %q", got.Message, part)
		}
	}
	if strings.Contains(got.Message, "  ") || strings.TrimSpace(got.Message) != got.Message {
		t.Errorf("odd spaces in %q", got.Message)
	}
}

// serve answers every request with a handler and gives the probe of its address.
func serve(t *testing.T, handler http.HandlerFunc) pipeline.HTTPProbe {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return pipeline.HTTPProbe{URL: server.URL + "/health", Timeout: 5 * time.Second}
}

func TestHTTPStatus(t *testing.T) {
	for _, c := range []struct {
		expected, answered int
		outcome            operation.ProbeOutcome
	}{
		{0, 200, operation.ProbePassed},
		{0, 204, operation.ProbePassed},
		{0, 299, operation.ProbePassed},
		{0, 301, operation.ProbeWaiting},
		{0, 404, operation.ProbeWaiting},
		{0, 503, operation.ProbeWaiting},
		{401, 401, operation.ProbePassed},
		{401, 200, operation.ProbeWaiting},
		{302, 302, operation.ProbePassed},
	} {
		p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.answered)
			if c.answered != 204 {
				_, _ = io.WriteString(w, "first line\nsecond line")
			}
		})
		p.Status = c.expected
		got := ask(t, nil, pipeline.Probe{HTTP: &p})
		want(t, got, c.outcome, fmt.Sprintf("HTTP %d", c.answered))
		if c.outcome == operation.ProbeWaiting {
			want(t, got, c.outcome, "first line", "/health")
		}
		if strings.Contains(got.Message, "second line") {
			t.Errorf("the message has several lines: %q", got.Message)
		}
	}
}

func TestHTTPRequest(t *testing.T) {
	var seen *http.Request
	p := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen = r })
	p.Headers = map[string]string{"host": "fleet.example", "Authorization": "Bearer s3cret"}
	want(t, ask(t, nil, pipeline.Probe{HTTP: &p}), operation.ProbePassed)
	if seen.Method != http.MethodGet || seen.Host != "fleet.example" || seen.Header.Get("Authorization") != "Bearer s3cret" {
		t.Errorf("asked %s of %s with %v", seen.Method, seen.Host, seen.Header)
	}
}

func TestHTTPRedirectIsNotFollowed(t *testing.T) {
	asked := 0
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/login", http.StatusFound)
	})
	want(t, ask(t, nil, pipeline.Probe{HTTP: &p}), operation.ProbeWaiting, "HTTP 302")
	if asked != 1 {
		t.Errorf("%d requests", asked)
	}
}

func TestHTTPJSON(t *testing.T) {
	for name, c := range map[string]struct {
		expected, body string
		message        string // "" passes
	}{
		"equal":                     {`{"a":1}`, `{"a":1}`, ""},
		"a subset":                  {`{"a":{"b":"x"}}`, `{"z":0,"a":{"b":"x","c":[1]}}`, ""},
		"an empty object":           {`{}`, `{"a":1}`, ""},
		"numbers are numbers":       {`{"a":1.0}`, `{"a":1}`, ""},
		"a list":                    {`[1,{"b":2}]`, ` [1, {"b":2}] `, ""},
		"a string":                  {`"OK"`, `"OK"`, ""},
		"null":                      {`{"a":null}`, `{"a":null}`, ""},
		"another value":             {`{"status":"OK"}`, `{"status":"KO"}`, `status is "KO", not "OK"`},
		"another value deep inside": {`{"a":{"b":{"c":1}}}`, `{"a":{"b":{"c":2}}}`, `a.b.c is 2, not 1`},
		"a missing member":          {`{"a":{"b":1}}`, `{"a":{}}`, `a.b is missing`},
		"null is not missing":       {`{"a":null}`, `{}`, `a is missing`},
		"no object":                 {`{"a":{"b":1}}`, `{"a":[]}`, `a is no object`},
		"no object at all":          {`{"a":1}`, `[1]`, `it is no object`},
		"a longer list":             {`{"a":[1]}`, `{"a":[1,2]}`, `a is [1,2], not [1]`},
		"another type":              {`{"a":"1"}`, `{"a":1}`, `a is 1, not "1"`},
		"another document":          {`"OK"`, `"KO"`, `it is "KO", not "OK"`},
		"the first of several":      {`{"b":1,"a":1,"c":1}`, `{}`, `a is missing`},
		"HTML":                      {`{"a":1}`, "<html>\nx", `it is no JSON: <html>`},
		"nothing":                   {`{"a":1}`, "", `it is no JSON`},
		"bad bytes":                 {`{"a":1}`, "\xff\xfe", "it is no JSON: \uFFFD"},
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) })
			p.JSON = json.RawMessage(c.expected)
			got := ask(t, nil, pipeline.Probe{HTTP: &p})
			if c.message == "" {
				want(t, got, operation.ProbePassed, "JSON as expected")
				return
			}
			want(t, got, operation.ProbeWaiting, "but "+c.message)
		})
	}
}

func TestHTTPHugeBody(t *testing.T) {
	written := 0
	p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		block := []byte(strings.Repeat("x", 1<<16))
		for range 1 << 10 { // 64 MiB, if anybody read it
			n, err := w.Write(block)
			written += n
			if err != nil {
				return
			}
		}
	})
	p.JSON = json.RawMessage(`{"a":1}`)
	got := ask(t, nil, pipeline.Probe{HTTP: &p})
	want(t, got, operation.ProbeWaiting, "it is no JSON: xxx")
	if len(got.Message) > 500 {
		t.Errorf("the message has %d bytes", len(got.Message))
	}
}

func TestHTTPTime(t *testing.T) {
	stop := make(chan struct{})
	never := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}
	p := serve(t, never)
	defer close(stop)
	p.Timeout = 50 * time.Millisecond
	began := time.Now()
	want(t, ask(t, nil, pipeline.Probe{HTTP: &p}), operation.ProbeWaiting, "no answer in time")
	p.URL = strings.Replace(p.URL, "/health", "/half", 1)
	want(t, ask(t, nil, pipeline.Probe{HTTP: &p}), operation.ProbeWaiting, "broke off", "no answer in time")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("two attempts took %s", took)
	}
}

// closed is an address that nothing listens on.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestSecretsOfTheAddressAreNotTold(t *testing.T) {
	address := closed(t)
	for _, p := range []pipeline.HTTPProbe{
		{URL: "http://ada:s3cret@" + address + "/x?token=s3cret#s3cret", Timeout: time.Second},
		{URL: "http://ada:s3cret@" + address + "/%zz?token=s3cret", Timeout: time.Second},
		{URL: "http://ada:s3cret@[bad/?token=s3cret", Timeout: time.Second},
		{URL: "ftp://ada:s3cret@" + address, Timeout: time.Second, JSON: json.RawMessage(`{}`)},
	} {
		got := ask(t, nil, pipeline.Probe{HTTP: &p})
		if got.Outcome == operation.ProbePassed || strings.Contains(got.Message, "s3cret") || strings.Contains(got.Message, "token") {
			t.Errorf("%s: %s", got.Outcome, got.Message)
		}
	}
	p := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	p.URL = strings.Replace(p.URL, "http://", "http://ada:s3cret@", 1) + "?token=s3cret"
	got := ask(t, nil, pipeline.Probe{HTTP: &p})
	want(t, got, operation.ProbeWaiting, "HTTP 502", "/health")
	if strings.Contains(got.Message, "s3cret") {
		t.Errorf("told: %s", got.Message)
	}
}

func TestRefusedConnections(t *testing.T) {
	address := closed(t)
	want(t, ask(t, nil, pipeline.Probe{HTTP: &pipeline.HTTPProbe{URL: "http://" + address, Timeout: time.Second}}),
		operation.ProbeWaiting, "no answer from http://"+address+": connection refused")
	want(t, ask(t, nil, pipeline.Probe{TCP: &pipeline.TCPProbe{Address: address, Timeout: time.Second}}),
		operation.ProbeWaiting, "no connection to "+address+": connection refused")
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	p := pipeline.Probe{TCP: &pipeline.TCPProbe{Address: l.Addr().String(), Timeout: time.Second}}
	want(t, ask(t, nil, p), operation.ProbePassed, "accepts connections")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, New(nil, time.Minute).Probe(ended, nil, p, nil), operation.ProbeWaiting, "no connection")
	p.TCP.Address = "nonsense"
	want(t, ask(t, nil, p), operation.ProbeWaiting, "no connection to nonsense")
}

func TestPostgres(t *testing.T) {
	plain := pipeline.PostgresProbe{Stack: "core", Service: "db", User: "postgres", Port: 5432}
	for name, c := range map[string]struct {
		probe   pipeline.PostgresProbe
		command []string
	}{
		"plain":          {plain, []string{"pg_isready", "-h", "127.0.0.1", "-p", "5432", "-U", "postgres"}},
		"without a port": {pipeline.PostgresProbe{Stack: "core", Service: "db", User: "u"}, []string{"pg_isready", "-h", "127.0.0.1", "-p", "5432", "-U", "u"}},
		"all of it":      {pipeline.PostgresProbe{Stack: "core", Service: "db", User: "-x", Database: "my db; x", Port: 6000}, []string{"pg_isready", "-h", "127.0.0.1", "-p", "6000", "-U", "-x", "-d", "my db; x"}},
	} {
		i := &inspector{lines: []string{"127.0.0.1:5432 - accepting connections"}}
		want(t, ask(t, i, pipeline.Probe{Postgres: &c.probe}), operation.ProbePassed, "accepting connections")
		if len(i.execs) != 1 || !slices.Equal(i.execs[0].Command, c.command) || i.execs[0].Stack != "core" || i.execs[0].Service != "db" {
			t.Errorf("%s: executed %+v", name, i.execs)
		}
	}
	want(t, ask(t, &inspector{code: 2, lines: []string{"no", "response"}}, pipeline.Probe{Postgres: &plain}), operation.ProbeWaiting, "pg_isready ended with 2: no response")
	want(t, ask(t, &inspector{err: errors.New("no container")}, pipeline.Probe{Postgres: &plain}), operation.ProbeWaiting, "no container")
}

func TestContainers(t *testing.T) {
	service := func(name, state string, change ...func(*picture.Container)) picture.Service {
		c := picture.Container{ID: name, Name: "p-" + name + "-1", State: state}
		for _, f := range change {
			f(&c)
		}
		return picture.Service{Stack: "core", Name: name, Replicas: 1, Containers: []picture.Container{c}}
	}
	starting := func(c *picture.Container) { c.Health = "starting" }
	log := map[string][]string{"b": {"panic: no configuration"}, "c": {"other"}}
	for name, c := range map[string]struct {
		inspector inspector
		outcome   operation.ProbeOutcome
		message   string
		tail      []string
	}{
		"all good":    {inspector{services: []picture.Service{service("a", "running"), service("b", "running")}}, operation.ProbePassed, "2 services, 2 containers", nil},
		"none":        {inspector{}, operation.ProbePassed, "0 services, 0 containers", nil},
		"two waiting": {inspector{services: []picture.Service{service("a", "running", starting), service("b", "running"), service("c", "created")}}, operation.ProbeWaiting, "core/a: health is starting; core/c: created, not started", nil},
		"the failed ones only": {
			inspector{services: []picture.Service{service("a", "running", starting), service("b", "exited"), service("c", "dead"), service("d", "created")}, log: log},
			operation.ProbeFailed, "core/b: exited with code 0; core/c: is dead",
			[]string{"panic: no configuration"},
		},
		"with a health check": {
			inspector{services: []picture.Service{service("b", "dead", func(c *picture.Container) { c.HealthLog = "refused" })}, log: log},
			operation.ProbeFailed, "core/b: is dead",
			[]string{"panic: no configuration", "health check: refused"},
		},
		"a log that cannot be read": {
			inspector{services: []picture.Service{service("b", "dead")}, logErr: errors.New("gone")},
			operation.ProbeFailed, "core/b: is dead",
			[]string{"(the log of p-b-1 cannot be read: gone)"},
		},
		"a missing container": {
			inspector{services: []picture.Service{{Stack: "core", Name: "a", Replicas: 1}}},
			operation.ProbeFailed, "core/a: 0 of 1 containers exist", nil,
		},
		"an engine that does not answer": {inspector{err: errors.New("engine is busy")}, operation.ProbeWaiting, "engine is busy", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, &c.inspector, pipeline.Probe{Containers: &pipeline.ContainersProbe{Stacks: []string{"core"}}})
			if got.Outcome != c.outcome || got.Message != c.message || !slices.Equal(got.OutputTail, c.tail) {
				t.Errorf("got %+v", got)
			}
			if !slices.Equal(c.inspector.stacks, []string{"core"}) {
				t.Errorf("looked at %q", c.inspector.stacks)
			}
		})
	}
}

func TestProbeThatAsksNothing(t *testing.T) {
	want(t, ask(t, nil, pipeline.Probe{Name: "x"}), operation.ProbeFailed, "asks nothing")
}
