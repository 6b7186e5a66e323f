package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Revert implements operation.Reverter.
func (c *Compose) Revert(ctx context.Context, reversal operation.Reversal, out operation.Output) (string, error) {
	r := &revert{Compose: c, Reversal: reversal, ctx: ctx, out: out}
	if err := r.images(); err != nil {
		return "", err
	}
	var errs []error
	for _, stack := range r.Plan.Stacks { // one that cannot be brought back is no reason to leave the others
		errs = append(errs, r.stack(stack))
	}
	if err := errors.Join(append(errs, r.removeNew())...); err != nil {
		return "", err
	}
	return r.summary(), r.check()
}

// revert is one Revert.
type revert struct {
	*Compose
	operation.Reversal
	ctx context.Context //nolint:containedctx // lives exactly as long as the one call it belongs to
	out operation.Output

	missing map[string]bool // image IDs that are gone

	// what was done, by service
	recreated, restarted, removed, rebuilt []string
}

// images gives every name back the image that it meant, so that nothing later picks the new one up.
func (r *revert) images() error {
	r.missing = map[string]bool{}
	for _, p := range r.Past.Containers {
		if p.ImageRef == "" || strings.ContainsAny(p.ImageRef, "@") || strings.HasPrefix(p.ImageRef, "sha256:") || r.missing[p.ImageID] {
			continue
		}
		err := r.docker.ImageTag(r.ctx, p.ImageID, p.ImageRef)
		switch {
		case cerrdefs.IsNotFound(err):
			r.missing[p.ImageID] = true
			r.out(operation.Stderr, fmt.Sprintf("the image %.19s of %s is gone; it is built again", p.ImageID, p.Service), false)
		case err != nil:
			return engineFault(err)
		}
	}
	return nil
}

// deed is what one service needs.
type deed int

const (
	leave deed = iota
	start
	restart
	recreate
)

// stack brings the services of one stack back that were there.
func (r *revert) stack(stack pipeline.Stack) error {
	m, err := r.model(r.ctx, r.Plan, stack)
	if err != nil {
		return err
	}
	defer r.project(m.Name)()
	if err := r.repair(r.ctx, m.Name, r.out); err != nil {
		return err
	}
	present, err := r.present(stack.Name, m.Name)
	if err != nil {
		return err
	}
	deeds := map[deed][]string{}
	var rebuild []string
	for _, name := range slices.Sorted(maps.Keys(m.Services)) {
		d := r.decide(stack.Name, name, present, r.shows(m, name, r.Changed))
		deeds[d] = append(deeds[d], name)
		if d == recreate && r.gone(stack.Name, name) {
			rebuild = append(rebuild, name)
		}
	}
	if len(rebuild) > 0 {
		r.rebuilt = append(r.rebuilt, rebuild...)
		if err := r.compose(stack, append([]string{"build", "--"}, rebuild...), r.deadlines.Build); err != nil {
			return because(err, "BUILD_FAILED", "the images of the old version are gone and cannot be built again")
		}
	}
	for _, d := range []deed{recreate, restart, start} {
		if err := r.do(stack, d, deeds[d]); err == nil {
			continue
		} else if fault.KindOf(err) != fault.Failed {
			return because(err, "ROLLBACK_UP_FAILED", "stack %s", stack.Name)
		}
		return because(r.oneByOne(stack, m), "ROLLBACK_UP_FAILED", "stack %s", stack.Name)
	}
	return nil
}

// do does one deed to services.
func (r *revert) do(stack pipeline.Stack, d deed, names []string) error {
	if len(names) == 0 || d == leave {
		return nil
	}
	args, into := []string{"start", "--"}, &r.restarted
	switch d {
	case recreate:
		args, into = []string{"up", "--detach", "--no-deps", "--no-build", "--force-recreate", "--"}, &r.recreated
	case restart:
		args = []string{"restart", "--no-deps", "--"}
	default: // start
	}
	if err := r.compose(stack, append(args, names...), r.deadlines.Up); err != nil {
		return err
	}
	*into = append(*into, names...)
	return nil
}

// engineSettles is how long the engine is given to end what a Compose that failed had asked of it: it goes on
// renaming and removing for a moment.
const engineSettles = 2 * time.Second

// oneByOne does what is left to do, a service at a time: where Compose cannot start one of several, it leaves the
// others created and not started. The error tells of those that cannot be brought back.
func (r *revert) oneByOne(stack pipeline.Stack, m model) error {
	select {
	case <-time.After(engineSettles):
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	if err := r.repair(r.ctx, m.Name, r.out); err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(m.Services)) {
		present, err := r.present(stack.Name, m.Name)
		if err != nil {
			return err
		}
		d := r.decide(stack.Name, name, present, r.shows(m, name, r.Changed))
		if err := r.do(stack, d, []string{name}); err != nil {
			errs = append(errs, because(err, fault.ReasonOf(err), "service %s", name))
		}
	}
	return errors.Join(errs...)
}

func (r *revert) compose(stack pipeline.Stack, args []string, deadline time.Duration) error {
	_, err := r.run(r.ctx, command{stack: stack, env: r.Plan.Environment, args: args, out: r.out, deadline: deadline, silence: r.deadlines.NoProgress})
	return err
}

// present observes the stack as it is this moment, by service.
func (r *revert) present(stack, project string) (map[string][]operation.Past, error) {
	list, err := r.past(r.ctx, stack, project)
	by := map[string][]operation.Past{}
	for _, p := range list {
		by[p.Service] = append(by[p.Service], p)
	}
	return by, err
}

// was lists the containers that a service had. Stacks that share a project are looked up by it.
func (r *revert) was(stack, service string) []operation.Past {
	project := r.Past.Projects[stack]
	var of []operation.Past
	for _, p := range r.Past.Containers {
		if p.Service == service && (p.Stack == stack || (project != "" && r.Past.Projects[p.Stack] == project)) {
			of = append(of, p)
		}
	}
	return of
}

// decide compares a service with its past; shows says that its mounts show files that the revert changed.
func (r *revert) decide(stack, service string, present map[string][]operation.Past, shows bool) deed {
	was := r.was(stack, service)
	if len(was) == 0 {
		return leave // it did not run, see removeNew
	}
	current := present[service]
	restored := func(p operation.Past) bool { return !r.Now.Has(p.Container) && p.ImageID == was[0].ImageID }
	if len(current) == len(was) && !slices.ContainsFunc(current, func(p operation.Past) bool { return !restored(p) }) {
		// An earlier attempt of this revert made them; it may have ended before it started them.
		if slices.ContainsFunc(current, func(p operation.Past) bool { return !p.Running && (was[0].Running || p.Started.IsZero()) }) {
			return start
		}
		return leave
	}
	worst := leave
	for _, w := range was {
		i := slices.IndexFunc(current, func(p operation.Past) bool { return p.Container == w.Container })
		switch {
		case i < 0:
			return recreate
		case w.Running && !current[i].Running:
			worst = max(worst, start)
		case w.Running && !current[i].Started.Equal(w.Started) && (shows || r.spokenOf(stack, service)) && !r.restartedSince(current[i]):
			worst = max(worst, restart) // it read files of the new version when it started
		}
	}
	return worst
}

// spokenOf reports whether a step may have touched the service.
func (r *revert) spokenOf(stack, service string) bool {
	return slices.ContainsFunc(r.Steps, func(s pipeline.Step) bool {
		patterns := s.Services()
		return s.Stack() == stack && (len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return pipeline.MatchService(p, service) }))
	})
}

// restartedSince reports whether this revert has restarted the container already.
func (r *revert) restartedSince(p operation.Past) bool {
	i := slices.IndexFunc(r.Now.Containers, func(n operation.Past) bool { return n.Container == p.Container })
	return i >= 0 && !r.Now.Containers[i].Started.Equal(p.Started)
}

// gone reports whether an image of the service's past is no longer there.
func (r *revert) gone(stack, service string) bool {
	return slices.ContainsFunc(r.was(stack, service), func(p operation.Past) bool { return r.missing[p.ImageID] })
}

// removeNew removes containers of services that had none: the old version does not know them.
// Their volumes stay.
func (r *revert) removeNew() error {
	known := map[string]bool{} // project/service
	for _, p := range r.Past.Containers {
		known[r.Past.Projects[p.Stack]+"/"+p.Service] = true
	}
	for _, stack := range slices.Sorted(maps.Keys(r.Past.Projects)) {
		project := r.Past.Projects[stack]
		list, err := r.list(r.ctx, project)
		if err != nil {
			return err
		}
		for _, s := range list {
			service := s.Labels[labelService]
			if known[project+"/"+service] {
				continue
			}
			if err := r.docker.ContainerRemove(r.ctx, s.ID, container.RemoveOptions{Force: true}); err != nil && !cerrdefs.IsNotFound(err) {
				return engineFault(err)
			}
			r.out(operation.Stdout, "removed "+service+", which the old version does not have", false)
			r.removed = append(r.removed, service)
		}
	}
	return nil
}

// check makes sure that what was there is there again, from the same images where they still exist.
func (r *revert) check() error {
	var wrong []error
	for _, stack := range r.Plan.Stacks {
		m, err := r.model(r.ctx, r.Plan, stack)
		if err != nil {
			return err
		}
		present, err := r.present(stack.Name, m.Name)
		if err != nil {
			return err
		}
		for name := range m.Services {
			was := r.was(stack.Name, name)
			if len(was) == 0 || r.missing[was[0].ImageID] {
				continue
			}
			if len(present[name]) < len(was) {
				wrong = append(wrong, fmt.Errorf("%s/%s has %d containers, it had %d", stack.Name, name, len(present[name]), len(was)))
			}
			for _, p := range present[name] {
				if p.ImageID != was[0].ImageID {
					wrong = append(wrong, fmt.Errorf("%s/%s runs image %.19s, it ran %.19s", stack.Name, name, p.ImageID, was[0].ImageID))
				}
			}
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return fault.Wrap(err, fault.Degraded, "NOT_REVERTED", "the old version does not run")
	}
	return nil
}

func (r *revert) summary() string {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"recreated", r.recreated}, {"restarted", r.restarted}, {"removed", r.removed}, {"built again", r.rebuilt}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+" "+strings.Join(p.names, " "))
		}
	}
	if len(parts) == 0 {
		return "nothing to bring back"
	}
	return strings.Join(parts, "; ")
}
