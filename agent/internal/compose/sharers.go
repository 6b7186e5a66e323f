package compose

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
)

// together keeps steps apart whose projects share namespaces: who lives with another can be started only while that one runs.
func (w *work) together(project string) (unlock func()) {
	if w.Before == nil {
		return func() {}
	}
	kin := w.Before.Kin(project)
	if len(kin) == 1 {
		return func() {}
	}
	var unlocks []func()
	for _, k := range kin { // in order, so that no two wait for each other
		unlocks = append(unlocks, w.project("kin of "+k))
	}
	return func() {
		for _, unlock := range unlocks {
			unlock()
		}
	}
}

// around lists the projects in which a step has to look: its own, and those that were looked at when it began.
func (w *work) around(m picture.Model) []string {
	projects := []string{m.Project}
	if w.Before != nil {
		projects = append(projects, w.Before.Projects...)
	}
	slices.Sort(projects)
	return slices.Compact(projects)
}

// mendSharers replaces and restarts what lives in a namespace that went with the step's changes, each by the Compose of its own stack.
func (w *work) mendSharers(ctx context.Context, m picture.Model) (string, error) {
	todo := picture.Mending{Models: []picture.Model{m}, Before: w.Before}
	for _, name := range m.Matching(w.Step.Services()) {
		todo.Named = append(todo.Named, m.Key(name))
	}
	var parts []string
	for round := 0; ; round++ { // who lives in a namespace of one that lives in another's
		var err error
		if todo.Now, err = w.Look(ctx, w.around(m), nil, false); err != nil {
			return "", err
		}
		stale, nobodys, err := w.stale(ctx, &todo)
		if err != nil {
			return "", err
		}
		switch {
		case round > len(todo.Now.Containers): // what does not get better is for the probes to judge
			return strings.Join(parts, "; "), nil
		case len(stale.Recreate) > 0:
			w.out(operation.Stdout, "the container whose namespace they share was replaced, so these are recreated: "+keyList(stale.Recreate), false)
			if err := w.again(ctx, todo, stale.Recreate, upArgs); err != nil {
				return "", err
			}
			parts = append(parts, "with it: "+keyList(stale.Recreate))
		case len(stale.Create) > 0:
			w.out(operation.Stdout, "the container whose namespace they shared was replaced, so these are made again, and stay stopped: "+keyList(stale.Create), false)
			if err := w.again(ctx, todo, stale.Create, createArgs); err != nil {
				return "", err
			}
			parts = append(parts, "made again with it, and left stopped: "+keyList(stale.Create))
		case len(stale.Restart) > 0:
			w.out(operation.Stdout, "the container whose namespace they share was started again, so these are restarted: "+keyList(stale.Restart), false)
			if err := w.restartNow(ctx, todo, stale.Restart); err != nil {
				return "", err
			}
			parts = append(parts, "restarted with it: "+keyList(stale.Restart))
		default:
			if len(nobodys) > 0 && w.Warn != nil { // the proof refuses to cut them off: somebody has started them since
				w.Warn("NAMESPACE_LOST", fmt.Sprintf("%s: %s shared a namespace that went with this step, and no compose file says how to make it again", w.Step.ID, keyList(nobodys)))
			}
			return strings.Join(parts, "; "), nil
		}
	}
}

// stale is who has lost a namespace. The models of the other stacks are read where it is somebody of theirs: they tell who makes it again, and whose the
// namespace was.
func (w *work) stale(ctx context.Context, todo *picture.Mending) (picture.Stale, []picture.Key, error) {
	var err error
	if len(todo.Lost()) > 0 && len(todo.Models) == 1 {
		var models []picture.Model
		models, err = w.Models(ctx, w.plan)
		todo.Models = append(todo.Models, slices.DeleteFunc(models, func(m picture.Model) bool { return m.Stack == w.stack.Name })...)
	}
	stale, nobodys := todo.Mendable()
	if len(nobodys) == 0 {
		err = nil // who does not render has nothing to do with it
	}
	return stale, nobodys, err
}

// again makes the containers of services again, stack by stack.
func (w *work) again(ctx context.Context, todo picture.Mending, services []picture.Key, args []string) error {
	done := map[picture.Key]bool{}
	for _, m := range todo.Models {
		var names []string
		for _, k := range services {
			if _, has := m.Services[k.Service]; has && k.Project == m.Project && !done[k] {
				names, done[k] = append(names, k.Service), true
			}
		}
		if len(names) == 0 {
			continue
		}
		stack, ok := w.plan.Stack(m.Stack)
		if !ok {
			return fault.New(fault.Internal, "UNKNOWN_STACK", "the plan has no stack %q", m.Stack)
		}
		theirs := *w
		theirs.stack = stack
		flags := append(slices.Clone(args), "--no-deps", "--force-recreate")
		for _, name := range names {
			if n := todo.Scale(m.Key(name)); n != m.Services[name].Replicas {
				flags = append(flags, fmt.Sprintf("--scale=%s=%d", name, n))
			}
		}
		if _, err := theirs.change(ctx, names, flags, "RECREATE_FAILED"); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) restartNow(ctx context.Context, todo picture.Mending, services []picture.Key) error {
	limited, cancel := context.WithTimeout(ctx, w.deadlines.Up)
	defer cancel()
	for _, k := range services {
		for _, id := range todo.ToRestart(k) {
			err := w.docker.ContainerRestart(limited, id, container.StopOptions{})
			switch {
			case err == nil:
			case limited.Err() != nil && ctx.Err() == nil:
				return fault.Wrap(err, fault.Deadline, "ENGINE_DEADLINE", "restart of %s did not end within %s", k, w.deadlines.Up)
			case isDown(err):
				return engineFault(err)
			default:
				return fault.Wrap(err, fault.Failed, "RESTART_FAILED", "restart %s", k)
			}
		}
	}
	return nil
}

// keyList names services.
func keyList(services []picture.Key) string {
	var names []string
	for _, k := range services {
		names = append(names, k.String())
	}
	return strings.Join(names, " ")
}
