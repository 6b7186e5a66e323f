package pipeline

import "slices"

// Reason is one line of thought behind a plan: this path set this flag, which asks for
// this action, which became these steps.
type Reason struct {
	Path   string   `json:"path,omitempty"` // "" when Plan.Everything set the flag
	Flag   string   `json:"flag"`
	Action string   `json:"action,omitempty"` // "" when the flag has no action
	Steps  []string `json:"steps,omitempty"`  // step IDs
}

// Why explains every set flag, by flag, then action, then path. A flag set by many
// paths is explained by those that the plan carries.
func (p *Plan) Why() []Reason {
	var reasons []Reason
	for _, flag := range p.Flags {
		if !flag.Set {
			continue
		}
		paths := flag.Paths
		if len(paths) == 0 {
			paths = []string{""}
		}
		actions, steps := p.causedBy(flag.Name)
		if len(actions) == 0 {
			actions = []string{""}
		}
		for _, action := range actions {
			for _, path := range paths {
				reasons = append(reasons, Reason{Path: path, Flag: flag.Name, Action: action, Steps: slices.Clone(steps[action])})
			}
		}
	}
	return reasons
}

// causedBy lists the actions of a flag, sorted, with the IDs of their steps.
func (p *Plan) causedBy(flag string) (actions []string, steps map[string][]string) {
	steps = map[string][]string{}
	for _, s := range p.Steps {
		if slices.Contains(s.Flags, flag) {
			steps[s.Action] = append(steps[s.Action], s.ID)
		}
	}
	return sortedKeys(steps), steps
}
