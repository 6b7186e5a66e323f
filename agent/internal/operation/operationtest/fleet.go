package operationtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// fleet is the engine's images and containers, keyed by "stack/service".
type fleet struct {
	images     map[string]string
	containers map[string]*operation.Container
	loaded     map[string]string // commit whose files the container read when it last started
	made       int
	created    map[string][]string // images of the containers ever made, by service
	pins       map[string][]string
	orphans    map[string]int // children of a dead agent, by operation
	applied    []string       // migrations
}

func newFleet() fleet {
	return fleet{
		images: map[string]string{}, containers: map[string]*operation.Container{}, loaded: map[string]string{}, created: map[string][]string{},
		pins: map[string][]string{}, orphans: map[string]int{},
	}
}

// Container is the container of a service as it is now; ok is false when there is none.
func (h *Host) Container(stack, service string) (c operation.Container, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.fleet.containers[stack+"/"+service]
	if p == nil {
		return c, false
	}
	return *p, true
}

// ChangeContainer changes the container of a service, or removes it when change is nil.
func (h *Host) ChangeContainer(stack, service string, change func(*operation.Container)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := stack + "/" + service
	if change == nil {
		delete(h.fleet.containers, key)
		return
	}
	change(h.fleet.containers[key])
}

// ImageAt is the identifier of the image that a build of the service at a commit makes.
func ImageAt(sha, stack, service string) string { return digest(sha, stack+"/"+service) }

// Migrations are those applied, in the order they were.
func (h *Host) Migrations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.fleet.applied)
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// service is one line of a compose file of this model.
type service struct {
	name    string
	oneShot bool
	mount   string // path of the checkout that its container shows, "" for none
}

// composed reads the services of a stack at a commit; h.mu is held.
func (h *Host) composed(sha string, stack pipeline.Stack) ([]service, error) {
	var services []service
	for _, path := range stack.Files {
		text, ok := h.repository.commits[sha].files[path]
		if !ok {
			return nil, fault.New(fault.Invalid, "COMPOSE_INVALID", "stack %s: no file %s", stack.Name, path)
		}
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			if fields[0] == "invalid" {
				return nil, fault.New(fault.Invalid, "COMPOSE_INVALID", "stack %s: %s is invalid", stack.Name, path)
			}
			s := service{name: fields[0], oneShot: slices.Contains(fields[1:], "oneshot")}
			for _, f := range fields[1:] {
				if at, ok := strings.CutPrefix(f, "mount:"); ok {
					s.mount = at
				}
			}
			services = append(services, s)
		}
	}
	return services, nil
}

// Runtime implements operation.Runtime and operation.Inspector.
type Runtime struct{ h *Host }

var (
	_ operation.Runtime   = Runtime{}
	_ operation.Inspector = Runtime{}
)

// Prove implements operation.Runtime.
func (r Runtime) Prove(ctx context.Context, plan *pipeline.Plan, sideTree string, out operation.Output) error {
	if err := r.h.call(ctx, "Runtime.Prove", out); err != nil {
		return err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	for _, stack := range plan.Stacks {
		if _, err := r.h.composed(strings.TrimPrefix(sideTree, sidePrefix), stack); err != nil {
			return err
		}
	}
	return nil
}

// Run implements operation.Runtime, one service after the other: a call "Engine.VERB
// STACK/SERVICE" makes each change, so that the world can be stopped between two of them.
func (r Runtime) Run(ctx context.Context, plan *pipeline.Plan, work operation.Work, out operation.Output) (string, error) {
	step := work.Step
	if err := r.h.call(ctx, "Runtime.Run "+step.ID, out); err != nil {
		return "", err
	}
	stack, ok := plan.Stack(step.Stack())
	if !ok {
		return "", fault.New(fault.Internal, "UNKNOWN_STACK", "the plan has no stack %q", step.Stack())
	}
	services, err := r.h.composedNow(stack)
	if err != nil {
		return "", err
	}
	n := 0
	for _, s := range services {
		verb := r.h.due(work, stack.Name, s)
		if verb == "" || !chosen(step.Services(), s.name) {
			continue
		}
		if err := r.h.act(ctx, verb, stack.Name+"/"+s.name, s); err != nil {
			return "", err
		}
		n++
	}
	return fmt.Sprintf("%d changed", n), nil
}

// composedNow reads the services of a stack as checked out.
func (h *Host) composedNow(stack pipeline.Stack) ([]service, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.composed(h.repository.head, stack)
}

func chosen(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return pipeline.MatchService(p, name) })
}

// due is the verb that a step still has to do to a service, "" for none.
func (h *Host) due(work operation.Work, stack string, s service) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	step, f, key := work.Step, &h.fleet, stack+"/"+s.name
	is := f.containers[key]
	switch {
	case f.doneBefore(step, stack, s.name, work.Before):
		return ""
	case step.Build != nil:
		return "Build"
	case step.Restart != nil && is != nil:
		return "Restart"
	case step.Recreate != nil:
		return "Create"
	case step.Up != nil && (is == nil || step.Up.ForceRecreate || (!step.Up.NoRecreate && is.ImageID != f.image(key))):
		return "Create"
	case step.Up != nil && !step.Up.NoRecreate && s.mount != "" && work.Changed.Touch(s.mount) && work.Past.Has(is.ID):
		return "Create"
	}
	return ""
}

// act does one verb to one service.
func (h *Host) act(ctx context.Context, verb, key string, s service) error {
	return h.change(ctx, "Engine."+verb+" "+key, nil, func() error {
		f, head := &h.fleet, h.repository.head
		switch verb {
		case "Build":
			f.images[key] = digest(head, key)
		case "Create":
			f.create(key, s)
			f.loaded[key] = head
		case "Restart":
			c := f.containers[key]
			c.State, c.ExitCode, c.Started = "running", 0, time.Now()
			f.loaded[key] = head
		case "Remove":
			delete(f.containers, key)
			delete(f.loaded, key)
		}
		return nil
	})
}

func (f *fleet) image(key string) string {
	if id, built := f.images[key]; built {
		return id
	}
	return digest("pulled", key)
}

func (f *fleet) create(key string, s service) {
	f.made++
	f.created[key] = append(f.created[key], f.image(key))
	c := &operation.Container{
		ID: fmt.Sprintf("%064x", f.made), Name: strings.ReplaceAll(key, "/", "-") + "-1", State: "running",
		ImageID: f.image(key), Started: time.Now(),
	}
	if s.oneShot {
		c.State = "exited"
	}
	f.containers[key] = c
}

// Services implements operation.Inspector.
func (r Runtime) Services(ctx context.Context, plan *pipeline.Plan, stacks []string) ([]operation.Service, error) {
	if err := r.h.call(ctx, "Inspector.Services", nil); err != nil {
		return nil, err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	var all []operation.Service
	for _, stack := range plan.Stacks {
		if len(stacks) > 0 && !slices.Contains(stacks, stack.Name) {
			continue
		}
		services, err := r.h.composed(r.h.repository.head, stack)
		if err != nil {
			return nil, err
		}
		for _, s := range services {
			one := operation.Service{Stack: stack.Name, Project: plan.Project, Name: s.name, Replicas: 1, OneShot: s.oneShot}
			if c := r.h.fleet.containers[stack.Name+"/"+s.name]; c != nil {
				one.Containers = []operation.Container{*c}
			}
			all = append(all, one)
		}
	}
	operation.SortServices(all)
	return all, nil
}

// Exec implements operation.Inspector: every command succeeds where there is a container.
func (r Runtime) Exec(ctx context.Context, _ *pipeline.Plan, exec pipeline.Exec, out operation.Output) (int, error) {
	if err := r.h.call(ctx, "Inspector.Exec "+exec.Service, out); err != nil {
		return -1, err
	}
	if _, ok := r.h.Container(exec.Stack, exec.Service); !ok {
		return -1, fault.New(fault.Failed, "NOT_RUNNING", "%s/%s has no container", exec.Stack, exec.Service)
	}
	return 0, nil
}

// LastLines implements operation.Inspector: containers of this model print nothing.
func (r Runtime) LastLines(ctx context.Context, containerID string, _ int) ([]string, error) {
	return nil, r.h.call(ctx, "Inspector.LastLines "+containerID, nil)
}

// Scripts implements operation.Scripts.
type Scripts struct{ h *Host }

var _ operation.Scripts = Scripts{}

// RunScript implements operation.Scripts.
func (s Scripts) RunScript(ctx context.Context, _ *pipeline.Plan, script pipeline.Script, out operation.Output) error {
	return s.h.call(ctx, "Scripts.RunScript "+script.Path, out)
}

// Migrate implements operation.Scripts: it applies the files of migrations/ that are new, in order.
func (s Scripts) Migrate(ctx context.Context, _ *pipeline.Plan, migrate pipeline.Migrate, out operation.Output, applied func(string)) error {
	if err := s.h.call(ctx, "Scripts.Migrate "+migrate.Script, out); err != nil {
		return err
	}
	for _, name := range s.h.pending() {
		if err := s.h.change(ctx, "Database.Apply "+name, nil, func() error {
			s.h.fleet.applied = append(s.h.fleet.applied, name)
			return nil
		}); err != nil {
			return err
		}
		out(operation.Stdout, "applied "+name, false)
		applied(name)
	}
	return nil
}

func (h *Host) pending() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for _, path := range sortedKeys(h.repository.commits[h.repository.head].files) {
		name, ok := strings.CutPrefix(path, "migrations/")
		name = strings.TrimSuffix(name, ".sql")
		if ok && !slices.Contains(h.fleet.applied, name) {
			names = append(names, name)
		}
	}
	return names
}

// Prober implements operation.Prober. The containers probe looks at the model, every
// other one passes, unless [Host.Answer] says what it finds.
type Prober struct{ h *Host }

var _ operation.Prober = Prober{}

// Answer sets what the attempts at a probe find, counted from 1; nil removes it.
func (h *Host) Answer(probe string, answer func(attempt int) operation.ProbeResult) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[probe], h.attempts[probe] = answer, 0
}

// Probe implements operation.Prober.
func (p Prober) Probe(ctx context.Context, plan *pipeline.Plan, probe pipeline.Probe) operation.ProbeResult {
	if err := p.h.call(ctx, "Prober.Probe "+probe.Name, nil); err != nil {
		return operation.ProbeResult{Outcome: operation.ProbeWaiting, Message: err.Error()}
	}
	p.h.mu.Lock()
	p.h.attempts[probe.Name]++
	answer, attempt := p.h.answers[probe.Name], p.h.attempts[probe.Name]
	p.h.mu.Unlock()
	switch {
	case answer != nil:
		return answer(attempt)
	case probe.Containers != nil:
		return p.containers(ctx, plan, probe.Containers.Stacks)
	}
	return operation.ProbeResult{Outcome: operation.ProbePassed, Message: "good"}
}

func (p Prober) containers(ctx context.Context, plan *pipeline.Plan, stacks []string) operation.ProbeResult {
	services, err := Runtime(p).Services(ctx, plan, stacks)
	if err != nil {
		return operation.ProbeResult{Outcome: operation.ProbeWaiting, Message: err.Error()}
	}
	for _, s := range services {
		if outcome, message, _ := s.Verdict(); outcome != operation.ProbePassed {
			return operation.ProbeResult{Outcome: outcome, Message: message}
		}
	}
	return operation.ProbeResult{Outcome: operation.ProbePassed, Message: fmt.Sprintf("%d services", len(services))}
}
