package compose

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// running finds the first running container of a service.
func (c *Compose) running(ctx context.Context, plan *pipeline.Plan, stackName, service string) (string, error) {
	stack, ok := plan.Stack(stackName)
	if !ok {
		return "", fault.New(fault.Invalid, "UNKNOWN_STACK", "there is no stack %q", stackName)
	}
	m, err := c.model(ctx, plan, stack)
	if err != nil {
		return "", err
	}
	list, err := c.list(ctx, m.Project)
	if err != nil {
		return "", err
	}
	for _, s := range list {
		if s.Labels[labelService] == service && s.State == "running" {
			return s.ID, nil
		}
	}
	return "", fault.New(fault.Failed, "NOT_RUNNING", "service %s of stack %s has no running container", service, stackName)
}

// Exec implements ports.Inspector. The engine has no way to end a command that it has started: when ctx ends its processes are
// ended, where we may, and it is waited for.
func (c *Compose) Exec(ctx context.Context, plan *pipeline.Plan, exec pipeline.Exec, out ports.Output) (int, error) {
	id, err := c.running(ctx, plan, exec.Stack, exec.Service)
	if err != nil {
		return 0, err
	}
	change, cancel := context.WithTimeout(ctx, c.changeTimeout)
	defer cancel()
	created, err := c.docker.ContainerExecCreate(change, id, container.ExecOptions{
		Cmd: exec.Command, User: exec.User, AttachStdout: true, AttachStderr: true, Env: process.EnvOf(ctx),
	})
	if err != nil {
		return 0, engineFault(err)
	}
	// From here on it may run, whatever the engine answers.
	code, err := c.attend(ctx, change, created.ID, out)
	if err == nil {
		return code, nil
	}
	if ctx.Err() != nil {
		err = fault.Wrap(context.Cause(ctx), endedKind(ctx), "EXEC_DEADLINE", "%s in %s did not end in time", strings.Join(exec.Command, " "), exec.Service)
	}
	left := innerCommand{container: id, service: exec.Service, exec: created.ID, words: exec.Command}
	return 0, errors.Join(err, c.endCommand(context.WithoutCancel(ctx), left, out))
}

// endedKind is the kind of the cause for which work was given up; an unclassified one is a deadline.
func endedKind(ctx context.Context) fault.Kind {
	var cause *fault.Error
	if errors.As(context.Cause(ctx), &cause) {
		return cause.Kind
	}
	return fault.Deadline
}

// attend starts a command, hands its output on, and waits for its end.
func (c *Compose) attend(ctx, change context.Context, exec string, out ports.Output) (int, error) {
	attached, err := c.attach(change, exec)
	if err != nil {
		return 0, engineFault(err)
	}
	defer attached.Close()
	stop := context.AfterFunc(ctx, attached.Close) // a read from the engine knows no context
	defer stop()

	stdout, stderr := &lineWriter{stream: operation.Stdout, out: out}, &lineWriter{stream: operation.Stderr, out: out}
	_, err = stdcopy.StdCopy(stdout, stderr, attached.Reader)
	stdout.flush()
	stderr.flush()
	if err != nil {
		return 0, engineFault(err)
	}
	return c.exitCode(ctx, exec)
}

// attach starts a command. The client waits for the engine's answer without looking at the context, so it is left waiting when that ends.
func (c *Compose) attach(ctx context.Context, exec string) (types.HijackedResponse, error) {
	type answer struct {
		types.HijackedResponse
		err error
	}
	answers := make(chan answer)
	go func() {
		attached, err := c.docker.ContainerExecAttach(ctx, exec, container.ExecAttachOptions{})
		select {
		case answers <- answer{attached, err}:
		case <-ctx.Done():
			if err == nil {
				attached.Close()
			}
		}
	}()
	select {
	case a := <-answers:
		return a.HijackedResponse, a.err
	case <-ctx.Done():
		return types.HijackedResponse{}, ctx.Err()
	}
}

// exitCode waits for the end of a command whose output has ended: it may have closed it, and go on.
func (c *Compose) exitCode(ctx context.Context, exec string) (int, error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		state, err := c.exec(ctx, exec)
		switch {
		case err != nil:
			return 0, engineFault(err)
		case !state.Running:
			return state.ExitCode, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
