package hosttest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
)

// Connect puts the containers of a service into a network by hand, which is made where there is none.
func (h *Host) Connect(project, service, network string, aliases ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.fleet.networks[network]; !there {
		h.fleet.networks[network] = picture.NetworkSpec{}
	}
	for _, c := range h.fleet.of(key(project, service)) {
		connect(c, picture.Attachment{Network: network, Aliases: aliases})
	}
}

// Disconnect takes the containers of a service off a network.
func (h *Host) Disconnect(project, service, network string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.fleet.of(key(project, service)) {
		disconnect(c, network)
	}
}

func connect(c *picture.Container, a picture.Attachment) {
	disconnect(c, a.Network)
	c.Networks = append(c.Networks, a)
	slices.SortFunc(c.Networks, func(a, b picture.Attachment) int { return cmp.Compare(a.Network, b.Network) })
}

func disconnect(c *picture.Container, network string) {
	c.Networks = slices.DeleteFunc(slices.Clone(c.Networks), func(a picture.Attachment) bool { return a.Network == network })
}

// isIn reports whether a container is in all of some networks: Compose leaves alone what is in others, too.
func isIn(c picture.Container, networks []string) bool {
	return !slices.ContainsFunc(networks, func(n string) bool {
		return !slices.ContainsFunc(c.Networks, func(a picture.Attachment) bool { return a.Network == n })
	})
}

// attached tells a place in a network, with its names where they are not the service's own.
func attached(service string, a picture.Attachment) string {
	if slices.Equal(a.Aliases, []string{service}) {
		return a.Network
	}
	return a.Network + "=" + strings.Join(a.Aliases, ",")
}

// reconnect does the deeds of a batch, a call for each network.
func (r Runtime) reconnect(ctx context.Context, batch picture.Batch) error {
	for _, d := range batch.Deeds {
		for _, id := range d.Containers {
			for _, name := range d.Off {
				if err := r.h.change(ctx, "Engine.Disconnect "+d.Key.String(), nil, func() error {
					if c := r.h.fleet.byID(id); c != nil {
						disconnect(c, name)
					}
					return nil
				}); err != nil {
					return err
				}
			}
			for _, a := range d.On {
				if err := r.h.change(ctx, "Engine.Connect "+d.Key.String(), nil, func() error {
					if _, there := r.h.fleet.networks[a.Network]; !there {
						return fault.New(fault.Failed, "ENGINE_REFUSED", "network %s not found", a.Network)
					}
					if c := r.h.fleet.byID(id); c != nil {
						connect(c, a)
					}
					return nil
				}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
