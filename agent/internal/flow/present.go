package flow

import (
	"context"
	"maps"
	"slices"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// headModels are the models of the commit that is checked out, as far as they render, and what is recorded of the one that was deployed last: somebody
// may have moved the checkout since, or taken away what its compose files need. Recorded are names alone.
func (f *Flows) headModels(ctx context.Context) []picture.Model {
	models, _ := f.present(ctx)
	return models
}

// present is headModels. unread is the commit that is checked out, where it is not known what its compose files name.
func (f *Flows) present(ctx context.Context) (models []picture.Model, unread string) {
	rendered, err := f.rendered(ctx)
	recorded, stamp := f.recorded()
	if err != nil {
		f.log.Warn("the compose files that are checked out do not render as a whole", "error", err)
		head, headErr := f.ports.Commits.Head(ctx)
		switch {
		case headErr != nil:
			unread = "HEAD"
		case len(recorded) == 0 || stamp != head:
			unread = short(head)
		}
	}
	named := picture.Keys(rendered)
	for _, m := range recorded {
		maps.DeleteFunc(m.Services, func(name string, _ picture.Spec) bool { return slices.Contains(named, m.Key(name)) })
		if len(m.Services) > 0 {
			rendered = append(rendered, m)
		}
	}
	return rendered, unread
}

// rendered are the models of the commit that is checked out; beside an error, those that render.
func (f *Flows) rendered(ctx context.Context) ([]picture.Model, error) {
	plan, err := f.PlanNow(ctx)
	if err != nil {
		return nil, err
	}
	return f.ports.Runtime.Models(ctx, plan)
}

// recorded is what the deploy of the stamp's commit recorded of its stacks: their projects, and the services of those. It is empty where no
// operation remembers it.
func (f *Flows) recorded() (models []picture.Model, stamp string) {
	stamp, _, err := f.ports.Stamp.Stamp()
	if err != nil || stamp == "" {
		return nil, ""
	}
	recent, err := f.ports.Records.Operations(0, unsettledLook)
	if err != nil {
		f.log.Warn("what was deployed last is not known", "error", err)
		return nil, stamp
	}
	i := slices.IndexFunc(recent, func(op operation.Operation) bool {
		return op.Kind == operation.KindDeploy && op.State == operation.Succeeded && op.Target == stamp
	})
	if i < 0 {
		return nil, stamp
	}
	facts, err := f.Facts(recent[i].ID)
	if err != nil || facts.Proven == nil {
		f.log.Warn("what was deployed last is not recorded", "operation", recent[i].ID, "error", err)
		return nil, stamp
	}
	for _, stack := range slices.Sorted(maps.Keys(facts.Proven.Projects)) {
		m := picture.Model{Stack: stack, Project: facts.Proven.Projects[stack], Services: map[string]picture.Spec{}}
		for _, k := range facts.Proven.Services {
			if k.Project == m.Project {
				m.Services[k.Service] = picture.Spec{}
			}
		}
		models = append(models, m)
	}
	return models, stamp
}
