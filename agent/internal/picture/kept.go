package picture

import (
	"maps"
	"slices"
)

// Kept is how the services of a project came through a step.
type Kept struct {
	Wrong    []string // got other containers, or another place, without leave
	Replaced []string // dependencies that got new containers because they changed, too
}

// leave says when a step may replace the containers of a service.
type leave int

const (
	never       leave = iota
	whenChanged       // its configuration or its image is another one
	always
)

// Keeping compares the services of a model before and after a step that names some of them. withDeps says that what the named ones depend on
// may be replaced where its configuration or its image is another one; who lives in a namespace of what is replaced may be so with it.
// A container that is gone without a successor counts only where it ran, because what a crashed recreate left behind is removed, and
// where more are configured than are left.
func (m Model) Keeping(named []string, withDeps bool, before, after Picture) Kept {
	allowed := map[string]leave{}
	if withDeps {
		for name := range m.closure(named) {
			allowed[name] = whenChanged
		}
	}
	for _, name := range m.Sharers(append(slices.Clone(named), slices.Sorted(maps.Keys(allowed))...)) {
		allowed[name] = max(allowed[name], whenShared(m, name, named))
	}
	for _, name := range named {
		allowed[name] = always
	}
	var kept Kept
	for _, name := range m.Names() {
		switch m.keptBy(name, allowed[name], before, after) {
		case replaced:
			kept.Replaced = append(kept.Replaced, name)
		case intruded:
			kept.Wrong = append(kept.Wrong, name)
		}
	}
	return kept
}

// whenShared lets go with its owner what lives in a namespace of one that is named, or depended on.
func whenShared(m Model, name string, named []string) leave {
	if slices.Contains(named, name) || len(m.owners(name)) == 0 {
		return never
	}
	return always
}

type fate int

const (
	same fate = iota
	replaced
	intruded
)

func (m Model) keptBy(name string, allowed leave, before, after Picture) fate {
	was, is := before.Of(m.Key(name)), after.Of(m.Key(name))
	younger, gone := without(is, was), without(was, is)
	if len(younger) == 0 {
		gone = slices.DeleteFunc(gone, func(c Container) bool { return !c.Running() || len(is) >= m.Services[name].Replicas })
	}
	if slices.ContainsFunc(was, func(c Container) bool { return after.orphaned(c) != "" }) {
		allowed = always // a step of another stack may have mended it
	}
	switch {
	case allowed == always:
		return same
	case len(younger)+len(gone) == 0 && displaced(was, is):
		return intruded
	case len(younger)+len(gone) == 0:
		return same
	case allowed == never:
		return intruded
	case len(gone) == 0: // made, or made more of
		return same
	case len(younger) > 0 && !madeAlike(was, younger):
		return replaced
	}
	return intruded
}

// Displaced reports whether a container that was kept is in other networks than before, or under other names.
func (p Picture) Displaced(after Picture) bool {
	return displaced(p.Containers, after.Containers)
}

// displaced reports whether a container that was kept is in other networks than before.
func displaced(was, is []Container) bool {
	return slices.ContainsFunc(is, func(c Container) bool {
		return slices.ContainsFunc(was, func(w Container) bool { return w.ID == c.ID && !sameNetworks(w, c) })
	})
}

// Nameless lists the services of a model that kept a container which has lost a name in a network that it is in, and those that live in its
// namespaces: when Compose makes a network anew because its definition changes, it connects what it keeps without the names by which
// others find it (Compose 2.40.3). Replaced, it gets them back.
func (m Model) Nameless(before, after Picture) []string {
	var found []string
	for _, name := range m.Names() {
		lost := slices.ContainsFunc(after.Of(m.Key(name)), func(c Container) bool {
			return slices.ContainsFunc(before.Of(m.Key(name)), func(w Container) bool { return w.ID == c.ID && losesNames(w, c) })
		})
		if lost {
			found = append(found, name)
		}
	}
	return m.Sharers(found)
}

// losesNames reports whether a container has lost an alias in a network that it was in and is in.
func losesNames(was, is Container) bool {
	return slices.ContainsFunc(was.Networks, func(w Attachment) bool {
		return slices.ContainsFunc(is.Networks, func(n Attachment) bool {
			return n.Network == w.Network && slices.ContainsFunc(w.Aliases, func(alias string) bool { return !slices.Contains(n.Aliases, alias) })
		})
	})
}

// madeAlike reports whether younger containers were made from the configuration and the image of older ones. The same content under another
// ID is not alike here: Compose up to 2.40 goes by IDs, so it had a reason, which is told. Names that a build of the same moved are moved back
// before it can have one; see [Picture.Renamed].
func madeAlike(was, younger []Container) bool {
	return !slices.ContainsFunc(younger, func(y Container) bool {
		return !slices.ContainsFunc(was, func(w Container) bool { return w.Config == y.Config && w.ImageID != "" && w.ImageID == y.ImageID })
	})
}

// without lists the containers of a that are not in b.
func without(a, b []Container) []Container {
	return slices.DeleteFunc(slices.Clone(a), func(c Container) bool {
		return slices.ContainsFunc(b, func(d Container) bool { return c.ID == d.ID })
	})
}
