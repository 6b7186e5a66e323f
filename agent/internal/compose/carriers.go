package compose

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

const (
	// labelCarrier marks a carrier; it holds the ID of the container whose volumes it carries.
	labelCarrier = "dev.ataraxis.landfall.carrier"
	// carrierCommand is what a carrier would run: nothing that an image has, so that the engine cannot start it.
	carrierCommand = "/landfall-carrier-is-never-started"
)

// putCarriers puts the carriers of a service in place, with what may be there from an attempt that was cut off. It must hold the project.
func (c *Compose) putCarriers(ctx context.Context, d picture.Deed, spec picture.Spec, out ports.Output) error {
	for _, carrier := range d.Carriers {
		for _, m := range carrier.Volumes {
			if err := c.hasVolume(ctx, d.Key, m); err != nil {
				return err
			}
		}
		if carrier.Instead != "" {
			if err := c.to(ctx, picture.Deed{Key: d.Key, Verb: picture.Remove}, carrier.Instead, out); err != nil {
				return err
			}
		}
		if err := c.putCarrier(ctx, d, carrier, spec); err != nil {
			return err
		}
		for _, m := range carrier.Volumes {
			out(operation.Stdout, fmt.Sprintf("%s gets volume %s at %s back", d.Key, m.Volume, m.At), false)
		}
	}
	return nil
}

// hasVolume makes sure that a volume exists: the engine would make an empty one of that name.
func (c *Compose) hasVolume(ctx context.Context, k picture.Key, m picture.Mount) error {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	_, err := c.docker.VolumeInspect(look, m.Volume)
	switch {
	case cerrdefs.IsNotFound(err):
		return fault.New(fault.Failed, "VOLUME_GONE", "%s: volume %s, which it had at %s, is gone", k, m.Volume, m.At)
	case err != nil:
		return engineFault(err)
	}
	return nil
}

// several is the first version of the engine's API that takes several networks when a container is made (Docker, "API v1.44").
const several = "1.44"

func (c *Compose) putCarrier(ctx context.Context, d picture.Deed, carrier picture.Carrier, spec picture.Spec) error {
	networks, err := c.networksOf(ctx, spec)
	if err != nil {
		return err
	}
	change, cancel := context.WithTimeout(ctx, c.changeTimeout)
	defer cancel()
	name := fmt.Sprintf("landfall-carrier-%.12s", carrier.For)
	if old, err := c.docker.ContainerInspect(change, name); err == nil && old.Config != nil && old.Config.Labels[labelCarrier] == carrier.For {
		if err := c.docker.ContainerRemove(change, old.ID, container.RemoveOptions{Force: true}); err != nil && !cerrdefs.IsNotFound(err) {
			return engineFault(err)
		}
	}
	config := &container.Config{
		Image: cmp.Or(d.Image, spec.Image), Entrypoint: []string{carrierCommand},
		Labels: map[string]string{
			labelProject: d.Project, labelService: d.Service, labelOneOff: "False", labelNumber: strconv.Itoa(carrier.Number), labelConfig: "carrier",
			labelDir: c.dir, labelCarrier: carrier.For,
		},
	}
	host := &container.HostConfig{NetworkMode: "none", RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled}}
	for _, m := range carrier.Volumes {
		host.Mounts = append(host.Mounts, mount.Mount{
			Type: mount.TypeVolume, Source: m.Volume, Target: m.At, ReadOnly: m.ReadOnly, VolumeOptions: &mount.VolumeOptions{NoCopy: true},
		})
	}
	// It is in the networks of its service: when Compose makes one anew, it takes what it replaces out of it, and fails where that is not in it.
	var later []string
	attached := &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{}}
	for i, name := range networks {
		if i == 0 {
			host.NetworkMode = container.NetworkMode(name)
		} else if versions.LessThan(c.docker.ClientVersion(), several) {
			later = append(later, name)
			continue
		}
		attached.EndpointsConfig[name] = &network.EndpointSettings{}
	}
	made, err := c.docker.ContainerCreate(change, config, host, attached, nil, name)
	for _, other := range later {
		if err == nil {
			err = c.docker.NetworkConnect(change, other, made.ID, nil)
		}
	}
	switch {
	case err != nil && isDown(err):
		return engineFault(err)
	case err != nil:
		return fault.Wrap(err, fault.Failed, "CARRIER_FAILED", "put a container in place that hands the volumes of %s on", d.Key)
	}
	return nil
}

// networksOf are those of a service's networks that the engine has.
func (c *Compose) networksOf(ctx context.Context, spec picture.Spec) ([]string, error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	all, err := c.docker.NetworkList(look, network.ListOptions{})
	if err != nil {
		return nil, engineFault(err)
	}
	var found []string
	for _, n := range all {
		if slices.Contains(spec.Networks, n.Name) && n.Name != "host" && !slices.Contains(found, n.Name) {
			found = append(found, n.Name)
		}
	}
	return found, nil
}
