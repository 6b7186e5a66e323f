package compose

import (
	"context"
	"fmt"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Carry implements ports.Restorer. What is replaced is replaced by Compose; the rest is done to the very containers, by the engine.
func (c *Compose) Carry(ctx context.Context, plan *pipeline.Plan, batch picture.Batch, out ports.Output) error {
	if batch.Verb == picture.Recreate || batch.Verb == picture.Create {
		return c.replace(ctx, plan, batch, out)
	}
	for _, d := range batch.Deeds {
		for _, id := range d.Containers {
			if err := c.to(ctx, d, id, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// to does a deed to one container. One that is gone is no error: nothing is left to do.
func (c *Compose) to(ctx context.Context, d picture.Deed, id string, out ports.Output) error {
	change, cancel := context.WithTimeout(ctx, c.deadlines.Up)
	defer cancel()
	var err error
	switch d.Verb {
	case picture.Start:
		err = c.docker.ContainerStart(change, id, container.StartOptions{})
	case picture.Stop:
		err = c.docker.ContainerStop(change, id, container.StopOptions{}) // its own time to stop
	case picture.Restart:
		err = c.docker.ContainerRestart(change, id, container.StopOptions{})
	case picture.Reconnect:
		err = c.reconnect(change, d, id)
	case picture.Pause:
		// Where the engine cannot, or it has ended meanwhile, the comparison with what ran says so.
		if err = c.docker.ContainerPause(change, id); err != nil && !isDown(err) && change.Err() == nil {
			out(operation.Stderr, fmt.Sprintf("%s cannot be paused: %v", d.Key, err), false)
			return nil
		}
	case picture.Remove:
		// It is given its time: a database that is killed recovers for longer than it stops.
		if err = c.docker.ContainerStop(change, id, container.StopOptions{}); err == nil || cerrdefs.IsNotFound(err) {
			err = c.docker.ContainerRemove(change, id, container.RemoveOptions{Force: true})
		}
		if err == nil {
			out(operation.Stdout, fmt.Sprintf("removed a container of %s, its volumes stay", d.Key), false)
		}
	default:
		return fault.New(fault.Internal, "UNKNOWN_VERB", "nobody does %s to a container", d.Verb)
	}
	switch {
	case err == nil, cerrdefs.IsNotFound(err):
		return nil
	case change.Err() != nil && ctx.Err() == nil:
		return fault.Wrap(err, fault.Deadline, "ENGINE_DEADLINE", "%s of %s did not end within %s", d.Verb, d.Key, c.deadlines.Up)
	case !isDown(err) && (d.Verb == picture.Start || d.Verb == picture.Restart):
		return fault.Wrap(engineFault(err), fault.Failed, "START_FAILED", "%s of %s", d.Verb, d.Key)
	}
	return engineFault(err)
}

// replace makes the containers of services again, from the images that the names mean now.
func (c *Compose) replace(ctx context.Context, plan *pipeline.Plan, batch picture.Batch, out ports.Output) error {
	stack, ok := plan.Stack(batch.Stack)
	if !ok {
		return fault.New(fault.Internal, "UNKNOWN_STACK", "the plan has no stack %q", batch.Stack)
	}
	m, err := c.model(ctx, plan, stack)
	if err != nil {
		return err
	}
	defer c.project(m.Project)()
	if err := c.repair(ctx, m.Project, out); err != nil {
		return err
	}
	for _, d := range batch.Deeds {
		if err := c.putCarriers(ctx, d, m.Services[d.Service], out); err != nil {
			return err
		}
	}
	args := slices.Clone(upArgs)
	if batch.Verb == picture.Create {
		args = slices.Clone(createArgs)
	}
	args = append(args, "--no-deps", "--force-recreate")
	for _, d := range batch.Deeds {
		if d.Scale != m.Services[d.Service].Replicas {
			args = append(args, fmt.Sprintf("--scale=%s=%d", d.Service, d.Scale))
		}
	}
	args = append(append(args, "--"), batch.Services()...)
	_, err = c.run(ctx, command{stack: stack, env: plan.Environment, args: args, out: out, deadline: c.deadlines.Up, silence: c.deadlines.NoProgress})
	return because(err, "ROLLBACK_UP_FAILED", "bring back %s of stack %s", strings.Join(batch.Services(), ", "), stack.Name)
}

// createArgs begin an up that starts nothing.
var createArgs = append(slices.DeleteFunc(slices.Clone(upArgs), func(a string) bool { return a == "--detach" }), "--no-start")

// upArgs begin every up. Nothing is built or pulled while containers are changed; see Complete.
var upArgs = []string{"up", "--detach", "--no-build", "--pull=never"}
