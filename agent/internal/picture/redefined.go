package picture

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// redefined is a network that is neither as it was nor as the compose files to go back to define it. Compose makes such a network anew,
// which goes only where everything on it is part of one up.
type redefined struct {
	name, differs string
	members       []Key    // services that ran, and that are on it by the compose files
	strangers     []string // who else is on it, or cannot be part of the same up
}

func (n redefined) String() string {
	text := fmt.Sprintf("network %s is defined otherwise than it was: %s", n.name, n.differs)
	if len(n.strangers) > 0 {
		text += "; it cannot be made anew while these are on it: " + strings.Join(n.strangers, ", ")
	}
	return text
}

// redefined lists the networks to make anew, in order of name. One that was other than its compose files before is as it was. What a picture
// without networks leaves open is judged by the compose files.
func (r Restore) redefined(now Picture) []redefined {
	found := map[string]redefined{}
	for _, m := range r.Models {
		for name, want := range m.Networks {
			is, there := now.network(name)
			was, known := r.Before.network(name)
			if !there || want.External || (known && was.same(is.NetworkSpec)) {
				continue
			}
			n := redefined{name: name, differs: want.differs(is.NetworkSpec)}
			if n.differs == "" {
				continue
			}
			if n.members, n.strangers = r.onNetwork(name, now); len(n.members) > 0 {
				found[name] = n
			}
		}
	}
	var list []redefined
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[name])
	}
	return list
}

// same reports whether two networks are the same to who is in them.
func (want NetworkSpec) same(is NetworkSpec) bool {
	return want.differs(is) == "" && is.differs(want) == ""
}

// onNetwork tells who is on a network, and who of them stands against making it anew: what is not of the one stack, and
// services that share the name of an image but ran different ones.
func (r Restore) onNetwork(network string, now Picture) (members []Key, strangers []string) {
	stack := ""
	images := map[string]string{}
	for _, m := range r.Models {
		for _, name := range m.Names() {
			k, spec := m.Key(name), m.Services[name]
			was := r.Before.Of(k)
			if first, _, _ := find(r.Models, k); first.Stack != m.Stack || len(was) == 0 || !slices.Contains(spec.Networks, network) {
				continue
			}
			d := r.replace(k, was, "")
			ref := r.refOf(d, spec)
			if stack == "" {
				stack = m.Stack
			}
			if m.Stack != stack || (ref != "" && images[ref] != "" && images[ref] != d.Image) {
				strangers = append(strangers, k.String())
			}
			members, images[ref] = append(members, k), d.Image
		}
	}
	for _, c := range now.attached(network) {
		goes := len(r.Before.Of(c.Key())) == 0 && r.knows(c.Key()) // it is removed first
		if !goes && !slices.Contains(members, c.Key()) {
			strangers = append(strangers, whose(c))
		}
	}
	slices.Sort(strangers)
	return members, slices.Compact(strangers)
}

// withNetworks adds what networks ask for: everything on one that has to be made anew is replaced together. Where others are on it nothing
// is done, because those of the up would lose it, too; Wrong says so.
func (r Restore) withNetworks(deeds []Deed, now Picture) []Deed {
	for _, n := range r.redefined(now) {
		if len(n.strangers) > 0 {
			continue
		}
		for _, k := range n.members {
			if !has(deeds, k, Recreate, Create) {
				deeds = slices.DeleteFunc(deeds, func(d Deed) bool { return d.Key == k && d.Verb != Remove })
				deeds = append(deeds, r.replace(k, r.Before.Of(k), "network "+n.name+" has to be made anew: "+n.differs))
			}
			for i := range deeds {
				if deeds[i].Key == k && replaces(deeds[i]) {
					deeds[i].Together = true
				}
			}
			// What is made and not started is not part of that call, and would hold the network while it runs.
			if running := runningOf(now.Of(k)); has(deeds, k, Create) && len(running) > 0 && !has(deeds, k, Stop) {
				deeds = append(deeds, Deed{Key: k, Verb: Stop, Containers: running, Why: "it was stopped"})
			}
		}
	}
	return deeds
}

func runningOf(list []Container) []string {
	return ids(slices.DeleteFunc(slices.Clone(list), func(c Container) bool { return !c.Running() }))
}
