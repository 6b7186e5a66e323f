package picture

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Proof is what a commit is proven against: what runs, by an engine that was asked, and the compose files that made it.
type Proof struct {
	Now     Picture
	Present []Model // of the commit that is checked out, as far as its compose files render, and of the one that was deployed last, as recorded
	Unread  string  // the commit that is checked out, where nobody knows what its compose files name; "" else
	Target  []Model // of the commit to deploy
	Steps   []pipeline.Step
	Back    []Key    // services that going back would replace, restart or remove, empty for none; nil where the steps tell
	Dirs    []string // the checkout's folder, by each path that leads to it
}

// Finding is something that a commit would do to what runs.
type Finding struct {
	Kind    fault.Kind // of the refusal; a warning has none that matters
	Reason  string     // "PROJECT_RENAMED"
	Message string
	Hint    string
}

// Findings are what a proof found.
type Findings struct {
	Refusals []Finding // with which nothing may be touched
	Warnings []Finding
	Leaving  []Key // services that the target no longer names: they are stopped and removed
}

// Err is the refusal, nil when there is none.
func (f Findings) Err() error {
	if len(f.Refusals) == 0 {
		return nil
	}
	first := f.Refusals[0]
	if len(f.Refusals) == 1 {
		return fault.New(first.Kind, first.Reason, "%s", first.Message).WithHint("%s", first.Hint)
	}
	var errs []error
	for _, r := range f.Refusals {
		errs = append(errs, errors.New(r.Message+" ("+r.Hint+")"))
	}
	return fault.Wrap(errors.Join(errs...), first.Kind, first.Reason, "%d things stand against this commit", len(f.Refusals))
}

// Find compares what a commit wants with what runs. Each of its rows has one decision: it is done right, or refused
// before anything is touched, or told.
func (p Proof) Find() Findings {
	var f Findings
	f.Refusals = append(f.Refusals, p.doubled()...)
	if len(f.Refusals) == 0 {
		f.Refusals = append(f.Refusals, p.renamed()...)
	}
	f.Leaving = p.leaving()
	f.Refusals = append(f.Refusals, p.namesTaken(f.Leaving)...)
	f.Refusals = append(f.Refusals, p.missing()...)
	refused, warned := p.networks(f.Leaving)
	f.Refusals, f.Warnings = append(f.Refusals, refused...), append(f.Warnings, warned...)
	refused, warned = p.namespaces(f.Leaving)
	f.Refusals, f.Warnings = append(f.Refusals, refused...), append(f.Warnings, warned...)
	f.Warnings = append(f.Warnings, p.volumes()...)
	f.Warnings = append(f.Warnings, p.startsEmpty(f.Leaving)...)
	f.Warnings = append(f.Warnings, p.nameless(f.Leaving)...)
	f.Warnings = append(f.Warnings, p.unnamed(f.Leaving)...)
	f.Warnings = append(f.Warnings, p.unread(f.Leaving)...)
	f.Warnings = append(f.Warnings, p.byHand()...)
	if p.Back == nil {
		f.Warnings = append(f.Warnings, p.paused()...)
	}
	return f
}

// doubled finds services that run from this checkout under another project: a renamed project, a moved compose file. Under the new name
// they would start beside the old ones, on empty volumes.
func (p Proof) doubled() []Finding {
	projects := Projects(p.Target)
	var found []Finding
	told := map[string]bool{}
	for _, m := range p.Target {
		for _, name := range m.Names() {
			if len(p.Now.Of(m.Key(name))) > 0 {
				continue
			}
			for _, c := range slices.Concat(p.Now.Containers, p.Now.Elsewhere) {
				if c.Service != name || c.Project == "" || slices.Contains(projects, c.Project) || !p.ours(c) || told[c.Project+" "+m.Project] {
					continue
				}
				told[c.Project+" "+m.Project] = true
				found = append(found, Finding{
					fault.Refused, "PROJECT_RENAMED",
					fmt.Sprintf("stack %s: %s runs as compose project %q, the target would run it as %q: every container would exist twice, on volumes of its own", m.Stack, name, c.Project, m.Project),
					keepProject(c.Project),
				})
			}
		}
	}
	return found
}

// ours reports whether a container was made by Compose in this checkout, or for the commit that is checked out.
func (p Proof) ours(c Container) bool {
	if slices.Contains(Projects(p.Present), c.Project) {
		return true
	}
	return p.madeHere(c)
}

// madeHere reports whether a container was made by Compose in this checkout.
func (p Proof) madeHere(c Container) bool {
	return slices.ContainsFunc(p.Dirs, func(dir string) bool {
		dir = strings.TrimSuffix(dir, "/") + "/"
		return strings.HasPrefix(c.WorkingDir+"/", dir)
	})
}

// leaving lists the services that have containers, that the present compose files name and the target's do not. What neither
// names was started by somebody, and is theirs.
func (p Proof) leaving() []Key {
	named := Keys(p.Target)
	return slices.DeleteFunc(Keys(p.Present), func(k Key) bool {
		return slices.Contains(named, k) || len(p.Now.Of(k)) == 0
	})
}

// namesTaken finds fixed container names that belong to somebody else. One that belongs to a service which leaves is free in time.
func (p Proof) namesTaken(leaving []Key) []Finding {
	var found []Finding
	for _, m := range p.Target {
		for _, name := range m.Names() {
			wanted := m.Services[name].ContainerName
			if wanted == "" {
				continue
			}
			for _, c := range slices.Concat(p.Now.Containers, p.Now.Elsewhere) {
				if c.Name != wanted || c.Key() == m.Key(name) || slices.Contains(leaving, c.Key()) {
					continue
				}
				owner := "a container that Compose did not make"
				if c.Project != "" {
					owner = c.Key().String()
				}
				found = append(found, Finding{
					fault.Refused, "CONTAINER_NAME_TAKEN",
					fmt.Sprintf("stack %s: %s wants the container name %s, which belongs to %s", m.Stack, name, wanted, owner),
					fmt.Sprintf("give it another container_name, or remove the container that has it: docker rm --force %s", wanted),
				})
			}
		}
	}
	return found
}

// missing finds external networks and volumes that nobody has, and files of configs and secrets that are nowhere.
func (p Proof) missing() []Finding {
	var found []Finding
	for _, m := range p.Target {
		for _, name := range slices.Sorted(maps.Keys(m.Networks)) {
			there := slices.ContainsFunc(p.Now.Networks, func(n Network) bool { return n.Name == name || n.ID == name })
			made := slices.ContainsFunc(p.Target, func(o Model) bool { n, ok := o.Networks[name]; return ok && !n.External })
			if m.Networks[name].External && !there && !made {
				found = append(found, Finding{
					fault.Invalid, "NETWORK_MISSING",
					fmt.Sprintf("stack %s wants the external network %s, which does not exist", m.Stack, name), "make it: docker network create " + name,
				})
			}
		}
		for _, name := range slices.Sorted(maps.Keys(m.Volumes)) {
			there := slices.ContainsFunc(p.Now.Volumes, func(v Volume) bool { return v.Name == name })
			made := slices.ContainsFunc(p.Target, func(o Model) bool { v, ok := o.Volumes[name]; return ok && !v.External })
			if m.Volumes[name].External && !there && !made {
				found = append(found, Finding{
					fault.Invalid, "VOLUME_MISSING",
					fmt.Sprintf("stack %s wants the external volume %s, which does not exist", m.Stack, name), "make it: docker volume create " + name,
				})
			}
		}
		for _, name := range m.Names() {
			for _, file := range m.Services[name].Missing {
				found = append(found, Finding{
					fault.Invalid, "FILE_MISSING",
					fmt.Sprintf("stack %s: %s needs the file %s, which is neither in the target nor on the host", m.Stack, name, file), "put it into the checkout on the host",
				})
			}
		}
	}
	return found
}

// volumes finds volumes whose definition changes. Their data stays, and so does the old definition.
func (p Proof) volumes() []Finding {
	var found []Finding
	for _, m := range p.Target {
		for _, name := range slices.Sorted(maps.Keys(m.Volumes)) {
			i := slices.IndexFunc(p.Now.Volumes, func(v Volume) bool { return v.Name == name })
			if i < 0 || m.Volumes[name].External {
				continue
			}
			if differs := m.Volumes[name].differs(p.Now.Volumes[i].VolumeSpec); differs != "" {
				found = append(found, Finding{
					fault.Failed, "VOLUME_DIFFERS",
					fmt.Sprintf("stack %s: volume %s is not as the compose files define it (%s); it is kept with its data, and the definition has no effect", m.Stack, name, differs),
					fmt.Sprintf("to make it anew: save its data, docker compose down, docker volume rm %s, and deploy again", name),
				})
			}
		}
	}
	return found
}

// unnamed finds containers of the target's projects that no compose file names.
func (p Proof) unnamed(leaving []Key) []Finding {
	named := slices.Concat(Keys(p.Target), leaving)
	var names []string
	for _, k := range p.Now.Keys() {
		if !slices.Contains(named, k) && slices.Contains(Projects(p.Target), k.Project) {
			names = append(names, k.String())
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Finding{{fault.Failed, "UNNAMED_SERVICES", "no compose file names " + strings.Join(names, ", ") + "; left as they are", "remove them by hand if nobody needs them: docker rm --force"}}
}

// unread finds what was made in this checkout and may have left the compose files, where they cannot be read: nobody knows, and it runs on.
func (p Proof) unread(leaving []Key) []Finding {
	if p.Unread == "" {
		return nil
	}
	var names []string
	for _, c := range slices.Concat(p.Now.Containers, p.Now.Elsewhere) {
		if c.Project != "" && p.madeHere(c) && !slices.Contains(Projects(p.Target), c.Project) && !slices.Contains(leaving, c.Key()) {
			names = append(names, c.Key().String())
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return []Finding{{
		fault.Failed, "HEAD_UNREADABLE",
		fmt.Sprintf("the compose files of %s, which is checked out, cannot be read, so nobody knows whether %s left them; left as they are", p.Unread, strings.Join(slices.Compact(names), ", ")),
		"remove by hand what nobody needs any more: docker rm --force",
	}}
}
