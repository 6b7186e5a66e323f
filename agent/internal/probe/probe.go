// Package probe asks the running fleet whether it is good.
//
// It promises that one attempt ends within its own time whatever the other side does,
// that what was seen is told in words a person can act on. Retries, deadlines and soak
// are the engine's business. Start reading at [Prober.Probe].
package probe

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/pipeline"
)

const (
	// execTimeout bounds pg_isready, which has a limit of 3 s of its own
	// (pg_isready --timeout, PostgreSQL documentation).
	execTimeout = 10 * time.Second
	// maxBody is how much of an HTTP answer is read.
	maxBody = 1 << 20
	// logLines is how much of a failing container's log is shown.
	logLines = 20
)

// Prober makes single attempts. Safe for concurrent use.
type Prober struct {
	inspector ports.Inspector
	limit     time.Duration // for one attempt of any kind
	http      *http.Client
}

var _ ports.Prober = (*Prober)(nil)

// New makes a prober that sees containers through inspector and gives no attempt more than limit.
func New(inspector ports.Inspector, limit time.Duration) *Prober {
	return &Prober{inspector: inspector, limit: limit, http: &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, // an old connection may reach an old container
			Proxy:             nil,  // the fleet is on this host
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Probe implements ports.Prober.
func (p *Prober) Probe(ctx context.Context, plan *pipeline.Plan, probe pipeline.Probe, excused []picture.Excuse) operation.ProbeResult {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	switch {
	case probe.Containers != nil:
		return p.containers(ctx, plan, *probe.Containers, excused)
	case probe.Postgres != nil:
		result := p.postgres(ctx, plan, *probe.Postgres)
		if result.Outcome != operation.ProbePassed && picture.ForgivesIn(excused, probe.Postgres.Stack, probe.Postgres.Service) {
			return passed("not judged, because %s was not as it should be before: %s", probe.Postgres.Service, result.Message)
		}
		return result
	case probe.HTTP != nil:
		return p.get(ctx, *probe.HTTP)
	case probe.TCP != nil:
		return p.dial(ctx, *probe.TCP)
	}
	return failed("the probe asks nothing")
}

func passed(format string, args ...any) operation.ProbeResult {
	return operation.ProbeResult{Outcome: operation.ProbePassed, Message: fmt.Sprintf(format, args...)}
}

func waiting(format string, args ...any) operation.ProbeResult {
	return operation.ProbeResult{Outcome: operation.ProbeWaiting, Message: fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) operation.ProbeResult {
	return operation.ProbeResult{Outcome: operation.ProbeFailed, Message: fmt.Sprintf(format, args...)}
}

// containers judges every service of the stacks; the worst verdict is the result.
func (p *Prober) containers(ctx context.Context, plan *pipeline.Plan, probe pipeline.ContainersProbe, excused []picture.Excuse) operation.ProbeResult {
	services, err := p.inspector.Services(ctx, plan, probe.Stacks)
	if err != nil {
		return waiting("%v", err) // the engine may be busy or restarting
	}
	j := picture.Judge(services, excused)
	if j.Verdict == picture.Passed {
		return passed("%s", j)
	}
	result := operation.ProbeResult{Outcome: j.Verdict, Message: strings.Join(j.Messages, "; ")}
	for _, c := range j.Blamed {
		if j.Verdict == picture.Failed || c.Troubled() { // what only waits may stay so until the deadline
			result.OutputTail = p.lastWords(ctx, c)
			break
		}
	}
	return result
}

// lastWords reads the end of a failing container's log.
func (p *Prober) lastWords(ctx context.Context, c picture.Container) []string {
	lines, err := p.inspector.LastLines(ctx, c.ID, logLines)
	if err != nil {
		return []string{fmt.Sprintf("(the log of %s cannot be read: %v)", c.Name, err)}
	}
	if c.HealthLog != "" {
		lines = append(lines, "health check: "+c.HealthLog)
	}
	return lines
}

// postgres asks over TCP. The socket already answers while a fresh database runs its
// first initialisation, with a server that is about to be stopped again.
func (p *Prober) postgres(ctx context.Context, plan *pipeline.Plan, probe pipeline.PostgresProbe) operation.ProbeResult {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	port := probe.Port
	if port == 0 {
		port = 5432
	}
	command := []string{"pg_isready", "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-U", probe.User}
	if probe.Database != "" {
		command = append(command, "-d", probe.Database)
	}
	var said []string
	code, err := p.inspector.Exec(ctx, plan, pipeline.Exec{Stack: probe.Stack, Service: probe.Service, Command: command},
		func(_ operation.Stream, text string, _ bool) { said = append(said, text) })
	switch {
	case err != nil:
		return waiting("%v", err)
	case code != 0: // 1 rejecting, 2 no response, 3 no attempt (pg_isready documentation)
		return waiting("pg_isready ended with %d: %s", code, strings.Join(said, " "))
	}
	return passed("%s", strings.Join(said, " "))
}

func (p *Prober) get(ctx context.Context, probe pipeline.HTTPProbe) operation.ProbeResult {
	ctx, cancel := context.WithTimeout(ctx, probe.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, probe.URL, nil)
	if err != nil {
		return failed("%s cannot be asked: %v", bare(probe.URL), because(err))
	}
	for name, value := range probe.Headers {
		request.Header.Set(name, value)
		if http.CanonicalHeaderKey(name) == "Host" {
			request.Host = value
		}
	}
	answer, err := p.http.Do(request)
	if err != nil {
		return waiting("no answer from %s: %v", bare(probe.URL), because(err))
	}
	defer func() { _ = answer.Body.Close() }() // only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return waiting("answer from %s broke off: %v", bare(probe.URL), because(err))
	}
	if !statusFits(probe.Status, answer.StatusCode) {
		return waiting("HTTP %d from %s%s", answer.StatusCode, bare(probe.URL), saying(body))
	}
	if len(probe.JSON) == 0 {
		return passed("HTTP %d", answer.StatusCode)
	}
	if why := jsonDiffers(probe.JSON, body); why != "" {
		return waiting("HTTP %d from %s, but %s", answer.StatusCode, bare(probe.URL), why)
	}
	return passed("HTTP %d, JSON as expected", answer.StatusCode)
}

func statusFits(want, got int) bool {
	if want == 0 {
		return got >= 200 && got <= 299
	}
	return got == want
}

func (p *Prober) dial(ctx context.Context, probe pipeline.TCPProbe) operation.ProbeResult {
	dialer := net.Dialer{Timeout: probe.Timeout}
	conn, err := dialer.DialContext(ctx, "tcp", probe.Address)
	if err != nil {
		return waiting("no connection to %s: %v", probe.Address, because(err))
	}
	_ = conn.Close() // it answered; how it ends says nothing
	return passed("%s accepts connections", probe.Address)
}

// because shortens the errors of net and net/http to what matters.
func because(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// bare drops what may be secret from an address: user and query.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the address"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// saying is the beginning of an answer, for people, after a colon; "" of an empty one.
func saying(body []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	if len(line) == 0 {
		return ""
	}
	return ": " + cut(string(line))
}

// cut shortens what somebody else wrote.
func cut(text string) string {
	const most = 120
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// jsonDiffers says why an answer does not contain what is wanted; "" when it does.
func jsonDiffers(want json.RawMessage, body []byte) string {
	var wanted, got any
	if err := json.Unmarshal(want, &wanted); err != nil {
		return "the expectation is no JSON"
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return "it is no JSON" + saying(body)
	}
	return missing("", wanted, got)
}

// missing compares: an object must have the wanted members, anything else must be equal.
// at is the path of the value, "" for the whole document.
func missing(at string, want, got any) string {
	name := cmp.Or(at, "it")
	members, isObject := want.(map[string]any)
	if !isObject {
		if w, g := compact(want), compact(got); w != g {
			return fmt.Sprintf("%s is %s, not %s", name, cut(g), cut(w))
		}
		return ""
	}
	object, ok := got.(map[string]any)
	if !ok {
		return name + " is no object"
	}
	// In order of name: a message that changes from attempt to attempt would look like news.
	for _, key := range slices.Sorted(maps.Keys(members)) {
		path := strings.TrimPrefix(at+"."+key, ".")
		member, there := object[key]
		if !there {
			return path + " is missing"
		}
		if why := missing(path, members[key], member); why != "" {
			return why
		}
	}
	return ""
}

func compact(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
