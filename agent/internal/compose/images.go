package compose

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// pins is the repository of the tags that keep rollback images, landfall-pin/CHECKOUT:IMAGE: one tag an image, however many
// operations go back to it. Two checkouts on one engine have one each: unpinning what one no longer needs leaves the other's alone.
func (c *Compose) pins() string {
	sum := sha256.Sum256([]byte(c.dir))
	return fmt.Sprintf("landfall-pin/%x", sum[:6])
}

func (c *Compose) pinTag(imageID string) string {
	digest := strings.TrimPrefix(imageID, "sha256:")
	return c.pins() + ":" + digest[:min(12, len(digest))]
}

// pinned lists the tags that there are, with the images that they keep.
func (c *Compose) pinned(ctx context.Context) (map[string]string, error) {
	images, err := c.images(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", c.pins()))})
	if err != nil {
		return nil, engineFault(err)
	}
	tags := map[string]string{}
	for _, i := range images {
		for _, tag := range i.RepoTags {
			if strings.HasPrefix(tag, c.pins()+":") {
				tags[tag] = i.ID
			}
		}
	}
	return tags, nil
}

// images lists images. With the containerd store the engine answers that it finds a content no more where an image goes while it lists them
// (Engine 26.1): the next answer is whole.
func (c *Compose) images(ctx context.Context, options image.ListOptions) (list []image.Summary, err error) {
	for range 3 {
		if list, err = c.docker.ImageList(ctx, options); !cerrdefs.IsNotFound(err) {
			break
		}
	}
	return list, err
}

// Pin implements ports.Images.
func (c *Compose) Pin(ctx context.Context, images []string) error {
	change, cancel := context.WithTimeout(ctx, c.changeTimeout)
	defer cancel()
	there, err := c.pinned(change)
	if err != nil {
		return err
	}
	for _, id := range images {
		if there[c.pinTag(id)] == id {
			continue
		}
		err := c.docker.ImageTag(change, id, c.pinTag(id))
		if err != nil && !cerrdefs.IsNotFound(err) { // a container may outlive its image's record; a rollback then builds
			return engineFault(err)
		}
	}
	return nil
}

// Unpin implements ports.Images.
func (c *Compose) Unpin(ctx context.Context, keep []string) error {
	change, cancel := context.WithTimeout(ctx, c.changeTimeout)
	defer cancel()
	there, err := c.pinned(change)
	if err != nil {
		return err
	}
	var errs []error
	for tag, id := range there {
		if slices.Contains(keep, id) {
			continue
		}
		// Removing a tag removes the image only with its last tag, and never one in use.
		if _, err := c.docker.ImageRemove(change, tag, image.RemoveOptions{}); err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) {
			errs = append(errs, engineFault(err))
		}
	}
	return errors.Join(errs...)
}

// Gone implements ports.Images.
func (c *Compose) Gone(ctx context.Context, images []string) ([]string, error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	list, err := c.images(look, image.ListOptions{})
	if err != nil {
		return nil, engineFault(err)
	}
	var gone []string
	for _, id := range images {
		if slices.ContainsFunc(list, func(i image.Summary) bool { return i.ID == id }) {
			continue
		}
		_, err := c.docker.ImageInspect(look, id) // one that has no name is not listed by every engine
		switch {
		case cerrdefs.IsNotFound(err):
			gone = append(gone, id)
		case err != nil:
			return nil, engineFault(err)
		}
	}
	return gone, nil
}

// Rename implements ports.Images.
func (c *Compose) Rename(ctx context.Context, refs map[string]string, out ports.Output) error {
	change, cancel := context.WithTimeout(ctx, c.changeTimeout)
	defer cancel()
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		err := c.docker.ImageTag(change, refs[ref], ref)
		switch {
		case cerrdefs.IsNotFound(err):
			out(operation.Stderr, fmt.Sprintf("the image %.19s that %s meant is gone", refs[ref], ref), false)
		case err != nil:
			return engineFault(err)
		}
	}
	return nil
}

// Rebuild implements ports.Images: what is built here is built, the rest is pulled.
func (c *Compose) Rebuild(ctx context.Context, plan *pipeline.Plan, services []picture.Key, out ports.Output) error {
	for _, stack := range plan.Stacks {
		m, err := c.model(ctx, plan, stack)
		if err != nil {
			return err
		}
		var build, pull []string
		for _, k := range services {
			switch spec, named := m.Services[k.Service]; {
			case !named || k.Project != m.Project:
			case spec.Builds:
				build = append(build, k.Service)
			default:
				pull = append(pull, k.Service)
			}
		}
		if err := c.makeImages(ctx, plan, stack, build, pull, out); err != nil {
			return fault.Wrap(err, fault.KindOf(err), fault.ReasonOf(err), "the images of the old version are gone and cannot be had again")
		}
	}
	return nil
}
