package hostconfig

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// Answers are what a rule of [ComposePolicy] may say.
var Answers = []string{"allow", "warn", "refuse"}

// ComposePolicy says what the services of compose files may do to this host. Every rule is "" (allow), or one of [Answers].
type ComposePolicy struct {
	Privileged          string              `yaml:"privileged"`
	HostNamespaces      string              `yaml:"host_namespaces"`
	DockerSocket        string              `yaml:"docker_socket"`
	CapAdd              string              `yaml:"cap_add"`
	Devices             string              `yaml:"devices"`
	Confinement         string              `yaml:"confinement"`
	Providers           string              `yaml:"providers"`
	Mounts              string              `yaml:"mounts"` // outside the checkout and mount_roots
	MountRoots          []string            `yaml:"mount_roots"`
	ImagesWithoutDigest string              `yaml:"images_without_digest"`
	OtherRegistries     string              `yaml:"other_registries"` // than those of registries
	Registries          []string            `yaml:"registries"`
	UnknownKeys         string              `yaml:"unknown_keys"` // "" is the strictest answer of the others
	Except              map[string][]string `yaml:"except"`       // rules that do not hold for "stack/service"; "stack/*" for what the stack's files read in
}

// Rules are the rules by the name that agent.yaml gives them.
func (p ComposePolicy) Rules() map[string]string {
	return map[string]string{
		"privileged": p.Privileged, "host_namespaces": p.HostNamespaces, "docker_socket": p.DockerSocket, "cap_add": p.CapAdd, "devices": p.Devices,
		"confinement": p.Confinement, "providers": p.Providers, "mounts": p.Mounts, "images_without_digest": p.ImagesWithoutDigest,
		"other_registries": p.OtherRegistries, "unknown_keys": p.UnknownKeys,
	}
}

// RequireSigned says whose commits are deployed.
type RequireSigned struct {
	AllowedSigners string `yaml:"allowed_signers,required"` // a file as of ssh-keygen(1)
	Every          bool   `yaml:"every_commit"`             // each commit since the one that runs, not the target alone
}

func (k *checker) policy(c Config) {
	rules := c.Policy.Rules()
	var names []string
	for name := range rules {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if answer := rules[name]; answer != "" && !slices.Contains(Answers, answer) {
			k.bad("%q is none of %s", []string{"policy", name}, answer, strings.Join(Answers, ", "))
		}
	}
	for _, root := range c.Policy.MountRoots {
		if !filepath.IsAbs(root) || root != filepath.Clean(root) {
			k.bad("%q is not a clean absolute path", []string{"policy", "mount_roots"}, root)
		}
	}
	if c.Policy.OtherRegistries != "" && len(c.Policy.Registries) == 0 {
		k.bad("needs policy.registries, which names those that are no other ones", []string{"policy", "other_registries"})
	}
	for service, excepted := range c.Policy.Except {
		if strings.Count(service, "/") != 1 {
			k.bad("%q is not STACK/SERVICE", []string{"policy", "except", service}, service)
		}
		for _, rule := range excepted {
			if slices.Contains(names, rule) {
				continue
			}
			hint := "the rules are " + strings.Join(names, ", ")
			if near := strictyaml.Suggest(rule, names); near != "" {
				hint = "did you mean " + near + "?"
			}
			k.bad("%q is no rule; %s", []string{"policy", "except", service}, rule, hint)
		}
	}
	if c.RequireSigned == nil || c.RequireSigned.AllowedSigners == "" {
		return
	}
	if file := c.RequireSigned.AllowedSigners; !filepath.IsAbs(file) {
		k.bad("%q is not an absolute path", []string{"require_signed", "allowed_signers"}, file)
	} else if _, err := os.Stat(file); err != nil {
		k.bad("%v", []string{"require_signed", "allowed_signers"}, err)
	} else if inside(file, c.Checkout) {
		k.bad("%s lies inside the checkout: whoever may push could name himself", []string{"require_signed", "allowed_signers"}, file)
	}
}
