package hosttest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/picture"
)

// volumesFor is what a container of a service shows, as Compose does it: volumes with a name by the compose files; where those, or the image, want one
// without a name, whatever the replaced container showed there, else a new one.
func (f *fleet) volumesFor(m composed, service string, old picture.Container) []picture.Mount {
	var shows []picture.Mount
	mounts := maps.Clone(m.Services[service].Mounts)
	if mounts == nil {
		mounts = map[string]string{}
	}
	for _, at := range m.shows[service] {
		if mounts[at] == "" {
			mounts[at] = ""
		}
	}
	for _, at := range slices.Sorted(maps.Keys(mounts)) {
		volume := mounts[at]
		if i := slices.IndexFunc(old.Volumes, func(o picture.Mount) bool { return o.At == at }); volume == "" && i >= 0 {
			volume = old.Volumes[i].Volume
		}
		if volume == "" {
			volume = strings.TrimPrefix(digest("volume", service, at, fmt.Sprint(f.made)), "sha256:")
		}
		if _, there := f.volumes[volume]; !there {
			f.volumes[volume] = picture.VolumeSpec{}
		}
		shows = append(shows, picture.Mount{At: at, Volume: volume})
	}
	return shows
}

// putCarriers does what the real adapter does: each carrier is a container that is never started.
func (r Runtime) putCarriers(ctx context.Context, d picture.Deed) error {
	for _, carrier := range d.Carriers {
		if carrier.Instead != "" {
			if err := r.each(ctx, "Remove", d.Key, []string{carrier.Instead}); err != nil {
				return err
			}
		}
		if err := r.h.change(ctx, "Engine.Carrier "+d.Key.String(), nil, func() error {
			r.h.fleet.made++
			r.h.fleet.containers = append(r.h.fleet.containers, &picture.Container{
				Project: d.Project, Service: d.Service, ID: fmt.Sprintf("%064x", r.h.fleet.made), Name: "landfall-carrier-" + carrier.For, ImageID: d.Image,
				Config: "carrier", State: "created", Number: carrier.Number, Carrier: true, Volumes: slices.Clone(carrier.Volumes),
			})
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// PruneVolumes removes the volumes that no container shows.
func (h *Host) PruneVolumes() {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.fleet.volumes, func(name string, _ picture.VolumeSpec) bool {
		return !slices.ContainsFunc(h.fleet.containers, func(c *picture.Container) bool {
			return slices.ContainsFunc(c.Volumes, func(m picture.Mount) bool { return m.Volume == name })
		})
	})
}
