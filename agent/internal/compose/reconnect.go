package compose

import (
	"context"
	"slices"

	"github.com/docker/docker/api/types/network"

	"ataraxis.dev/landfall/agent/internal/picture"
)

// reconnect takes a container off networks and connects it to others. It looks first, so that it may be repeated.
func (c *Compose) reconnect(ctx context.Context, d picture.Deed, id string) error {
	is, err := c.docker.ContainerInspect(ctx, id)
	if err != nil {
		return err
	}
	in := map[string]*network.EndpointSettings{}
	if is.NetworkSettings != nil {
		in = is.NetworkSettings.Networks
	}
	own := numbered(is)
	for _, name := range d.Off {
		if _, there := in[name]; !there || slices.ContainsFunc(d.On, func(a picture.Attachment) bool { return a.Network == name }) {
			continue
		}
		if err := c.docker.NetworkDisconnect(ctx, name, id, false); err != nil {
			return err
		}
	}
	for _, wanted := range d.On {
		aliases := slices.Clone(wanted.Aliases)
		if now, there := in[wanted.Network]; there {
			if slices.Equal(attachment(wanted.Network, now, own).Aliases, wanted.Aliases) {
				continue
			}
			for _, alias := range now.Aliases { // those that are its alone it keeps; the engine gives it its ID
				if own(alias) && !slices.Contains([]string{id, id[:min(12, len(id))]}, alias) {
					aliases = append(aliases, alias)
				}
			}
			if err := c.docker.NetworkDisconnect(ctx, wanted.Network, id, false); err != nil {
				return err
			}
		}
		if err := c.docker.NetworkConnect(ctx, wanted.Network, id, &network.EndpointSettings{Aliases: aliases}); err != nil {
			return err
		}
	}
	return nil
}
