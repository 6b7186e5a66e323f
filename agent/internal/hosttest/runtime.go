package hosttest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Runtime implements ports.Runtime, ports.Restorer and ports.Inspector. What is to be done is decided by package picture, as for the real adapter;
// a call "Engine.VERB PROJECT/SERVICE" makes each change, so that the world can be stopped between two of them.
type Runtime struct{ h *Host }

var (
	_ ports.Runtime   = Runtime{}
	_ ports.Restorer  = Runtime{}
	_ ports.Inspector = Runtime{}
)

// Ready implements ports.Runtime: the engine of this model always answers.
func (r Runtime) Ready(ctx context.Context) error { return r.h.call(ctx, "Runtime.Ready", nil) }

// Complete implements ports.Runtime: no image of this model is ever missing.
func (r Runtime) Complete(ctx context.Context, _ *pipeline.Plan, out ports.Output) (string, error) {
	return "every image is there", r.h.call(ctx, "Runtime.Complete", out)
}

// Prove implements ports.Runtime.
func (r Runtime) Prove(ctx context.Context, plan *pipeline.Plan, sideTree string, out ports.Output) ([]picture.Model, error) {
	if err := r.h.call(ctx, "Runtime.Prove", out); err != nil {
		return nil, err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	return r.h.models(strings.TrimPrefix(sideTree, sidePrefix), plan)
}

// Models implements ports.Runtime.
func (r Runtime) Models(ctx context.Context, plan *pipeline.Plan) ([]picture.Model, error) {
	if err := r.h.call(ctx, "Runtime.Models", nil); err != nil {
		return nil, err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	models, err := r.h.models(r.h.repository.head, plan)
	for _, m := range models {
		for name, spec := range m.Services {
			if path := r.h.links[m.Key(name).String()]; path != "" {
				spec.Power.Sources = append(spec.Power.Sources, path)
				m.Services[name] = spec
			}
		}
	}
	return models, err
}

// Run implements ports.Runtime.
func (r Runtime) Run(ctx context.Context, plan *pipeline.Plan, work ports.Work, out ports.Output) (string, error) {
	step := work.Step
	if err := r.h.call(ctx, "Runtime.Run "+step.ID, out); err != nil {
		return "", err
	}
	stack, ok := plan.Stack(step.Stack())
	if !ok {
		return "", fault.New(fault.Internal, "UNKNOWN_STACK", "the plan has no stack %q", step.Stack())
	}
	m, err := r.h.composedNow(stack)
	if err != nil {
		return "", err
	}
	m.resolve(plan)
	m.madeBy(r.h.composer)
	todo := r.todo(m, work)
	switch {
	case step.Build != nil:
		return "", r.build(ctx, m, todo.Names)
	case step.Restart != nil:
		err = r.restart(ctx, m, todo.ToRestart())
	case step.Recreate != nil:
		err = r.up(ctx, m, todo.ToReplace(), true, true)
	case step.Up != nil && step.Up.ForceRecreate:
		err = r.up(ctx, m, todo.ToReplace(), true, true)
	case step.Up != nil && step.Up.NoRecreate:
		err = r.bringUp(ctx, m, todo.Names)
	case step.Up != nil:
		outdated, rest := todo.Outdated()
		todo.Names = outdated
		if err = r.up(ctx, m, todo.ToReplace(), true, true); err == nil {
			err = r.up(ctx, m, rest, false, true)
		}
	}
	if err != nil {
		return "", err
	}
	return "", r.mendSharers(ctx, m, plan, work)
}

// todo is what a step still has to do.
func (r Runtime) todo(m composed, work ports.Work) picture.Todo {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	return picture.Todo{
		Model: m.Model, Names: m.Matching(work.Step.Services()), Before: work.Before, Past: work.Past, Changed: work.Changed,
		Now: r.h.fleet.picture([]string{m.Project}, nil, false),
	}
}

func (r Runtime) build(ctx context.Context, m composed, names []string) error {
	for _, name := range names {
		k := m.Key(name)
		if err := r.h.change(ctx, "Engine.Build "+k.String(), nil, func() error {
			r.h.fleet.images[m.Services[name].Image] = digest(r.h.repository.head, k.String())
			delete(r.h.fleet.lost, r.h.fleet.images[m.Services[name].Image])
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// up brings services up: it makes what is missing, replaces what is forced or made from another configuration or image, and scales.
func (r Runtime) up(ctx context.Context, m composed, names []string, force, start bool) error {
	if len(names) == 0 {
		return nil
	}
	if err := r.h.change(ctx, "Engine.Networks "+m.Project, nil, func() error { return r.h.fleet.makeNetworks(m, names) }); err != nil {
		return err
	}
	r.h.mu.Lock()
	frozen := m.ToThaw(names, false, r.h.fleet.picture([]string{m.Project}, nil, false)) // this model's ups take no dependencies along
	r.h.mu.Unlock()
	for _, c := range frozen {
		if err := r.each(ctx, "Thaw", c.Key(), []string{c.ID}); err != nil {
			return err
		}
	}
	for _, name := range ownersFirst(m.Model, names) {
		if err := r.upOne(ctx, m, name, m.Services[name].Replicas, force, start); err != nil {
			return err
		}
	}
	return nil
}

// ownersFirst orders services so that owners of namespaces come before those who live in them.
func ownersFirst(m picture.Model, names []string) []string {
	sorted := slices.Clone(names)
	var depth func(name string) int
	depth = func(name string) int {
		deepest := 0
		for _, owner := range m.Services[name].Shares {
			deepest = max(deepest, 1+depth(owner))
		}
		return deepest
	}
	slices.SortStableFunc(sorted, func(a, b string) int { return depth(a) - depth(b) })
	return sorted
}

func (r Runtime) upOne(ctx context.Context, m composed, name string, replicas int, force, start bool) error {
	k := m.Key(name)
	for i := range replicas {
		r.h.mu.Lock()
		of := r.h.fleet.of(k)
		var old picture.Container
		kept := true
		if i < len(of) {
			old = *of[i]
			spec := m.Services[name]
			kept = !force && old.Config == digest(m.lines[name]) && old.ImageID == r.h.fleet.image(spec.Image) && isIn(old, spec.Networks)
		}
		r.h.mu.Unlock()
		switch {
		case old.Paused() && kept && start: // which is what Compose asks for, and the engine refuses
			return fault.New(fault.Failed, "UP_FAILED", "%s: cannot start a paused container, try unpause instead", k)
		case old.ID != "" && kept && (old.Running() || old.Succeeded() || !start):
			continue
		case old.ID != "" && kept:
			if err := r.h.change(ctx, "Engine.Start "+k.String(), nil, func() error {
				r.h.fleet.start(r.h.fleet.byID(old.ID), r.h.repository.head)
				return nil
			}); err != nil {
				return err
			}
			continue
		case old.ID != "":
			if err := r.h.stop(ctx, k, old.ID); err != nil {
				return err
			}
		}
		label := "Engine.Create " + k.String()
		if i > 0 {
			label = fmt.Sprintf("%s %d", label, i+1)
		}
		if err := r.h.change(ctx, label, nil, func() error {
			at := len(r.h.fleet.containers)
			if old.ID != "" {
				at = slices.IndexFunc(r.h.fleet.containers, func(c *picture.Container) bool { return c.ID == old.ID })
				r.h.fleet.remove(old.ID)
			}
			if err := r.h.fleet.create(m, name, r.h.repository.head, start, old); err != nil {
				return err
			}
			// It takes the place of the old one, so that the next replica is the next.
			list := r.h.fleet.containers
			made := list[len(list)-1]
			r.h.fleet.containers = slices.Insert(list[:len(list)-1], max(0, min(at, len(list)-1)), made)
			return nil
		}); err != nil {
			return err
		}
	}
	return r.removeBeyond(ctx, k, replicas)
}

func (r Runtime) removeBeyond(ctx context.Context, k picture.Key, replicas int) error {
	r.h.mu.Lock()
	of := r.h.fleet.of(k)
	var beyond []string
	for _, c := range of[min(len(of), replicas):] {
		beyond = append(beyond, c.ID)
	}
	r.h.mu.Unlock()
	return r.each(ctx, "Remove", k, beyond)
}

func (r Runtime) restart(ctx context.Context, m composed, names []string) error {
	for _, name := range names {
		var ids []string
		r.h.mu.Lock()
		for _, c := range r.h.fleet.of(m.Key(name)) {
			ids = append(ids, c.ID)
		}
		r.h.mu.Unlock()
		if err := r.each(ctx, "Restart", m.Key(name), ids); err != nil {
			return err
		}
	}
	return nil
}

// mendSharers puts right what has lost a namespace to a step, of whatever stack.
func (r Runtime) mendSharers(ctx context.Context, m composed, plan *pipeline.Plan, work ports.Work) error {
	todo := picture.Mending{Models: []picture.Model{m.Model}, Before: work.Before}
	for _, name := range m.Matching(work.Step.Services()) {
		todo.Named = append(todo.Named, m.Key(name))
	}
	stacks, projects := []composed{m}, []string{m.Project}
	if work.Before != nil {
		projects = append(projects, work.Before.Projects...)
	}
	for _, s := range plan.Stacks {
		other, err := r.h.composedNow(s)
		if err != nil {
			return err
		}
		if s.Name != m.Stack {
			stacks, todo.Models = append(stacks, other), append(todo.Models, other.Model)
		}
	}
	for range 10 { // who lives in a namespace of one that lives in another's
		r.h.mu.Lock()
		todo.Now = r.h.fleet.picture(projects, nil, false)
		r.h.mu.Unlock()
		stale, _ := todo.Mendable()
		var err error
		switch {
		case len(stale.Recreate) > 0:
			err = r.again(ctx, stacks, todo, stale.Recreate, true)
		case len(stale.Create) > 0:
			err = r.again(ctx, stacks, todo, stale.Create, false)
		case len(stale.Restart) > 0:
			for _, k := range stale.Restart {
				err = cmp.Or(err, r.each(ctx, "Restart", k, todo.ToRestart(k)))
			}
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// again makes services again, stack by stack.
func (r Runtime) again(ctx context.Context, stacks []composed, todo picture.Mending, services []picture.Key, start bool) error {
	for _, m := range stacks {
		for _, k := range services {
			if _, has := m.Services[k.Service]; !has || k.Project != m.Project {
				continue
			}
			if err := r.upOne(ctx, m, k.Service, todo.Scale(k), true, start); err != nil {
				return err
			}
		}
	}
	return nil
}

// each does a verb to containers of a service, one call each.
func (r Runtime) each(ctx context.Context, verb string, k picture.Key, ids []string) error {
	for _, id := range ids {
		if verb == "Stop" || verb == "Restart" || verb == "Remove" {
			if err := r.h.stop(ctx, k, id); err != nil {
				return err
			}
		}
		if err := r.h.change(ctx, "Engine."+verb+" "+k.String(), nil, func() error {
			f := &r.h.fleet
			c := f.byID(id)
			switch {
			case c == nil:
			case verb == "Remove":
				f.remove(id)
			case verb == "Stop":
				c.State, c.ExitCode = "exited", 143
				delete(f.stopping, id)
			case verb == "Pause" && c.State != "running": // it has ended
			case verb == "Pause":
				c.State = "paused"
			case verb == "Thaw":
				c.State = "running"
			default: // Start, Restart
				f.start(c, r.h.repository.head)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// Look implements ports.Restorer.
func (r Runtime) Look(ctx context.Context, projects, refs []string, whole bool) (picture.Picture, error) {
	if err := r.h.call(ctx, "Restorer.Look", nil); err != nil {
		return picture.Picture{}, err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	return r.h.fleet.picture(projects, refs, whole), nil
}

// Rest implements ports.Restorer.
func (r Runtime) Rest(ctx context.Context, cut ports.Cut, out ports.Output) error {
	if err := r.h.call(ctx, "Restorer.Rest", out); err != nil {
		return err
	}
	r.h.mu.Lock()
	r.h.fleet.cuts = append(r.h.fleet.cuts, cut)
	r.h.mu.Unlock()
	return r.h.atRest(ctx)
}

// Carry implements ports.Restorer.
func (r Runtime) Carry(ctx context.Context, plan *pipeline.Plan, batch picture.Batch, out ports.Output) error {
	if err := r.h.call(ctx, "Restorer.Carry "+string(batch.Verb), out); err != nil {
		return err
	}
	if batch.Verb == picture.Reconnect {
		return r.reconnect(ctx, batch)
	}
	if batch.Verb != picture.Recreate && batch.Verb != picture.Create {
		verb := strings.ToUpper(string(batch.Verb[:1])) + string(batch.Verb[1:])
		for _, d := range batch.Deeds {
			if err := r.each(ctx, verb, d.Key, d.Containers); err != nil {
				return err
			}
		}
		return nil
	}
	stack, _ := plan.Stack(batch.Stack)
	m, err := r.h.composedNow(stack)
	if err != nil {
		return err
	}
	if err := r.h.change(ctx, "Engine.Networks "+m.Project, nil, func() error { return r.h.fleet.makeNetworks(m, batch.Services()) }); err != nil {
		return err
	}
	for _, d := range batch.Deeds {
		if err := r.putCarriers(ctx, d); err != nil {
			return err
		}
		if err := r.upOne(ctx, m, d.Service, d.Scale, true, batch.Verb == picture.Recreate); err != nil {
			return err
		}
	}
	return nil
}
