package hosttest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
)

// World is what a person who comes to the host finds there. Maps are keyed by "project/service"; of several
// containers of a service what differs is told one after the other.
type World struct {
	Head       string
	Branch     string
	Follows    string // commit of the branch main
	Stamp      string
	Blocked    []string // commits
	Pause      string   // operation that paused, its owner when none did, "" when not paused
	Images     map[string]string
	Names      map[string]string // image that the service's name stands for
	Loaded     map[string]string // commit whose files the container read when it last started
	States     map[string]string
	Replicas   map[string]int
	Networks   map[string]string // that the containers are in
	Volumes    map[string]string // that the containers show
	Detached   map[string]string // namespaces that running containers have lost
	Defined    map[string]string // labels of the engine's networks
	Migrations int
	Untracked  map[string]string // files of the checkout that are not tracked, wherever they were moved
	Edits      map[string]string // tracked files that differ from the commit, also those that were saved
}

// World looks at everything at once.
func (h *Host) World() World {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := World{
		Head: h.repository.head, Branch: h.repository.branchOut, Follows: h.repository.stand().Follows, Stamp: h.files.stamp, Migrations: len(h.fleet.applied),
		Images: map[string]string{}, Names: map[string]string{}, Loaded: map[string]string{}, States: map[string]string{},
		Volumes: map[string]string{}, Replicas: map[string]int{}, Networks: map[string]string{}, Detached: map[string]string{}, Defined: map[string]string{},
		Untracked: maps.Clone(h.repository.untracked), Edits: maps.Clone(h.repository.edits),
	}
	for _, b := range h.files.blocked {
		w.Blocked = append(w.Blocked, b.SHA)
	}
	if p := h.files.pause; p != nil {
		if w.Pause = p.Operation; w.Pause == "" {
			w.Pause = p.Owner
		}
	}
	h.fleet.catchUp()
	for name, spec := range h.fleet.networks {
		w.Defined[name] = fmt.Sprint(spec.Labels)
	}
	for _, c := range h.fleet.containers {
		key := c.Key().String()
		w.Replicas[key]++
		w.Images[key], w.Names[key] = also(w.Images[key], c.ImageID), h.fleet.image(c.ImageRef)
		w.Loaded[key], w.States[key] = also(w.Loaded[key], h.fleet.loaded[c.ID]), also(w.States[key], c.State)
		for _, m := range c.Volumes {
			w.Volumes[key] = sortedAlso(w.Volumes[key], m.Volume+"@"+m.At)
		}
		for _, n := range c.Networks {
			w.Networks[key] = also(w.Networks[key], attached(c.Service, n))
		}
		for _, s := range c.Shares {
			owner := h.fleet.byID(s.Container)
			if c.Running() && (owner == nil || !owner.Running() || owner.Started.After(c.Started)) {
				w.Detached[key] = "yes"
			}
		}
	}
	return w
}

func also(list, one string) string {
	if list == "" || slices.Contains(strings.Split(list, " "), one) {
		return cmp.Or(list, one)
	}
	return list + " " + one
}

// sortedAlso is also where the order says nothing.
func sortedAlso(list, one string) string {
	all := strings.Split(also(list, one), " ")
	slices.Sort(all)
	return strings.Join(all, " ")
}

// ContainerIDs maps "project/service" to the containers that there are.
func (h *Host) ContainerIDs() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := map[string]string{}
	for _, c := range h.fleet.containers {
		key := c.Key().String()
		ids[key] = also(ids[key], c.ID)
	}
	return ids
}

// errCut is what every call returns once the power is cut. Nobody hears it but the engine that is dead.
type errCut struct{}

func (errCut) Error() string { return "the power is cut" }

// Cut stops the world at the n-th of the calls that follow: neither it nor any later one has
// an effect, as for a process that was killed. With effect set the n-th change is still made,
// and the caller no longer hears of it. Reads of the journal go on, for the watchers. The
// result tells whether it came to that. See [Host.Restore].
func (h *Host) Cut(n int, effect bool) (cut func() bool) {
	calls, dead := 0, false
	h.OnCall = func(int, string) error {
		if calls++; !effect && calls >= n {
			dead = true
		}
		if dead {
			return errCut{}
		}
		return nil
	}
	effects := 0
	h.OnEffect = func(string) error {
		if effects++; effect && effects >= n {
			dead = true
		}
		if dead {
			return errCut{}
		}
		return nil
	}
	return func() bool {
		h.asking.Lock()
		defer h.asking.Unlock()
		return dead
	}
}

// LoseAnswer makes the n-th of the changes that follow, those of the journal left aside, come true
// although its caller is told err. What comes after it goes on as ever.
func (h *Host) LoseAnswer(n int, err error) (lost func() (label string)) {
	effects, which := 0, ""
	h.OnEffect = func(label string) error {
		if strings.HasPrefix(label, "Journal.") {
			return nil
		}
		if effects++; effects == n {
			which = label
			return err
		}
		return nil
	}
	return func() string {
		h.asking.Lock()
		defer h.asking.Unlock()
		return which
	}
}

// Restore brings the power back. No engine may be at work.
func (h *Host) Restore() { h.OnCall, h.OnEffect = nil, nil }

// made counts the containers ever made, by service.
func (h *Host) made() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	made := map[string]int{}
	for service, images := range h.fleet.created {
		made[service] = len(images)
	}
	return made
}

// copy is a host with everything that is on this one's disk and in its engine, nothing of its behaviour.
func (h *Host) copy() *Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &Host{
		behaviours: map[string]Behaviour{}, answers: map[string]func(int) operation.ProbeResult{}, attempts: map[string]int{},
		repository: h.repository.copy(), fleet: h.fleet.copy(), files: h.files.copy(), configs: maps.Clone(h.configs),
	}
	for _, e := range h.record.operations {
		c.record.operations = append(c.record.operations, &entry{op: e.op.Clone(), events: slices.Clone(e.events)})
	}
	return c
}
