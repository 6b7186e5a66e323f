// Package compose is the agent's Docker Compose: `docker compose` as a child process for whatever
// changes something, the engine's API for whatever only looks.
//
// It promises that commands run in the checkout as its owner with Compose's own rules
// for project names and .env files, so that running containers are adopted and never
// doubled; that the rendered configuration, which holds secrets, never leaves this
// package; that docker's types never do either. Start reading at [New], then steps.go.
package compose

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/latest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// lookTimeout bounds, unless a test is in a hurry, every call that only looks at the engine: status must answer even
// while the engine hangs.
const lookTimeout = 10 * time.Second

// Deadlines bound the children.
type Deadlines struct {
	Config     time.Duration // rendering a configuration
	Build      time.Duration
	Up         time.Duration // up, recreate, restart, exec
	NoProgress time.Duration // silence of a build, after which it counts as hung
}

// Compose runs the stacks of one checkout. Safe for concurrent use.
type Compose struct {
	dir         string
	owner       *process.Owner
	docker      *client.Client
	deadlines   Deadlines
	log         hclog.Logger
	version     knownVersion
	known       knownContents
	lookTimeout time.Duration
	// changeTimeout bounds calls to the engine that change something and wait for nobody: names, tags, removals.
	changeTimeout time.Duration
	keptEvents    int
	kill          func(pid int, sig syscall.Signal) error // a seam: not everybody may end what runs inside containers

	secrets Secrets                                             // nil tells nobody
	commits func(ctx context.Context, hashes []string) []string // nil knows none

	tracked func(ctx context.Context, path string) (bool, error) // does the commit that is checked out have a file; nil: none

	hashed hashed
	words  words

	teaching    sync.Mutex // while secrets are read and told
	mu          sync.Mutex
	secretFiles map[string]knownFile
	hidden      map[string]bool // values that are secrets by their name
	logs        int             // that are being read; see mostLogs
	models      map[string]cachedModel
	last        map[string]*latest.Value[picture.Model] // by stack, as last rendered; see Diagnostics
	projects    map[string]*sync.Mutex                  // stacks may share a compose project: one change of a project at a time
}

var (
	_ ports.Runtime   = (*Compose)(nil)
	_ ports.Inspector = (*Compose)(nil)
)

// New makes the runtime of the checkout at dir, whose owner runs the children. It does
// not ask the engine anything yet. The caller closes it.
func New(dir string, owner *process.Owner, deadlines Deadlines, log hclog.Logger) (*Compose, error) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "ENGINE_ADDRESS", "read DOCKER_HOST")
	}
	return &Compose{
		dir: dir, owner: owner, docker: docker, deadlines: deadlines, log: log.Named("compose"), lookTimeout: lookTimeout, changeTimeout: time.Minute, keptEvents: keptEvents, kill: syscall.Kill,
		models: map[string]cachedModel{}, last: map[string]*latest.Value[picture.Model]{}, projects: map[string]*sync.Mutex{},
		secretFiles: map[string]knownFile{}, hidden: map[string]bool{},
	}, nil
}

// Close ends the connection to the engine.
func (c *Compose) Close() error {
	c.forget()
	return c.docker.Close()
}

// Ready implements ports.Runtime.
func (c *Compose) Ready(ctx context.Context) error {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	_, err := c.docker.Ping(look)
	switch {
	case err == nil:
		return nil
	case cerrdefs.IsPermissionDenied(err), cerrdefs.IsUnauthorized(err), cerrdefs.IsNotFound(err), cerrdefs.IsInvalidArgument(err):
		return engineFault(err)
	}
	return engineDown(err) // it is not there, or there and not ready
}

// engineFault says what to do when the engine does not answer. An engine that takes a connection and says nothing, or ends it, is one
// that starts or stops: systemd's socket listens while dockerd still loads its containers.
func engineFault(err error) error {
	if isDown(err) {
		return engineDown(err)
	}
	return fault.Wrap(err, fault.Failed, "ENGINE_FAILED", "ask the Docker Engine")
}

func engineDown(err error) error {
	return fault.Wrap(err, fault.Failed, "ENGINE_DOWN", "the Docker Engine does not answer").
		WithHint("start it: systemctl start docker")
}

func isDown(err error) bool {
	var call *net.OpError
	if errors.As(err, &call) && call.Op == "dial" {
		return true
	}
	return client.IsErrConnectionFailed(err) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		cerrdefs.IsUnavailable(err) || strings.HasSuffix(err.Error(), "EOF")
}

// environ is the whole environment of a child: the owner's, the way to the engine, and
// what landfall.yaml gives.
func (c *Compose) environ(extra map[string]string) []string {
	// PWD keeps the path as it was given: Compose would see where a symbolic link leads, and replace what was started by it. In a side tree
	// it is the checkout's, too: ${PWD} of a compose file must be there what it is here.
	env := append(c.owner.Environ(), "LC_ALL=C.UTF-8", "COMPOSE_MENU=false", "COMPOSE_EXPERIMENTAL_GIT_REMOTE=0", "COMPOSE_EXPERIMENTAL_OCI_REMOTE=0", "PWD="+c.dir)
	env = append(env, process.PassedOn()...)
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		env = append(env, key+"="+extra[key])
	}
	return env
}

// command is one docker compose child on a stack.
type command struct {
	stack    pipeline.Stack
	env      map[string]string
	dir      string // "" is the checkout
	args     []string
	deadline time.Duration
	silence  time.Duration
	out      ports.Output
	capture  bool   // stdout is the answer, not output
	stdin    []byte // the one compose file, instead of the stack's; nil leaves those
}

// maxModel bounds a rendered configuration.
const maxModel = 32 << 20

// run runs one docker compose child. A failure carries its last line as the reason.
func (c *Compose) run(ctx context.Context, cmd command) ([]byte, error) {
	args := []string{"compose", "--ansi", "never", "--progress", "plain"}
	if cmd.stack.Project != "" {
		args = append(args, "--project-name", cmd.stack.Project)
	}
	for _, f := range cmd.stack.EnvFiles {
		args = append(args, "--env-file", f)
	}
	files := cmd.stack.Files
	if cmd.stdin != nil {
		files = []string{"-"}
	}
	for _, f := range files {
		args = append(args, "--file", f)
	}
	for _, p := range cmd.stack.Profiles {
		args = append(args, "--profile", p)
	}
	child := process.Cmd{
		Path: "docker", OwnPath: true, Args: append(args, cmd.args...), Env: c.environ(cmd.env), Dir: cmp.Or(cmd.dir, c.dir), Credential: c.owner.Credential(),
		Deadline: cmd.deadline, NoProgress: cmd.silence, Label: "docker compose " + cmd.args[0],
	}
	if err := c.learnStack(ctx, cmd.stack, cmd.env, child.Dir); err != nil {
		return nil, err
	}
	if cmd.stdin != nil {
		child.Stdin = bytes.NewReader(cmd.stdin)
	}
	if cmd.out != nil {
		child.OnLine = func(l process.Line) { cmd.out(operation.Stream(l.Stream), l.Text, l.Truncated) }
	}
	if cmd.capture {
		child.CaptureLimit = maxModel
	}
	c.log.Debug("run", "stack", cmd.stack.Name, "args", cmd.args)
	result, err := process.Run(ctx, child)
	return result.Stdout, err
}

// project locks a compose project for one change: two `up` at once would both make its networks.
func (c *Compose) project(name string) (unlock func()) {
	c.mu.Lock()
	m := c.projects[name]
	if m == nil {
		m = &sync.Mutex{}
		c.projects[name] = m
	}
	c.mu.Unlock()
	m.Lock()
	return m.Unlock
}
