package flow

import (
	"context"
	"maps"
	"slices"

	"ataraxis.dev/landfall/agent/internal/engine"
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
	if err := checkGitOps(config, models, now); err != nil {
		return Drifted{}, err
	}
	recent, err := f.ports.Records.Operations(0, unsettledLook)
	if err != nil {
		return Drifted{}, err
	}
	expected := picture.Expected{Models: models, Now: now}
	if expected.Configs, err = f.configs(ctx, config, plan, models, now, recent, &factsOf{read: f.Facts}); err != nil {
		return Drifted{}, err
	}
	if expected.Changed, err = f.changedSince(ctx, config, plan.Target, now, recent); err != nil {
		return Drifted{}, err
	}
	d := Drifted{Services: len(picture.Keys(models)), Models: models, Now: now, Config: config.GitOps, plan: plan}
	d.Drift, d.Unknown = expected.Drift()
	return d, nil
}

// checkGitOps makes sure that what landfall.yaml wants left alone is there: by a name that nothing has, it would be touched. A service whose
// profile is not active may have a container.
func checkGitOps(config *pipeline.Config, models []picture.Model, now picture.Picture) error {
	return pipeline.CheckGitOpsServices(config, func(stack string) (names []string, known bool) {
		i := slices.IndexFunc(models, func(m picture.Model) bool { return m.Stack == stack })
		if i < 0 {
			return nil, false
		}
		names = models[i].Names()
		for _, k := range now.Keys() {
			if k.Project == models[i].Project {
				names = append(names, k.Service)
			}
		}
		return names, true
	})
}

// configs are the hashes of configuration that the checkout may have rendered for what runs. What landfall.yaml puts into the environment differs
// with the commit, so a container is held against the commits that it names, and those that its service was deployed with. What cannot be held
// against all of them, or was hashed by a Compose that hashes otherwise, has no hashes: nobody can tell.
func (f *Flows) configs(ctx context.Context, config *pipeline.Config, plan *pipeline.Plan, models []picture.Model, now picture.Picture, recent []operation.Operation, facts *factsOf) (map[picture.Key][]string, error) {
	found := map[picture.Key][]string{}
	past := &environments{config: config, recent: recent, facts: facts}
	for _, m := range models {
		if err := f.configsOf(ctx, past, plan, m, now, found); err != nil {
			return nil, err
		}
	}
	version, err := f.ports.Configs.Composer(ctx)
	if err != nil {
		return nil, err
	}
	hashedOtherwise(found, now, version)
	return found, nil
}

// hashedOtherwise leaves out what another version of Compose made that seems to hash otherwise than the one of now: where none of what it made has
// the hash that is rendered. Else an upgrade of Compose would make a whole fleet anew.
func hashedOtherwise(found map[picture.Key][]string, now picture.Picture, version string) {
	alike := map[string]bool{version: true}
	for _, c := range now.Containers {
		if slices.Contains(found[c.Key()], c.Config) {
			alike[c.Composer] = true
		}
	}
	for _, c := range now.Containers {
		if !alike[c.Composer] {
			delete(found, c.Key())
		}
	}
}

// maxRenderings bounds how often the configuration of a stack is rendered for one look.
const maxRenderings = 64

// configsOf adds those of a stack.
func (f *Flows) configsOf(ctx context.Context, past *environments, plan *pipeline.Plan, m picture.Model, now picture.Picture, found map[picture.Key][]string) error {
	stack, _ := plan.Stack(m.Stack)
	var rendered []map[string]string
	render := func(environment map[string]string) error {
		of := *plan
		of.Environment = environment
		hashes, err := f.ports.Configs.Hashes(ctx, &of, stack, now)
		for k, hash := range hashes {
			found[k] = append(found[k], hash)
		}
		rendered = append(rendered, environment)
		return err
	}
	if err := render(plan.Environment); err != nil {
		return err
	}
	var open []picture.Key // for want of renderings
	for _, name := range m.Names() {
		for _, c := range now.Of(m.Key(name)) {
			known := func() bool { return len(found[c.Key()]) == 0 || slices.Contains(found[c.Key()], c.Config) }
			if known() {
				continue
			}
			candidates, err := past.of(c)
			if err != nil {
				return err
			}
			for _, environment := range candidates {
				if known() || slices.ContainsFunc(rendered, func(e map[string]string) bool { return maps.Equal(e, environment) }) {
					continue
				}
				if len(rendered) == maxRenderings {
					open = append(open, c.Key())
					break
				}
				if err := render(environment); err != nil {
					return err
				}
			}
		}
	}
	for _, k := range open {
		delete(found, k)
	}
	return nil
}

// environments are those that containers may have been made with.
type environments struct {
	config *pipeline.Config // of the checkout
	recent []operation.Operation
	facts  *factsOf
}

// maxMaking bounds how many operations that may have made a container are looked for: the last one that had a step to replace it did, or the one
// before where that was taken back.
const maxMaking = 4

// of are the environments that a container may have been made with, the likeliest first.
func (e *environments) of(c picture.Container) (found []map[string]string, err error) {
	compile := func(base, target string) {
		if then, err := pipeline.Compile(e.config, pipeline.Input{Base: base, Target: target, Everything: "of then"}); err == nil {
			found = append(found, then.Environment)
		}
	}
	for _, op := range e.recent {
		if !slices.Contains(c.Commits, op.Target) && !slices.Contains(c.Commits, op.Base) {
			continue
		}
		facts, err := e.facts.of(op.ID)
		if err != nil {
			return nil, err
		}
		if facts.Plan != nil {
			found = append(found, facts.Plan.Environment)
		}
	}
	for _, sha := range c.Commits { // a rollback renders without a base
		compile("", sha)
	}
	makers := 0
	for _, op := range e.recent { // newest first
		if makers == maxMaking || c.Started.Before(op.Created) {
			continue
		}
		facts, err := e.facts.of(op.ID)
		if err != nil {
			return nil, err
		}
		if facts.Plan == nil || facts.Proven == nil || !sawTo(making(facts.Plan.Steps), facts.Proven.Projects, c.Key()) {
			continue
		}
		makers++
		if op.Kind.Moves() {
			compile(op.Base, op.Target)
		}
		compile("", op.Target)
		compile("", op.PreDeploy)
	}
	return found, nil
}

// factsOf are the facts of operations, each read once in a look.
type factsOf struct {
	read  func(id string) (engine.Facts, error)
	known map[string]engine.Facts
}

func (o *factsOf) of(id string) (engine.Facts, error) {
	if facts, known := o.known[id]; known {
		return facts, nil
	}
	facts, err := o.read(id)
	if o.known == nil {
		o.known = map[string]engine.Facts{}
	}
	o.known[id] = facts
	return facts, err
}

// making are the steps of a plan that may make containers.
func making(steps []pipeline.Step) []pipeline.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s pipeline.Step) bool { return s.Up == nil && s.Recreate == nil })
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
