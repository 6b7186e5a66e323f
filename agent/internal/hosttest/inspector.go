package hosttest

import (
	"context"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Services implements ports.Inspector.
func (r Runtime) Services(ctx context.Context, plan *pipeline.Plan, stacks []string) ([]picture.Service, error) {
	if err := r.h.call(ctx, "Inspector.Services", nil); err != nil {
		return nil, err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	models, err := r.h.models(r.h.repository.head, plan)
	if err != nil {
		return nil, err
	}
	return picture.Services(models, r.h.fleet.picture(picture.Projects(models), nil, false), stacks), nil
}

// Exec implements ports.Inspector: every command succeeds where there is a container.
func (r Runtime) Exec(ctx context.Context, _ *pipeline.Plan, exec pipeline.Exec, out ports.Output) (int, error) {
	if err := r.h.call(ctx, "Inspector.Exec "+exec.Service, out); err != nil {
		return -1, err
	}
	if _, ok := r.h.Container(exec.Stack, exec.Service); !ok {
		return -1, fault.New(fault.Failed, "NOT_RUNNING", "%s/%s has no container", exec.Stack, exec.Service)
	}
	return 0, nil
}

// LastLines implements ports.Inspector: containers of this model print nothing.
func (r Runtime) LastLines(ctx context.Context, containerID string, _ int) ([]string, error) {
	return nil, r.h.call(ctx, "Inspector.LastLines "+containerID, nil)
}
