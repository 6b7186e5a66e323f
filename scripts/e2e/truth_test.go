package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// truth is what is on a host, seen by nothing of Landfall: by docker inspect, by the namespaces of processes, by git, by the files of the
// state. The verdicts are held against it.
type truth struct {
	containers map[string][]seen // by compose project and service, "shop/app", in order
	names      map[string]string // image by its name
	head       string
	branch     string
	dirty      string
	stamp      string
	blocked    []string
	pause      string
}

// seen is one container.
type seen struct {
	id       string
	started  string
	image    string // by content
	edition  string // label of its configuration, "" for none
	revision string // label of its image, "" for none
	state    string // "running", "exited (0)", "created"
	healthy  bool
	networks []string // with aliases
	volumes  []string // "name at place"
	lives    string   // whose namespaces it lives in, and whether they are really the same
	grace    time.Duration
}

// stands is its state as far as it has to come back: what was stopped may have been made again and not started.
func (c seen) stands() string {
	if c.state == "running" || c.state == "exited (0)" {
		return c.state
	}
	return "stopped"
}

// as is what of a container has to come back with a rollback.
func (c seen) as() string {
	return fmt.Sprintf("image %.19s, edition %q, %s, in %s, %s, with volumes %v", c.image, c.edition, c.stands(), strings.Join(c.networks, " "), c.lives, c.volumes)
}

// inspected is what of docker inspect is read.
type inspected struct {
	ID     string `json:"Id"`
	Name   string
	Image  string
	Config struct {
		Labels      map[string]string
		Image       string
		StopTimeout *int
	}
	State struct {
		Status    string
		ExitCode  int
		StartedAt string
		Pid       int
		Health    *struct{ Status string }
	}
	HostConfig      struct{ NetworkMode, PidMode string }
	Mounts          []struct{ Type, Name, Destination string }
	NetworkSettings struct {
		Networks map[string]struct{ Aliases []string }
	}
}

// truth looks at everything that carries the host's mark.
func (h *host) truth() truth {
	h.t.Helper()
	t := truth{containers: map[string][]seen{}, names: map[string]string{}, stamp: h.readStamp(), blocked: h.blocked()}
	t.head, t.dirty = h.tree.Git("rev-parse", "HEAD"), h.tree.Git("status", "--porcelain")
	t.branch, _ = h.tree.Try("symbolic-ref", "--short", "HEAD")
	pause, err := os.ReadFile(filepath.Join(h.state, "gitops-paused"))
	if err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	t.pause = string(pause)
	all := h.inspectAll()
	for _, c := range all {
		project, service := c.Config.Labels["com.docker.compose.project"], c.Config.Labels["com.docker.compose.service"]
		t.containers[project+"/"+service] = append(t.containers[project+"/"+service], h.see(c, all))
		if strings.HasPrefix(c.Config.Image, h.project) {
			t.names[c.Config.Image] = ""
		}
	}
	for name := range t.names {
		out, _ := h.try("image", "inspect", "--format", "{{.Id}}", name)
		t.names[name] = strings.TrimSpace(out)
	}
	for _, list := range t.containers {
		slices.SortFunc(list, func(a, b seen) int { return strings.Compare(a.as()+a.id, b.as()+b.id) })
	}
	return t
}

// inspectAll asks the engine about every container of the host.
func (h *host) inspectAll() []inspected {
	h.t.Helper()
	var all []inspected
	eventually(h.t, 20*time.Second, "docker inspect answers", func() bool { // one may go between the two questions
		ids := h.docker("ps", "-aq", "--no-trunc", "--filter", "name="+h.project)
		if len(ids) == 0 {
			return true
		}
		out, err := h.try(append([]string{"inspect"}, ids...)...)
		if err != nil {
			return false
		}
		all = nil
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			h.t.Fatal(err)
		}
		return true
	})
	return all
}

func (h *host) see(c inspected, all []inspected) seen {
	s := seen{
		id: c.ID, started: c.State.StartedAt, image: c.Image, edition: c.Config.Labels["edition"], revision: c.Config.Labels["revision"],
		state: c.State.Status, grace: 10 * time.Second, healthy: c.State.Health == nil || c.State.Health.Status == "healthy", lives: "alone",
	}
	if c.State.Status == "exited" {
		s.state = fmt.Sprintf("exited (%d)", c.State.ExitCode)
	}
	if c.Config.StopTimeout != nil {
		s.grace = time.Duration(*c.Config.StopTimeout) * time.Second
	}
	for name, at := range c.NetworkSettings.Networks {
		number := "-" + c.Config.Labels["com.docker.compose.container-number"]
		aliases := slices.DeleteFunc(slices.Clone(at.Aliases), func(a string) bool {
			return (len(a) >= 12 && strings.HasPrefix(c.ID, a)) || strings.HasSuffix(a, number) // its own, of the containers of a service
		})
		slices.Sort(aliases)
		s.networks = append(s.networks, fmt.Sprintf("%s as %v", name, slices.Compact(aliases)))
	}
	slices.Sort(s.networks)
	for _, m := range c.Mounts {
		if m.Type == "volume" {
			s.volumes = append(s.volumes, m.Name+" at "+m.Destination)
		}
	}
	slices.Sort(s.volumes)
	if id, shared := strings.CutPrefix(c.HostConfig.NetworkMode, "container:"); shared {
		s.lives = h.lives(c, id, all)
	}
	return s
}

// lives tells in whose network namespace a container lives, and whether the two processes really share it.
func (h *host) lives(c inspected, owner string, all []inspected) string {
	i := slices.IndexFunc(all, func(o inspected) bool { return o.ID == owner || strings.TrimPrefix(o.Name, "/") == owner })
	switch {
	case i < 0:
		return "in a namespace of nobody"
	case c.State.Status != "running":
		return "with " + all[i].Config.Labels["com.docker.compose.service"] + ", stopped"
	}
	ns := func(id string) string {
		out, err := h.try("exec", id, "readlink", "/proc/1/ns/net")
		if err != nil {
			return "none of " + id
		}
		return strings.TrimSpace(out)
	}
	if ns(c.ID) != ns(owner) {
		return "in a namespace that " + all[i].Config.Labels["com.docker.compose.service"] + " has left"
	}
	return "with " + all[i].Config.Labels["com.docker.compose.service"]
}

// differences says in what two looks differ of what has to come back.
func (before truth) differences(now truth) []string {
	var found []string
	add := func(what, was, is string) {
		if was != is {
			found = append(found, fmt.Sprintf("%s: was %s, is %s", what, was, is))
		}
	}
	add("HEAD", before.head, now.head)
	add("branch", before.branch, now.branch)
	add("git status", before.dirty, now.dirty)
	add("stamp", before.stamp, now.stamp)
	keys := slices.AppendSeq(slices.Collect(maps.Keys(before.containers)), maps.Keys(now.containers))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		words := func(t truth) string {
			var all []string
			for _, c := range t.containers[key] {
				all = append(all, c.as())
			}
			return strings.Join(all, "; ")
		}
		add(key, words(before), words(now))
	}
	for name, image := range before.names {
		add("the name "+name, image, now.names[name])
	}
	return found
}

// touched lists services whose very containers, or their starts, are others.
func (before truth) touched(now truth) []string {
	return before.others(now, func(c seen) string { return c.id + c.started + c.state })
}

// replaced lists services whose very containers are others: all that can be asked of an engine that restarted.
func (before truth) replaced(now truth) []string {
	return before.others(now, func(c seen) string { return c.id })
}

func (before truth) others(now truth, is func(seen) string) []string {
	var found []string
	keys := slices.AppendSeq(slices.Collect(maps.Keys(before.containers)), maps.Keys(now.containers))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		words := func(t truth) string {
			var all []string
			for _, c := range t.containers[key] {
				all = append(all, is(c))
			}
			slices.Sort(all)
			return strings.Join(all, " ")
		}
		if words(before) != words(now) {
			found = append(found, key)
		}
	}
	return found
}

// running counts the containers of a service that run.
func (before truth) running(key string) int {
	n := 0
	for _, c := range before.containers[key] {
		if c.state == "running" {
			n++
		}
	}
	return n
}
