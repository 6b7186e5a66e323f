package compose

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
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
	if err := c.Ready(ctx); err != nil {
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
		return m, fault.Wrap(err, fault.Invalid, "COMPOSE_CONFIG", "the target's compose files are not valid").
			WithHint("try it in a checkout: docker compose config")
	}
	for name, s := range m.Services {
		for _, f := range s.EnvFile {
			if (f.Required == nil || *f.Required) && !c.somewhere(sideTree, f.Path) {
				return m, fault.New(fault.Invalid, "ENV_FILE_MISSING", "stack %s: service %s needs %s, which is neither in the target nor on the host", stack.Name, name, f.Path).
					WithHint("put it into the checkout on the host")
			}
		}
	}
	running, err := c.render(ctx, plan, stack, "")
	if err == nil && running.Name != m.Name {
		return m, fault.New(fault.Refused, "PROJECT_RENAMED", "stack %s runs as compose project %q, the target would run it as %q: every container would exist twice", stack.Name, running.Name, m.Name).
			WithHint("keep the name, or stop the stack by hand first")
	}
	return m, nil // a stack that does not render today is new, or the target mends it
}

// somewhere reports whether a path of the side tree exists there or in the checkout.
func (c *Compose) somewhere(sideTree, path string) bool {
	if _, err := os.Stat(path); err == nil {
		return true
	}
	rel, err := filepath.Rel(sideTree, path)
	if err != nil || !filepath.IsLocal(rel) {
		return false
	}
	_, err = os.Stat(filepath.Join(c.dir, rel))
	return err == nil
}

// lendUntracked lets the side tree see the interpolation files that live untracked in
// the checkout, by symbolic links: their content is not copied.
func (c *Compose) lendUntracked(sideTree string, stack pipeline.Stack) error {
	wanted := slices.Clone(stack.EnvFiles)
	wanted = append(wanted, ".env")
	if len(stack.Files) > 0 {
		wanted = append(wanted, filepath.Join(filepath.Dir(stack.Files[0]), ".env"))
	}
	for _, rel := range wanted {
		if !filepath.IsLocal(rel) {
			continue // outside the tree it is the same file for both
		}
		source, link := filepath.Join(c.dir, rel), filepath.Join(sideTree, rel)
		if _, err := os.Stat(source); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Dir(link)); err != nil {
			continue // the target has no such folder
		}
		if err := os.Symlink(source, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return fault.Wrap(err, fault.Failed, "SIDE_TREE", "prepare the side tree")
		}
	}
	return nil
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
