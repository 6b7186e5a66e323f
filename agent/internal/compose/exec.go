package compose

import (
	"context"
	"errors"
	"strings"
	"time"

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
	created, err := c.docker.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: exec.Command, User: exec.User, AttachStdout: true, AttachStderr: true, Env: process.EnvOf(ctx),
	})
	if err != nil {
		return 0, engineFault(err)
	}
	attached, err := c.docker.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
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
	if ctx.Err() != nil {
		late := fault.Wrap(context.Cause(ctx), fault.Deadline, "EXEC_DEADLINE", "%s in %s did not end in time", strings.Join(exec.Command, " "), exec.Service)
		left := innerCommand{container: id, service: exec.Service, exec: created.ID, words: exec.Command}
		return 0, errors.Join(late, c.endCommand(context.WithoutCancel(ctx), left, out))
	}
	if err != nil {
		return 0, engineFault(err)
	}
	return c.exitCode(ctx, created.ID)
}

// execEnds is how long the engine may take to record the end of a command whose output has ended.
const execEnds = 5 * time.Second

// exitCode reads how a command ended, whose output has ended.
func (c *Compose) exitCode(ctx context.Context, exec string) (int, error) {
	for deadline := time.Now().Add(execEnds); ; {
		answer, err := c.docker.ContainerExecInspect(ctx, exec)
		switch {
		case err != nil:
			return 0, engineFault(err)
		case !answer.Running:
			return answer.ExitCode, nil
		case time.Now().After(deadline): // it closed its output and goes on
			return 0, fault.New(fault.Failed, "EXEC_GOES_ON", "the command closed its output and does not end")
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
