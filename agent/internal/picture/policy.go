package picture

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

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
	Answers    map[string]Answer // by rule; none is Allow, for [RuleUnknown] the strictest of the others
	MountRoots []string          // below which mounts are inside, besides the checkout
	Registries []string          // that are not other ones: "docker.io", "ghcr.io"
	// Never are folders of the host's own that no container may have: the agent's identity, its state.
	Never []string
	// Except are rules that do not hold for a service, by "stack/service": "docker_socket". "stack/*" stands for what the stack's files read.
	Except map[string][]string
}

// Everybody stands for all services of a stack in [Policy.Except].
const Everybody = "*"

// Check holds the models of a commit against the policy. dirs are the checkout's folder by each path that leads to it. now is what the engine
// has under the names of volumes and networks; without it they are what the compose files say. There is one finding a service and rule.
func (p Policy) Check(models []Model, dirs []string, now Picture) (refusals, warnings []Finding) {
	for _, m := range models {
		found := map[string][]Claim{Everybody: p.reads(m.Reads, dirs)}
		for _, name := range m.Names() {
			found[name] = p.service(m, name, dirs, now)
		}
		for _, name := range append(m.Names(), Everybody) {
			r, w := p.findings(m.Stack+"/"+name, found[name])
			refusals, warnings = append(refusals, r...), append(warnings, w...)
		}
	}
	return refusals, warnings
}

// findings are those of one service: a rule's together.
func (p Policy) findings(service string, found []Claim) (refusals, warnings []Finding) {
	var order []string
	what := map[string][]string{}
	for _, b := range found {
		if !slices.Contains(order, b.Rule) {
			order = append(order, b.Rule)
		}
		if !slices.Contains(what[b.Rule], b.What) {
			what[b.Rule] = append(what[b.Rule], b.What)
		}
	}
	for _, rule := range order {
		answer := p.answer(rule)
		if answer == Allow || rule != unexcepted && slices.Contains(p.Except[service], rule) {
			continue
		}
		f := Finding{fault.Refused, PolicyReason, service + " " + strings.Join(what[rule], "; "), fmt.Sprintf("policy.%s of agent.yaml decides; except: {%s: [%s]} lets it", rule, service, rule)}
		if rule == unexcepted {
			f.Hint = "no policy allows that: it would be root's key in a container"
		}
		if answer == Refuse {
			refusals = append(refusals, f)
		} else {
			warnings = append(warnings, f)
		}
	}
	return refusals, warnings
}

// PolicyReason is the reason of every finding of a policy.
const PolicyReason = "POLICY"

func (p Policy) answer(rule string) Answer {
	switch answer := p.Answers[rule]; {
	case rule == unexcepted:
		return Refuse
	case answer != "":
		return answer
	case rule == RuleUnknown: // what it does nobody can tell, so that it is judged as the worst
		strictest := Allow
		for _, other := range p.Answers {
			if other == Refuse || other == Warn && strictest == Allow {
				strictest = other
			}
		}
		return strictest
	}
	return Allow
}

// service is what a service of a model breaks, by itself and by what it shares with others.
func (p Policy) service(m Model, name string, dirs []string, now Picture) []Claim {
	own := m.own(name, now)
	found := p.power(own, dirs)
	for _, source := range own.Reads {
		found = append(found, p.mount("reads", source, dirs)...)
	}
	for _, j := range own.Joins {
		for _, b := range p.power(m.through(j, now, map[Join]bool{}), dirs) {
			found = append(found, Claim{b.Rule, fmt.Sprintf("shares %s with %s, which %s", j.Kind, j.Service, b.What)})
		}
	}
	for _, image := range own.Images {
		found = append(found, p.image(image)...)
	}
	for _, cache := range own.Caches {
		found = append(found, p.registry("is built with a cache of", cache)...)
	}
	spec := m.Services[name]
	if spec.Configured == "" || !spec.Pulls && (spec.Builds || m.builds(spec.Configured)) {
		return found // it comes from the commit
	}
	return append(found, p.image(spec.Configured)...)
}

// builds reports whether a service of the model builds the image of a name.
func (m Model) builds(image string) bool {
	for _, s := range m.Services {
		if s.Builds && !s.Pulls && s.Image == image {
			return true
		}
	}
	return false
}

func (p Policy) power(has Power, dirs []string) []Claim {
	var found []Claim
	if len(has.Namespaces) > 0 {
		found = append(found, Claim{RuleNamespaces, "lives in the host's namespaces: " + strings.Join(has.Namespaces, ", ")})
	}
	found = append(found, has.Claims...)
	for _, source := range has.Sources {
		found = append(found, p.mount("mounts", source, dirs)...)
	}
	return found
}

// reads judges the files that a stack's compose files have read into them.
func (p Policy) reads(files, dirs []string) []Claim {
	var found []Claim
	for _, file := range files {
		found = append(found, p.mount("reads", file, dirs)...)
	}
	return found
}

// sockets are paths by which a container rules the engine, and so the host.
var sockets = []string{
	"/var/run/docker.sock", "/run/docker.sock", "/var/run/docker", "/run/docker",
	"/run/containerd", "/var/run/containerd", "/run/podman", "/var/run/podman",
}

// unexcepted is the rule that nothing is excepted from.
const unexcepted = "never"

func (p Policy) outside(source string, dirs []string) bool {
	return !slices.ContainsFunc(slices.Concat(dirs, p.MountRoots), func(root string) bool { return within(source, root) })
}

// everybodys are folders that hold everything; monitors mount them, and they are judged as any other mount.
var everybodys = []string{"/", "/etc", "/home", "/mnt", "/opt", "/root", "/run", "/srv", "/usr", "/var", "/var/lib", "/var/run"}

// mount judges a path of the host that a service "mounts" or "reads". A source that is no absolute path is one that nobody can tell.
func (p Policy) mount(verb, source string, dirs []string) []Claim {
	if !path.IsAbs(source) {
		return []Claim{{RuleMounts, verb + " " + source + ", and where that is cannot be told"}}
	}
	source = path.Clean(source)
	for _, own := range p.Never {
		if within(source, own) || within(own, source) && !slices.Contains(everybodys, source) {
			return []Claim{{unexcepted, verb + " " + source + ", which is Landfall's own"}}
		}
	}
	var found []Claim
	if slices.ContainsFunc(sockets, func(socket string) bool { return within(socket, source) || within(source, socket) }) {
		found = append(found, Claim{RuleSocket, verb + " " + source + ", and with it docker's socket, which rules the host"})
		if slices.Contains(sockets, source) {
			return found
		}
	}
	if p.outside(source, dirs) && source != "/etc/localtime" && source != "/etc/timezone" {
		found = append(found, Claim{RuleMounts, verb + " " + source + ", which is outside the roots that are named"})
	}
	return found
}

// within reports whether a path is a folder, or lies below it.
func within(at, root string) bool {
	root = path.Clean(root)
	return at == root || root == "/" || strings.HasPrefix(at, root+"/")
}

// image judges the name of an image, or the address of a build context, that is not of the commit.
func (p Policy) image(name string) []Claim {
	var found []Claim
	if !pinned(name) {
		found = append(found, Claim{RuleDigest, "is made from " + withoutUser(name) + ", which names no digest"})
	}
	return append(found, p.registry("is made from an image of", name)...)
}

func (p Policy) registry(what, name string) []Claim {
	if registry := registryOf(name); len(p.Registries) > 0 && !slices.Contains(p.Registries, registry) {
		return []Claim{{RuleRegistries, what + " " + registry}}
	}
	return nil
}

// pinned reports whether a name means one content for ever: an image by digest, a repository by a whole commit.
func pinned(name string) bool {
	if _, fragment, ok := strings.Cut(name, "#"); ok {
		commit, _, _ := strings.Cut(fragment, ":")
		return len(commit) >= 40 && strings.Trim(commit, "0123456789abcdef") == ""
	}
	return strings.Contains(name, "@sha256:")
}

// registryOf is the registry of an image's name (distribution/reference: a first part with a dot or a colon, or "localhost", is one), and the
// host of an address.
func registryOf(name string) string {
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	if _, rest, ok := strings.Cut(name, "git@"); ok {
		name, _, _ = strings.Cut(rest, ":")
		name += "/"
	}
	name = withoutUser("://" + name)[len("://"):]
	first, _, more := strings.Cut(name, "/")
	if more && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first
	}
	return "docker.io"
}

// withoutUser leaves out of an address who asks, which may be a password.
func withoutUser(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	host, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndex(host, "@"); ok && i >= 0 && !strings.HasPrefix(host[i:], "@sha256:") {
		return strings.TrimSuffix(scheme+"://"+host[i+1:]+"/"+path, "/")
	}
	return address
}
