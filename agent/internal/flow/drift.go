package flow

import (
	"context"
	"maps"
	"slices"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Drifted is what differs from what the checkout says.
type Drifted struct {
	Drift    []picture.Drift
	Unknown  []string // what could not be compared, for people
	Services int      // that were looked at
	Models   []picture.Model
	Now      picture.Picture
	Config   pipeline.GitOpsConfig // what the checkout wants done about it
	plan     *pipeline.Plan        // of everything at the commit that is checked out
}

// Plan is what deeds that bring services back would do.
func (d Drifted) Plan(deeds []picture.Deed) (*pipeline.Plan, error) {
	steps, err := picture.MendingSteps(d.Models, deeds)
	if err != nil {
		return nil, err
	}
	return stepsOnly(d.plan, steps), nil
}

// Drift holds what runs against the checkout. It changes nothing, and fetches nothing.
func (f *Flows) Drift(ctx context.Context) (Drifted, error) {
	plan, err := f.PlanNow(ctx)
	if err != nil {
		return Drifted{}, err
	}
	config, err := f.ports.Trees.Pipeline(ctx, plan.Target)
	if err != nil {
		return Drifted{}, err
	}
	models, err := f.ports.Runtime.Models(ctx, plan)
	if err != nil {
		return Drifted{}, err
	}
	now, err := f.ports.Restorer.Look(ctx, picture.Projects(models), picture.Refs(models), false)
	if err != nil {
		return Drifted{}, err
	}
	recent, err := f.ports.Records.Operations(0, unsettledLook)
	if err != nil {
		return Drifted{}, err
	}
	expected := picture.Expected{Models: models, Now: now}
	if expected.Configs, err = f.configs(ctx, config, plan, models, now, recent); err != nil {
		return Drifted{}, err
	}
	if expected.Changed, err = f.changedSince(ctx, config, plan.Target, now, recent); err != nil {
		return Drifted{}, err
	}
	d := Drifted{Services: len(picture.Keys(models)), Models: models, Now: now, Config: config.GitOps, plan: plan}
	d.Drift, d.Unknown = expected.Drift()
	return d, nil
}

// configs are the hashes of configuration that the checkout may have rendered for what runs. What landfall.yaml puts into the environment differs
// with the commit, so a container is held against the commits that it names.
func (f *Flows) configs(ctx context.Context, config *pipeline.Config, plan *pipeline.Plan, models []picture.Model, now picture.Picture, recent []operation.Operation) (map[picture.Key][]string, error) {
	found := map[picture.Key][]string{}
	for _, m := range models {
		stack, _ := plan.Stack(m.Stack)
		hashes, err := f.ports.Configs.Hashes(ctx, plan, stack, now)
		if err != nil {
			return nil, err
		}
		for k, hash := range hashes {
			found[k] = append(found[k], hash)
		}
		environments, err := f.environments(config, plan, m, now, found, recent)
		if err != nil {
			return nil, err
		}
		for _, environment := range environments {
			of := *plan
			of.Environment = environment
			hashes, err := f.ports.Configs.Hashes(ctx, &of, stack, now)
			if err != nil {
				return nil, err
			}
			for k, hash := range hashes {
				found[k] = append(found[k], hash)
			}
		}
	}
	return found, nil
}

// maxEnvironments bounds how many environments of earlier operations a stack is rendered with.
const maxEnvironments = 12

// environments are those, besides the plan's own, that containers of a stack may have been made with which differ from it.
func (f *Flows) environments(config *pipeline.Config, plan *pipeline.Plan, m picture.Model, now picture.Picture, known map[picture.Key][]string, recent []operation.Operation) ([]map[string]string, error) {
	var commits []string
	for name := range m.Services {
		for _, c := range now.Of(m.Key(name)) {
			if hashes := known[c.Key()]; len(hashes) > 0 && !slices.Contains(hashes, c.Config) {
				commits = append(commits, c.Commits...)
			}
		}
	}
	if len(commits) == 0 {
		return nil, nil
	}
	var found []map[string]string
	add := func(environment map[string]string) {
		same := func(e map[string]string) bool { return maps.Equal(e, environment) }
		if !same(plan.Environment) && !slices.ContainsFunc(found, same) && len(found) < maxEnvironments {
			found = append(found, environment)
		}
	}
	for _, op := range recent {
		if !slices.Contains(commits, op.Target) && !slices.Contains(commits, op.Base) {
			continue
		}
		facts, err := f.Facts(op.ID)
		if err != nil {
			return nil, err
		}
		if facts.Plan != nil {
			add(facts.Plan.Environment)
		}
	}
	for _, sha := range slices.Compact(slices.Sorted(slices.Values(commits))) { // a rollback renders without a base
		if then, err := pipeline.Compile(config, pipeline.Input{Target: sha, Everything: "of then"}); err == nil {
			add(then.Environment)
		}
	}
	return found, nil
}

// changedSince tells for each container which paths of the checkout changed since it started and are nobody's: what a flag claims was seen to by the
// deploy that brought it, as landfall.yaml wants it, were it by nothing. Where a commit is not known any more nobody can tell, and nothing is told.
func (f *Flows) changedSince(ctx context.Context, config *pipeline.Config, head string, now picture.Picture, recent []operation.Operation) (map[string]picture.Paths, error) {
	claimed, err := claims(config)
	if err != nil {
		return nil, err
	}
	found := map[string]picture.Paths{}
	differing := map[string]picture.Paths{}
	for _, c := range now.Containers {
		from := startedAt(c, recent)
		if from == "" || from == head {
			continue
		}
		if _, known := differing[from]; !known {
			paths, err := f.differing(ctx, head, from)
			if err != nil {
				return nil, err
			}
			differing[from] = slices.DeleteFunc(paths, func(path string) bool { return path == picture.AnyPath || claimed(path) })
		}
		if len(differing[from]) > 0 {
			found[c.ID] = differing[from]
		}
	}
	return found, nil
}

// claims tells which paths flags claim.
func claims(config *pipeline.Config) (func(path string) bool, error) {
	var all []pipeline.Patterns
	for _, flag := range config.Flags {
		patterns, err := pipeline.CompilePatterns(flag.Paths)
		if err != nil {
			return nil, err
		}
		all = append(all, patterns)
	}
	return func(path string) bool {
		return slices.ContainsFunc(all, func(p pipeline.Patterns) bool { return p.Match(path) })
	}, nil
}

// startedAt is the commit that was checked out when a container started, "" where nobody knows.
func startedAt(c picture.Container, recent []operation.Operation) string {
	for _, op := range recent { // newest first
		switch {
		case !op.Kind.Moves(), op.State == operation.FailedUntouched, op.State == operation.Superseded, op.State == operation.Cancelled, c.Started.Before(op.Created):
		case op.State == operation.Succeeded:
			return op.Target
		default: // it went back
			return op.PreDeploy
		}
	}
	return ""
}
