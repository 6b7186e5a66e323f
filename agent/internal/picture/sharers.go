package picture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// detached tells which namespace a running container has lost, "" for none: the container that it shared one with is gone, or was
// started again since, which made a new one. The engine does not put that right by itself.
func (p Picture) detached(c Container) string {
	for _, s := range c.Shares {
		owner, there := p.Container(s.Container)
		switch {
		case !there:
			return fmt.Sprintf("shares the %s namespace of container %.12s, which is gone", s.Namespace, s.Container)
		case c.Running() && !c.Started.IsZero() && owner.Started.After(c.Started):
			return fmt.Sprintf("shares the %s namespace of %s as it was before that was started again", s.Namespace, ownerName(owner))
		case c.Running() && !owner.Running():
			return fmt.Sprintf("shares the %s namespace of %s, which does not run", s.Namespace, ownerName(owner))
		}
	}
	return ""
}

// orphaned tells which namespace a container cannot be started in any more, "" for none.
func (p Picture) orphaned(c Container) string {
	for _, s := range c.Shares {
		if _, there := p.Container(s.Container); !there {
			return fmt.Sprintf("the container whose %s namespace it shared is gone", s.Namespace)
		}
	}
	return ""
}

// outlived reports whether a running container lives in a namespace whose owner was started again since.
func (p Picture) outlived(c Container) bool { return c.Running() && p.behind(c) }

// behind reports whether the owner of one of a container's namespaces runs, and was started after it.
func (p Picture) behind(c Container) bool {
	return slices.ContainsFunc(c.Shares, func(s Share) bool {
		owner, there := p.Container(s.Container)
		return there && owner.Running() && owner.Started.After(c.Started)
	})
}

func ownerName(c Container) string {
	if c.Project == "" {
		return c.Name
	}
	return c.Service
}

// Around is the part of a picture that a step of one project is about: the project, and whoever shares a namespace with anybody, because what a
// step replaces takes its namespaces with it.
func (p Picture) Around(project string) Picture {
	part := p
	part.Containers = slices.DeleteFunc(slices.Clone(p.Containers), func(c Container) bool {
		owns := slices.ContainsFunc(p.Containers, func(o Container) bool { return o.livesIn(c.ID) })
		return c.Project != project && len(c.Shares) == 0 && !owns
	})
	return part
}

func (c Container) livesIn(id string) bool {
	return slices.ContainsFunc(c.Shares, func(s Share) bool { return s.Container == id })
}

// Kin lists the projects that containers sharing namespaces hold together with one, and itself, sorted: what a step does to one of them is felt
// in the others.
func (p Picture) Kin(project string) []string {
	found := []string{project}
	for i := 0; i < len(found); i++ {
		for _, c := range p.Containers {
			for _, s := range c.Shares {
				owner, there := p.Container(s.Container)
				if !there || owner.Project == "" {
					continue
				}
				for _, pair := range [][2]string{{c.Project, owner.Project}, {owner.Project, c.Project}} {
					if pair[0] == found[i] && !slices.Contains(found, pair[1]) {
						found = append(found, pair[1])
					}
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

// calls reports whether a service's container has a name: the one that the compose files give, else one that Compose does.
func (s Spec) calls(k Key, container string) bool {
	if s.ContainerName != "" {
		return s.ContainerName == container
	}
	for _, separator := range []string{"-", "_"} { // "_" with COMPOSE_COMPATIBILITY
		if number, ok := strings.CutPrefix(container, k.Project+separator+k.Service+separator); ok {
			if _, err := strconv.Atoi(number); err == nil {
				return true
			}
		}
	}
	return false
}

// ownersBy are the services in whose namespaces one lives by the compose files: of its own project, and of any whose container they name.
func ownersBy(models []Model, k Key) []Key {
	_, spec, _ := find(models, k)
	var owners []Key
	for _, name := range spec.Shares {
		owners = append(owners, Key{k.Project, name})
	}
	for _, container := range spec.Within {
		for _, m := range models {
			for name, s := range m.Services {
				if s.calls(m.Key(name), container) {
					owners = append(owners, m.Key(name))
				}
			}
		}
	}
	slices.SortFunc(owners, CompareKeys)
	return slices.Compact(owners)
}

// ownersOf are the services in whose namespaces one lives, by the compose files or as it is.
func ownersOf(models []Model, k Key, is Picture) []Key {
	owners := ownersBy(models, k)
	for _, c := range is.Of(k) {
		for _, s := range c.Shares {
			if owner, there := is.Container(s.Container); there && owner.Project != "" && owner.Key() != k {
				owners = append(owners, owner.Key())
			}
		}
	}
	slices.SortFunc(owners, CompareKeys)
	return slices.Compact(owners)
}

// SharersOf adds to services those of models whose containers live in their namespaces, of whatever stack, and theirs in turn.
func SharersOf(models []Model, now Picture, services []Key) []Key {
	found := slices.Clone(services)
	for grown := true; grown; {
		grown = false
		for _, k := range Keys(models) {
			if !slices.Contains(found, k) && meet(ownersOf(models, k, now), found) {
				found, grown = append(found, k), true
			}
		}
	}
	slices.SortFunc(found, CompareKeys)
	return slices.Compact(found)
}

func meet(a, b []Key) bool {
	return slices.ContainsFunc(a, func(k Key) bool { return slices.Contains(b, k) })
}

// Stale are services whose containers have lost a namespace, by what mends it.
type Stale struct {
	Recreate []Key // the container that they shared it with is gone
	Create   []Key // likewise, and they were stopped: they are made again, and stay so
	Restart  []Key // it was started again
}

// Mending is what a step has to see to beyond what it names: who lives in a namespace that went with its changes.
type Mending struct {
	Models []Model  // of the stacks whose services may be mended
	Named  []Key    // services that the step names
	Before *Picture // what there was when the step began for the first time; nil when nobody looked
	Now    Picture
}

// Stale lists the services whose containers have lost a namespace since the step began. Those that were stopped stay so; jobs that have ended well
// stay as they are. What had lost it before is left alone, unless the step names it, or the owner: it was broken, and is told. Who lives with one
// of them is not among them before that one is mended: it could not be started.
func (t Mending) Stale() Stale {
	var stale Stale
	verbs := map[Key]Verb{}
	for _, k := range t.Now.Keys() {
		verbs[k] = t.verb(k)
	}
	for _, k := range t.Now.Keys() {
		if slices.ContainsFunc(ownersOf(t.Models, k, t.Now), func(o Key) bool { return o != k && verbs[o] != "" }) {
			continue
		}
		switch verbs[k] {
		case Recreate:
			stale.Recreate = append(stale.Recreate, k)
		case Create:
			stale.Create = append(stale.Create, k)
		case Restart:
			stale.Restart = append(stale.Restart, k)
		}
	}
	return stale
}

// ToRestart lists the containers of a service that have to be started again.
func (t Mending) ToRestart(k Key) []string {
	return ids(slices.DeleteFunc(t.Now.Of(k), func(c Container) bool { return t.verbOf(c) != Restart }))
}

// Scale is how many containers of a service are made again: as many as there were, which somebody may have chosen.
func (t Mending) Scale(k Key) int {
	if t.Before != nil {
		if n := len(t.Before.Of(k)); n > 0 {
			return n
		}
	}
	_, spec, _ := find(t.Models, k)
	return spec.Replicas
}

// Mendable splits those that are stale: nobodys are in no compose file, so that nobody here can make them again.
func (t Mending) Mendable() (stale Stale, nobodys []Key) {
	stale = t.Stale()
	for _, list := range []*[]Key{&stale.Recreate, &stale.Create, &stale.Restart} {
		*list = slices.DeleteFunc(*list, func(k Key) bool {
			_, _, named := find(t.Models, k)
			if !named {
				nobodys = append(nobodys, k)
			}
			return !named
		})
	}
	return stale, nobodys
}

// Lost lists the services that no model names and that have lost a namespace, whenever: whose it was, and who makes them again, is for further models
// to tell.
func (t Mending) Lost() []Key {
	var lost []Key
	for _, c := range t.Now.Containers {
		if _, _, named := find(t.Models, c.Key()); !named && (t.Now.orphaned(c) != "" || t.Now.behind(c)) {
			lost = append(lost, c.Key())
		}
	}
	return lost
}

// verb is what mends a service, "" for nothing.
func (t Mending) verb(k Key) (verb Verb) {
	list := t.Now.Of(k)
	for _, c := range list {
		if v := t.verbOf(c); v != "" && (verb == "" || slices.Index(verbs, v) < slices.Index(verbs, verb)) {
			verb = v
		}
	}
	runs := slices.ContainsFunc(list, func(c Container) bool { ran, known := t.ran(c); return c.Running() || known && ran })
	if verb == Create && runs {
		return Recreate // Compose makes all of a service's containers again
	}
	return verb
}

func (t Mending) verbOf(c Container) Verb {
	ran, known := t.ran(c)
	switch {
	case len(c.Shares) == 0, c.Succeeded(), t.broken(c): // a job that is done needs no namespace
		return ""
	case t.Now.orphaned(c) != "":
		if known && !ran {
			return Create
		}
		return Recreate
	case (c.Running() || known && ran) && t.Now.behind(c): // also what went down with its owner, or was made and not started before a crash
		return Restart
	}
	return ""
}

// ran reports whether a container, or the one in whose place it is, ran when the step began.
func (t Mending) ran(c Container) (ran, known bool) {
	if t.Before == nil {
		return false, false
	}
	was := t.Before.Of(c.Key())
	if i := slices.IndexFunc(was, func(w Container) bool { return w.ID == c.ID }); i >= 0 {
		return was[i].Running(), true
	}
	return slices.ContainsFunc(was, Container.Running), len(was) > 0
}

// broken reports whether the very container had lost a namespace when the step began, and the step is about something else.
func (t Mending) broken(c Container) bool {
	if t.Before == nil || slices.Contains(t.Named, c.Key()) || meet(ownersOf(t.Models, c.Key(), t.Now), t.Named) || meet(ownersOf(nil, c.Key(), *t.Before), t.Named) {
		return false
	}
	return slices.ContainsFunc(t.Before.Containers, func(w Container) bool {
		return w.ID == c.ID && (t.Before.orphaned(w) != "" || t.Before.outlived(w))
	})
}
