package picture

import (
	"fmt"
	"slices"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// MendingSteps are the steps that bring services back by deeds: what is missing or stopped is brought up, what is outdated is replaced, what
// is not well is restarted, each without what it depends on. Stacks go side by side; within one a step follows the other.
func MendingSteps(models []Model, deeds []Deed) ([]pipeline.Step, error) {
	var steps []pipeline.Step
	n := 0
	for _, m := range models {
		last := ""
		for _, verb := range []Verb{Start, Recreate, Restart} {
			var names []string
			for _, d := range deeds {
				if owner, _, named := find(models, d.Key); named && owner.Stack == m.Stack && d.Verb == verb && !slices.Contains(names, d.Service) {
					names = append(names, d.Service)
				}
			}
			if len(names) == 0 {
				continue
			}
			slices.Sort(names)
			n++
			s := pipeline.Step{ID: fmt.Sprintf("apply/mend/%d", n), Phase: pipeline.PhaseApply, Action: "mend"}
			switch verb {
			case Start:
				s.Up = &pipeline.Up{Stack: m.Stack, Services: names, NoDeps: true, NoRecreate: true}
			case Recreate:
				s.Recreate = &pipeline.Recreate{Stack: m.Stack, Services: names, NoDeps: true}
			default:
				s.Restart = &pipeline.Restart{Stack: m.Stack, Services: names}
			}
			if last != "" {
				s.After = []string{last}
			}
			last = s.ID
			steps = append(steps, s)
		}
	}
	for _, d := range deeds {
		if _, _, named := find(models, d.Key); !named {
			return nil, fault.New(fault.Refused, "UNKNOWN_SERVICE", "no compose file of the checkout names %s any more", d.Key)
		}
	}
	return steps, nil
}
