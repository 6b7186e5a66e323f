package foretell

import (
	"slices"
	"strconv"
	"strings"

	"ataraxis.dev/landfall/shared/pipeline"
)

// owner is a service in whose namespaces another lives.
type owner struct {
	of   *project
	name string
}

// sharers tells the services of a project that go with the owner of their namespaces, of whatever stack, where a step names the owner and not them.
func (ps Projects) sharers(p *project, plan *pipeline.Plan, say func(string, ...any)) {
	var told []string
	for _, s := range p.services {
		for _, o := range ps.owners(p, s) {
			if !o.of.named(plan, o.name) || p.named(plan, s.Name) || slices.Contains(told, s.Name) {
				continue
			}
			told = append(told, s.Name)
			whose := o.name
			if o.of != p {
				whose += " of project " + called(o.of.name)
			}
			say("%s of project %s lives in the namespaces of %s: it is replaced or restarted with it", s.Name, called(p.name), whose)
		}
	}
}

// owners are the services in whose namespaces one lives: of its own project, and of any whose container it names.
func (ps Projects) owners(p *project, s service) []owner {
	var list []owner
	for _, name := range s.Shares {
		list = append(list, owner{p, name})
	}
	for _, container := range s.Within {
		list = append(list, ps.callers(container)...)
	}
	return list
}

// callers are the services whose container has a name.
func (ps Projects) callers(container string) []owner {
	var list []owner
	for _, p := range ps.list {
		for _, s := range p.services {
			if s.Container == container || s.Container == "" && numbered(container, p.name+"-"+s.Name+"-") {
				list = append(list, owner{p, s.Name})
			}
		}
	}
	return list
}

// numbered reports whether a name is one that Compose gives: PROJECT-SERVICE-NUMBER.
func numbered(container, prefix string) bool {
	number, ok := strings.CutPrefix(container, prefix)
	_, err := strconv.Atoi(number)
	return ok && err == nil
}

// homeless tells the services of a project that are to live in the namespaces of a container which leaves.
func (ps Projects) homeless(p *project, base Projects, say func(string, ...any)) {
	if slices.ContainsFunc(ps.list, func(other *project) bool { return !other.whole }) {
		return // it may be in what was not followed
	}
	var told []string
	for _, s := range p.services {
		for _, container := range s.Within {
			if len(ps.callers(container)) > 0 || len(base.callers(container)) == 0 || slices.Contains(told, s.Name) {
				continue
			}
			told = append(told, s.Name)
			say("%s of project %s lives in the namespaces of the container %s, which leaves: while both run, a deploy is refused (NAMESPACE_IN_USE)", s.Name, called(p.name), container)
		}
	}
}
