package compose

import (
	"context"
	"fmt"
	"strconv"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

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
func (c *Compose) putCarriers(ctx context.Context, d picture.Deed, image string, out ports.Output) error {
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
		if err := c.putCarrier(ctx, d.Key, carrier, image); err != nil {
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

func (c *Compose) putCarrier(ctx context.Context, k picture.Key, carrier picture.Carrier, image string) error {
	change, cancel := context.WithTimeout(ctx, c.changeTimeout)
	defer cancel()
	name := fmt.Sprintf("landfall-carrier-%.12s", carrier.For)
	if old, err := c.docker.ContainerInspect(change, name); err == nil && old.Config != nil && old.Config.Labels[labelCarrier] == carrier.For {
		if err := c.docker.ContainerRemove(change, old.ID, container.RemoveOptions{Force: true}); err != nil && !cerrdefs.IsNotFound(err) {
			return engineFault(err)
		}
	}
	config := &container.Config{
		Image: image, Entrypoint: []string{carrierCommand},
		Labels: map[string]string{
			labelProject: k.Project, labelService: k.Service, labelOneOff: "False", labelNumber: strconv.Itoa(carrier.Number), labelConfig: "carrier",
			labelDir: c.dir, labelCarrier: carrier.For,
		},
	}
	host := &container.HostConfig{NetworkMode: "none", RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled}}
	for _, m := range carrier.Volumes {
		host.Mounts = append(host.Mounts, mount.Mount{
			Type: mount.TypeVolume, Source: m.Volume, Target: m.At, ReadOnly: m.ReadOnly, VolumeOptions: &mount.VolumeOptions{NoCopy: true},
		})
	}
	_, err := c.docker.ContainerCreate(change, config, host, nil, nil, name)
	switch {
	case err != nil && isDown(err):
		return engineFault(err)
	case err != nil:
		return fault.Wrap(err, fault.Failed, "CARRIER_FAILED", "put a container in place that hands the volumes of %s on", k)
	}
	return nil
}
