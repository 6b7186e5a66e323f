package compose

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"ataraxis.dev/landfall/agent/internal/picture"
)

// renderedPower are the keys of a service by which it may do something to the host; see keys.go for all of them.
type renderedPower struct {
	Privileged  bool                       `json:"privileged"`
	UTS         string                     `json:"uts"`
	Userns      string                     `json:"userns_mode"`
	Cgroup      string                     `json:"cgroup"`
	CapAdd      []string                   `json:"cap_add"`
	Devices     []json.RawMessage          `json:"devices"`
	DeviceRules []string                   `json:"device_cgroup_rules"`
	GPUs        json.RawMessage            `json:"gpus"`
	SecurityOpt []string                   `json:"security_opt"`
	APISocket   bool                       `json:"use_api_socket"`
	VolumesFrom []string                   `json:"volumes_from"`
	PostStart   []json.RawMessage          `json:"post_start"`
	PreStop     []json.RawMessage          `json:"pre_stop"`
	CgroupUnder string                     `json:"cgroup_parent"`
	Credentials json.RawMessage            `json:"credential_spec"`
	Sysctls     map[string]json.RawMessage `json:"sysctls"`
	Runtime     string                     `json:"runtime"`
	Isolation   string                     `json:"isolation"`
	Annotations map[string]json.RawMessage `json:"annotations"`
	GroupAdd    []string                   `json:"group_add"`
	Provider    json.RawMessage            `json:"provider"`
	Models      json.RawMessage            `json:"models"`
	PullPolicy  string                     `json:"pull_policy"`
}

// powers gathers the power of one service.
type powers struct {
	picture.Power
	t tree
}

func (p *powers) claim(rule, what string, args ...any) {
	p.Claims = append(p.Claims, picture.Claim{Rule: rule, What: fmt.Sprintf(what, args...)})
}

// powerOf is what a service may do to the host.
func (r rendered) powerOf(s renderedService, t tree) picture.Power {
	p := &powers{t: t}
	if s.Privileged {
		p.claim(picture.RulePrivileged, "is privileged")
	}
	p.hooks("post_start", s.PostStart)
	p.hooks("pre_stop", s.PreStop)
	p.namespaces(s)
	for _, c := range s.CapAdd {
		p.claim(picture.RuleCaps, "gets capability %s", c)
	}
	p.devices(s)
	p.confinement(s)
	if given(s.Provider) || given(s.Models) {
		p.claim(picture.RuleProviders, "has Compose run a program of the host (provider, models)")
	}
	p.mounts(r, s)
	p.unknown("key", s.unknown)
	if given(s.Build) {
		p.build(r, s.Build)
	}
	return p.Power
}

// given reports whether a key is there and says something.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

func (p *powers) unknown(what string, keys []string) {
	for _, key := range keys {
		p.claim(picture.RuleUnknown, "uses %s %s, which this version does not know", what, key)
	}
}

func (p *powers) hooks(key string, hooks []json.RawMessage) {
	for _, raw := range hooks {
		var hook struct {
			Privileged bool `json:"privileged"`
		}
		if json.Unmarshal(raw, &hook) != nil || hook.Privileged {
			p.claim(picture.RulePrivileged, "runs a command of %s privileged", key)
		}
		p.unknown("key "+key+".…", unknownKeys(raw, hookKeys))
	}
}

// namespaces tells of what a service lives in that is not its own. A mode that we do not know may be the host's by another name.
func (p *powers) namespaces(s renderedService) {
	for _, of := range []struct {
		name, mode string
		own        []string
	}{
		{"network", s.NetworkMode, []string{"", "none", "bridge", "default"}},
		{"pid", s.Pid, []string{"", "private"}},
		{"ipc", s.Ipc, []string{"", "private", "shareable", "none"}},
		{"uts", s.UTS, []string{""}},
		{"userns", s.Userns, []string{""}},
		{"cgroup", s.Cgroup, []string{"", "private"}},
	} {
		if owner, shared := strings.CutPrefix(of.mode, "service:"); shared {
			p.Joins = append(p.Joins, picture.Join{Kind: of.name, Service: owner})
			continue
		}
		switch {
		case slices.Contains(of.own, of.mode):
		case of.mode == "host":
			p.Namespaces = append(p.Namespaces, of.name)
		default:
			p.claim(picture.RuleNamespaces, "has %s of %s, which no compose file defines", of.name, of.mode)
		}
	}
}

func (p *powers) devices(s renderedService) {
	for _, raw := range s.Devices {
		var d struct {
			Source string `json:"source"` // a path of the host, or a name of the Container Device Interface: "vendor.com/class=name"
		}
		if json.Unmarshal(raw, &d) != nil || d.Source == "" {
			d.Source = string(raw)
		}
		p.claim(picture.RuleDevices, "gets device %s", d.Source)
	}
	for _, rule := range s.DeviceRules {
		p.claim(picture.RuleDevices, "gets devices %s", rule)
	}
	if given(s.GPUs) || len(s.Deploy.Resources.Reservations.Devices) > 0 {
		p.claim(picture.RuleDevices, "gets reserved devices, such as GPUs")
	}
}

// tightening are options of security_opt that take something away, or are what the engine does anyway. Any other one is taken for loosening.
var tightening = []string{"no-new-privileges", "no-new-privileges:true", "apparmor:docker-default", "seccomp:builtin"}

// runtimes are those that the engine has by itself.
var runtimes = []string{"", "runc", "io.containerd.runc.v2"}

// namespaced are the kernel's parameters that each network and IPC namespace has of its own, as runc takes them (libcontainer/configs/validate).
var namespaced = []string{"net.", "fs.mqueue.", "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"}

// confinement tells of what holds a container less than others are held, or in another way.
func (p *powers) confinement(s renderedService) {
	for _, opt := range s.SecurityOpt {
		if !slices.Contains(tightening, strings.Replace(opt, "=", ":", 1)) {
			p.claim(picture.RuleConfinement, "is confined otherwise: %s", opt)
		}
	}
	if !slices.Contains(runtimes, s.Runtime) {
		p.claim(picture.RuleConfinement, "runs by runtime %s", s.Runtime)
	}
	if s.Isolation != "" && s.Isolation != "default" {
		p.claim(picture.RuleConfinement, "has isolation %s", s.Isolation)
	}
	if s.CgroupUnder != "" {
		p.claim(picture.RuleConfinement, "lives in cgroup %s", s.CgroupUnder)
	}
	if given(s.Credentials) {
		p.claim(picture.RuleConfinement, "has a credential_spec")
	}
	for name := range s.Annotations {
		p.claim(picture.RuleConfinement, "tells the runtime %s", name)
	}
	borrowed := len(p.Namespaces)+len(p.Joins) > 0 || slices.ContainsFunc(p.Claims, func(c picture.Claim) bool { return c.Rule == picture.RuleNamespaces })
	for name := range s.Sysctls {
		if borrowed || !slices.ContainsFunc(namespaced, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			p.claim(picture.RuleConfinement, "sets %s of the kernel", name)
		}
	}
	slices.SortStableFunc(p.Claims, func(a, b picture.Claim) int {
		if a.Rule != picture.RuleConfinement || b.Rule != picture.RuleConfinement {
			return 0
		}
		return strings.Compare(a.What, b.What)
	})
}

// mounts tells what of the host a service's containers show.
func (p *powers) mounts(r rendered, s renderedService) {
	if s.APISocket {
		p.claim(picture.RuleSocket, "gets docker's socket (use_api_socket), which rules the host")
	}
	for _, group := range s.GroupAdd {
		if group == "docker" || group == socketGroup() {
			p.claim(picture.RuleSocket, "is in group %s, whose members have docker's socket", group)
		}
	}
	for _, v := range s.Volumes {
		p.mount(r, v)
		p.unknown("key volumes.…", v.unknown)
	}
	for _, source := range r.sources(s) {
		p.Sources = append(p.Sources, p.t.onHost(source)...)
	}
	for _, from := range s.VolumesFrom {
		from = strings.TrimSuffix(strings.TrimSuffix(from, ":ro"), ":rw")
		if strings.HasPrefix(from, "container:") {
			p.claim(picture.RuleMounts, "has the volumes of %s, which no compose file defines", from)
			p.claim(picture.RuleSocket, "has the volumes of %s, and with them docker's socket perhaps", from)
			continue
		}
		service, _, _ := strings.Cut(from, ":")
		p.Joins = append(p.Joins, picture.Join{Kind: "volumes", Service: service})
	}
}

func (p *powers) mount(r rendered, v renderedMount) {
	switch v.Type {
	case "bind", "tmpfs": // see rendered.sources
	case "image":
		p.Images = append(p.Images, v.Source)
	case "volume":
		if v.Source == "" {
			return // the engine makes one, and nobody else has it
		}
		volume := r.Volumes[v.Source]
		_, claims := volume.spec().Backing()
		p.Claims = append(p.Claims, claims...)
		p.Volumes = append(p.Volumes, volume.Name)
		p.unknown("key volumes of a volume,", volume.unknown)
	default:
		p.claim(picture.RuleMounts, "mounts %s of type %s, which may be anything", v.Source, v.Type)
	}
}

// socketGroup is the number of the group that may use the engine's socket, "" where that is not known.
func socketGroup() string {
	info, err := os.Stat("/var/run/docker.sock")
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Gid == 0 {
		return "" // whose number every container's user has
	}
	return strconv.FormatUint(uint64(stat.Gid), 10)
}

// pulls reports whether a service's image may come from a registry though it is built here. Without a policy, what is built is built.
func (s renderedService) pulls() bool {
	return !slices.Contains([]string{"", "build", "never"}, s.PullPolicy)
}
