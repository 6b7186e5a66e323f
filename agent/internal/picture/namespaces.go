package picture

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// NamespaceInUse is the reason where somebody lives in a namespace of what is about to go.
const NamespaceInUse = "NAMESPACE_IN_USE"

// namespaces finds containers that live in namespaces of what may be replaced, restarted or removed, and that no stack has: nobody here can make them
// again, and they would run on in a namespace that leads nowhere. Those that do not run are told: they could not be started any more. Services of
// the stacks go with their owner, as long as it does not leave.
func (p Proof) namespaces(leaving []Key) (refused, warned []Finding) {
	for _, owner := range p.replaced(leaving) {
		cut, stranded := p.lodgers(owner, leaving)
		if len(cut) > 0 {
			refused = append(refused, Finding{
				fault.Refused, NamespaceInUse,
				fmt.Sprintf("%s may be replaced, restarted or removed, and its namespaces with it, but %s, which no stack of landfall.yaml makes again, would be cut off", owner, strings.Join(cut, ", ")),
				"put them into a stack, or remove them first and make them again afterwards: docker rm --force NAME",
			})
		}
		if len(stranded) > 0 {
			warned = append(warned, Finding{
				fault.Failed, NamespaceInUse,
				fmt.Sprintf("%s may be replaced or removed; then %s, which no stack of landfall.yaml makes again, cannot be started any more", owner, strings.Join(stranded, ", ")),
				"remove them if nobody needs them (docker rm NAME), or make them again afterwards",
			})
		}
	}
	if unseen := p.unseen(); len(unseen) > 0 && len(p.replaced(leaving)) > 0 {
		warned = append(warned, Finding{
			fault.Failed, "NAMESPACE_UNKNOWN",
			fmt.Sprintf("the engine does not tell of %s; if it lives in a namespace of what is replaced, it is cut off", strings.Join(unseen, ", ")),
			"look at it: docker inspect NAME",
		})
	}
	for _, k := range Keys(p.Target) {
		if owners := p.losing(k, leaving); len(owners) > 0 {
			refused = append(refused, Finding{
				fault.Refused, NamespaceInUse,
				fmt.Sprintf("%s leaves, and its namespaces with it, but %s lives in them and is not brought up anew without them", keyList(owners), k),
				fmt.Sprintf("give %s a network_mode, pid and ipc of its own, with an action that brings it up, or keep %s", k.Service, keyList(owners)),
			})
		}
	}
	return refused, warned
}

// replaced lists the services that may be replaced, restarted or removed, with those that go with them.
func (p Proof) replaced(leaving []Key) []Key {
	if p.Back != nil {
		return SharersOf(p.Target, p.Now, p.Back)
	}
	found := slices.Clone(leaving)
	for _, s := range p.Steps {
		for _, m := range p.Target {
			for _, name := range m.changedBy(s) {
				found = append(found, m.Key(name))
			}
		}
	}
	return SharersOf(p.Target, p.Now, found)
}

// changedBy lists the services whose containers a step may replace, or start again.
func (m Model) changedBy(s pipeline.Step) []string {
	alone := false
	switch {
	case s.Stack() != m.Stack:
		return nil
	case s.Up != nil:
		alone = s.Up.NoDeps
	case s.Recreate != nil:
		alone = s.Recreate.NoDeps
	case s.Restart != nil:
		alone = true
	default:
		return nil
	}
	names := m.Matching(s.Services())
	if alone {
		return names
	}
	return slices.Sorted(maps.Keys(m.closure(names)))
}

// lodgers names the containers of nobody's that live in namespaces of a service: cut those that run, stranded those that do not. What has lost the
// namespace already loses nothing.
func (p Proof) lodgers(owner Key, leaving []Key) (cut, stranded []string) {
	ours := slices.Concat(Keys(p.Target), leaving)
	of := p.Now.Of(owner)
	for i, c := range slices.Concat(p.Now.Containers, p.Now.Elsewhere) {
		known := i < len(p.Now.Containers) && slices.Contains(ours, c.Key())
		lives := slices.ContainsFunc(of, func(o Container) bool { return c.livesIn(o.ID) })
		switch {
		case known || !lives || c.Succeeded() || !c.Unseen && p.Now.outlived(c):
		case c.Running():
			cut = append(cut, lodger(c))
		default:
			stranded = append(stranded, lodger(c))
		}
	}
	slices.Sort(cut)
	slices.Sort(stranded)
	return cut, stranded
}

// unseen names running containers of nobody's of which it is not known in whose namespaces they live.
func (p Proof) unseen() (names []string) {
	for _, c := range p.Now.Elsewhere {
		if c.Unseen && c.Running() {
			names = append(names, lodger(c))
		}
	}
	slices.Sort(names)
	return names
}

// lodger names a container, and whose it is where Compose made it.
func lodger(c Container) string {
	if c.Project == "" {
		return c.Name
	}
	return fmt.Sprintf("%s (of %s)", c.Name, c.Key())
}

// losing lists those who leave in whose namespaces a running service of the target lives, where nothing brings it up without them.
func (p Proof) losing(k Key, leaving []Key) []Key {
	_, spec, _ := find(p.Target, k)
	var owners []Key
	for _, c := range p.Now.Of(k) {
		for _, l := range leaving {
			lives := slices.ContainsFunc(p.Now.Of(l), func(o Container) bool { return c.livesIn(o.ID) })
			if lives && c.Running() && (p.names(spec, l) || !p.mended(k)) && !slices.Contains(owners, l) {
				owners = append(owners, l)
			}
		}
	}
	return owners
}

// names reports whether a service is to live in namespaces of one that leaves, by the name of its container, which nobody takes over.
func (p Proof) names(spec Spec, leaving Key) bool {
	return slices.ContainsFunc(p.Now.Of(leaving), func(o Container) bool {
		return slices.Contains(spec.Within, o.Name) && !slices.ContainsFunc(Keys(p.Target), func(k Key) bool {
			_, s, _ := find(p.Target, k)
			return s.calls(k, o.Name)
		})
	})
}

// mended reports whether a step brings a service up, or one that it is to live with, so that it is taken along.
func (p Proof) mended(k Key) bool {
	owners := append(ownersBy(p.Target, k), k)
	return slices.ContainsFunc(p.Steps, func(s pipeline.Step) bool {
		return s.Restart == nil && slices.ContainsFunc(p.Target, func(m Model) bool {
			return slices.ContainsFunc(m.changedBy(s), func(name string) bool { return slices.Contains(owners, m.Key(name)) })
		})
	})
}

func keyList(keys []Key) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}
