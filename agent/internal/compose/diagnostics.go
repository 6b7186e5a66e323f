package compose

import (
	"context"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/latest"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// modelLimits bound how long diagnostics wait for a rendering. Where nothing was rendered
// yet there is nothing to tell instead, so the wait is longer.
var modelLimits = latest.Limits{Wait: 400 * time.Millisecond, First: 5 * time.Second, Deadline: lookTimeout}

// Diagnostics is the Inspector of those who only look. When `docker compose config` hangs or
// is slow it goes by the last configuration that was rendered. Steps and verdicts must not:
// they use [Compose] itself.
func (c *Compose) Diagnostics() ports.Inspector { return diagnostics{c} }

type diagnostics struct{ *Compose }

// Services implements ports.Inspector.
func (d diagnostics) Services(ctx context.Context, plan *pipeline.Plan, stacks []string) ([]picture.Service, error) {
	some := only(plan, stacks)
	models, errs := make([]picture.Model, len(some.Stacks)), make([]error, len(some.Stacks))
	var group sync.WaitGroup
	for i, stack := range some.Stacks {
		group.Go(func() { models[i], errs[i] = d.recent(ctx, plan, stack) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return d.services(ctx, models, stacks)
}

// recent is the configuration of a stack as it is rendered now, else as it was last.
func (d diagnostics) recent(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack) (picture.Model, error) {
	m, err := d.rendered(stack.Name).Get(ctx, func(ctx context.Context) (picture.Model, error) { return d.model(ctx, plan, stack) })
	if fault.ReasonOf(err) != "NO_ANSWER" {
		return m, err
	}
	if m.Project == "" {
		return m, fault.Wrap(err, fault.Deadline, "COMPOSE_CONFIG", "docker compose config of stack %s does not answer", stack.Name).
			WithHint("look for a hung docker compose on the host")
	}
	d.log.Warn("docker compose config does not answer, its last answer is told", "stack", stack.Name, "error", err)
	return m, nil
}

// rendered remembers the configuration of a stack.
func (c *Compose) rendered(stack string) *latest.Value[picture.Model] {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.last[stack]
	if v == nil {
		v = latest.New[picture.Model](modelLimits)
		c.last[stack] = v
	}
	return v
}

// forget ends the renderings that diagnostics began.
func (c *Compose) forget() {
	c.mu.Lock()
	values := c.last
	c.last = map[string]*latest.Value[picture.Model]{}
	c.mu.Unlock()
	for _, v := range values {
		v.Close()
	}
}
