package compose

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// newCompose makes the runtime of a folder; it is closed when the test ends.
func newCompose(t *testing.T, dir string) *Compose {
	t.Helper()
	owner, err := process.LookupOwner(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(dir, owner, Deadlines{Config: time.Minute, Build: time.Minute, Up: time.Minute, NoProgress: time.Minute}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// write writes files below a folder.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// said collects the lines that an Output receives.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) output(stream operation.Stream, text string, truncated bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := map[operation.Stream]string{operation.Stdout: "out ", operation.Stderr: "err ", 0: "? "}[stream] + text
	if truncated {
		line += " [cut]"
	}
	s.lines = append(s.lines, line)
}

func (s *said) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func TestLineWriter(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLine)
	for name, tt := range map[string]struct {
		writes []string
		want   []string
	}{
		"nothing":              {nil, nil},
		"one line":             {[]string{"a\n"}, []string{"out a"}},
		"line in pieces":       {[]string{"a", "b", "c\nd"}, []string{"out abc", "out d"}},
		"empty lines":          {[]string{"\n\na\n\n"}, []string{"out ", "out ", "out a", "out "}},
		"windows line ends":    {[]string{"a\r\nb\r", "\nc\r"}, []string{"out a", "out b", "out c"}},
		"carriage return kept": {[]string{"a\rb\n"}, []string{"out a\rb"}},
		"no UTF-8":             {[]string{"a\xff\xfeb\n"}, []string{"out a\uFFFDb"}},
		"rune in two writes":   {[]string{"\xc3", "\xa4\n"}, []string{"out ä"}},
		"longest line":         {[]string{long + "\n"}, []string{"out " + long}},
		"too long":             {[]string{long + "y\nz\n"}, []string{"out " + long + " [cut]", "out z"}},
		"too long in pieces":   {[]string{long, "y", "y\n", "z"}, []string{"out " + long + " [cut]", "out z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &said{}
			w := &lineWriter{stream: operation.Stdout, out: s.output}
			for _, text := range tt.writes {
				if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
					t.Errorf("wrote %d of %d, %v", n, len(text), err)
				}
			}
			w.flush()
			w.flush()
			if d := cmp.Diff(tt.want, s.lines); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestDifference(t *testing.T) {
	t.Parallel()
	before := map[string]string{"1": "a", "2": "b", "3": "b"}
	for want, after := range map[string]map[string]string{
		"nothing to change, 3 containers kept": before,
		"nothing to change, 1 containers kept": {"1": "a"},
		"new: b; 1 kept":                       {"1": "a", "8": "b", "9": "b"},
		"new: a c; 2 kept":                     {"2": "b", "3": "b", "7": "c", "8": "a"},
		"nothing to change, 0 containers kept": {},
	} {
		if got := difference(before, after); got != want {
			t.Errorf("%v: %q, want %q", after, got, want)
		}
	}
}

func TestModelTellsTheMountsOfVolumes(t *testing.T) {
	t.Parallel()
	var r rendered
	if err := json.Unmarshal([]byte(`{"name": "shop", "volumes": {"pg": {"name": "shop_pg"}}, "services": {"db": {"volumes": [
		{"type": "volume", "source": "pg", "target": "/data"}, {"type": "volume", "target": "/cache"}, {"type": "bind", "source": "/srv", "target": "/srv"}]}, "app": {}}}`), &r); err != nil {
		t.Fatal(err)
	}
	m := r.model("core", tree{"/checkout", "/checkout"})
	if d := cmp.Diff(map[string]string{"/data": "shop_pg", "/cache": ""}, m.Services["db"].Mounts); d != "" || m.Services["app"].Mounts != nil {
		t.Errorf("mounts (-want +got):\n%s%v", d, m.Services["app"].Mounts)
	}
}

func TestModelOfARealConfiguration(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/config.json") // docker compose config --format json, Compose 2.40.3
	if err != nil {
		t.Fatal(err)
	}
	var r rendered
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	m := r.model("core", tree{"/checkout", "/checkout"})
	got := map[string]int{}
	for name, s := range m.Services {
		got[name] = s.Replicas
	}
	if d := cmp.Diff(map[string]int{"app": 3, "once": 1, "plain": 1, "scaled": 2}, got); m.Project != "sample" || m.Stack != "core" || d != "" {
		t.Errorf("stack %q, project %q, replicas (-want +got):\n%s", m.Stack, m.Project, d)
	}
	if app := m.Services["app"]; !app.Builds || app.OneShot || app.Image != "sample-app" || app.Configured != "" {
		t.Errorf("app: %+v", app)
	}
	if once := m.Services["once"]; once.Builds || !once.OneShot || once.Image != "example/once:1" || once.Configured != "example/once:1" {
		t.Errorf("once: %+v", once)
	}
	kept, err := json.Marshal(struct {
		R rendered
		M picture.Model
	}{r, m})
	if err != nil || strings.Contains(string(kept), "the-secret") {
		t.Errorf("a secret of the configuration is kept: %s, %v", kept, err)
	}
}

func TestEnvironIsExact(t *testing.T) {
	for _, variable := range process.PassedOn() { // whatever this machine sets
		key, _, _ := strings.Cut(variable, "=")
		t.Setenv(key, "")
	}
	c := newCompose(t, t.TempDir())
	c.owner = &process.Owner{UID: uint32(os.Geteuid()), Name: "ada", Home: "/home/ada"}
	t.Setenv("GITHUB_TOKEN", "a-secret-of-the-agent")
	t.Setenv("COMPOSE_PROJECT_NAME", "not-the-checkout's")
	t.Setenv("DOCKER_CONFIG", "/etc/docker-config")
	want := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/home/ada", "USER=ada", "LOGNAME=ada", "LC_ALL=C.UTF-8", "COMPOSE_MENU=false", "COMPOSE_EXPERIMENTAL_GIT_REMOTE=0", "COMPOSE_EXPERIMENTAL_OCI_REMOTE=0", "PWD=" + c.dir,
		"DOCKER_CONFIG=/etc/docker-config", "A=1", "GIT_SHA=abc",
	}
	if d := cmp.Diff(want, c.environ(map[string]string{"GIT_SHA": "abc", "A": "1"})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestCheckServices(t *testing.T) {
	t.Parallel()
	models := map[string]picture.Model{"core": {Services: map[string]picture.Spec{"mcp-auth-a": {}, "mcp-auth-b": {}, "postgres": {}}}}
	for name, tt := range map[string]struct {
		stack    string
		patterns []string
		says     string
	}{
		"none":           {"core", nil, ""},
		"all there":      {"core", []string{"postgres", "mcp-auth-*"}, ""},
		"misspelt":       {"core", []string{"postgres", "posgres"}, `build/x/1: stack core has no service "posgres", did you mean postgres?`},
		"pattern":        {"core", []string{"mcp-proxy-*"}, `stack core has no service "mcp-proxy-*"`},
		"unlike any":     {"core", []string{"zzzzzzzzzz"}, `has no service "zzzzzzzzzz"`},
		"stack is empty": {"extra", []string{"postgres"}, `stack extra has no service "postgres"`},
	} {
		err := checkServices("build/x/1", tt.stack, tt.patterns, models)
		switch {
		case tt.says == "":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case err == nil || fault.ReasonOf(err) != "UNKNOWN_SERVICE" || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.says):
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

func TestLendUntracked(t *testing.T) {
	t.Parallel()
	host, side, outside := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, host, map[string]string{
		".env": "secret", "old.env": "tracked", "pi/.env": "secret", "pi/tracked.env": "host", "secrets/deep/db.env": "secret", "escape/.env": "secret", "../outside.env": "x",
	})
	write(t, side, map[string]string{"pi/docker-compose.yml": "", "pi/tracked.env": "target"})
	if err := os.Symlink(outside, filepath.Join(side, "escape")); err != nil {
		t.Fatal(err)
	}
	c := &Compose{dir: host}
	c.Tracks(func(_ context.Context, path string) (bool, error) {
		return path == "pi/tracked.env" || path == "old.env", nil
	})
	stack := pipeline.Stack{
		Name: "home", Files: []string{"pi/docker-compose.yml"},
		EnvFiles: []string{"old.env", "pi/tracked.env", "secrets/deep/db.env", "absent.env", "../outside.env", "/etc/hostname", "pi/../../outside.env"},
	}
	for range 2 { // a proof may be repeated
		leaving, err := c.linkUntracked(t.Context(), side, stack)
		if err != nil || !slices.Equal(leaving, []string{"old.env"}) {
			t.Fatalf("leaving %q, %v", leaving, err)
		}
	}
	for rel, want := range map[string]string{".env": "secret", "pi/.env": "secret", "pi/tracked.env": "target", "secrets/deep/db.env": "secret"} {
		if got, err := os.ReadFile(filepath.Join(side, rel)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", rel, got, err)
		}
	}
	for _, rel := range []string{".env", "pi/.env", "secrets/deep/db.env"} {
		if to, err := os.Readlink(filepath.Join(side, rel)); err != nil || to != filepath.Join(host, rel) {
			t.Errorf("%s is a copy: %s, %v", rel, to, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(side, "absent.env")); err == nil {
		t.Error("what the host does not have was linked")
	}

	// A commit that holds a link out of the tree must not make us write there.
	_, err := c.linkUntracked(t.Context(), side, pipeline.Stack{Name: "evil", Files: []string{"escape/docker-compose.yml"}})
	if fault.ReasonOf(err) != "SIDE_TREE" {
		t.Errorf("a link that leads outside: %v", err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("written outside the side tree: %v, %v", entries, err)
	}
}

// engineAt makes a runtime whose engine is asked at an address.
func engineAt(t *testing.T, address string) *Compose {
	t.Helper()
	t.Setenv("DOCKER_HOST", address)
	return newCompose(t, t.TempDir())
}

func TestEngineThatIsDown(t *testing.T) {
	c := engineAt(t, "unix://"+filepath.Join(t.TempDir(), "no.sock"))
	plan := &pipeline.Plan{Stacks: []pipeline.Stack{{Name: "core"}}}
	_, _, versionErr := c.Version(t.Context())
	_, linesErr := c.LastLines(t.Context(), "x", 5)
	_, listErr := c.list(t.Context(), "x")
	_, lookErr := c.Look(t.Context(), []string{"x"}, nil, true)
	_, proveErr := c.Prove(t.Context(), plan, t.TempDir(), (&said{}).output)
	for name, err := range map[string]error{
		"version": versionErr, "last lines": linesErr, "list": listErr, "ready": c.Ready(t.Context()),
		"look": lookErr, "prove": proveErr,
	} {
		if fault.KindOf(err) != fault.Failed || fault.ReasonOf(err) != "ENGINE_DOWN" || !strings.Contains(err.Error(), "systemctl start docker") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An engine that accepts connections and says nothing must not hold whoever looks at it.
func TestEngineThatHangs(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "mute.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c := engineAt(t, "unix://"+socket)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the caller left")
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if err := c.Ready(ctx); fault.KindOf(err) == fault.Internal || err == nil {
		t.Errorf("an engine that does not answer: %v", err)
	}
	if _, err := c.list(ctx, "x"); err == nil {
		t.Error("a list from an engine that does not answer")
	}
}

func TestEngineAddressThatIsNone(t *testing.T) {
	t.Setenv("DOCKER_HOST", "nonsense")
	if _, err := New(t.TempDir(), &process.Owner{}, Deadlines{}, hclog.NewNullLogger()); fault.ReasonOf(err) != "ENGINE_ADDRESS" || fault.ExitCode(err) != 2 {
		t.Errorf("DOCKER_HOST=nonsense: %v", err)
	}
}

func TestOneChangeOfAProjectAtATime(t *testing.T) {
	t.Parallel()
	c := newCompose(t, t.TempDir())
	var inA, most atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			defer c.project("a")()
			most.Store(max(most.Load(), inA.Add(1)))
			inA.Add(-1)
		})
	}
	group.Wait()
	if most.Load() != 1 {
		t.Errorf("%d changes of one project at once", most.Load())
	}
	unlock := c.project("a")
	c.project("b")() // another project does not wait
	unlock()
}

func TestStepsThatAreNotCompose(t *testing.T) {
	t.Parallel()
	c := newCompose(t, t.TempDir())
	plan := &pipeline.Plan{Stacks: []pipeline.Stack{{Name: "core"}}}
	for reason, step := range map[string]pipeline.Step{
		"UNKNOWN_STACK": {Up: &pipeline.Up{Stack: "nothing"}},
	} {
		if _, err := c.Run(t.Context(), plan, ports.Work{Step: step}, (&said{}).output); fault.ReasonOf(err) != reason {
			t.Errorf("%+v: %v, want %s", step, err, reason)
		}
	}
	if _, err := c.running(t.Context(), plan, "nothing", "x"); fault.ReasonOf(err) != "UNKNOWN_STACK" {
		t.Errorf("exec in an unknown stack: %v", err)
	}
}

func TestBecauseKeepsKindAndCause(t *testing.T) {
	t.Parallel()
	for child, want := range map[string]string{"CHILD_FAILED": "UP_FAILED", "CHILD_DEADLINE": "CHILD_DEADLINE"} {
		cause := fault.New(fault.Deadline, child, "the child")
		err := because(cause, "UP_FAILED", "docker compose up of stack %s failed", "core")
		if fault.KindOf(err) != fault.Deadline || fault.ReasonOf(err) != want || !errors.Is(err, cause) {
			t.Errorf("%s becomes %v %s: %v", child, fault.KindOf(err), fault.ReasonOf(err), err)
		}
	}
	if err := because(nil, "UP_FAILED", "x"); err != nil {
		t.Errorf("no error became %v", err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
