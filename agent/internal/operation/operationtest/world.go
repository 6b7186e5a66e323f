package operationtest

import (
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
)

// World is what a person who comes to the host finds there. Maps are keyed by "stack/service".
type World struct {
	Head       string
	Stamp      string
	Blocked    string // commit, "" for none
	Pause      string // operation that paused, its owner when none did, "" when not paused
	Images     map[string]string
	Names      map[string]string // image that the service's name stands for
	Loaded     map[string]string // commit whose files the container read when it last started
	States     map[string]string
	Migrations int
}

// World looks at everything at once.
func (h *Host) World() World {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := World{
		Head: h.repository.head, Stamp: h.files.stamp, Migrations: len(h.fleet.applied),
		Images: map[string]string{}, Names: map[string]string{}, Loaded: map[string]string{}, States: map[string]string{},
	}
	if h.files.blocked != nil {
		w.Blocked = h.files.blocked.SHA
	}
	if p := h.files.pause; p != nil {
		if w.Pause = p.Operation; w.Pause == "" {
			w.Pause = p.Owner
		}
	}
	for key, c := range h.fleet.containers {
		w.Images[key], w.Names[key] = c.ImageID, h.fleet.image(key)
		w.Loaded[key], w.States[key] = h.fleet.loaded[key], c.State
	}
	return w
}

// ContainerIDs maps "stack/service" to the container that there is.
func (h *Host) ContainerIDs() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := map[string]string{}
	for key, c := range h.fleet.containers {
		ids[key] = c.ID
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
		repository: h.repository, fleet: h.fleet, files: h.files, configs: maps.Clone(h.configs),
	}
	c.repository.commits, c.repository.known, c.repository.edits = maps.Clone(h.repository.commits), maps.Clone(h.repository.known), maps.Clone(h.repository.edits)
	c.fleet.images, c.fleet.loaded, c.fleet.created = maps.Clone(h.fleet.images), maps.Clone(h.fleet.loaded), maps.Clone(h.fleet.created)
	c.fleet.pins, c.fleet.orphans, c.fleet.applied = maps.Clone(h.fleet.pins), maps.Clone(h.fleet.orphans), slices.Clone(h.fleet.applied)
	c.fleet.containers = map[string]*operation.Container{}
	for key, container := range h.fleet.containers {
		own := *container
		c.fleet.containers[key] = &own
	}
	for key, images := range c.fleet.created {
		c.fleet.created[key] = slices.Clone(images)
	}
	for _, e := range h.record.operations {
		c.record.operations = append(c.record.operations, &entry{op: e.op.Clone(), events: slices.Clone(e.events)})
	}
	return c
}
