package compose

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
	"ataraxis.dev/landfall/shared/strictyaml"
)

// Prove implements ports.Runtime.
func (c *Compose) Prove(ctx context.Context, plan *pipeline.Plan, sideTree string, out ports.Output) ([]picture.Model, error) {
	if _, _, err := c.Version(ctx); err != nil {
		return nil, err
	}
	c.publishPlan(plan)
	c.forgetModels() // what is proven now is rendered anew when it is checked out
	if resolved, err := filepath.EvalSymlinks(sideTree); err == nil {
		sideTree = resolved // as Compose will tell of it
	}
	var models []picture.Model
	by := map[string]picture.Model{}
	for _, stack := range plan.Stacks {
		if err := checkSources(stack.Name, readSources(tree{c.dir, sideTree}, stack, plan.Environment)); err != nil {
			return nil, err
		}
		leaving, err := c.linkUntracked(ctx, sideTree, stack)
		if err != nil {
			return nil, err
		}
		m, err := c.proveStack(ctx, plan, stack, sideTree)
		if err != nil {
			return nil, err
		}
		m.Leaving = leaving
		models, by[stack.Name] = append(models, m), m
		out(operation.Stdout, "stack "+stack.Name+": project "+m.Project+", services "+strings.Join(m.Names(), " "), false)
	}
	var problems []error
	for _, s := range plan.Steps {
		problems = append(problems, checkServices(s.ID, s.Stack(), s.Services(), by))
	}
	for _, p := range plan.Verify.Probes {
		if p.Postgres != nil {
			problems = append(problems, checkServices("probe "+p.Name, p.Postgres.Stack, []string{p.Postgres.Service}, by))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "UNKNOWN_SERVICE", "landfall.yaml and the compose files disagree").
			WithHint("correct one of them and push again")
	}
	return models, nil
}

func (c *Compose) proveStack(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack, sideTree string) (picture.Model, error) {
	m, err := c.renderIn(ctx, plan, stack, sideTree)
	if err != nil {
		// Compose (2.40.3) wants the services' env files even with --no-env-resolution, and those
		// hold secrets: they live on the host, untracked.
		linked, linkErr := c.linkEnvFiles(ctx, plan, stack, sideTree)
		if linkErr != nil {
			return m, linkErr
		}
		if linked {
			m, err = c.renderIn(ctx, plan, stack, sideTree)
		}
	}
	var child *process.Error
	switch {
	case err == nil:
		return m, nil
	case errors.As(err, &child) && (child.Cause != process.CauseExit || child.Signal != 0): // it was ended, and has not judged the files
		return m, fault.Wrap(err, fault.KindOf(err), "COMPOSE_ENDED", "the target's compose files could not be read")
	}
	return m, fault.Wrap(err, fault.Invalid, "COMPOSE_CONFIG", "the target's compose files are not valid").
		WithHint("try it in a checkout: docker compose config")
}

// checkServices finds service patterns that match nothing.
func checkServices(where, stack string, patterns []string, models map[string]picture.Model) error {
	names := models[stack].Names()
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
