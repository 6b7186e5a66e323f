package compose

import (
	"path/filepath"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/picture"
)

// powerOf is what a service may do to the host.
func (t tree) powerOf(s renderedService, sources []string) picture.Power {
	p := picture.Power{Privileged: s.Privileged, Caps: slices.Sorted(slices.Values(s.CapAdd))}
	for _, source := range sources {
		p.Sources = append(p.Sources, t.onHost(source)...)
	}
	if s.APISocket {
		p.Sources = append(p.Sources, "/var/run/docker.sock")
	}
	for _, opt := range s.SecurityOpt {
		if strings.HasSuffix(opt, "unconfined") || strings.Contains(opt, "label") && strings.HasSuffix(opt, "disable") {
			p.Caps = append(p.Caps, opt)
		}
	}
	for _, of := range []struct{ name, mode string }{
		{"network", s.NetworkMode}, {"pid", s.Pid}, {"ipc", s.Ipc}, {"uts", s.UTS}, {"userns", s.Userns}, {"cgroup", s.Cgroup},
	} {
		if of.mode == "host" {
			p.Namespaces = append(p.Namespaces, of.name)
		}
	}
	for _, d := range s.Devices {
		if d.Source != "" {
			p.Devices = append(p.Devices, d.Source)
		}
	}
	p.Devices = append(p.Devices, s.DeviceCgroupRules...)
	if len(s.GPUs) > 0 || len(s.Deploy.Resources.Reservations.Devices) > 0 {
		p.Devices = append(p.Devices, "reserved devices, such as GPUs")
	}
	return p
}

// onHost is a source of a mount as the host will have it: where it is written, in the checkout instead of a side tree, and where its links
// lead, because the engine follows them.
func (t tree) onHost(source string) []string {
	found := []string{t.checkedOut(source)}
	if target, err := filepath.EvalSymlinks(source); err == nil && target != source {
		if dir, err := filepath.EvalSymlinks(t.dir); err != nil || !below(dir, target) { // in the tree, it moves with the tree
			found = append(found, target)
		}
	}
	return found
}

// checkedOut is a path of the tree as the checkout will have it.
func (t tree) checkedOut(path string) string {
	if rel, err := filepath.Rel(t.dir, path); err == nil && filepath.IsLocal(rel) {
		return filepath.Join(t.checkout, rel)
	}
	return path
}
