package compose

import (
	"context"
	"slices"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/latest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// modelLimits bound how long diagnostics wait for a rendering. Where nothing was rendered
// yet there is nothing to tell instead, so the wait is longer.
var modelLimits = latest.Limits{Wait: 400 * time.Millisecond, First: 5 * time.Second, Deadline: lookTimeout}

// Diagnostics is the Inspector of those who only look. When `docker compose config` hangs or
// is slow it goes by the last configuration that was rendered. Steps and verdicts must not:
// they use [Compose] itself.
func (c *Compose) Diagnostics() operation.Inspector { return diagnostics{c} }

type diagnostics struct{ *Compose }

// Services implements operation.Inspector.
func (d diagnostics) Services(ctx context.Context, plan *pipeline.Plan, stacks []string) ([]operation.Service, error) {
	models, errs := make([]model, len(plan.Stacks)), make([]error, len(plan.Stacks))
	var group sync.WaitGroup
	for i, stack := range plan.Stacks {
		if len(stacks) == 0 || slices.Contains(stacks, stack.Name) {
			group.Go(func() { models[i], errs[i] = d.recent(ctx, plan, stack) })
		}
	}
	group.Wait()
	return d.services(ctx, plan, stacks, func(_ context.Context, _ *pipeline.Plan, stack pipeline.Stack) (model, error) {
		i := slices.IndexFunc(plan.Stacks, func(s pipeline.Stack) bool { return s.Name == stack.Name })
		return models[i], errs[i]
	})
}

// recent is the configuration of a stack as it is rendered now, else as it was last.
func (d diagnostics) recent(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack) (model, error) {
	m, err := d.rendered(stack.Name).Get(ctx, func(ctx context.Context) (model, error) { return d.model(ctx, plan, stack) })
	if fault.ReasonOf(err) != "NO_ANSWER" {
		return m, err
	}
	if m.Name == "" {
		return m, fault.Wrap(err, fault.Deadline, "COMPOSE_CONFIG", "docker compose config of stack %s does not answer", stack.Name).
			WithHint("look for a hung docker compose on the host")
	}
	d.log.Warn("docker compose config does not answer, its last answer is told", "stack", stack.Name, "error", err)
	return m, nil
}

// rendered remembers the configuration of a stack.
func (c *Compose) rendered(stack string) *latest.Value[model] {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.last[stack]
	if v == nil {
		v = latest.New[model](modelLimits)
		c.last[stack] = v
	}
	return v
}

// forget ends the renderings that diagnostics began.
func (c *Compose) forget() {
	c.mu.Lock()
	values := c.last
	c.last = map[string]*latest.Value[model]{}
	c.mu.Unlock()
	for _, v := range values {
		v.Close()
	}
}
