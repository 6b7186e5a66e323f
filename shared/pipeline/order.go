package pipeline

import (
	"cmp"
	"maps"
	"slices"

	"ataraxis.dev/landfall/shared/fault"
)

// orderedAction is an action at its place in the linear order of a plan.
type orderedAction struct {
	name  string
	after map[string]bool // actions that must be over first, also indirectly
}

// orderActions puts the selected actions in their order: topologically by `after`;
// where that leaves a choice, those that bring up a whole stack first, then by name.
// `after` never selects an action, but it orders through one that is not selected.
func orderActions[V any](c *Config, selected map[string]V) ([]orderedAction, error) {
	after := map[string]map[string]bool{} // action -> selected actions before it
	waits := map[string]int{}             // action -> how many of them are not over yet
	for name := range selected {
		before := map[string]bool{}
		collectAfter(c, name, before)
		if before[name] {
			return nil, fault.New(fault.Invalid, "CONFIG_INVALID", "action %s is after itself", name)
		}
		maps.DeleteFunc(before, func(other string, _ bool) bool { _, chosen := selected[other]; return !chosen })
		after[name], waits[name] = before, len(before)
	}
	var order []orderedAction
	for len(waits) > 0 {
		var ready []string
		for name, open := range waits {
			if open == 0 {
				ready = append(ready, name)
			}
		}
		next := slices.MinFunc(ready, func(a, b string) int {
			return cmp.Or(cmp.Compare(rank(c, a), rank(c, b)), cmp.Compare(a, b))
		})
		order = append(order, orderedAction{next, after[next]})
		delete(waits, next)
		for name := range waits {
			if after[name][next] {
				waits[name]--
			}
		}
	}
	return order, nil
}

// collectAfter adds every action that name is after, directly or not.
func collectAfter(c *Config, name string, found map[string]bool) {
	for _, other := range c.Actions[name].After {
		if !found[other] {
			found[other] = true
			collectAfter(c, other, found)
		}
	}
}

// rank puts actions that bring up a whole stack before those on single services: what
// the compose files ask for comes first, then what must happen besides.
func rank(c *Config, action string) int {
	for _, s := range c.Actions[action].Steps {
		if s.Up != nil && len(s.Up.Services) == 0 {
			return 0
		}
	}
	return 1
}

// chain links the steps of one phase: within a part each step is after the one before;
// a part is after those of the actions that its action is after, and, where project is
// given, after the last part that touched one of the same projects. Links that follow
// from others are left out.
func chain(parts []part, project func(stack string) string) []Step {
	var steps []Step
	last := map[string]string{}               // action -> ID of its last step
	ancestors := map[string]map[string]bool{} // action -> actions its part waits for, also indirectly
	toucher := map[string]string{}            // project -> the last action that touched it
	var names []string                        // actions so far, in order
	for _, p := range parts {
		if len(p.steps) == 0 {
			continue
		}
		direct := map[string]bool{}
		for _, other := range names {
			if p.after[other] {
				direct[other] = true
			}
		}
		for _, name := range projects(p.steps, project) {
			if other, touched := toucher[name]; touched {
				direct[other] = true
			}
			toucher[name] = p.name
		}
		nearest, before := nearestOf(direct, names, ancestors)
		ancestors[p.name] = before
		var first []string
		for _, other := range nearest {
			first = append(first, last[other])
		}
		for i, step := range p.steps {
			step.After = first
			if i > 0 {
				step.After = []string{p.steps[i-1].ID}
			}
			steps = append(steps, step)
		}
		last[p.name] = p.steps[len(p.steps)-1].ID
		names = append(names, p.name)
	}
	return steps
}

// projects lists the compose projects that the steps touch, in the order of the steps.
func projects(steps []Step, project func(stack string) string) []string {
	var touched []string
	for _, s := range steps {
		if project == nil || s.Stack() == "" {
			continue
		}
		if name := project(s.Stack()); !slices.Contains(touched, name) {
			touched = append(touched, name)
		}
	}
	return touched
}

// nearestOf leaves out of direct, a set of the actions in names, those that another one
// waits for anyway. before is everything that is then waited for, also indirectly.
func nearestOf(direct map[string]bool, names []string, ancestors map[string]map[string]bool) (nearest []string, before map[string]bool) {
	before = map[string]bool{}
	for _, name := range slices.Backward(names) { // an action comes after all that it waits for
		if direct[name] && !before[name] {
			nearest = append(nearest, name)
			before[name] = true
			maps.Copy(before, ancestors[name])
		}
	}
	slices.Reverse(nearest)
	return nearest, before
}
