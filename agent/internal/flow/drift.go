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
	if expected.Changed, err = f.changedSince(ctx, plan.Target, now, recent); err != nil {
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

// changedSince tells for each container which paths of the checkout changed since it started, and nobody has seen to: not the deploy
// that brought them, by a step for its service.
func (f *Flows) changedSince(ctx context.Context, head string, now picture.Picture, recent []operation.Operation) (map[string]picture.Paths, error) {
	found := map[string]picture.Paths{}
	differing := map[string]picture.Paths{}
	for _, c := range now.Containers {
		from, err := f.seenToAt(c, recent)
		if err != nil {
			return nil, err
		}
		if from == "" || from == head {
			continue
		}
		if _, known := differing[from]; !known {
			if differing[from], err = f.differing(ctx, head, from); err != nil {
				return nil, err
			}
		}
		found[c.ID] = differing[from]
	}
	return found, nil
}

// seenToAt is the commit with whose files a container works: that which was checked out when it started, or that of a later deploy which had
// a step for its service, to reload it say. It is "" where nobody knows.
func (f *Flows) seenToAt(c picture.Container, recent []operation.Operation) (string, error) {
	for _, op := range recent { // newest first
		if !op.Kind.Moves() || op.State == operation.FailedUntouched || op.State == operation.Superseded || op.State == operation.Cancelled {
			continue
		}
		began, at := op.Created, op.PreDeploy
		if op.State == operation.Succeeded {
			at = op.Target
		}
		if !c.Started.Before(began) {
			return at, nil
		}
		if op.State != operation.Succeeded {
			continue // it left what was there
		}
		facts, err := f.Facts(op.ID)
		if err != nil {
			return "", err
		}
		if facts.Plan != nil && facts.Proven != nil && sawTo(facts.Plan.Steps, facts.Proven.Projects, c.Key()) {
			return at, nil
		}
	}
	return "", nil
}

// sawTo reports whether steps of a plan name a service.
func sawTo(steps []pipeline.Step, projects map[string]string, k picture.Key) bool {
	return slices.ContainsFunc(steps, func(s pipeline.Step) bool {
		if s.Build != nil || projects[s.Stack()] != k.Project {
			return false
		}
		return len(s.Services()) == 0 || slices.ContainsFunc(s.Services(), func(p string) bool { return pipeline.MatchService(p, k.Service) })
	})
}
