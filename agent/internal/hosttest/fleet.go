package hosttest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

// fleet is the engine: images, containers, networks, volumes. It does what it was asked for also when whoever asked is gone: a container
// that is being stopped ends when its time is over.
type fleet struct {
	images     map[string]string // what names of images mean
	registry   map[string]string // what names of images mean in their registry, where somebody published one
	lost       map[string]bool   // images that somebody removed
	containers []*picture.Container
	loaded     map[string]string    // commit whose files a container read when it last started, by ID
	stopping   map[string]time.Time // when containers end that are being stopped, by ID
	networks   map[string]picture.NetworkSpec
	volumes    map[string]picture.VolumeSpec
	made       int
	created    map[string][]string // images of the containers ever made, by service
	pins       []string
	orphans    map[string]int // children of a dead agent, by operation
	applied    []string       // migrations
	cuts       []ports.Cut    // what was waited for
}

func newFleet() fleet {
	return fleet{
		images: map[string]string{}, registry: map[string]string{}, lost: map[string]bool{}, loaded: map[string]string{}, stopping: map[string]time.Time{}, created: map[string][]string{},
		networks: map[string]picture.NetworkSpec{}, volumes: map[string]picture.VolumeSpec{}, orphans: map[string]int{},
	}
}

func (f *fleet) copy() fleet {
	c := *f
	c.images, c.lost, c.loaded, c.stopping = maps.Clone(f.images), maps.Clone(f.lost), maps.Clone(f.loaded), maps.Clone(f.stopping)
	c.registry = maps.Clone(f.registry)
	c.networks, c.volumes, c.created, c.orphans = maps.Clone(f.networks), maps.Clone(f.volumes), maps.Clone(f.created), maps.Clone(f.orphans)
	c.pins, c.applied, c.cuts = slices.Clone(f.pins), slices.Clone(f.applied), slices.Clone(f.cuts)
	c.containers = nil
	for _, container := range f.containers {
		own := *container
		own.Networks, own.Shares, own.Volumes = slices.Clone(own.Networks), slices.Clone(own.Shares), slices.Clone(own.Volumes)
		c.containers = append(c.containers, &own)
	}
	for key, images := range c.created {
		c.created[key] = slices.Clone(images)
	}
	return c
}

// catchUp ends the containers whose time to stop is over.
func (f *fleet) catchUp() {
	for _, c := range f.containers {
		if at, stopping := f.stopping[c.ID]; stopping && !time.Now().Before(at) {
			c.State, c.ExitCode = "exited", 137
			delete(f.stopping, c.ID)
		}
	}
}

// of lists the containers of a service.
func (f *fleet) of(k picture.Key) []*picture.Container {
	f.catchUp()
	var of []*picture.Container
	for _, c := range f.containers {
		if c.Key() == k {
			of = append(of, c)
		}
	}
	return of
}

// named reports whether a container has a name.
func (f *fleet) named(name string) bool {
	return slices.ContainsFunc(f.containers, func(c *picture.Container) bool { return c.Name == name })
}

func (f *fleet) byID(id string) *picture.Container {
	f.catchUp()
	for _, c := range f.containers {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// image is what a name means: what was built or tagged under it, else what a registry has.
func (f *fleet) image(ref string) string {
	if id, built := f.images[ref]; built {
		return id
	}
	return digest("pulled", ref)
}

func (f *fleet) remove(id string) {
	f.containers = slices.DeleteFunc(f.containers, func(c *picture.Container) bool { return c.ID == id })
	delete(f.loaded, id)
	delete(f.stopping, id)
}

// create makes one container of a service in the place of an old one, which it inherits volumes from, or of none, and starts it, or not.
func (f *fleet) create(m composed, service, head string, start bool, old picture.Container) error {
	spec, k := m.Services[service], m.Key(service)
	c := &picture.Container{
		Project: k.Project, Service: service, Name: spec.ContainerName, State: "created", OneShot: spec.OneShot,
		ImageRef: spec.Image, ImageID: f.image(spec.Image), Config: digest(m.lines[service]), Grace: m.grace[service], WorkingDir: Dir, Composer: m.by,
	}
	if c.Name == "" {
		for n := 1; c.Name == "" || f.named(c.Name); n++ { // the first number that is free, as Compose does
			c.Name = fmt.Sprintf("%s-%s-%d", k.Project, service, n)
		}
	}
	if f.lost[c.ImageID] {
		return fault.New(fault.Failed, "UP_FAILED", "no such image: %.19s", c.ImageID)
	}
	if f.named(c.Name) {
		return fault.New(fault.Failed, "UP_FAILED", "Conflict. The container name %s is in use", c.Name)
	}
	for _, owner := range spec.Shares {
		owners := f.of(m.Key(owner))
		if len(owners) == 0 || !owners[0].Running() {
			return fault.New(fault.Failed, "UP_FAILED", "%s: cannot join the network of %s, which does not run", service, owner)
		}
		c.Shares = append(c.Shares, picture.Share{Namespace: "network", Container: owners[0].ID})
	}
	for _, name := range spec.Within {
		i := slices.IndexFunc(f.containers, func(o *picture.Container) bool { return o.Name == name })
		if i < 0 || !f.containers[i].Running() && start {
			return fault.New(fault.Failed, "UP_FAILED", "%s: cannot join the network of %s, which does not run", service, name)
		}
		c.Shares = append(c.Shares, picture.Share{Namespace: "network", Container: f.containers[i].ID})
	}
	for _, n := range spec.Networks {
		if _, there := f.networks[n]; !there {
			return fault.New(fault.Failed, "UP_FAILED", "network %s not found", n)
		}
		c.Networks = append(c.Networks, picture.Attachment{Network: n, Aliases: []string{service}})
	}
	slices.SortFunc(c.Networks, func(a, b picture.Attachment) int { return cmp.Compare(a.Network, b.Network) })
	c.Volumes = f.volumesFor(m, service, old)
	if c.Number = old.Number; c.Number == 0 {
		for c.Number = 1; slices.ContainsFunc(f.of(k), func(o *picture.Container) bool { return o.Number == c.Number }); {
			c.Number++
		}
	}
	f.made++
	c.ID = fmt.Sprintf("%064x", f.made)
	f.created[k.String()] = append(f.created[k.String()], c.ImageID)
	f.containers = append(f.containers, c)
	if start {
		f.start(c, head)
	}
	return nil
}

// start starts a container; it reads the files of the checkout. A job ends well at once.
func (f *fleet) start(c *picture.Container, head string) {
	c.State, c.ExitCode, c.Started, c.OOMKilled = "running", 0, time.Now(), false
	c.Health = "" // its check begins anew
	if c.OneShot {
		c.State = "exited"
	}
	f.loaded[c.ID] = head
	delete(f.stopping, c.ID)
}

// makeNetworks does what Compose 2.40 does before an up: networks that are missing are made; one whose definition changed loses the
// services of the up, and is then made anew, which fails where others are in it.
func (f *fleet) makeNetworks(m composed, names []string) error {
	for _, name := range slices.Sorted(maps.Keys(m.Networks)) {
		want := m.Networks[name]
		is, there := f.networks[name]
		used := slices.ContainsFunc(names, func(s string) bool { return slices.Contains(m.Services[s].Networks, name) })
		switch {
		case !used:
		case want.External && !there:
			return fault.New(fault.Failed, "UP_FAILED", "network %s declared as external, but could not be found", name)
		case want.External:
		case !there:
			f.networks[name] = want
		case !maps.Equal(want.Labels, is.Labels):
			for _, c := range f.containers {
				if c.Project == m.Project && slices.Contains(names, c.Service) {
					c.Networks = slices.DeleteFunc(c.Networks, func(a picture.Attachment) bool { return a.Network == name })
					if c.Running() {
						c.State = "exited"
					}
				}
			}
			for _, c := range f.containers {
				if c.Running() && slices.ContainsFunc(c.Networks, func(a picture.Attachment) bool { return a.Network == name }) {
					return fault.New(fault.Failed, "UP_FAILED", "network %s has active endpoints", name)
				}
			}
			f.networks[name] = want
		}
	}
	for name, spec := range m.Volumes {
		if _, there := f.volumes[name]; !there && !spec.External {
			f.volumes[name] = spec
		}
	}
	return nil
}

// picture is what there is of some projects; h.mu is held.
func (f *fleet) picture(projects, refs []string, whole bool) picture.Picture {
	f.catchUp()
	p := picture.Picture{Projects: slices.Clone(projects), Refs: map[string]string{}}
	for _, c := range f.containers {
		own := *c
		own.Networks, own.Shares, own.Volumes = slices.Clone(c.Networks), slices.Clone(c.Shares), slices.Clone(c.Volumes)
		if slices.Contains(projects, c.Project) {
			p.Containers = append(p.Containers, own)
			refs = append(refs, c.ImageRef)
		} else {
			p.Elsewhere = append(p.Elsewhere, own)
		}
	}
	for _, ref := range refs {
		if id := f.image(ref); !f.lost[id] {
			p.Refs[ref] = id
		}
	}
	p.Contents = map[string]string{}
	for _, id := range p.Images() {
		p.Contents[id] = id // of this model's images the ID is the content
	}
	if whole {
		for name, spec := range f.networks {
			p.Networks = append(p.Networks, picture.Network{ID: digest("network", name), Name: name, Project: name, NetworkSpec: spec}) // who made it matters not, as long as Compose did
		}
		for name, spec := range f.volumes {
			p.Volumes = append(p.Volumes, picture.Volume{Name: name, VolumeSpec: spec})
		}
	}
	p.Sort()
	return p
}

// Dir is the folder of the checkout.
const Dir = "/srv/shop"

// key reads "project" and "service".
func key(project, service string) picture.Key { return picture.Key{Project: project, Service: service} }

// Container is the first container of a service as it is now; ok is false when there is none.
func (h *Host) Container(project, service string) (c picture.Container, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.fleet.of(key(project, service))
	if len(of) == 0 {
		return c, false
	}
	return *of[0], true
}

// ChangeContainer changes the containers of a service, or removes them when change is nil.
func (h *Host) ChangeContainer(project, service string, change func(*picture.Container)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.fleet.of(key(project, service)) {
		if change == nil {
			h.fleet.remove(c.ID)
		} else {
			change(c)
		}
	}
}

// Start makes a container by hand, in a project of any name.
func (h *Host) Start(c picture.Container) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fleet.made++
	c.ID = fmt.Sprintf("%064x", h.fleet.made)
	h.fleet.containers = append(h.fleet.containers, &c)
}

// Remove removes a container by its name.
func (h *Host) Remove(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fleet.containers = slices.DeleteFunc(h.fleet.containers, func(c *picture.Container) bool { return c.Name == name })
}

// WaitedFor lists the services that the engine was ever waited for, "project/pattern".
func (h *Host) WaitedFor() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var reached []string
	for _, cut := range h.fleet.cuts {
		for _, r := range cut.Reaches {
			reached = append(reached, r.Project+"/"+strings.Join(r.Patterns, ","))
		}
	}
	return reached
}

// Tag makes a name of an image mean another one, behind everybody's back.
func (h *Host) Tag(ref, image string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fleet.images[ref] = image
}

// Publish makes a name of an image mean another one in its registry: a pull brings it.
func (h *Host) Publish(ref, image string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fleet.registry[ref] = image
}

// Prune removes every image that no container was made from, pinned or not.
func (h *Host) Prune() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, images := range h.fleet.created {
		for _, id := range images {
			h.fleet.lost[id] = true
		}
	}
	for _, c := range h.fleet.containers {
		delete(h.fleet.lost, c.ImageID)
	}
}

// ImageAt is the identifier of the image that a build of the service at a commit makes.
func ImageAt(sha, project, service string) string { return digest(sha, project+"/"+service) }

// Migrations are those applied, in the order they were.
func (h *Host) Migrations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.fleet.applied)
}

// Created lists the images of the containers that were ever made for a service, oldest first.
func (h *Host) Created(project, service string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.fleet.created[project+"/"+service])
}

// Pins are the images that are kept, sorted.
func (h *Host) Pins() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.fleet.pins)
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// stop asks a container to end, and waits for it: whoever waits may be cut off, the container ends all the same.
func (h *Host) stop(ctx context.Context, k picture.Key, id string) error {
	h.mu.Lock()
	c := h.fleet.byID(id)
	grace := time.Duration(0)
	if c != nil && c.Running() {
		grace = c.Grace
	}
	h.mu.Unlock()
	if grace == 0 {
		return nil
	}
	if err := h.change(ctx, "Engine.Stop "+k.String(), nil, func() error {
		if _, already := h.fleet.stopping[id]; !already {
			h.fleet.stopping[id] = time.Now().Add(grace)
		}
		return nil
	}); err != nil {
		return err
	}
	limit := cmp.Or(h.Patience, grace)
	select {
	case <-time.After(min(grace, limit)):
		if grace > limit {
			return fault.New(fault.Deadline, "STEP_DEADLINE", "%s did not stop within %s", k, limit)
		}
		return nil
	case <-ctx.Done():
		return stopped(ctx)
	}
}
