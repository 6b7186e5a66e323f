package picture

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// Power is what a service may do to the host beyond its container.
type Power struct {
	Privileged bool
	Namespaces []string // of the host that it lives in: "network", "pid", "ipc", "uts", "userns", "cgroup"
	Caps       []string // capabilities that are added
	Devices    []string // of the host
	Sources    []string // files and folders of the host that it mounts, absolute
}

// Answer is what a policy says of something.
type Answer string

// The answers.
const (
	Allow  Answer = "allow"
	Warn   Answer = "warn"
	Refuse Answer = "refuse"
)

// Policy is what this host lets compose files do to it. The zero value allows everything but what is never meant.
type Policy struct {
	Privileged, HostNamespaces, DockerSocket, CapAdd, Devices Answer // "" is Allow
	MountsOutside                                             Answer
	MountRoots                                                []string // below which mounts are inside, besides the checkout
	ImagesWithoutDigest, OtherRegistries                      Answer
	Registries                                                []string // that are not other ones: "docker.io", "ghcr.io"
	// Never are folders of the host's own that no container may have: the agent's identity, its state.
	Never []string
	// Except are rules that do not hold for a service, by "stack/service": "docker_socket".
	Except map[string][]string
}

// Check holds the models of a commit against the policy. dirs are the checkout's folder by each path that leads to it.
func (p Policy) Check(models []Model, dirs []string) (refusals, warnings []Finding) {
	for _, m := range models {
		for _, name := range m.Names() {
			for _, r := range p.rules(m.Services[name], dirs) {
				if r.answer == "" || r.answer == Allow || r.rule != unexcepted && slices.Contains(p.Except[m.Stack+"/"+name], r.rule) {
					continue
				}
				f := Finding{fault.Refused, "POLICY", fmt.Sprintf("%s/%s %s", m.Stack, name, r.what), "policy." + r.rule + " of agent.yaml decides"}
				if r.rule == unexcepted {
					f.Hint = "no policy allows that: it would be root's key in a container"
				}
				if r.answer == Refuse {
					refusals = append(refusals, f)
				} else {
					warnings = append(warnings, f)
				}
			}
		}
	}
	return refusals, warnings
}

// broken is one rule that a service breaks.
type broken struct {
	rule   string // as agent.yaml names it
	answer Answer
	what   string
}

func (p Policy) rules(s Spec, dirs []string) []broken {
	var found []broken
	if s.Power.Privileged {
		found = append(found, broken{"privileged", p.Privileged, "is privileged"})
	}
	if len(s.Power.Namespaces) > 0 {
		found = append(found, broken{"host_namespaces", p.HostNamespaces, "lives in the host's namespaces: " + strings.Join(s.Power.Namespaces, ", ")})
	}
	if len(s.Power.Caps) > 0 {
		found = append(found, broken{"cap_add", p.CapAdd, "gets capabilities: " + strings.Join(s.Power.Caps, ", ")})
	}
	if len(s.Power.Devices) > 0 {
		found = append(found, broken{"devices", p.Devices, "gets devices of the host: " + strings.Join(s.Power.Devices, ", ")})
	}
	for _, source := range s.Power.Sources {
		found = append(found, p.mount(source, dirs)...)
	}
	return append(found, p.image(s)...)
}

// sockets are paths by which a container rules the engine, and so the host.
var sockets = []string{"/var/run/docker.sock", "/run/docker.sock", "/var/run/docker", "/run/docker", "/run/containerd/containerd.sock", "/run/containerd"}

// unexcepted is the rule that nothing is excepted from.
const unexcepted = "never"

func (p Policy) outside(source string, dirs []string) bool {
	return !slices.ContainsFunc(slices.Concat(dirs, p.MountRoots), func(root string) bool { return within(source, root) })
}

// everybodys are folders that hold everything; monitors mount them, and they are judged as any other mount.
var everybodys = []string{"/", "/etc", "/home", "/mnt", "/opt", "/root", "/run", "/srv", "/usr", "/var", "/var/lib", "/var/run"}

func (p Policy) mount(source string, dirs []string) []broken {
	source = path.Clean(source)
	for _, own := range p.Never {
		if within(source, own) || within(own, source) && !slices.Contains(everybodys, source) {
			return []broken{{unexcepted, Refuse, "mounts " + source + ", which is Landfall's own"}}
		}
	}
	if slices.ContainsFunc(sockets, func(socket string) bool { return within(socket, source) || within(source, socket) }) {
		found := []broken{{"docker_socket", p.DockerSocket, "mounts " + source + ", and with it docker's socket, which rules the host"}}
		if !slices.Contains(sockets, source) && p.outside(source, dirs) {
			found = append(found, broken{"mounts", p.MountsOutside, "mounts " + source + ", which is outside the roots that are named"})
		}
		return found
	}
	switch {
	case !p.outside(source, dirs):
		return nil
	case source == "/etc/localtime" || source == "/etc/timezone":
		return nil
	}
	return []broken{{"mounts", p.MountsOutside, "mounts " + source + ", which is outside the roots that are named"}}
}

// within reports whether a path is a folder, or lies below it.
func within(at, root string) bool {
	root = path.Clean(root)
	return at == root || root == "/" || strings.HasPrefix(at, root+"/")
}

// image judges what a service is made from; what is built here comes from the commit.
func (p Policy) image(s Spec) []broken {
	if s.Builds || s.Configured == "" {
		return nil
	}
	var found []broken
	if !strings.Contains(s.Configured, "@sha256:") {
		found = append(found, broken{"images_without_digest", p.ImagesWithoutDigest, "is made from " + s.Configured + ", which names no digest"})
	}
	registry := registryOf(s.Configured)
	if len(p.Registries) > 0 && !slices.Contains(p.Registries, registry) {
		found = append(found, broken{"other_registries", p.OtherRegistries, "is made from an image of " + registry})
	}
	return found
}

// registryOf is the registry of an image's name (distribution/reference: a first part with a dot or a colon, or "localhost", is one).
func registryOf(image string) string {
	first, _, more := strings.Cut(image, "/")
	if more && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first
	}
	return "docker.io"
}
