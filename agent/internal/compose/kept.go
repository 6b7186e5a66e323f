package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// nobody is the pattern of a step that may replace no container.
var nobody = []string{""}

// keeping does the work of a step, then makes sure that the services of its stack which it does not
// name have the containers that they had when the step began for the first time. withDeps says that what the named
// ones depend on may be replaced where its configuration or its image is another one.
func (w *work) keeping(patterns []string, withDeps bool, do func() (string, error)) (string, error) {
	summary, err := do()
	if err != nil || w.Before.Projects == nil {
		return summary, err
	}
	m, err := w.model(w.ctx, w.plan, w.stack)
	if err != nil {
		return "", err
	}
	after, err := w.past(w.ctx, w.stack.Name, m.Name)
	if err != nil {
		return "", err
	}
	named := m.matching(patterns)
	allowed := map[string]license{}
	if withDeps {
		for name := range m.closure(named) {
			allowed[name] = whenChanged
		}
	}
	for _, name := range named {
		allowed[name] = always
	}
	wrong, replaced := m.intrusions(w.Before.Containers, after, allowed)
	if wrong = w.ours(wrong, m); len(wrong) > 0 {
		return "", fault.New(fault.Failed, "NOT_KEPT", "the step does not name %s, and yet the containers are not those that it found", strings.Join(wrong, ", ")).
			WithHint("something else changes this stack while it is deployed; if they are meant, name them in the action")
	}
	if len(replaced) > 0 {
		w.Warn("DEPENDENCY_REPLACED", fmt.Sprintf("%s: %s changed, too, and got a new container, because services of this step depend on it", w.Step.ID, strings.Join(replaced, ", ")))
	}
	return summary, nil
}

// license says when a step may replace the containers of a service.
type license int

const (
	never       license = iota
	whenChanged         // its configuration or its image is another one
	always
)

// intrusions compares the containers of the services before and after a step. wrong are those that were replaced
// without license, replaced are those that the license covers because they changed. A container that is gone without
// a successor counts only where it ran, because what a crashed recreate left behind is removed (repair), and where
// more are configured than are left.
func (m model) intrusions(before, after []operation.Past, allowed map[string]license) (wrong, replaced []string) {
	for _, name := range slices.Sorted(maps.Keys(m.Services)) {
		was, is := of(before, name), of(after, name)
		younger, gone := without(is, was), without(was, is)
		if len(younger) == 0 {
			gone = slices.DeleteFunc(gone, func(p operation.Past) bool { return !p.Running || len(is) >= m.Services[name].replicas() })
		}
		switch {
		case allowed[name] == always || len(younger)+len(gone) == 0:
		case allowed[name] == never:
			wrong = append(wrong, name)
		case len(gone) == 0: // made, or made more of
		case len(younger) > 0 && !sameMaking(was, younger):
			replaced = append(replaced, name)
		default:
			wrong = append(wrong, name)
		}
	}
	return wrong, replaced
}

// sameMaking reports whether younger containers were made from the configuration and the image of older ones.
func sameMaking(was, younger []operation.Past) bool {
	return !slices.ContainsFunc(younger, func(y operation.Past) bool {
		return !slices.ContainsFunc(was, func(w operation.Past) bool { return w.Config == y.Config && w.ImageID == y.ImageID })
	})
}

// of lists the containers of a service.
func of(list []operation.Past, service string) []operation.Past {
	var found []operation.Past
	for _, p := range list {
		if p.Service == service {
			found = append(found, p)
		}
	}
	return found
}

// without lists the containers of a that are not in b.
func without(a, b []operation.Past) []operation.Past {
	return slices.DeleteFunc(slices.Clone(a), func(p operation.Past) bool {
		return slices.ContainsFunc(b, func(q operation.Past) bool { return p.Container == q.Container })
	})
}

// ours leaves out services that another stack has in the same compose project: stacks are changed side by side.
func (w *work) ours(services []string, m model) []string {
	if len(services) == 0 {
		return nil
	}
	for _, other := range w.plan.Stacks {
		if other.Name == w.stack.Name {
			continue
		}
		theirs, err := w.model(w.ctx, w.plan, other)
		if err != nil || theirs.Name != m.Name {
			continue // what does not render changes nothing
		}
		services = slices.DeleteFunc(services, func(name string) bool {
			_, shared := theirs.Services[name]
			return shared
		})
	}
	return services
}
