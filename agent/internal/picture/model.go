package picture

import (
	"maps"
	"slices"

	"ataraxis.dev/landfall/shared/pipeline"
)

// Model is what the compose files of one stack say, as Compose renders them; secrets are not among it.
type Model struct {
	Stack    string
	Project  string
	Files    []string // its compose files, as landfall.yaml gives them
	Services map[string]Spec
	Networks map[string]NetworkSpec // by full name
	Volumes  map[string]VolumeSpec  // by full name
	Reads    []string               // files that its compose files read into them and that may lie outside: env files, label files; see [Power]
	// Leaving are files of variables that the checkout has until it moves, and not after it, relative to it; only of what is proven.
	Leaving []string
}

// Spec is one service of a model.
type Spec struct {
	Image         string // name of the image it is made from, also where Compose gives that name
	Builds        bool   // the image is built here
	Configured    string // name of the image as the compose file gives it; "" when it is only built
	Pulls         bool   // its pull policy may take the image from a registry, though it is built here
	Replicas      int
	OneShot       bool // its restart policy lets it end: exit code 0 is success
	ContainerName string
	DependsOn     []string          // with what links, volumes_from and shared namespaces imply
	Shares        []string          // services of the model whose namespaces its containers live in
	Within        []string          // names of containers, of whatever project, whose namespaces they live in
	Networks      []string          // full names
	Places        []string          // what its mounts show of the checkout, as paths relative to it
	Mounts        map[string]string // full names of the volumes that it mounts, by where; "" for one without a name
	Missing       []string          // files of its configs and secrets that are nowhere
	Power         Power             // what it may do to the host
}

// NetworkSpec is the definition of a network.
type NetworkSpec struct {
	External   bool              `json:"external,omitempty"`
	Driver     string            `json:"driver,omitempty"`
	Options    map[string]string `json:"options,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Subnets    []string          `json:"subnets,omitempty"` // sorted
	Internal   bool              `json:"internal,omitempty"`
	Attachable bool              `json:"attachable,omitempty"`
	IPv6       bool              `json:"ipv6,omitempty"`
	Hash       string            `json:"hash,omitempty"` // by which Compose tells whether it has to be made anew; "" where nobody knows it
}

// VolumeSpec is the definition of a volume.
type VolumeSpec struct {
	External bool
	Driver   string
	Options  map[string]string
	Labels   map[string]string
}

// Key is the identity of one of the model's services.
func (m Model) Key(service string) Key { return Key{m.Project, service} }

// Names lists the services, sorted.
func (m Model) Names() []string { return slices.Sorted(maps.Keys(m.Services)) }

// Matching lists the services that patterns name, all where there is no pattern.
func (m Model) Matching(patterns []string) []string {
	return slices.DeleteFunc(m.Names(), func(name string) bool { return !covers(patterns, name) })
}

// covers reports whether patterns name a service; no pattern names all.
func covers(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return pipeline.MatchService(p, name) })
}

// closure adds everything that services depend on.
func (m Model) closure(names []string) map[string]bool {
	found := map[string]bool{}
	for queue := slices.Clone(names); len(queue) > 0; queue = queue[1:] {
		if name := queue[0]; !found[name] {
			found[name] = true
			queue = append(queue, m.Services[name].DependsOn...)
		}
	}
	return found
}

// Sharers adds to services those whose containers live in their namespaces, and theirs in turn: they are replaced and
// restarted together, because a namespace ends with its container.
func (m Model) Sharers(names []string) []string {
	found := map[string]bool{}
	for _, name := range names {
		found[name] = true
	}
	for grown := true; grown; {
		grown = false
		for name := range m.Services {
			if !found[name] && slices.ContainsFunc(m.owners(name), func(owner string) bool { return found[owner] }) {
				found[name], grown = true, true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// owners are the services of the model in whose namespaces one lives.
func (m Model) owners(name string) []string {
	var owners []string
	for _, k := range ownersBy([]Model{m}, m.Key(name)) {
		owners = append(owners, k.Service)
	}
	return owners
}

// Shows reports whether the mounts of the service show something that changed.
func (s Spec) Shows(changed Paths) bool { return slices.ContainsFunc(s.Places, changed.Touch) }

// Keys lists the services of models, each once, in order.
func Keys(models []Model) []Key {
	var keys []Key
	for _, m := range models {
		for name := range m.Services {
			keys = append(keys, m.Key(name))
		}
	}
	slices.SortFunc(keys, CompareKeys)
	return slices.Compact(keys)
}

// Projects lists the compose projects of models, each once, sorted.
func Projects(models []Model) []string {
	var names []string
	for _, m := range models {
		names = append(names, m.Project)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// find is the first model that names a service.
func find(models []Model, k Key) (Model, Spec, bool) {
	for _, m := range models {
		if spec, ok := m.Services[k.Service]; ok && m.Project == k.Project {
			return m, spec, true
		}
	}
	return Model{}, Spec{}, false
}

// Reach is what a step may touch: services of one project.
type Reach struct {
	Project  string
	Patterns []string // none stands for all
}

// Covers reports whether a service may have been touched.
func (r Reach) Covers(k Key) bool { return r.Project == k.Project && covers(r.Patterns, k.Service) }

func covered(reaches []Reach, k Key) bool {
	return slices.ContainsFunc(reaches, func(r Reach) bool { return r.Covers(k) })
}

// ReachOf is what steps may touch, where projects maps stacks to compose projects. An up that takes dependencies along reaches them, too.
func ReachOf(steps []pipeline.Step, projects map[string]string) []Reach {
	var reaches []Reach
	for _, s := range steps {
		if project := projects[s.Stack()]; project != "" {
			reaches = append(reaches, Reach{project, s.Services()})
		}
	}
	return reaches
}
