package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/git/gittest"
)

// host is one installation: a repository, the machine it is deployed to, and who may deploy.
type host struct {
	t       *testing.T
	project string // compose project; also marks everything that must be gone afterwards
	origin  *gittest.Repo
	dev     *gittest.Repo // the developer's clone
	tree    *gittest.Repo // the checkout on the host
	state   string
	ids     string // folder of identities
	config  string // path of landfall.yaml inside the repository
	address string
	env     []string // of the agent, added to ours
	engine  *engine  // of its own; nil is the machine's
	program string   // the agent's; "" is the one that is shipped
	agent   *agent
}

// newHost makes a host around a repository with these files, not yet an agent.
func newHost(t *testing.T, config string, files map[string]string) *host {
	t.Helper()
	h := &host{t: t, project: fmt.Sprintf("landfall-e2e-%d", time.Now().UnixNano()%1e9), config: config, state: shortDir(t), ids: shortDir(t)}
	h.origin = gittest.NewBare(t)
	h.dev = gittest.Clone(t, h.origin)
	h.dev.Git("checkout", "-q", "-B", "main")
	h.dev.Commit("first edition", files)
	h.dev.Push()
	h.tree = gittest.Clone(t, h.origin)
	h.tree.Git("checkout", "-q", "-B", "main", "origin/main")
	t.Cleanup(h.removeContainers)
	h.identities()
	return h
}

// shortDir is a temporary folder that others may enter.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lf")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a temporary folder
	return dir
}

// identities makes the CA and one identity a role.
func (h *host) identities() {
	h.t.Helper()
	h.must("identity", "init", "--dir", h.ids, "--host", "127.0.0.1", "--host", "localhost")
	for _, role := range []string{"observer", "deployer", "operator"} {
		h.must("identity", "issue", role, "--role", role, "--dir", h.ids)
	}
}

// push commits files and pushes them; the result is the commit.
func (h *host) push(message string, files map[string]string) string {
	h.t.Helper()
	sha := h.dev.Commit(message, files)
	h.dev.Push()
	return sha
}

// stamp writes the commit that runs, as an operator does who takes a running installation over.
func (h *host) stamp(sha string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.state, "last-successful-deploy-sha"), []byte(sha+"\n"), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// readStamp is the content of the stamp, "" when there is none.
func (h *host) readStamp() string {
	raw, err := os.ReadFile(filepath.Join(h.state, "last-successful-deploy-sha"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// agentYAML writes agent.yaml; extra lines are added as they are, and may bring limits of their own.
func (h *host) agentYAML(extra ...string) string {
	h.t.Helper()
	if !slices.ContainsFunc(extra, func(line string) bool { return strings.HasPrefix(line, "limits:") }) {
		extra = append([]string{"limits: {min_free_disk: 64MiB, min_available_memory: 16MiB}"}, extra...)
	}
	text := fmt.Sprintf(`listen: %s
socket: %s/agent.sock
identity: %s/agent
state_dir: %s
checkout: %s
config: %s
%s
`, h.address, h.state, h.ids, h.state, h.tree.Dir, h.config, strings.Join(extra, "\n"))
	path := filepath.Join(h.ids, "agent.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// agent is a running landfall-agent.
type agent struct {
	cmd  *exec.Cmd
	log  lockedBuffer
	done chan struct{}
}

// startAgent starts the agent on a free port and waits until it answers.
func (h *host) startAgent(extra ...string) {
	h.t.Helper()
	if h.address == "" {
		h.address = freeAddress(h.t)
	}
	a := &agent{done: make(chan struct{})}
	a.cmd = exec.Command(h.agentProgram(), "serve", "--config", h.agentYAML(extra...), "--log-level", "debug")
	a.cmd.Env = append(append(os.Environ(), h.engineEnv()...), h.env...)
	a.cmd.Stdout, a.cmd.Stderr = &a.log, &a.log
	if err := a.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		_ = a.cmd.Wait() // how it ended is read from ProcessState
		close(a.done)
	}()
	h.agent = a
	h.t.Cleanup(func() {
		h.stopAgent()
		if h.t.Failed() {
			lines := strings.Split(a.log.String(), "\n")
			h.t.Logf("end of the agent's log:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
	h.eventually(20*time.Second, "the agent serves", func() bool {
		select {
		case <-a.done:
			h.t.Fatalf("the agent ended:\n%s", a.log.String())
		default:
		}
		return strings.Contains(a.log.String(), "serving: address="+h.address)
	})
}

func (h *host) agentProgram() string {
	if h.program != "" {
		return h.program
	}
	return bin.agent
}

// stopAgent ends the agent as systemd would.
func (h *host) stopAgent() {
	if h.agent == nil {
		return
	}
	_ = h.agent.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-h.agent.done:
	case <-time.After(20 * time.Second):
		_ = h.agent.cmd.Process.Kill() // it may have ended
		<-h.agent.done
		h.t.Error("the agent did not end within 20 s of SIGTERM")
	}
	h.agent = nil
}

// serveFails runs an agent that must end by itself, and returns its output and exit code.
func (h *host) serveFails(extra ...string) (output string, code int) {
	h.t.Helper()
	if h.address == "" {
		h.address = freeAddress(h.t)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.agentProgram(), "serve", "--config", h.agentYAML(extra...))
	cmd.Env = append(os.Environ(), h.env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		h.t.Fatalf("the agent serves, and should not:\n%s", out)
	}
	return string(out), exitCode(h.t, err)
}

// answer is what a command said.
type answer struct {
	stdout, stderr string
	code           int
}

// coordinate runs landfall-coordinator in the developer's clone as a role.
func (h *host) coordinate(role string, args ...string) answer {
	h.t.Helper()
	return h.command(nil, append(args, "--agent", h.address, "--identity", filepath.Join(h.ids, role))...)
}

// command runs landfall-coordinator with exactly these arguments.
func (h *host) command(env []string, args ...string) answer {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin.coordinator, args...)
	cmd.Env = append(os.Environ(), env...)
	if h.dev != nil {
		cmd.Dir = h.dev.Dir
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		h.t.Fatalf("landfall-coordinator %v hangs\n%s%s", args, stdout.String(), stderr.String())
	}
	return answer{stdout.String(), stderr.String(), exitCode(h.t, err)}
}

// must runs landfall-coordinator and expects success; the result is its stdout.
func (h *host) must(args ...string) string {
	h.t.Helper()
	a := h.command(nil, args...)
	if a.code != 0 {
		h.t.Fatalf("landfall-coordinator %v: exit code %d\n%s%s", args, a.code, a.stdout, a.stderr)
	}
	return a.stdout
}

// deploys runs the main job for a commit and expects an exit code and, in either stream, texts.
func (h *host) deploys(sha string, code int, texts ...string) answer {
	h.t.Helper()
	a := h.coordinate("deployer", "run", "--no-gate", "--sha", sha, "--config", filepath.Join(h.dev.Dir, h.config))
	a.expect(h.t, code, texts...)
	return a
}

// expect checks the exit code and that each text was said.
func (a answer) expect(t *testing.T, code int, texts ...string) {
	t.Helper()
	if a.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", a.code, code, a.stdout, a.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(a.stdout+a.stderr, text) {
			t.Errorf("%q was not said\nstdout: %s\nstderr: %s", text, a.stdout, a.stderr)
		}
	}
}

// operation reads the newest operation as JSON.
func (h *host) operation() map[string]any {
	h.t.Helper()
	a := h.coordinate("observer", "show", "--format", "json")
	a.expect(h.t, 0)
	var v struct {
		Operation map[string]any `json:"operation"`
	}
	if err := json.Unmarshal([]byte(a.stdout), &v); err != nil {
		h.t.Fatalf("%v: %s", err, a.stdout)
	}
	return v.Operation
}

// failure reads a member of the newest operation's failure.
func (h *host) failure(member string) string {
	h.t.Helper()
	failure, _ := h.operation()["failure"].(map[string]any)
	value, _ := failure[member].(string)
	return value
}

// containers maps services to the IDs of their containers.
func (h *host) containers() map[string]string {
	h.t.Helper()
	found := map[string]string{}
	for _, line := range h.docker("ps", "-a", "--no-trunc", "--filter", "name="+h.project, "--format", `{{.Label "com.docker.compose.service"}} {{.ID}}`) {
		service, id, _ := strings.Cut(line, " ")
		found[service] = id
	}
	return found
}

// untouched runs do and checks that the host is as it was: checkout, containers, files.
func (h *host) untouched(do func()) {
	h.t.Helper()
	before := h.picture()
	do()
	if after := h.picture(); !slices.Equal(before, after) {
		h.t.Errorf("the host was changed\nbefore: %s\nafter:  %s", strings.Join(before, "\n  "), strings.Join(after, "\n  "))
	}
}

// picture is everything that an operation could change on the host.
func (h *host) picture() []string {
	lines := []string{"HEAD " + h.tree.Git("rev-parse", "HEAD"), "branch " + h.tree.Git("symbolic-ref", "HEAD"), "status " + h.tree.Git("status", "--porcelain")}
	lines = append(lines, h.docker("ps", "-a", "--no-trunc", "--filter", "name="+h.project, "--format", "{{.ID}} {{.Names}} {{.Image}} {{.State}}")...)
	lines = append(lines, h.docker("images", "--no-trunc", "--filter", "label=com.docker.compose.project="+h.project, "--format", "{{.ID}} {{.Repository}}")...)
	for _, name := range []string{"last-successful-deploy-sha", "gitops-paused", "blocked-sha"} {
		raw, err := os.ReadFile(filepath.Join(h.state, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.t.Fatal(err)
		}
		lines = append(lines, name+" "+string(raw))
	}
	slices.Sort(lines)
	return lines
}

// docker runs the docker client and returns its lines.
func (h *host) docker(args ...string) []string {
	h.t.Helper()
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), h.engineEnv()...)
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("docker %v: %v", args, err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}

// try runs the docker client, which may fail.
func (h *host) try(args ...string) (string, error) {
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), h.engineEnv()...)
	out, err := cmd.Output()
	return string(out), err
}

// engineEnv is the way to the engine.
func (h *host) engineEnv() []string {
	if h.engine == nil {
		return nil
	}
	return []string{"DOCKER_HOST=" + h.engine.address()}
}

// compose runs docker compose in the checkout as a person would.
func (h *host) compose(dir string, env []string, args ...string) {
	h.t.Helper()
	cmd := exec.Command("docker", append([]string{"compose"}, args...)...)
	cmd.Dir = filepath.Join(h.tree.Dir, dir)
	cmd.Env = append(append(os.Environ(), h.engineEnv()...), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("docker compose %v: %v\n%s", args, err, out)
	}
}

// pins is the repository of the tags by which the agent keeps this checkout's images.
func (h *host) pins() string {
	if h.tree == nil {
		return "landfall-pin/none"
	}
	sum := sha256.Sum256([]byte(h.tree.Dir))
	return fmt.Sprintf("landfall-pin/%x", sum[:6])
}

// removeContainers removes what carries the project's name, and its sub-projects'.
func (h *host) removeContainers() {
	if h.engine != nil {
		return // they go with it
	}
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "-aq", "--filter", "name=" + h.project}, []string{"rm", "-fv"}},
		{[]string{"network", "ls", "-q", "--filter", "name=" + h.project}, []string{"network", "rm"}},
		{[]string{"volume", "ls", "-q", "--filter", "name=" + h.project}, []string{"volume", "rm", "-f"}},
		{[]string{"images", "--filter", "reference=" + h.pins(), "--format", "{{.Repository}}:{{.Tag}}"}, []string{"rmi", "--no-prune"}},
		{[]string{"images", "--filter", "reference=" + h.project + "*", "--format", "{{.Repository}}:{{.Tag}}"}, []string{"rmi", "-f"}},
	} {
		out, err := exec.Command("docker", kind.list...).Output()
		if err != nil {
			h.t.Errorf("docker %v: %v", kind.list, err)
			continue
		}
		ids := strings.Fields(string(out))
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) == 0 {
			continue
		}
		if out, err := exec.Command("docker", append(kind.remove, ids...)...).CombinedOutput(); err != nil {
			h.t.Errorf("docker %v: %v\n%s", kind.remove, err, out)
		}
	}
}

// eventually waits for a condition, failing after a time that a slow machine needs.
func (h *host) eventually(within time.Duration, what string, ok func() bool) {
	h.t.Helper()
	eventually(h.t, within, what, ok)
}

func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var e *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.ExitCode()
	}
	t.Fatal(err)
	return -1
}

// nextPort counts the ports that tests of this process were given. They lie below those that
// the kernel gives to connections and those that lay-out.sh takes, so that an agent that is
// restarted finds its port free.
var nextPort atomic.Uint32

const (
	firstPort = 10000
	ports     = 9000
)

func freeAddress(t *testing.T) string {
	t.Helper()
	for range ports {
		port := firstPort + (uint32(os.Getpid())*97+nextPort.Add(1))%ports
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue // somebody else's
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("no free port")
	return ""
}

// lockedBuffer collects output that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
