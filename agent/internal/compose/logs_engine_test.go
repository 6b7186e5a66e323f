package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// reading is a tail whose lines a test collects.
type reading struct {
	t    *testing.T
	stop context.CancelFunc
	done chan error

	mu      sync.Mutex
	lines   []ports.LogLine
	notices []ports.LogLine
	learned int
	gate    chan struct{} // not nil: each line waits for it to be closed
}

// query asks for all lines of all services of the bench.
func (b *bench) query(follow bool) ports.LogQuery {
	return ports.LogQuery{Follow: follow, Tail: -1, Learn: func(context.Context) error { return nil }, Targets: func(ctx context.Context) ([]ports.LogTarget, error) {
		services, err := b.Services(ctx, b.plan, nil)
		var targets []ports.LogTarget
		for _, s := range services {
			targets = append(targets, ports.LogTarget{Key: s.Key(), Stack: s.Stack})
		}
		return targets, err
	}}
}

// tail begins to read. A following one ends with the test, or before.
func (b *bench) tail(q ports.LogQuery) *reading {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	r := &reading{t: b.t, stop: cancel, done: make(chan error, 1)}
	learn := q.Learn
	q.Learn = func(ctx context.Context) error {
		r.mu.Lock()
		r.learned++
		r.mu.Unlock()
		return learn(ctx)
	}
	go func() { r.done <- b.Tail(ctx, q, r.take) }()
	b.t.Cleanup(cancel)
	return r
}

func (r *reading) take(l ports.LogLine) error {
	r.mu.Lock()
	if l.Notice != nil {
		r.notices = append(r.notices, l)
	} else {
		r.lines = append(r.lines, l)
	}
	gate := r.gate
	r.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return nil
}

// end waits for the end of a tail that does not follow, and ends another.
func (r *reading) end(follow bool) {
	r.t.Helper()
	if follow {
		r.stop()
	}
	select {
	case err := <-r.done:
		if follow && !errors.Is(err, context.Canceled) || !follow && err != nil {
			r.t.Errorf("Tail: %v", err)
		}
	case <-time.After(time.Minute):
		r.t.Fatal("Tail does not end")
	}
}

func (r *reading) all() []ports.LogLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

func (r *reading) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lines)
}

// told reports whether a notice of a kind has come.
func (r *reading) told(kind ports.LogNoticeKind, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.notices, func(l ports.LogLine) bool { return l.Notice.Kind == kind && strings.Contains(l.Notice.Message, text) })
}

// texts are the lines of a service.
func (r *reading) texts(service string) []string {
	var texts []string
	for _, l := range r.all() {
		if l.Service == service {
			texts = append(texts, l.Text)
		}
	}
	return texts
}

// requireNumbered fails unless each container's lines are "n 1", "n 2" and so on up to last.
func (r *reading) requireNumbered(containers, last int) {
	r.t.Helper()
	next := map[string]int{}
	for _, l := range r.all() {
		next[l.ID]++
		if want := fmt.Sprint("n ", next[l.ID]); l.Text != want {
			r.t.Fatalf("%s said %q where %q comes", l.Container, l.Text, want)
		}
	}
	if len(next) != containers {
		r.t.Errorf("lines of %d containers, want %d", len(next), containers)
	}
	for id, n := range next {
		if n != last {
			r.t.Errorf("%d lines of %s, want %d", n, id[:12], last)
		}
	}
}

func TestLogsArriveWholeAndOnceOverARecreate(t *testing.T) {
	t.Parallel()
	const last = 100_000
	b := newBench(t, map[string]string{"core.yml": fmt.Sprintf(`services:
  web:
    image: ${IMAGE}
    init: true
    stop_grace_period: 1s
    command: [sh, -c, "seq 1 %d | sed 's/^/n /'; sleep 1000"]
`, last)})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web"}}})
	r := b.tail(b.query(true))
	eventually(t, "the first container's lines are there", func() bool { return r.count() >= last })
	b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"web"}}})
	eventually(t, "the second container's lines are there", func() bool { return r.count() >= 2*last })
	r.end(true)
	r.requireNumbered(2, last)
	if r.learned < 2 {
		t.Errorf("secrets were learned %d times: not again for the second container", r.learned)
	}
	final := r.all()[2*last-1]
	if final.Number != 1 || final.Stack != "core" || final.Service != "web" || final.Time.IsZero() || final.Container != b.project+"-web-1" {
		t.Errorf("last line: %+v", final)
	}
}

// In the middle of its output a container is killed, restarted and replaced; nothing is lost that the engine has.
func TestLogsOverRestarts(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": `services:
  loop:
    image: ${IMAGE}
    init: true
    restart: always
    command: [sh, -c, "read n </tmp/n; for i in 1 2 3 4 5 6 7; do n=$$((n+1)); echo n $$n; [ $$i = 3 ] && sleep 0.1; done; echo $$n >/tmp/n"]
`})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"loop"}}})
	r := b.tail(b.query(true))
	eventually(t, "it was restarted several times", func() bool { return r.count() >= 7*5 })
	id := b.ids()["loop"]
	if out, err := exec.Command("docker", "stop", "-t", "0", id).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("docker", "start", id).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r2 := b.tail(b.query(false)) // what the engine has, by a reader of its own
	r2.end(false)
	want := r2.texts("loop")
	eventually(t, "the lines after it was started by hand are there", func() bool { return r.count() >= len(want) })
	r.end(true)
	if got := r.texts("loop")[:len(want)]; !slices.Equal(got, want) {
		t.Errorf("followed: %q\nread:     %q", got, want)
	}
}

// Where one reader breaks off, another goes on.
func TestLogsGoOnFromAPosition(t *testing.T) {
	t.Parallel()
	const last = 20_000
	b := newBench(t, map[string]string{"core.yml": `services:
  web:
    image: ${IMAGE}
    init: true
    stop_grace_period: 1s
    command: [sh, -c, "for i in 0 1 2 3; do seq $$((i*5000+1)) $$((i*5000+5000)) | sed 's/^/n /'; sleep 0.7; done; sleep 1000"]
    deploy: {replicas: 2}
`})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web"}}})
	whole := &reading{t: t}
	q := b.query(true)
	q.Positions = map[string]ports.LogPosition{}
	for round := 0; whole.count() < 2*last; round++ {
		if round > 200 {
			t.Fatalf("after %d rounds there are %d lines", round, whole.count())
		}
		ctx, cancel := context.WithCancel(t.Context())
		most := 1 + (round*7919)%3000
		timer := time.AfterFunc(3*time.Second, cancel)
		err := b.Tail(ctx, q, func(l ports.LogLine) error {
			if l.Notice != nil {
				if l.Notice.Kind == ports.LogFollowing && q.From.IsZero() {
					q.From = l.Notice.Began
				}
				return nil
			}
			q.Positions[l.ID] = l.After
			_ = whole.take(l)
			if most--; most == 0 || whole.count() == 2*last {
				return io.ErrClosedPipe
			}
			return nil
		})
		timer.Stop()
		cancel()
		if !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	whole.requireNumbered(2, last)
}

func TestWhatContainersPrint(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": `services:
  plain: {image: "${IMAGE}", command: [sh, -c, "echo 1 out; sleep 0.2; echo 3 err >&2; sleep 0.2; printf '5 no end'"]}
  other: {image: "${IMAGE}", command: [sh, -c, "sleep 0.1; echo 2; sleep 0.2; echo 4"]}
  terminal: {image: "${IMAGE}", tty: true, command: [sh, -c, "echo first; head -c 40000 /dev/zero | tr '\\0' x; echo; echo last"]}
  long: {image: "${IMAGE}", command: [sh, -c, "head -c 40000 /dev/zero | tr '\\0' y; echo; head -c 200000 /dev/zero | tr '\\0' z; echo; printf 'caf\\351\\n'"]}
  silent: {image: "${IMAGE}", logging: {driver: none}, command: [sh, -c, "echo nobody reads this"]}
`})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"plain", "other", "terminal", "long", "silent"}}})
	eventually(t, "all have ended", func() bool {
		for _, s := range b.services() {
			if len(s.Containers) != 1 || s.Containers[0].State != "exited" {
				return false
			}
		}
		return true
	})
	r := b.tail(b.query(false))
	r.end(false)
	lines := r.all()
	if !slices.IsSortedFunc(lines, func(a, b ports.LogLine) int { return a.Time.Compare(b.Time) }) {
		t.Error("old lines are not in the order of their time")
	}
	for service, want := range map[string][]string{
		"plain": {"1 out", "3 err", "5 no end"}, "other": {"2", "4"}, "terminal": {"first", strings.Repeat("x", 40000), "last"},
		"long": {strings.Repeat("y", 40000), strings.Repeat("z", maxLogLine), "caf\uFFFD"}, "silent": nil,
	} {
		if got := r.texts(service); !slices.Equal(got, want) {
			t.Errorf("%s: %d lines: %.300q", service, len(got), got)
		}
	}
	for _, l := range lines {
		if l.Truncated != (len(l.Text) == maxLogLine) || (l.Stream == 2) != (l.Text == "3 err") {
			t.Errorf("%.40q: truncated %v, stream %d", l.Text, l.Truncated, l.Stream)
		}
	}
	if !r.told(ports.LogUnreadable, `logs with the driver "none", which cannot be read`) {
		t.Errorf("that a log cannot be read is not told: %+v", r.notices)
	}

	q := b.query(false)
	q.Tail = 1
	r = b.tail(q)
	r.end(false)
	if got := append(r.texts("plain"), r.texts("other")...); !slices.Equal(got, []string{"5 no end", "4"}) {
		t.Errorf("the last line of each: %q", got)
	}
	q = b.query(false)
	q.Since = lines[slices.IndexFunc(lines, func(l ports.LogLine) bool { return l.Text == "3 err" })].Time
	r = b.tail(q)
	r.end(false)
	if got := r.texts("plain"); !slices.Equal(got, []string{"3 err", "5 no end"}) {
		t.Errorf("since the second line: %q", got)
	}
	// A service with a log that cannot be read does not end what follows, and is told once.
	r = b.tail(b.query(true))
	eventually(t, "what follows begins", func() bool { return r.told(ports.LogFollowing, "") })
	b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"other"}}})
	eventually(t, "the new container's lines are there", func() bool { return len(r.texts("other")) == 4 })
	r.end(true)
}

// Only what is new, and of what comes later all of it: a second container of a service, and a service that was not there.
func TestLogsOfWhatAppearsLater(t *testing.T) {
	t.Parallel()
	printer := `{image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sh, -c, "echo begins; sleep 1000"]}` + "\n"
	b := newBench(t, map[string]string{"core.yml": "services:\n  web: " + printer, "more.yml": "services:\n  late: " + printer + "  fresh: " + printer})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web"}}})
	q := b.query(true)
	q.Tail = 0
	all, asked := q.Targets, 0
	q.Targets = func(ctx context.Context) ([]ports.LogTarget, error) {
		targets, err := all(ctx)
		if asked++; asked == 1 { // as before the deploy that brings a service
			targets = slices.DeleteFunc(targets, func(t ports.LogTarget) bool { return t.Service == "fresh" })
		}
		return targets, err
	}
	r := b.tail(q)
	eventually(t, "what follows begins", func() bool { return r.told(ports.LogFollowing, "") })
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "more", Services: []string{"late", "fresh"}}})
	eventually(t, "both are read", func() bool { return len(r.texts("late")) == 1 && len(r.texts("fresh")) == 1 })
	r.end(true)
	if got := r.texts("web"); len(got) != 0 {
		t.Errorf("old lines were told: %q", got)
	}
}

// line is a way to the engine that can be cut.
type line struct {
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func (l *line) cut(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// take remembers a connection.
func (l *line) take(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conns...)
	return !l.down
}

// through makes the runtime ask the engine by a way that can be cut.
func through(t *testing.T, c *Compose) *line {
	t.Helper()
	l := &line{}
	socket := filepath.Join(t.TempDir(), "e.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut(true)
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", engineSocket())
			if err != nil || !l.take(near, far) {
				_ = near.Close()
				continue
			}
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
		}
	}()
	docker, err := client.NewClientWithOpts(client.WithHost("unix://"+socket), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.docker.Close()
	c.docker = docker
	return l
}

// The engine goes away in the middle of a container's output and comes back.
func TestLogsOverAnEngineThatGoesAway(t *testing.T) {
	t.Parallel()
	const last = 40_000
	b := newBench(t, map[string]string{"core.yml": fmt.Sprintf(`services:
  web:
    image: ${IMAGE}
    init: true
    stop_grace_period: 1s
    command: [sh, -c, "for i in $$(seq 1 %d); do echo n $$i; [ $$((i%%5000)) = 0 ] && sleep 0.5; done; sleep 1000"]
`, last)})
	way := through(t, b.Compose)
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web"}}})
	r := b.tail(b.query(true))
	eventually(t, "there are lines", func() bool { return r.count() > 100 && r.told(ports.LogFollowing, "") })
	for range 3 {
		way.cut(true)
		eventually(t, "that the engine is away is told", func() bool { return r.told(ports.LogEngineDown, "waiting for the Docker Engine") })
		way.cut(false)
		eventually(t, "that it is back is told", func() bool { return r.told(ports.LogEngineBack, "") })
		r.mu.Lock()
		r.notices = nil
		r.mu.Unlock()
	}
	eventually(t, "all lines are there", func() bool { return r.count() >= last })
	r.end(true)
	r.requireNumbered(1, last)

	way.cut(true)
	if err := b.Tail(t.Context(), b.query(false), r.take); fault.ReasonOf(err) != "ENGINE_DOWN" {
		t.Errorf("without an engine: %v", err)
	}
}

// resident is the memory of this process, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(raw))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// A reader that takes nothing costs nothing: neither memory, nor the containers' time.
func TestAStalledReaderOfLogsCostsNoMemory(t *testing.T) { // not parallel: it measures
	const last = 400_000
	b := newBench(t, map[string]string{"core.yml": fmt.Sprintf(`services:
  web:
    image: ${IMAGE}
    init: true
    stop_grace_period: 1s
    command: [sh, -c, "sleep 3; seq 1 %d | sed 's/$/ %s/'; touch /tmp/done; sleep 1000"]
    healthcheck: {test: [CMD, test, -f, /tmp/done], interval: 1s, retries: 100}
    deploy: {replicas: 2}
`, last, strings.Repeat("x", 100))})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web"}}})
	gate := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, done := 0, make(chan error, 1)
	go func() {
		done <- b.Tail(ctx, b.query(true), func(l ports.LogLine) error {
			if l.Notice == nil {
				lines++
			}
			if lines == 10 {
				<-gate
			}
			if lines == 2*last {
				return io.ErrClosedPipe
			}
			return nil
		})
	}()
	before := resident(t)
	eventually(t, "the containers have printed all, though nobody reads", func() bool {
		web := b.services()["web"].Containers
		return web[0].Health == "healthy" && web[1].Health == "healthy"
	})
	stalled := resident(t)
	if grown := stalled - before; grown > 16<<20 {
		t.Errorf("memory grew by %d MiB while %d MiB were printed", grown>>20, 2*last*107>>20)
	}
	close(gate)
	select {
	case err := <-done:
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the rest does not come")
	}
	read := resident(t)
	if grown := read - before; grown > 24<<20 {
		t.Errorf("memory grew by %d MiB while all was read", grown>>20)
	}
	t.Logf("memory: %d MiB before, %d MiB stalled, %d MiB after %d lines", before>>20, stalled>>20, read>>20, lines)
}

// There are places for so many logs, and they are given back.
func TestPlacesForLogsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  web: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web"}}})
	for range mostLogs {
		if !b.takeLog() {
			t.Fatal("there is no place")
		}
	}
	err := b.Tail(t.Context(), b.query(false), func(ports.LogLine) error { return nil })
	if fault.ReasonOf(err) != "TOO_MANY_LOGS" {
		t.Errorf("without a place: %v", err)
	}
	for range mostLogs {
		b.giveLog()
	}
	for range 3 {
		if err := b.Tail(t.Context(), b.query(false), func(ports.LogLine) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	if b.logs != 0 {
		t.Errorf("%d places are not given back", b.logs)
	}
}

// A container prints what it was made with, also when no file has it any more.
func TestLogsTeachWhatContainersWereMadeWith(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": `services:
  web: {image: "${IMAGE}", environment: {TOKEN: "${TOKEN}", SHA: "${SHA}", MODE: production}, command: [sh, -c, "echo $$TOKEN; echo $$SHA; echo $$MODE"]}
`, ".env": "TOKEN=first-8Fq2LzRw71Vd\nSHA=0123456789abcdef0123456789abcdef01234567\n"})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web"}}})
	eventually(t, "it has ended", func() bool { return b.services()["web"].Containers[0].State == "exited" })
	write(t, b.dir, map[string]string{".env": "TOKEN=second-3Kd0PqXz55Mn\nSHA=\n"})
	redactor := redact.New() // as after a restart of the agent
	again := newCompose(t, b.dir)
	again.Teach(redactor, func(_ context.Context, hashes []string) []string { return hashes })
	var texts []string
	q := b.query(false)
	if err := again.Tail(t.Context(), q, func(l ports.LogLine) error {
		texts = append(texts, redactor.Text(l.Text))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"[redacted]", "0123456789abcdef0123456789abcdef01234567", "production"}; !slices.Equal(texts, want) {
		t.Errorf("lines: %q", texts)
	}
}

// A container whose secrets cannot be learned is not read, which is told, and is read whole once they can be.
func TestLogsWaitForTheirSecrets(t *testing.T) {
	t.Parallel()
	printer := `{image: "${IMAGE}", init: true, stop_grace_period: 1s, command: [sh, -c, "for i in 1 2 3; do echo n $$i; done; sleep 1000"]}` + "\n"
	b := newBench(t, map[string]string{"core.yml": "services:\n  web: " + printer})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	var mu sync.Mutex
	broken := false
	q := b.query(true)
	q.Learn = func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			return fault.New(fault.Refused, "SECRETS_NOT_READ", "what .env holds cannot be kept out of logs")
		}
		return nil
	}
	set := func(now bool) {
		mu.Lock()
		defer mu.Unlock()
		broken = now
	}
	r := b.tail(q)
	eventually(t, "the first container is read", func() bool { return r.count() == 3 })
	set(true)
	b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"web"}}})
	eventually(t, "why the second is not read is told", func() bool {
		return r.told(ports.LogUnreadable, "is not read yet: what .env holds cannot be kept out of logs")
	})
	if r.count() != 3 {
		t.Errorf("%d lines", r.count())
	}
	set(false)
	eventually(t, "the second container is read", func() bool { return r.count() == 6 })
	r.end(true)
	r.requireNumbered(2, 3)
}

// An engine that takes the question for a log and does not answer is one that is down.
func TestLogsOfAnEngineThatHangs(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": "services:\n  web: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core", Services: []string{"web"}}})
	h := behind(t, b.Compose)
	b.lookTimeout = 500 * time.Millisecond
	h.on("/logs$")
	began := time.Now()
	err := b.Tail(t.Context(), b.query(false), func(ports.LogLine) error { return nil })
	if fault.ReasonOf(err) != "ENGINE_DOWN" || time.Since(began) > 20*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	h.on("/containers/json$")
	if err := b.Tail(t.Context(), b.query(false), func(ports.LogLine) error { return nil }); fault.ReasonOf(err) != "ENGINE_DOWN" {
		t.Errorf("no list: %v", err)
	}
}
