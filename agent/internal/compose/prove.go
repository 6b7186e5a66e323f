package compose

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/strictyaml"
)

// Prove implements operation.Runtime: the target's compose files render, they name the
// project that runs, and every service that a step speaks of exists.
func (c *Compose) Prove(ctx context.Context, plan *pipeline.Plan, sideTree string, out operation.Output) error {
	if _, _, err := c.Version(ctx); err != nil {
		return err
	}
	models := map[string]model{}
	c.mu.Lock()
	clear(c.names) // of the operation before
	c.mu.Unlock()
	for _, stack := range plan.Stacks {
		if err := c.lendUntracked(sideTree, stack); err != nil {
			return err
		}
		m, err := c.proveStack(ctx, plan, stack, sideTree)
		if err != nil {
			return err
		}
		models[stack.Name] = m
		c.mu.Lock()
		c.names[plan.Digest()+"/"+stack.Name] = m.Name
		c.mu.Unlock()
		out(operation.Stdout, "stack "+stack.Name+": project "+m.Name+", services "+strings.Join(slices.Sorted(maps.Keys(m.Services)), " "), false)
	}
	var problems []error
	for _, s := range plan.Steps {
		problems = append(problems, checkServices(s.ID, s.Stack(), s.Services(), models))
	}
	for _, p := range plan.Verify.Probes {
		if p.Postgres != nil {
			problems = append(problems, checkServices("probe "+p.Name, p.Postgres.Stack, []string{p.Postgres.Service}, models))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fault.Wrap(err, fault.Invalid, "UNKNOWN_SERVICE", "landfall.yaml and the compose files disagree").
			WithHint("correct one of them and push again")
	}
	return nil
}

func (c *Compose) proveStack(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack, sideTree string) (model, error) {
	m, err := c.render(ctx, plan, stack, sideTree)
	if err != nil {
		// Compose (2.40.3) wants the services' env files even with --no-env-resolution, and those
		// hold secrets: they live on the host, untracked.
		lent, lendErr := c.lendEnvFiles(ctx, plan, stack, sideTree)
		if lendErr != nil {
			return m, lendErr
		}
		if lent {
			m, err = c.render(ctx, plan, stack, sideTree)
		}
	}
	if err != nil {
		return m, fault.Wrap(err, fault.Invalid, "COMPOSE_CONFIG", "the target's compose files are not valid").
			WithHint("try it in a checkout: docker compose config")
	}
	running, err := c.render(ctx, plan, stack, "")
	if err == nil && running.Name != m.Name {
		return m, fault.New(fault.Refused, "PROJECT_RENAMED", "stack %s runs as compose project %q, the target would run it as %q: every container would exist twice", stack.Name, running.Name, m.Name).
			WithHint("keep the name, or stop the stack by hand first")
	}
	return m, nil // a stack that does not render today is new, or the target mends it
}

// checkServices finds service patterns that match nothing.
func checkServices(where, stack string, patterns []string, models map[string]model) error {
	names := slices.Sorted(maps.Keys(models[stack].Services))
	for _, p := range patterns {
		if slices.ContainsFunc(names, func(name string) bool { return pipeline.MatchService(p, name) }) {
			continue
		}
		problem := fault.New(fault.Invalid, "UNKNOWN_SERVICE", "%s: stack %s has no service %q", where, stack, p)
		if near := strictyaml.Suggest(p, names); near != "" {
			problem.Message += ", did you mean " + near + "?"
		}
		return problem
	}
	return nil
}
