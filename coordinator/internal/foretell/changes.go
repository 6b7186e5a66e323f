package foretell

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/composefile"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Changes says, a line each, what bringing a host from base to target means besides the plan's own steps.
func Changes(base, target Projects, plan *pipeline.Plan) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	renamed := target.renamed(base, say)
	for _, was := range base.list {
		if !slices.Contains(renamed, was.name) {
			was.leaving(target.find(was.name), say)
		}
	}
	for _, is := range target.list {
		if was := base.find(is.name); was != nil && was.whole {
			is.definitions(was, say)
			is.nameless(was, say)
		}
		target.sharers(is, plan, say)
		target.homeless(is, base, say)
	}
	return lines
}

// renamed tells stacks whose project has another name, and returns the old names.
func (ps Projects) renamed(base Projects, say func(string, ...any)) []string {
	var old []string
	for _, stack := range slices.Sorted(maps.Keys(ps.names)) {
		was, known := base.names[stack]
		is := ps.names[stack]
		if !known || was == is || ps.find(was) != nil {
			continue
		}
		old = append(old, was)
		say("stack %s becomes compose project %s, it was %s: while its services run, a deploy is refused (PROJECT_RENAMED)", stack, called(is), called(was))
	}
	return old
}

// leaving tells the services that no file names any more. now is nil when the whole project is gone.
func (p *project) leaving(now *project, say func(string, ...any)) {
	if now != nil && !now.whole {
		return // they may be in what was not followed
	}
	var gone []string
	for _, s := range p.services {
		if now != nil && now.has(s.Name) || slices.Contains(gone, s.Name) {
			continue
		}
		gone = append(gone, s.Name)
	}
	switch {
	case len(gone) == 0:
	case now == nil:
		say("compose project %s leaves with all it has (%s): stopped and removed, volumes stay", called(p.name), strings.Join(gone, ", "))
	default:
		say("no compose file of project %s names %s any more: stopped and removed, volumes stay", called(p.name), strings.Join(gone, ", "))
	}
	for _, name := range gone {
		for _, at := range p.unnamed(name) {
			say("%s of project %s has a volume without a name at %s: its data stay behind where nothing shows them, and docker volume prune deletes them (ANONYMOUS_VOLUME)", name, called(p.name), at)
		}
	}
}

// definitions tells networks and volumes that are another thing than before.
func (p *project) definitions(was *project, say func(string, ...any)) {
	if !p.whole {
		return
	}
	for _, is := range p.networks {
		before := find(was.networks, is.Key)
		switch {
		case is.External && (before == nil || !before.External):
			say("network %s of project %s is external now: the host must have it (NETWORK_MISSING)", is.Key, called(p.name))
		case before != nil && before.Text != is.Text:
			say("network %s of project %s is defined otherwise: it is made anew when one step brings up every service on it, else refused (NETWORK_IN_USE)", is.Key, called(p.name))
		}
	}
	for _, is := range p.volumes {
		before := find(was.volumes, is.Key)
		switch {
		case is.External && (before == nil || !before.External):
			say("volume %s of project %s is external now: the host must have it (VOLUME_MISSING)", is.Key, called(p.name))
		case before != nil && before.Text != is.Text:
			say("volume %s of project %s is defined otherwise: one that exists keeps its data and its old definition (VOLUME_DIFFERS)", is.Key, called(p.name))
		}
	}
}

// nameless tells where services get something else in the place of volumes without a name, or fewer containers that have some.
func (p *project) nameless(was *project, say func(string, ...any)) {
	var told []string
	for _, s := range p.services {
		if slices.Contains(told, s.Name) {
			continue
		}
		told = append(told, s.Name)
		for _, at := range was.unnamed(s.Name) {
			if m := p.mounted(s.Name, at); m != nil && (m.Type != "volume" || m.From != "") {
				say("%s of project %s gets %s at %s, where it has a volume without a name: its data stay behind (ANONYMOUS_VOLUME)", s.Name, called(p.name), strings.TrimSpace(m.Type+" "+m.From), at)
			} else if before, now := was.replicas(s.Name), p.replicas(s.Name); before > now {
				say("%s of project %s goes from %d containers to %d: what is too many of their volumes without a name at %s stays behind (ANONYMOUS_VOLUME)", s.Name, called(p.name), before, now, at)
			}
		}
	}
}

// mounted is what a service shows somewhere, by the last of its files that says so.
func (p *project) mounted(name, at string) (found *composefile.Mount) {
	for _, s := range p.services {
		for i := range s.Mounts {
			if s.Name == name && s.Mounts[i].At == at {
				found = &s.Mounts[i]
			}
		}
	}
	return found
}

// unnamed lists where a service has volumes without a name.
func (p *project) unnamed(name string) []string {
	var places []string
	for _, s := range p.services {
		for _, m := range s.Mounts {
			if is := p.mounted(name, m.At); s.Name == name && is.Type == "volume" && is.From == "" && !slices.Contains(places, m.At) {
				places = append(places, m.At)
			}
		}
	}
	return places
}

// replicas is how many containers a service has, 1 where no file says.
func (p *project) replicas(name string) int {
	n := 1
	for _, s := range p.services {
		if s.Name == name && s.Replicas > 0 {
			n = s.Replicas
		}
	}
	return n
}

// named reports whether a step that touches containers names a service of the project.
func (p *project) named(plan *pipeline.Plan, service string) bool {
	return slices.ContainsFunc(plan.Steps, func(s pipeline.Step) bool {
		stack, services, touches := touched(s)
		return touches && slices.Contains(p.stacks, stack) &&
			(len(services) == 0 || slices.ContainsFunc(services, func(pattern string) bool { return pipeline.MatchService(pattern, service) }))
	})
}

// touched is the stack, and the patterns of services, whose containers a step replaces or restarts.
func touched(s pipeline.Step) (stack string, services []string, touches bool) {
	switch {
	case s.Up != nil && !s.Up.NoRecreate:
		return s.Up.Stack, s.Up.Services, true
	case s.Recreate != nil:
		return s.Recreate.Stack, s.Recreate.Services, true
	case s.Restart != nil:
		return s.Restart.Stack, s.Restart.Services, true
	}
	return "", nil, false
}

func (p *project) has(name string) bool {
	return slices.ContainsFunc(p.services, func(s service) bool { return s.Name == name })
}

// called is a project's name in a sentence.
func called(name string) string {
	if name == "" {
		return "(of the checkout's folder)"
	}
	return fmt.Sprintf("%q", name)
}

func find(list []composefile.Definition, key string) *composefile.Definition {
	i := slices.IndexFunc(list, func(d composefile.Definition) bool { return d.Key == key })
	if i < 0 {
		return nil
	}
	return &list[i]
}
