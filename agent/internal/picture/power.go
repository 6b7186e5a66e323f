package picture

import (
	"path"
	"slices"
	"strings"
)

// The rules of a policy, as agent.yaml names them.
const (
	RulePrivileged  = "privileged"
	RuleNamespaces  = "host_namespaces"
	RuleSocket      = "docker_socket"
	RuleCaps        = "cap_add"
	RuleDevices     = "devices"
	RuleConfinement = "confinement"
	RuleProviders   = "providers"
	RuleMounts      = "mounts"
	RuleDigest      = "images_without_digest"
	RuleRegistries  = "other_registries"
	RuleUnknown     = "unknown_keys"
)

// Power is what a service may do to the host beyond its container. What cannot be interpreted is a claim: it is judged as the worst that it may be.
type Power struct {
	Namespaces []string // of the host that it lives in: "network", "pid", "ipc", "uts", "userns", "cgroup"
	Claims     []Claim
	Sources    []string // files and folders of the host that its containers show, absolute, with where their links lead
	Reads      []string // likewise, what is read or written to make it: build contexts, keys, caches
	Volumes    []string // full names; what they are is known by the engine
	Images     []string // what it is made from besides its image: names of images, addresses of build contexts
	Caches     []string // names of images whose layers it may be made from
	Joins      []Join
}

// Claim is something that a service asks for, and the rule that decides about it.
type Claim struct {
	Rule string
	What string // "is privileged"
}

// Join is a service of the same model whose power a service has, too, as far as what they share goes.
type Join struct {
	Kind    string // "network", "ipc", "pid", "volumes"
	Service string
}

// Backing is what of the host a volume shows: paths, and claims about what paths do not tell.
//
// The local driver hands device, o and type to mount(2), from the engine's working directory, which is "/" (moby, volume/local). Without a
// device a volume is a folder of the engine's own.
func (v VolumeSpec) Backing() (paths []string, claims []Claim) {
	unclear := func(what string) { claims = append(claims, Claim{RuleMounts, what}) }
	if v.Driver != "" && v.Driver != "local" {
		unclear("has a volume of driver " + v.Driver + ", which may show anything")
	}
	options, device, kind := strings.Split(v.Options["o"], ","), v.Options["device"], v.Options["type"]
	bound := kind == "none" || kind == "bind" || slices.Contains(options, "bind") || slices.Contains(options, "rbind")
	switch {
	case bound && device != "":
		paths = append(paths, path.Join("/", device))
	case kind == "tmpfs" || device == "" && kind == "":
	default:
		unclear(strings.TrimSpace("has a volume that mounts something of type " + kind)) // an address may hold a password
	}
	if strings.HasPrefix(path.Join("/", device), "/dev/") {
		claims = append(claims, Claim{RuleDevices, "has a volume on " + device})
	}
	for key, value := range v.Options { // layers of overlay, paths of other drivers
		if key == "device" && (v.Driver == "" || v.Driver == "local") {
			continue
		}
		for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(",:=", r) }) {
			if path.IsAbs(word) && kind != "tmpfs" {
				paths = append(paths, path.Clean(word))
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), claims
}

// own is the power of a service alone, with what the engine has under the names of its volumes and networks.
func (m Model) own(name string, now Picture) Power {
	spec, known := m.Services[name]
	if !known {
		return Power{Claims: []Claim{{RuleNamespaces, "is a service that nobody knows"}}}
	}
	p := spec.Power
	p.Namespaces, p.Claims, p.Sources = slices.Clone(p.Namespaces), slices.Clone(p.Claims), slices.Clone(p.Sources)
	if slices.ContainsFunc(spec.Networks, func(network string) bool { return m.hostNetwork(network, now) }) {
		p.Namespaces = append(p.Namespaces, "network")
	}
	for _, v := range now.Volumes {
		if !slices.Contains(p.Volumes, v.Name) {
			continue
		}
		paths, claims := v.Backing()
		p.Claims = append(p.Claims, claims...)
		p.Sources = append(append(p.Sources, paths...), v.Leads...)
	}
	slices.Sort(p.Namespaces)
	p.Namespaces = slices.Compact(p.Namespaces)
	return p
}

// hostNetwork reports whether a network is the host's own, under whatever name: for one that has no such name the engine takes the beginning
// of an ID, too.
func (m Model) hostNetwork(name string, now Picture) bool {
	if name == "host" || m.Networks[name].Driver == "host" {
		return true
	}
	if n, there := now.network(name); there {
		return n.Driver == "host"
	}
	defined, known := m.Networks[name]
	return (defined.External || !known) && name != "" && slices.ContainsFunc(now.Networks, func(n Network) bool {
		return n.Driver == "host" && strings.HasPrefix(n.ID, name)
	})
}

// through is the power that a service has by a join. Whoever sees the processes of another sees its files and sockets (/proc/PID/root), and can do what it does.
func (m Model) through(j Join, now Picture, seen map[Join]bool) (got Power) {
	if seen[j] {
		return got
	}
	seen[j] = true
	of := m.own(j.Service, now)
	switch j.Kind {
	case "pid":
		got = Power{Namespaces: of.Namespaces, Claims: of.Claims, Sources: of.Sources}
	case "volumes":
		got.Sources = of.Sources
		got.Claims = slices.DeleteFunc(of.Claims, func(c Claim) bool { return c.Rule != RuleMounts && c.Rule != RuleSocket })
	default:
		got.Namespaces = slices.DeleteFunc(of.Namespaces, func(n string) bool { return n != j.Kind })
	}
	for _, next := range of.Joins {
		if j.Kind != "pid" && next.Kind != j.Kind {
			continue
		}
		more := m.through(next, now, seen)
		got.Namespaces = append(got.Namespaces, more.Namespaces...)
		got.Claims = append(got.Claims, more.Claims...)
		got.Sources = append(got.Sources, more.Sources...)
	}
	return got
}
