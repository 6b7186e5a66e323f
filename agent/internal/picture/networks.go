package picture

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// networks finds networks that Compose did not make, and those whose definition changes. Compose makes these anew, for which it takes the services
// of one up off them: where others are on one they lose their network, and it fails. Who leaves is gone before.
func (p Proof) networks(leaving []Key) (refused, warned []Finding) {
	for _, m := range p.Target {
		for _, name := range slices.Sorted(maps.Keys(m.Networks)) {
			i := slices.IndexFunc(p.Now.Networks, func(n Network) bool { return n.Name == name })
			if i < 0 || m.Networks[name].External {
				continue
			}
			on := slices.DeleteFunc(p.Now.attached(name), func(c Container) bool { return slices.Contains(leaving, c.Key()) })
			left, touched := p.notUpped(m, name, on)
			if p.Now.Networks[i].Project == "" {
				if touched {
					refused = append(refused, networkTaken(m, name))
				} else {
					warned = append(warned, networkTaken(m, name))
				}
				continue
			}
			differs := m.Networks[name].differs(p.Now.Networks[i].NetworkSpec)
			if differs == "" {
				continue
			}
			switch {
			case !touched:
				warned = append(warned, Finding{
					fault.Failed, "NETWORK_DIFFERS",
					fmt.Sprintf("stack %s: network %s is not as the compose files define it (%s), and no step of this plan changes that", m.Stack, name, differs),
					"bring the whole stack up: an action with up: {stack: " + m.Stack + "}",
				})
			case len(left) > 0:
				refused = append(refused, Finding{
					fault.Refused, "NETWORK_IN_USE",
					fmt.Sprintf("stack %s: the definition of network %s changes (%s), so it has to be made anew, but %s would be cut off from it", m.Stack, name, differs, strings.Join(left, ", ")),
					"take down what is on it first (docker compose down of those stacks), or bring everything on it up in one step",
				})
			}
		}
	}
	return refused, warned
}

// networkTaken: Compose refuses a network that has not its labels.
func networkTaken(m Model, name string) Finding {
	return Finding{
		fault.Refused, "NETWORK_TAKEN",
		fmt.Sprintf("stack %s wants to make the network %s, but there is one of that name that Compose did not make, and refuses to use", m.Stack, name),
		fmt.Sprintf("use the one there is (external: true in the compose file), give it another name, or remove it: docker network rm %s", name),
	}
}

// notUpped lists who of those in a network the first up that has to do with it does not bring up; touched is false where there is none.
func (p Proof) notUpped(m Model, network string, on []Container) (left []string, touched bool) {
	for _, s := range p.Steps {
		if s.Stack() != m.Stack || (s.Up == nil && s.Recreate == nil) {
			continue
		}
		names := m.changedBy(s)
		if !slices.ContainsFunc(names, func(name string) bool { return slices.Contains(m.Services[name].Networks, network) }) {
			continue
		}
		for _, c := range on {
			if c.Project != m.Project || !slices.Contains(names, c.Service) {
				left = append(left, whose(c))
			}
		}
		slices.Sort(left)
		return slices.Compact(left), true
	}
	return nil, false
}

func whose(c Container) string {
	if c.Project == "" {
		return c.Name
	}
	return c.Key().String()
}
