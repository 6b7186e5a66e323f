package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/git/gittest"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/version"
)

// outcome is what a run of the program left.
type outcome struct {
	code     int
	out, err string
}

// agentProgram runs the program as systemd or a person does.
func agentProgram(args ...string) outcome {
	var out, errs bytes.Buffer
	code := Run(args, command.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return outcome{code: code, out: out.String(), err: errs.String()}
}

func (o outcome) expect(t *testing.T, code int, says ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", o.code, code, o.out, o.err)
	}
	for _, part := range says {
		if !strings.Contains(o.err, part) {
			t.Errorf("stderr does not say %q:\n%s", part, o.err)
		}
	}
	if code == 2 && o.out != "" {
		t.Errorf("a usage error prints an answer: %s", o.out)
	}
}

func TestHelpOfEveryCommand(t *testing.T) {
	root := newRoot(command.Streams{Out: io.Discard, Err: io.Discard}, redact.New())
	for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
		o := agentProgram(append(strings.Fields(c.CommandPath())[1:], "--help")...)
		o.expect(t, 0)
		for _, part := range []string{"Exit codes:\n", "Examples:\n", "Usage:\n"} {
			if !strings.Contains(o.out, part) {
				t.Errorf("%s --help does not show %q:\n%s", c.CommandPath(), part, o.out)
			}
		}
	}
	if o := agentProgram(); o.code != 0 || !strings.Contains(o.out, "serve") {
		t.Errorf("without arguments: %+v", o)
	}
}

func TestVersionIsSaidTwoWays(t *testing.T) {
	flag, word := agentProgram("--version"), agentProgram("version")
	if flag != word || flag.code != 0 || !strings.Contains(flag.out, version.Get().Platform) || flag.err != "" {
		t.Errorf("--version %+v, version %+v", flag, word)
	}
}

func TestUsageErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("checkout: /nowhere\nlistne: 0.0.0.0:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		says []string
	}{
		"unknown command":  {[]string{"srve"}, []string{"srve", "did you mean serve"}},
		"unknown flag":     {[]string{"serve", "--port", "1"}, []string{"--port", "landfall-agent serve --help"}},
		"an argument":      {[]string{"check", "now"}, []string{"now"}},
		"log level":        {[]string{"serve", "--log-level", "loud"}, []string{"loud", "trace, debug"}},
		"check format":     {[]string{"check", "--format", "xml", "--config", missing}, []string{"xml", "json"}},
		"no configuration": {[]string{"serve", "--config", missing}, []string{missing, "--config"}},
		"check of none":    {[]string{"check", "--config", missing}, []string{missing}},
		"misspelt key":     {[]string{"serve", "--config", wrong}, []string{"wrong.yaml:2:1", "listne", "listen"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := agentProgram(tt.args...)
			o.expect(t, 2, tt.says...)
			if !strings.HasPrefix(o.err, "landfall-agent: ") || strings.Contains(o.err, "Usage:") {
				t.Errorf("stderr: %s", o.err)
			}
		})
	}
}

const fleetConfig = "version: 1\nproject: sample\nstacks: {core: {files: [compose.yml]}}\nflags:\n  app: {paths: [\"app/**\"]}\n"

// machine is what agent.yaml names: checkout, state, identity.
type machine struct {
	dir, config, address string
	tree                 *gittest.Repo
}

// newMachine writes agent.yaml for a fresh checkout; more is added to it.
func newMachine(t *testing.T, more string) *machine {
	t.Helper()
	h := &machine{dir: t.TempDir(), tree: gittest.New(t)}
	h.tree.Commit("one", map[string]string{"landfall.yaml": fleetConfig, "compose.yml": "services: {}\n"})
	origin := gittest.NewBare(t)
	h.tree.Git("remote", "add", "origin", origin.URL())
	h.tree.Push()
	ca, err := identity.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := ca.Issue(identity.Request{Role: identity.RoleAgent, Name: "caroline", Hosts: []string{"127.0.0.1"}}, time.Now())
	if err == nil {
		err = bundle.Replace(filepath.Join(h.dir, "identity"))
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = l.Addr().String()
	_ = l.Close()
	h.config = filepath.Join(h.dir, "agent.yaml")
	state := filepath.Join(h.dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("listen: %s\nsocket: %s/agent.sock\nidentity: %s/identity\nstate_dir: %s\ncheckout: %s\nlimits: {min_free_disk: 1MiB, min_available_memory: 1MiB}\n%s",
		h.address, h.dir, h.dir, state, h.tree.Dir, more)
	if err := os.WriteFile(h.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return h
}

// findings runs check and returns whether each finding is good.
func (h *machine) findings(t *testing.T, code int) map[string]bool {
	t.Helper()
	o := agentProgram("check", "--config", h.config, "--format", "json")
	o.expect(t, code)
	good := map[string]bool{}
	for line := range strings.Lines(o.out) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil || f.Check == "" || f.Detail == "" {
			t.Fatalf("%q: %+v, %v", line, f, err)
		}
		if seen, again := good[f.Check]; !again || seen {
			good[f.Check] = f.OK
		}
	}
	return good
}

func (h *machine) bad(t *testing.T) []string {
	t.Helper()
	var bad []string
	for check, ok := range h.findings(t, 1) {
		if !ok {
			bad = append(bad, check)
		}
	}
	slices.Sort(bad)
	return bad
}

// noEngine points the programs to an engine that is not there.
func noEngine(t *testing.T) {
	t.Helper()
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "no.sock"))
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	noEngine(t)
	h := newMachine(t, "")
	if got := h.bad(t); !slices.Equal(got, []string{"engine"}) {
		t.Errorf("without an engine: %v", got)
	}
	o := agentProgram("check", "--config", h.config)
	o.expect(t, 1, "not good: engine")
	for _, part := range []string{"ok    agent.yaml: ", "ok    identity: agent/caroline, valid until ", "ok    git: ", "ok    landfall.yaml: 1 stacks, 1 flags", "FAIL  engine: ", "systemctl start docker"} {
		if !strings.Contains(o.out, part) {
			t.Errorf("check does not say %q:\n%s", part, o.out)
		}
	}

	h.tree.Commit("broken", map[string]string{"landfall.yaml": "version: 1\nflag: {}\n"})
	if got := h.bad(t); !slices.Equal(got, []string{"engine", "landfall.yaml"}) {
		t.Errorf("with a broken landfall.yaml: %v", got)
	}
	if err := os.Chmod(filepath.Join(h.dir, "identity", "key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := h.bad(t); !slices.Equal(got, []string{"engine", "identity", "landfall.yaml"}) {
		t.Errorf("with an open key: %v", got)
	}
}

// TestTheErrorThatEndsACommandIsRedacted: the agent knows the secrets of the checkout before it starts any child, and the program prints
// its last error through the redactor, too.
func TestTheErrorThatEndsACommandIsRedacted(t *testing.T) {
	noEngine(t)
	const secret = "203.0.113.77" // of documentation (RFC 5737): nobody has it, so that nobody can listen there
	h := newMachine(t, "")
	h.tree.Write(".env", "API_TOKEN="+secret+"\n")
	text, err := os.ReadFile(h.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.config, bytes.Replace(text, []byte(h.address), []byte(secret+":7443"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	o := agentProgram("serve", "--config", h.config)
	o.expect(t, 2, redact.Mark)
	if strings.Contains(o.err+o.out, secret) {
		t.Errorf("the secret is told: %s%s", o.out, o.err)
	}
}

func TestCheckOfLimits(t *testing.T) {
	noEngine(t)
	h := newMachine(t, "")
	text, err := os.ReadFile(h.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.config, bytes.Replace(text, []byte("min_free_disk: 1MiB"), []byte("min_free_disk: 1000000GiB"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := h.bad(t); !slices.Equal(got, []string{"disk and memory", "engine"}) {
		t.Errorf("a disk of a petabyte: %v", got)
	}
}

func TestCheckOfAGoodHost(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a Docker Engine, and -short leaves it out")
	}
	if out, err := exec.Command("docker", "compose", "version").CombinedOutput(); err != nil {
		t.Fatalf("docker compose does not answer: %v\n%s\nrun: make setup", err, out)
	}
	h := newMachine(t, "")
	for check, ok := range h.findings(t, 0) {
		if !ok {
			t.Errorf("%s is not good", check)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(h.dir, "state")); err != nil || len(entries) != 0 {
		t.Errorf("check left %v in the state folder, %v", entries, err)
	}
}

// What keeps the agent from serving is said at once, with the exit code of its kind.
func TestServeRefusals(t *testing.T) {
	noEngine(t)
	t.Run("port in use", func(t *testing.T) {
		h := newMachine(t, "")
		l, err := net.Listen("tcp", h.address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		agentProgram("serve", "--config", h.config).expect(t, 2, h.address, "another agent", "ss -ltnp")
	})
	t.Run("no identity", func(t *testing.T) {
		h := newMachine(t, "")
		if err := os.RemoveAll(filepath.Join(h.dir, "identity", "cert.pem")); err != nil {
			t.Fatal(err)
		}
		agentProgram("serve", "--config", h.config).expect(t, 6, "cert.pem")
	})
	t.Run("a client's identity", func(t *testing.T) {
		h := newMachine(t, "")
		ca, err := identity.NewCA(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := ca.Issue(identity.Request{Role: identity.RoleOperator, Name: "x"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(h.dir, "identity")); err != nil {
			t.Fatal(err)
		}
		if err := bundle.Replace(filepath.Join(h.dir, "identity")); err != nil {
			t.Fatal(err)
		}
		agentProgram("serve", "--config", h.config).expect(t, 6, "operator")
	})
	t.Run("no repository", func(t *testing.T) {
		h := newMachine(t, "")
		if err := os.RemoveAll(filepath.Join(h.tree.Dir, ".git")); err != nil {
			t.Fatal(err)
		}
		agentProgram("serve", "--config", h.config).expect(t, 2, h.tree.Dir)
	})
}

func TestLoggerFormats(t *testing.T) {
	for stream, json := range map[string]bool{"": false, "8:12345": true} {
		t.Setenv("JOURNAL_STREAM", stream)
		var out bytes.Buffer
		log, err := newLogger("info", command.Streams{Err: &out})
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("too low")
		log.Info("said", "key", "value")
		if got := out.String(); strings.HasPrefix(got, "{") != json || !strings.Contains(got, "value") || strings.Contains(got, "too low") {
			t.Errorf("JOURNAL_STREAM=%q: %s", stream, got)
		}
	}
}
