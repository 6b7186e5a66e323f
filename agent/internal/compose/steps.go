package compose

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Run implements ports.Runtime.
func (c *Compose) Run(ctx context.Context, plan *pipeline.Plan, todo ports.Work, out ports.Output) (string, error) {
	step := todo.Step
	stack, ok := plan.Stack(step.Stack())
	if !ok {
		return "", fault.New(fault.Internal, "UNKNOWN_STACK", "the plan has no stack %q", step.Stack())
	}
	w := &work{Compose: c, plan: plan, stack: stack, Work: todo, out: out}
	switch {
	case step.Build != nil:
		return w.build(ctx, *step.Build)
	case step.Up != nil:
		return w.changing(ctx, change{patterns: step.Up.Services, withDeps: !step.Up.NoDeps, do: func() (string, error) { return w.up(ctx, *step.Up) }})
	case step.Recreate != nil:
		return w.changing(ctx, change{patterns: step.Recreate.Services, withDeps: !step.Recreate.NoDeps, do: func() (string, error) { return w.recreate(ctx, *step.Recreate) }})
	case step.Restart != nil:
		return w.changing(ctx, change{patterns: nobody, do: func() (string, error) { return w.restart(ctx, *step.Restart) }})
	case step.Exec != nil:
		return w.execute(ctx, *step.Exec)
	}
	return "", fault.New(fault.Internal, "UNKNOWN_STEP", "Compose does not do %s steps", step.Kind())
}

// work is one step on one stack.
type work struct {
	*Compose
	plan  *pipeline.Plan
	stack pipeline.Stack
	out   ports.Output
	ports.Work
}

// change is what a step does to containers.
type change struct {
	patterns []string // services whose containers it may replace
	withDeps bool     // and those of what they depend on, where they changed
	do       func() (summary string, err error)
}

// nobody is the pattern of a step that may replace no container.
var nobody = []string{""}

// changing does the work of a step, gives those that live in namespaces of what was changed new ones, and makes sure that the services
// which the step does not name have the containers, and the places in networks, that they had when it began for the first time.
func (w *work) changing(ctx context.Context, c change) (string, error) {
	m, err := w.model(ctx, w.plan, w.stack)
	if err != nil {
		return "", err
	}
	defer w.together(m.Project)()
	if err := w.keepNames(ctx, m.Project, w.out); err != nil {
		return "", err
	}
	summary, err := c.do()
	if err != nil {
		return "", err
	}
	if mended, err := w.mendSharers(ctx, m); err != nil {
		return "", err
	} else if mended != "" {
		summary += "; " + mended
	}
	if w.Before == nil {
		return summary, nil
	}
	after, err := w.Look(ctx, []string{m.Project}, nil, false)
	if err != nil {
		return "", err
	}
	kept := m.Keeping(m.Matching(c.patterns), c.withDeps, *w.Before, after)
	if wrong := w.ours(ctx, kept.Wrong, m); len(wrong) > 0 {
		return "", fault.New(fault.Failed, "NOT_KEPT", "the step does not name %s, and yet the containers are not those that it found, or not where they were", strings.Join(wrong, ", ")).
			WithHint("something else changes this stack while it is deployed; if they are meant, name them in the action")
	}
	if len(kept.Replaced) > 0 {
		w.Warn("DEPENDENCY_REPLACED", fmt.Sprintf("%s: %s changed, too, and got a new container, because services of this step depend on it", w.Step.ID, strings.Join(kept.Replaced, ", ")))
	}
	return summary, nil
}

// ours leaves out services that another stack has in the same compose project: stacks are changed side by side.
func (w *work) ours(ctx context.Context, services []string, m picture.Model) []string {
	if len(services) == 0 {
		return nil
	}
	for _, other := range w.plan.Stacks {
		if other.Name == w.stack.Name {
			continue
		}
		theirs, err := w.model(ctx, w.plan, other)
		if err != nil || theirs.Project != m.Project {
			continue // what does not render changes nothing
		}
		services = slices.DeleteFunc(services, func(name string) bool {
			_, shared := theirs.Services[name]
			return shared
		})
	}
	return services
}

// services expands patterns to the names that the checkout's compose files have now. No
// pattern is no name: Compose then takes them all.
func (w *work) services(ctx context.Context, patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	m, err := w.model(ctx, w.plan, w.stack)
	if err != nil {
		return nil, err
	}
	found := m.Matching(patterns)
	if len(found) == 0 {
		return nil, fault.New(fault.Invalid, "UNKNOWN_SERVICE", "stack %s has no service %s; it has %s", w.stack.Name, strings.Join(patterns, ", "), strings.Join(m.Names(), " "))
	}
	return found, nil
}

func (w *work) build(ctx context.Context, b pipeline.Build) (string, error) {
	names, err := w.services(ctx, b.Services)
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
	_, err = w.run(ctx, command{
		stack: w.stack, env: w.plan.Environment, args: append(append(args, "--"), names...), out: w.out,
		deadline: w.deadlines.Build, silence: w.deadlines.NoProgress,
	})
	return strings.Join(names, " "), because(err, "BUILD_FAILED", "build of stack %s failed", w.stack.Name)
}

// todo is what the step still has to do to services.
func (w *work) todo(ctx context.Context, patterns []string) (picture.Todo, error) {
	names, err := w.services(ctx, patterns)
	if err != nil {
		return picture.Todo{}, err
	}
	m, err := w.model(ctx, w.plan, w.stack)
	if err != nil {
		return picture.Todo{}, err
	}
	if len(names) == 0 {
		names = m.Names()
	}
	now, err := w.Look(ctx, []string{m.Project}, nil, false)
	return picture.Todo{Model: m, Names: names, Before: w.Before, Now: now, Past: w.Past, Changed: w.Changed}, err
}

func (w *work) up(ctx context.Context, u pipeline.Up) (string, error) {
	args := slices.Clone(upArgs)
	for _, flag := range []struct {
		name string
		set  bool
	}{{"--no-deps", u.NoDeps}, {"--force-recreate", u.ForceRecreate}, {"--no-recreate", u.NoRecreate}} {
		if flag.set {
			args = append(args, flag.name)
		}
	}
	switch {
	case u.ForceRecreate && w.Before != nil:
		todo, err := w.todo(ctx, u.Services)
		if err != nil {
			return "", err
		}
		left := todo.ToReplace()
		if len(left) == 0 {
			return doneBefore, nil
		}
		return w.change(ctx, left, args, "UP_FAILED")
	case u.ForceRecreate || u.NoRecreate:
		return w.change(ctx, u.Services, args, "UP_FAILED")
	}
	return w.upFresh(ctx, u, args)
}

// upFresh is an up after which services run with what their mounts show now. Compose compares
// configurations, not the content of mounted files, so those of outdated services are replaced.
func (w *work) upFresh(ctx context.Context, u pipeline.Up, args []string) (string, error) {
	todo, err := w.todo(ctx, u.Services)
	if err != nil {
		return "", err
	}
	outdated, rest := todo.Outdated()
	if len(outdated) == 0 {
		return w.change(ctx, u.Services, args, "UP_FAILED")
	}
	w.out(operation.Stdout, "mounted files changed, so these are recreated: "+strings.Join(outdated, " "), false)
	replaced, err := w.recreate(ctx, pipeline.Recreate{Stack: u.Stack, Services: outdated, NoDeps: u.NoDeps})
	if err != nil || len(rest) == 0 {
		return replaced, err
	}
	summary, err := w.change(ctx, rest, args, "UP_FAILED")
	return "mounts changed: " + replaced + "; " + summary, err
}

// recreate replaces containers and makes sure that it did: `up` alone leaves a container
// as it is when only the content of a mounted file changed.
func (w *work) recreate(ctx context.Context, r pipeline.Recreate) (string, error) {
	args := append(slices.Clone(upArgs), "--force-recreate")
	if r.NoDeps {
		args = append(args, "--no-deps")
	}
	todo, err := w.todo(ctx, r.Services)
	if err != nil {
		return "", err
	}
	left := todo.ToReplace()
	if len(left) == 0 {
		return doneBefore, nil
	}
	summary, err := w.change(ctx, left, args, "RECREATE_FAILED")
	if err != nil {
		return "", err
	}
	now, err := w.Look(ctx, todo.Now.Projects, nil, false)
	if err != nil {
		return "", err
	}
	for _, name := range left {
		for _, old := range todo.Now.Of(todo.Model.Key(name)) {
			if now.Has(old.ID) {
				return "", fault.New(fault.Failed, "NOT_RECREATED", "%s still has its old container %.12s", name, old.ID)
			}
		}
	}
	return summary, nil
}

func (w *work) restart(ctx context.Context, r pipeline.Restart) (string, error) {
	todo, err := w.todo(ctx, r.Services)
	if err != nil {
		return "", err
	}
	left := todo.ToRestart()
	if len(left) == 0 {
		return doneBefore, nil
	}
	return w.change(ctx, left, []string{"restart"}, "RESTART_FAILED")
}

// doneBefore is the summary of a step that had been done when it was entered again.
const doneBefore = "had been done before the agent ended"

// change runs a command that changes containers and says which it changed.
func (w *work) change(ctx context.Context, patterns, args []string, reason string) (string, error) {
	names, err := w.services(ctx, patterns)
	if err != nil {
		return "", err
	}
	m, err := w.model(ctx, w.plan, w.stack)
	if err != nil {
		return "", err
	}
	defer w.project(m.Project)()
	if err := w.repair(ctx, m.Project, w.out); err != nil {
		return "", err
	}
	if args[0] == "up" {
		if err := w.thaw(ctx, m, names, !slices.Contains(args, "--no-deps")); err != nil {
			return "", err
		}
	}
	before, err := w.containers(ctx, m.Project)
	if err != nil {
		return "", err
	}
	_, err = w.run(ctx, command{
		stack: w.stack, env: w.plan.Environment, args: append(append(slices.Clone(args), "--"), names...), out: w.out, deadline: w.deadlines.Up,
	})
	if err != nil {
		return "", because(err, reason, "docker compose %s of stack %s failed", args[0], w.stack.Name)
	}
	after, err := w.containers(ctx, m.Project)
	if err != nil {
		return "", err
	}
	if args[0] == "restart" {
		return "restarted " + strings.Join(names, " "), nil
	}
	return difference(before, after), nil
}

// containers maps the IDs of a project's containers to their services.
func (w *work) containers(ctx context.Context, project string) (map[string]string, error) {
	list, err := w.list(ctx, project)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, summary := range list {
		found[summary.ID] = summary.Labels[labelService]
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

func (w *work) execute(ctx context.Context, e pipeline.Exec) (string, error) {
	limited, cancel := context.WithTimeout(ctx, w.deadlines.Up)
	defer cancel()
	code, err := w.Exec(limited, w.plan, e, w.out)
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
