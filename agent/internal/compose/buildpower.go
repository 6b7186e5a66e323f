package compose

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/picture"
)

// renderedBuild is the build of a service, as far as it reaches beyond the commit. Build arguments may be secrets.
type renderedBuild struct {
	Context      string            `json:"context"`    // absolute, or an address
	Dockerfile   string            `json:"dockerfile"` // relative to the context
	Contexts     map[string]string `json:"additional_contexts"`
	Privileged   bool              `json:"privileged"`
	Entitlements []string          `json:"entitlements"`
	Network      string            `json:"network"`
	Isolation    string            `json:"isolation"`
	SSH          json.RawMessage   `json:"ssh"`
	Secrets      []renderedGrant   `json:"secrets"`
	CacheFrom    []string          `json:"cache_from"`
	CacheTo      []string          `json:"cache_to"`
}

// build tells what a build may do to the host, and what it is made from that is not of the commit. What a Dockerfile says is not read.
func (p *powers) build(r rendered, raw json.RawMessage) {
	var b renderedBuild
	if json.Unmarshal(raw, &b) != nil {
		p.claim(picture.RuleUnknown, "has a build that this version does not understand")
		return
	}
	p.unknown("key build.…", unknownKeys(raw, buildKeys))
	if b.Privileged {
		p.claim(picture.RulePrivileged, "is built privileged")
	}
	for _, e := range b.Entitlements {
		p.entitlement(e)
	}
	if !slices.Contains([]string{"", "default", "none", "bridge"}, b.Network) {
		p.claim(picture.RuleNamespaces, "is built in network %s", b.Network)
	}
	if b.Isolation != "" && b.Isolation != "default" {
		p.claim(picture.RuleConfinement, "is built with isolation %s", b.Isolation)
	}
	if given(b.SSH) {
		p.claim(picture.RuleMounts, "is built with SSH keys of the host")
	}
	for _, s := range b.Secrets {
		if file := r.Secrets[s.Source].File; file != "" {
			p.reads(file)
		}
	}
	p.contexts(b)
	p.caches(b)
}

// entitlement is what a build asks of BuildKit (buildx, "bake --allow").
func (p *powers) entitlement(name string) {
	rule := picture.RulePrivileged // security.insecure, and what we do not know
	switch kind, _, _ := strings.Cut(name, "="); kind {
	case "network.host":
		rule = picture.RuleNamespaces
	case "device":
		rule = picture.RuleDevices
	}
	p.claim(rule, "is built with entitlement %s", name)
}

func (p *powers) reads(path string) { p.Reads = append(p.Reads, p.t.onHost(path)...) }

// contexts tells what goes into a build: folders, images, and repositories or archives by their address.
func (p *powers) contexts(b renderedBuild) {
	all := []string{b.Context}
	for _, context := range b.Contexts {
		all = append(all, context)
	}
	slices.Sort(all)
	for _, context := range all {
		kind, rest, address := strings.Cut(context, "://")
		switch {
		case context == "", strings.HasPrefix(context, "service:"), strings.HasPrefix(context, "target:"): // of the commit
		case kind == "oci-layout" && address:
			layout, _, _ := strings.Cut(rest, "@")
			p.reads(layout)
		case filepath.IsAbs(context):
			p.reads(context)
		default:
			p.Images = append(p.Images, context)
		}
	}
	if file := b.Dockerfile; file != "" && filepath.IsAbs(b.Context) {
		if !filepath.IsAbs(file) {
			file = filepath.Join(b.Context, file)
		}
		p.reads(file)
	}
}

// caches tells where a build's cache comes from and goes to (docker docs, "cache storage backends"): a name of an image, or type=KIND,KEY=VALUE.
func (p *powers) caches(b renderedBuild) {
	for _, entry := range b.CacheFrom {
		switch c := cacheOf(entry); c["type"] {
		case "registry":
			p.Caches = append(p.Caches, c["ref"])
		case "local":
			p.readsCache(c["src"])
		case "inline":
		default:
			p.claim(picture.RuleRegistries, "is built with a cache of %s", c["type"])
		}
	}
	for _, entry := range b.CacheTo {
		switch c := cacheOf(entry); c["type"] {
		case "local":
			p.readsCache(c["dest"])
		case "registry", "inline": // it goes to a registry, with the image or like one
		default:
			p.claim(picture.RuleRegistries, "gives its build's cache to %s", c["type"])
		}
	}
}

// readsCache is a folder that a build uses, relative to the checkout where it is not absolute.
func (p *powers) readsCache(path string) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.t.dir, path)
	}
	p.reads(path)
}

func cacheOf(entry string) map[string]string {
	if !strings.Contains(entry, "=") {
		return map[string]string{"type": "registry", "ref": entry}
	}
	c := map[string]string{}
	for _, part := range strings.Split(entry, ",") {
		key, value, _ := strings.Cut(part, "=")
		c[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return c
}
