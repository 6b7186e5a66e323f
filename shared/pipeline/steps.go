package pipeline

import (
	"fmt"
	"path"
	"slices"

	"ataraxis.dev/landfall/shared/fault"
)

// steps fills in the graph of steps: builds, then the migration, then the rest.
func (k *compiler) steps(p *Plan) error {
	causes := map[string][]string{} // action -> set flags, sorted
	for _, flag := range p.Flags {
		if !flag.Set {
			continue
		}
		for _, action := range k.config.Flags[flag.Name].Actions {
			if _, known := k.config.Actions[action]; !known {
				return fault.New(fault.Invalid, "CONFIG_INVALID", "flag %s names the unknown action %q", flag.Name, action)
			}
			causes[action] = append(causes[action], flag.Name)
		}
	}
	order, err := orderActions(k.config, causes)
	if err != nil {
		return err
	}
	var build, apply []part
	for _, o := range order {
		b, a := k.parts(o, causes[o.name])
		build, apply = append(build, b), append(apply, a)
	}
	p.Steps = slices.Concat(chain(build, nil), k.migration(), chain(apply, k.composeProject))
	return nil
}

// part is the steps of one action that fall into one phase.
type part struct {
	orderedAction
	steps []Step
}

// parts turns an action into its build part, up to its last build, and its apply part.
func (k *compiler) parts(action orderedAction, flags []string) (build, apply part) {
	build, apply = part{orderedAction: action}, part{orderedAction: action}
	from := k.config.Actions[action.name].Steps
	builds := 0
	for i, s := range from {
		if s.Build != nil {
			builds = i + 1
		}
	}
	for i, s := range from {
		to, phase := &apply, PhaseApply
		if i < builds {
			to, phase = &build, PhaseBuild
		}
		step := k.step(s)
		step.ID = fmt.Sprintf("%s/%s/%d", phase, action.name, i+1)
		step.Phase, step.Action, step.Flags = phase, action.name, slices.Clone(flags)
		to.steps = append(to.steps, step)
	}
	return build, apply
}

func (k *compiler) step(from StepConfig) Step {
	var to Step
	switch {
	case from.Script != nil:
		to.Script = &Script{Path: path.Clean(from.Script.Path), Args: k.list(from.Script.Args)}
	case from.Build != nil:
		s := from.Build
		to.Build = &Build{Stack: s.Stack, Services: slices.Clone(s.Services), NoCache: s.NoCache, Pull: s.Pull, Args: k.stringMap(s.Args)}
	case from.Up != nil:
		s := from.Up
		to.Up = &Up{Stack: s.Stack, Services: slices.Clone(s.Services), NoDeps: s.NoDeps, ForceRecreate: s.ForceRecreate}
	case from.Recreate != nil:
		s := from.Recreate
		to.Recreate = &Recreate{Stack: s.Stack, Services: slices.Clone(s.Services), NoDeps: s.NoDeps}
	case from.Restart != nil:
		to.Restart = &Restart{Stack: from.Restart.Stack, Services: slices.Clone(from.Restart.Services)}
	case from.Exec != nil:
		s := from.Exec
		to.Exec = &Exec{Stack: s.Stack, Service: s.Service, Command: k.list(s.Command), User: s.User}
	case from.Wait != nil:
		to.Wait = &Wait{Probe: from.Wait.Probe, Timeout: from.Wait.Timeout}
		orElse(&to.Wait.Timeout, k.config.Verify.Deadline)
	}
	return to
}

// migration is the steps of the migrate phase, each after the one before: what the
// migration needs, then the migration itself.
func (k *compiler) migration() []Step {
	m := k.config.Migrate
	if m == nil {
		return nil
	}
	var steps []Step
	add := func(action string, number int, s Step) {
		s.ID, s.Phase, s.Action = fmt.Sprintf("%s/%s/%d", PhaseMigrate, action, number), PhaseMigrate, action
		if len(steps) > 0 {
			s.After = []string{steps[len(steps)-1].ID}
		}
		steps = append(steps, s)
	}
	if n := m.Needs; n != nil {
		add("needs", 1, Step{Up: &Up{Stack: n.Stack, Services: slices.Clone(n.Services), NoRecreate: true}})
		if n.Probe != "" {
			add("needs", 2, Step{Wait: &Wait{Probe: n.Probe, Timeout: k.config.Verify.Deadline}})
		}
	}
	add("script", 1, Step{Migrate: &Migrate{Script: path.Clean(m.Script), Args: k.list(m.Args)}})
	return steps
}

// composeProject is what two compose commands must not work on at once: an explicit
// compose project, which several stacks may share, or the stack.
func (k *compiler) composeProject(stack string) string {
	if project := k.config.Stacks[stack].Project; project != "" {
		return "project " + project
	}
	return "stack " + stack
}
