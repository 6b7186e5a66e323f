package compose

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Run implements operation.Runtime.
func (c *Compose) Run(ctx context.Context, plan *pipeline.Plan, todo operation.Work, out operation.Output) (string, error) {
	step := todo.Step
	stack, ok := plan.Stack(step.Stack())
	if !ok {
		return "", fault.New(fault.Internal, "UNKNOWN_STACK", "the plan has no stack %q", step.Stack())
	}
	w := &work{Compose: c, ctx: ctx, plan: plan, stack: stack, Work: todo, out: out}
	switch {
	case step.Build != nil:
		return w.build(*step.Build)
	case step.Up != nil:
		return w.keeping(step.Up.Services, !step.Up.NoDeps, func() (string, error) { return w.up(*step.Up) })
	case step.Recreate != nil:
		return w.keeping(step.Recreate.Services, !step.Recreate.NoDeps, func() (string, error) { return w.recreate(*step.Recreate) })
	case step.Restart != nil:
		return w.keeping(nobody, false, func() (string, error) { return w.restart(*step.Restart) })
	case step.Exec != nil:
		return w.exec(*step.Exec)
	}
	return "", fault.New(fault.Internal, "UNKNOWN_STEP", "Compose does not do %s steps", step.Kind())
}

// work is one step on one stack.
type work struct {
	*Compose
	ctx   context.Context //nolint:containedctx // lives exactly as long as the one call it belongs to
	plan  *pipeline.Plan
	stack pipeline.Stack
	out   operation.Output
	operation.Work
}

// services expands patterns to the names that the checkout's compose files have now. No
// pattern is no name: Compose then takes them all.
func (w *work) services(patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	m, err := w.model(w.ctx, w.plan, w.stack)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(m.Services))
	found := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !slices.ContainsFunc(patterns, func(p string) bool { return pipeline.MatchService(p, name) })
	})
	if len(found) == 0 {
		return nil, fault.New(fault.Invalid, "UNKNOWN_SERVICE", "stack %s has no service %s; it has %s", w.stack.Name, strings.Join(patterns, ", "), strings.Join(names, " "))
	}
	return found, nil
}

func (w *work) build(b pipeline.Build) (string, error) {
	names, err := w.services(b.Services)
	if err != nil {
		return "", err
	}
	args := []string{"build"}
	if b.NoCache {
		args = append(args, "--no-cache")
	}
	if b.Pull {
		args = append(args, "--pull")
	}
	for _, key := range slices.Sorted(maps.Keys(b.Args)) {
		args = append(args, "--build-arg", key+"="+b.Args[key])
	}
	_, err = w.run(w.ctx, command{
		stack: w.stack, env: w.plan.Environment, args: append(append(args, "--"), names...), out: w.out,
		deadline: w.deadlines.Build, silence: w.deadlines.NoProgress,
	})
	return strings.Join(names, " "), because(err, "BUILD_FAILED", "build of stack %s failed", w.stack.Name)
}

func (w *work) up(u pipeline.Up) (string, error) {
	args := []string{"up", "--detach", "--no-build"} // see Complete
	for flag, set := range map[string]bool{"--no-deps": u.NoDeps, "--force-recreate": u.ForceRecreate, "--no-recreate": u.NoRecreate} {
		if set {
			args = append(args, flag)
		}
	}
	slices.Sort(args[3:])
	switch {
	case u.ForceRecreate && w.Before.Projects != nil:
		todo, err := w.undone(u.Services, sameContainer)
		if err != nil || len(todo) == 0 {
			return doneBefore, err
		}
		return w.change(todo, args, "UP_FAILED")
	case u.ForceRecreate || u.NoRecreate:
		return w.change(u.Services, args, "UP_FAILED")
	}
	return w.upFresh(u, args)
}

// upFresh is an up after which services run with what their mounts show now. Compose compares
// configurations, not the content of mounted files, so those of stale services are replaced.
func (w *work) upFresh(u pipeline.Up, args []string) (string, error) {
	stale, rest, err := w.stale(u.Services)
	if err != nil {
		return "", err
	}
	if len(stale) == 0 {
		return w.change(u.Services, args, "UP_FAILED")
	}
	w.out(operation.Stdout, "mounted files changed, so these are recreated: "+strings.Join(stale, " "), false)
	replaced, err := w.recreate(pipeline.Recreate{Stack: u.Stack, Services: stale, NoDeps: u.NoDeps})
	if err != nil || len(rest) == 0 {
		return replaced, err
	}
	summary, err := w.change(rest, args, "UP_FAILED")
	return "mounts changed: " + replaced + "; " + summary, err
}

// sameContainer tells a service that has not been recreated yet.
func sameContainer(old, now operation.Past) bool { return old.Container == now.Container }

// recreate replaces containers and makes sure that it did: `up` alone leaves a container
// as it is when only the content of a mounted file changed.
func (w *work) recreate(r pipeline.Recreate) (string, error) {
	args := []string{"up", "--detach", "--no-build", "--force-recreate"}
	if r.NoDeps {
		args = append(args, "--no-deps")
	}
	todo, err := w.undone(r.Services, sameContainer)
	if err != nil || len(todo) == 0 {
		return doneBefore, err
	}
	old, err := w.containers(todo)
	if err != nil {
		return "", err
	}
	summary, err := w.change(todo, args, "RECREATE_FAILED")
	if err != nil {
		return "", err
	}
	return summary, w.replaced(old)
}

// replaced makes sure that old containers, by ID with the names of their services, are there no more.
func (w *work) replaced(old map[string]string) error {
	now, err := w.containers(nil)
	if err != nil {
		return err
	}
	for id, name := range old {
		if _, same := now[id]; same {
			return fault.New(fault.Failed, "NOT_RECREATED", "%s still has its old container %.12s", name, id)
		}
	}
	return nil
}

func (w *work) restart(r pipeline.Restart) (string, error) {
	todo, err := w.undone(r.Services, func(old, now operation.Past) bool {
		return old.Container == now.Container && old.Started.Equal(now.Started)
	})
	if err != nil || len(todo) == 0 {
		return doneBefore, err
	}
	return w.change(todo, []string{"restart"}, "RESTART_FAILED")
}

// doneBefore is the summary of a step that had been done when it was entered again.
const doneBefore = "had been done before the agent ended"

// undone lists the services that a repeated step still has to do: those that have a
// container, or none at all, that is the same as before the step began for the first time.
func (w *work) undone(patterns []string, same func(old, now operation.Past) bool) ([]string, error) {
	names, err := w.services(patterns)
	if err != nil {
		return nil, err
	}
	m, err := w.model(w.ctx, w.plan, w.stack)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(m.Services))
	}
	present, err := w.past(w.ctx, w.stack.Name, m.Name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(name string) bool {
		some := false
		for _, now := range present {
			if now.Service != name {
				continue
			}
			some = true
			if slices.ContainsFunc(w.Before.Containers, func(old operation.Past) bool { return same(old, now) }) || !now.Running {
				return false
			}
		}
		return some && w.Before.Projects != nil
	}), nil
}

// change runs a command that changes containers and says which it changed.
func (w *work) change(patterns, args []string, reason string) (string, error) {
	names, err := w.services(patterns)
	if err != nil {
		return "", err
	}
	m, err := w.model(w.ctx, w.plan, w.stack)
	if err != nil {
		return "", err
	}
	defer w.project(m.Name)()
	if err := w.repair(w.ctx, m.Name, w.out); err != nil {
		return "", err
	}
	before, err := w.containers(nil)
	if err != nil {
		return "", err
	}
	_, err = w.run(w.ctx, command{
		stack: w.stack, env: w.plan.Environment, args: append(append(args, "--"), names...), out: w.out, deadline: w.deadlines.Up,
	})
	if err != nil {
		return "", because(err, reason, "docker compose %s of stack %s failed", args[0], w.stack.Name)
	}
	after, err := w.containers(nil)
	if err != nil {
		return "", err
	}
	if args[0] == "restart" {
		return "restarted " + strings.Join(names, " "), nil
	}
	return difference(before, after), nil
}

// containers maps the IDs of a stack's containers to their services.
func (w *work) containers(patterns []string) (map[string]string, error) {
	m, err := w.model(w.ctx, w.plan, w.stack)
	if err != nil {
		return nil, err
	}
	list, err := w.list(w.ctx, m.Name)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, summary := range list {
		service := summary.Labels[labelService]
		if len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return pipeline.MatchService(p, service) }) {
			found[summary.ID] = service
		}
	}
	return found, nil
}

// difference says in one line what became of the containers.
func difference(before, after map[string]string) string {
	created, kept := map[string]bool{}, 0
	for id, service := range after {
		if _, old := before[id]; old {
			kept++
			continue
		}
		created[service] = true
	}
	if len(created) == 0 {
		return fmt.Sprintf("nothing to change, %d containers kept", kept)
	}
	return fmt.Sprintf("new: %s; %d kept", strings.Join(slices.Sorted(maps.Keys(created)), " "), kept)
}

func (w *work) exec(e pipeline.Exec) (string, error) {
	ctx, cancel := context.WithTimeout(w.ctx, w.deadlines.Up)
	defer cancel()
	code, err := w.Exec(ctx, w.plan, e, w.out)
	if err != nil {
		return "", err
	}
	if code != 0 {
		return "", fault.New(fault.Failed, "EXEC_FAILED", "%s in %s ended with exit code %d", strings.Join(e.Command, " "), e.Service, code)
	}
	return "exit code 0", nil
}

// because puts the step's words in front of a child's; nil stays nil. A child that ran and failed
// gets the step's own reason; what kept it from running, or ended it, keeps its.
func because(err error, reason, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if own := fault.ReasonOf(err); own != "CHILD_FAILED" {
		reason = own
	}
	return fault.Wrap(err, fault.KindOf(err), reason, format, args...)
}
