package picture

import (
	"fmt"
	"maps"
	"slices"

	"ataraxis.dev/landfall/shared/fault"
)

// renamed finds stacks whose project and services get other names at once: what runs would be removed, and what comes would start on empty
// volumes. A stack is known again by its name, or by a compose file that it alone had.
func (p Proof) renamed() []Finding {
	projects := Projects(p.Target)
	var found []Finding
	told := map[string]bool{}
	for _, was := range p.Present {
		if slices.Contains(projects, was.Project) || told[was.Project] || !p.runs(was) {
			continue
		}
		for _, m := range p.Target {
			if p.sameStack(was, m) && len(p.Now.In(m.Project).Containers) == 0 {
				told[was.Project] = true
				found = append(found, Finding{
					fault.Refused, "PROJECT_RENAMED",
					fmt.Sprintf("stack %s: runs as compose project %q, the target would run it as %q: what runs would go, and what comes would start on volumes of its own", m.Stack, was.Project, m.Project),
					keepProject(was.Project),
				})
				break
			}
		}
	}
	return found
}

func keepProject(name string) string {
	return fmt.Sprintf("keep the name (name: %s in the compose file, or project: %s in landfall.yaml), or move its data and take it down by hand first: docker compose -p %s down", name, name, name)
}

// runs reports whether a service that the model names has a container.
func (p Proof) runs(m Model) bool {
	return slices.ContainsFunc(m.Names(), func(name string) bool { return len(p.Now.Of(m.Key(name))) > 0 })
}

func (p Proof) sameStack(was, is Model) bool {
	return was.Stack == is.Stack || slices.ContainsFunc(was.Files, func(file string) bool {
		return slices.Contains(is.Files, file) && !slices.ContainsFunc(p.Present, func(other Model) bool {
			return other.Stack != was.Stack && slices.Contains(other.Files, file)
		})
	})
}

// startsEmpty finds services that get a new volume where another one was: its data stay behind.
func (p Proof) startsEmpty(leaving []Key) []Finding {
	var found []Finding
	for _, m := range p.Target {
		for _, name := range m.Names() {
			mounts := m.Services[name].Mounts
			for _, at := range slices.Sorted(maps.Keys(mounts)) {
				volume := mounts[at]
				was, there := p.mounted(m.Key(name), at, leaving)
				unnamed := Mount{Volume: was}.Unnamed()
				switch {
				case !there || was == volume || volume == "":
					continue
				case !p.makes(m, volume) && unnamed:
					found = append(found, Finding{
						fault.Failed, anonymous,
						fmt.Sprintf("stack %s: %s gets volume %s at %s; what it had there stays behind in volume %s, which has no name", m.Stack, name, volume, at, was), keepIt,
					})
					continue
				case !p.makes(m, volume):
					continue
				}
				where := "volume " + was
				if was == "" {
					where = "a volume without a name"
				} else if unnamed {
					where = "volume " + was + ", which has no name"
				}
				found = append(found, Finding{
					fault.Failed, "VOLUME_NEW",
					fmt.Sprintf("stack %s: %s gets the new volume %s at %s, which starts empty; the data stay in %s", m.Stack, name, volume, at, where),
					"keep the volume's name (name: in the compose file), or copy the data over",
				})
			}
		}
	}
	return found
}

// makes reports whether a volume is yet to be made, and begins empty: what its driver's options lead to may hold data.
func (p Proof) makes(m Model, volume string) bool {
	spec, named := m.Volumes[volume]
	there := slices.ContainsFunc(p.Now.Volumes, func(v Volume) bool { return v.Name == volume })
	return named && !there && !spec.External && len(spec.Options) == 0
}

// mounted is the volume that a service which has containers had somewhere, also by its image, "" for one without a name that nobody looked at; where the service is new, that of one of
// its project which leaves.
func (p Proof) mounted(k Key, at string, leaving []Key) (volume string, there bool) {
	before := []Key{k}
	if _, _, named := find(p.Present, k); !named {
		before = leaving
	}
	for _, b := range before {
		if b.Project != k.Project || len(p.Now.Of(b)) == 0 {
			continue
		}
		for _, c := range p.Now.Of(b) {
			if volume = c.at(at); volume != "" {
				return volume, true
			}
		}
		for _, m := range p.Present {
			if volume, there = m.Services[b.Service].Mounts[at]; there && m.Project == b.Project {
				return volume, true
			}
		}
	}
	return "", false
}
