package picture

import (
	"cmp"
	"maps"
	"slices"
)

// Picture is what is on a host at a moment, as far as some compose projects are concerned.
type Picture struct {
	// Projects are the compose projects that were looked at, sorted, also those that had nothing.
	Projects []string `json:"looked"`
	// Containers are theirs, in order of project, service and ID. Those of `docker compose run` are left out.
	Containers []Container `json:"containers"`
	// Refs are the images that names meant: those of the containers, and those that were asked for. A name that
	// meant nothing is not there.
	Refs map[string]string `json:"refs,omitempty"`
	// Contents are what images hold, by their IDs: KIND:DIGEST, two of a kind that are equal hold the same. One that nobody can tell is not
	// there. See contents.go.
	Contents map[string]string `json:"contents,omitempty"`
	// Networks and Volumes are all that the engine has, in order of name, where it was looked at whole: for proofs, and for going back.
	Networks []Network `json:"networks,omitempty"`
	Volumes  []Volume  `json:"-"`
	// Elsewhere are the containers of other projects and of none; of them only identity, state and networks are known. Where the engine was looked at
	// whole, start and shared namespaces are, too.
	Elsewhere []Container `json:"-"`
	// Owners are those of Elsewhere in whose namespaces containers live. They are recorded, because a record that has lost them would
	// tell that the namespaces were lost.
	Owners []Container `json:"owners,omitempty"`
}

// Network is a network of the engine, in the words of its definition.
type Network struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Project string `json:"project,omitempty"` // that made it, "" for none
	NetworkSpec
}

// Volume is a volume of the engine, in the words of its definition.
type Volume struct {
	Name    string
	Project string   // that made it, "" for none
	Leads   []string // where on the host the links of what it shows lead
	VolumeSpec
}

// Sort puts everything into the order that its fields promise, and finds the owners.
func (p *Picture) Sort() {
	slices.Sort(p.Projects)
	p.Projects = slices.Compact(p.Projects)
	slices.SortFunc(p.Containers, func(a, b Container) int {
		return cmp.Or(CompareKeys(a.Key(), b.Key()), cmp.Compare(a.ID, b.ID))
	})
	p.Owners = slices.DeleteFunc(slices.Clone(p.Elsewhere), func(o Container) bool {
		return !slices.ContainsFunc(p.Containers, func(c Container) bool {
			return slices.ContainsFunc(c.Shares, func(s Share) bool { return s.Container == o.ID })
		})
	})
	slices.SortFunc(p.Networks, func(a, b Network) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Volumes, func(a, b Volume) int { return cmp.Compare(a.Name, b.Name) })
}

// Looked reports whether a project was looked at.
func (p Picture) Looked(project string) bool { return slices.Contains(p.Projects, project) }

// Of lists the containers of a service.
func (p Picture) Of(k Key) []Container {
	var of []Container
	for _, c := range p.Containers {
		if c.Key() == k {
			of = append(of, c)
		}
	}
	return of
}

// living is Of without the containers that are dead.
func (p Picture) living(k Key) []Container { return slices.DeleteFunc(p.Of(k), Container.Dead) }

// In is the part of the picture that one project is.
func (p Picture) In(project string) Picture {
	part := Picture{Projects: []string{project}, Refs: p.Refs, Contents: p.Contents}
	for _, c := range p.Containers {
		if c.Project == project {
			part.Containers = append(part.Containers, c)
		}
	}
	return part
}

// Container finds a container by its ID, wherever it belongs.
func (p Picture) Container(id string) (Container, bool) {
	for _, list := range [][]Container{p.Containers, p.Owners, p.Elsewhere} {
		for _, c := range list {
			if c.ID == id {
				return c, true
			}
		}
	}
	return Container{}, false
}

// Has reports whether the very container is one of those of the projects.
func (p Picture) Has(id string) bool {
	return slices.ContainsFunc(p.Containers, func(c Container) bool { return c.ID == id })
}

// network finds a network by its name.
func (p Picture) network(name string) (Network, bool) {
	i := slices.IndexFunc(p.Networks, func(n Network) bool { return n.Name == name })
	if i < 0 {
		return Network{}, false
	}
	return p.Networks[i], true
}

// attached lists the containers that are in a network, wherever they belong.
func (p Picture) attached(network string) []Container {
	return slices.DeleteFunc(slices.Concat(p.Containers, p.Elsewhere), func(c Container) bool {
		return !slices.ContainsFunc(c.Networks, func(a Attachment) bool { return a.Network == network })
	})
}

// Keys lists the services that have containers, in order.
func (p Picture) Keys() []Key {
	var keys []Key
	for _, c := range p.Containers {
		keys = append(keys, c.Key())
	}
	slices.SortFunc(keys, CompareKeys)
	return slices.Compact(keys)
}

// Images lists the images of the containers, and those that names meant, each once, sorted.
func (p Picture) Images() []string {
	var ids []string
	for _, c := range p.Containers {
		ids = append(ids, c.ImageID)
	}
	ids = slices.AppendSeq(ids, maps.Values(p.Refs))
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" })
}

// Brief is what a repeated step needs of a picture: which containers there were, since when, and whose namespaces they shared. It keeps records small.
func (p Picture) Brief() Picture {
	brief := Picture{Projects: p.Projects}
	for _, c := range p.Containers {
		brief.Containers = append(brief.Containers, Container{
			Project: c.Project, Service: c.Service, ID: c.ID, ImageID: c.ImageID, Content: c.Content, Config: c.Config, State: c.State, ExitCode: c.ExitCode,
			OneShot: c.OneShot, Started: c.Started, Networks: c.Networks, Volumes: c.Volumes, Carrier: c.Carrier, Shares: c.Shares,
		})
	}
	for _, c := range p.Owners {
		brief.Owners = append(brief.Owners, Container{Project: c.Project, Service: c.Service, ID: c.ID, Name: c.Name, State: c.State, Started: c.Started})
	}
	return brief
}
