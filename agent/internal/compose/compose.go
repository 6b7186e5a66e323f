// Package compose is the agent's Docker Compose: `docker compose` as a child process for whatever
// changes something, the engine's API for whatever only looks.
//
// It promises that commands run in the checkout as its owner with Compose's own rules
// for project names and .env files, so that running containers are adopted and never
// doubled; that the rendered configuration, which holds secrets, never leaves this
// package; that docker's types never do either. Start reading at [New], then steps.go.
package compose

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/client"
	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/latest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// lookTimeout bounds every call that only looks at the engine: status must answer even
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
	dir       string
	owner     *process.Owner
	docker    *client.Client
	deadlines Deadlines
	log       hclog.Logger
	version   knownVersion

	mu       sync.Mutex
	models   map[string]cachedModel
	last     map[string]*latest.Value[model] // by stack, as last rendered; see Diagnostics
	names    map[string]string               // compose projects as proofs found them, by plan and stack
	projects map[string]*sync.Mutex          // stacks may share a compose project: one change of a project at a time
}

var (
	_ operation.Runtime   = (*Compose)(nil)
	_ operation.Inspector = (*Compose)(nil)
)

// New makes the runtime of the checkout at dir, whose owner runs the children. It does
// not ask the engine anything yet. The caller closes it.
func New(dir string, owner *process.Owner, deadlines Deadlines, log hclog.Logger) (*Compose, error) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "ENGINE_ADDRESS", "read DOCKER_HOST")
	}
	return &Compose{
		dir: dir, owner: owner, docker: docker, deadlines: deadlines, log: log.Named("compose"),
		models: map[string]cachedModel{}, last: map[string]*latest.Value[model]{}, names: map[string]string{}, projects: map[string]*sync.Mutex{},
	}, nil
}

// Close ends the connection to the engine.
func (c *Compose) Close() error {
	c.forget()
	return c.docker.Close()
}

// Ready implements operation.Runtime.
func (c *Compose) Ready(ctx context.Context) error {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if _, err := c.docker.Ping(look); err != nil {
		return engineFault(err)
	}
	return nil
}

// engineFault says what to do when the engine does not answer.
func engineFault(err error) error {
	if client.IsErrConnectionFailed(err) {
		return fault.Wrap(err, fault.Failed, "ENGINE_DOWN", "the Docker Engine does not answer").
			WithHint("start it: systemctl start docker")
	}
	return fault.Wrap(err, fault.Failed, "ENGINE_FAILED", "ask the Docker Engine")
}

// environ is the whole environment of a child: the owner's, the way to the engine, and
// what landfall.yaml gives.
func (c *Compose) environ(extra map[string]string) []string {
	env := append(c.owner.Environ(), "LC_ALL=C.UTF-8", "COMPOSE_MENU=false")
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
	out      operation.Output
	capture  bool // stdout is the answer, not output
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
	for _, f := range cmd.stack.Files {
		args = append(args, "--file", f)
	}
	for _, p := range cmd.stack.Profiles {
		args = append(args, "--profile", p)
	}
	child := process.Cmd{
		Path: "docker", Args: append(args, cmd.args...), Dir: cmd.dir, Env: c.environ(cmd.env), Credential: c.owner.Credential(),
		Deadline: cmd.deadline, NoProgress: cmd.silence, Label: "docker compose " + cmd.args[0],
	}
	if child.Dir == "" {
		child.Dir = c.dir
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

// model is what we read of a rendered configuration. Only what is named here is kept:
// the rest may hold secrets.
type model struct {
	Name     string                  `json:"name"`
	Services map[string]modelService `json:"services"`
	Configs  map[string]modelFile    `json:"configs"`
	Secrets  map[string]modelFile    `json:"secrets"`
}

type modelService struct {
	Image   string          `json:"image"`
	Build   json.RawMessage `json:"build"`
	Restart string          `json:"restart"`
	Scale   *int            `json:"scale"`
	Deploy  struct {
		Replicas *int `json:"replicas"`
	} `json:"deploy"`
	DependsOn map[string]struct{} `json:"depends_on"` // with what links, volumes_from and shared namespaces imply
	Volumes   []struct {
		Type   string `json:"type"`
		Source string `json:"source"` // absolute for type bind
	} `json:"volumes"`
	Configs []modelGrant `json:"configs"`
	Secrets []modelGrant `json:"secrets"`
}

// modelFile is where a config or a secret comes from.
type modelFile struct {
	File string `json:"file"` // absolute; "" for one that is no file
}

// modelGrant is the use of a config or a secret by a service.
type modelGrant struct {
	Source string `json:"source"` // its name
}

// replicas is the number of containers the service wants.
func (s modelService) replicas() int {
	switch {
	case s.Scale != nil:
		return *s.Scale
	case s.Deploy.Replicas != nil:
		return *s.Deploy.Replicas
	}
	return 1
}

// modelAge is how long a rendered configuration is used again. A deploy asks for the
// same one a dozen times within seconds, and each rendering costs a child.
const modelAge = 10 * time.Second

type cachedModel struct {
	model model
	read  time.Time
}

// model renders the configuration of a stack in the checkout.
func (c *Compose) model(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack) (model, error) {
	key := plan.Digest() + "/" + stack.Name
	c.mu.Lock()
	cached, ok := c.models[key]
	c.mu.Unlock()
	if ok && time.Since(cached.read) < modelAge {
		return cached.model, nil
	}
	m, err := c.render(ctx, plan, stack, "")
	if err != nil {
		return m, err
	}
	c.rendered(stack.Name).Put(m)
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.models, func(_ string, old cachedModel) bool { return time.Since(old.read) >= modelAge })
	c.models[key] = cachedModel{m, time.Now()}
	return m, nil
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

// render renders the configuration of a stack in a directory, "" being the checkout.
func (c *Compose) render(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack, dir string) (model, error) {
	raw, err := c.run(ctx, command{
		stack: stack, env: plan.Environment, dir: dir, deadline: c.deadlines.Config, capture: true,
		args: []string{"config", "--format", "json", "--no-env-resolution"},
	})
	if err != nil {
		return model{}, fault.Wrap(err, fault.Failed, "COMPOSE_CONFIG", "stack %s", stack.Name)
	}
	var m model
	if err := json.Unmarshal(raw, &m); err != nil {
		return model{}, fault.New(fault.Internal, "COMPOSE_CONFIG", "docker compose config of stack %s printed no JSON that we understand", stack.Name)
	}
	return m, nil
}
