package compose

import (
	"context"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Complete implements ports.Runtime: images that the steps of the apply phase need and
// that no build step made are built or pulled now, while nothing is touched.
func (c *Compose) Complete(ctx context.Context, plan *pipeline.Plan, out ports.Output) (string, error) {
	var made []string
	for _, stack := range plan.Stacks {
		if !slices.ContainsFunc(plan.Steps, func(s pipeline.Step) bool {
			return s.Stack() == stack.Name && (s.Up != nil || s.Recreate != nil)
		}) {
			continue
		}
		names, err := c.completeStack(ctx, plan, stack, out)
		if err != nil {
			return "", err
		}
		made = append(made, names...)
	}
	if len(made) == 0 {
		return "every image is there", nil
	}
	return strings.Join(made, " "), nil
}

func (c *Compose) completeStack(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack, out ports.Output) ([]string, error) {
	m, err := c.model(ctx, plan, stack)
	if err != nil {
		return nil, err
	}
	var build, pull []string
	for _, name := range m.Names() {
		spec := m.Services[name]
		there, err := c.hasImage(ctx, spec.Image)
		switch {
		case err != nil:
			return nil, err
		case there || spec.Replicas == 0:
		case spec.Builds:
			build = append(build, name)
		default:
			pull = append(pull, name)
		}
	}
	return append(build, pull...), c.makeImages(ctx, plan, stack, build, pull, out)
}

// makeImages builds and pulls the images of services.
func (c *Compose) makeImages(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack, build, pull []string, out ports.Output) error {
	for _, w := range []struct {
		args     []string
		services []string
		reason   string
	}{{[]string{"build", "--"}, build, "BUILD_FAILED"}, {[]string{"pull", "--"}, pull, "PULL_FAILED"}} {
		if len(w.services) == 0 {
			continue
		}
		_, err := c.run(ctx, command{
			stack: stack, env: plan.Environment, args: append(w.args, w.services...), out: out, deadline: c.deadlines.Build, silence: c.deadlines.NoProgress,
		})
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), w.reason, "the images of %s in stack %s are missing", strings.Join(w.services, ", "), stack.Name)
		}
	}
	return nil
}

func (c *Compose) hasImage(ctx context.Context, name string) (bool, error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	_, err := c.docker.ImageInspect(look, name)
	switch {
	case cerrdefs.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, engineFault(err)
	}
	return true, nil
}
