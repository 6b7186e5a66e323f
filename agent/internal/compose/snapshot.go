package compose

import (
	"cmp"
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
	"ataraxis.dev/landfall/shared/pipeline"
)

var _ operation.Reverter = (*Compose)(nil)

// pins is the repository of the tags that keep rollback images, landfall-pin/CHECKOUT:OPERATION-IMAGE.
// Two checkouts on one engine have one each: unpinning what one no longer needs leaves the other's alone.
func (c *Compose) pins() string {
	sum := sha256.Sum256([]byte(c.dir))
	return fmt.Sprintf("landfall-pin/%x", sum[:6])
}

// Snapshot implements operation.Reverter.
func (c *Compose) Snapshot(ctx context.Context, plan *pipeline.Plan, stacks []string) (operation.Snapshot, error) {
	s := operation.Snapshot{Projects: map[string]string{}}
	for _, stack := range plan.Stacks {
		if len(stacks) > 0 && !slices.Contains(stacks, stack.Name) {
			continue
		}
		name, err := c.projectName(ctx, plan, stack)
		if err != nil {
			return s, err
		}
		if other := stackOf(s.Projects, name); other != "" {
			// Two stacks that are one project: the containers belong to the one that comes first.
			s.Projects[stack.Name] = name
			continue
		}
		s.Projects[stack.Name] = name
		of, err := c.past(ctx, stack.Name, name)
		if err != nil {
			return s, err
		}
		s.Containers = append(s.Containers, of...)
	}
	slices.SortFunc(s.Containers, func(a, b operation.Past) int {
		return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Container, b.Container))
	})
	return s, nil
}

// stackOf is the stack that has a project already, "" when none has.
func stackOf(projects map[string]string, name string) string {
	for _, stack := range slices.Sorted(maps.Keys(projects)) {
		if projects[stack] == name {
			return stack
		}
	}
	return ""
}

// projectName is a stack's compose project: as the proof of the plan found it, else as
// the checkout renders now. A stack that is new in the target does not render there yet.
func (c *Compose) projectName(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack) (string, error) {
	c.mu.Lock()
	name, proven := c.names[plan.Digest()+"/"+stack.Name]
	c.mu.Unlock()
	if proven {
		return name, nil
	}
	m, err := c.model(ctx, plan, stack)
	return m.Name, err
}

// past describes the containers of a project.
func (c *Compose) past(ctx context.Context, stack, project string) ([]operation.Past, error) {
	list, err := c.list(ctx, project)
	if err != nil {
		return nil, err
	}
	details, err := c.inspect(ctx, list)
	if err != nil {
		return nil, err
	}
	var of []operation.Past
	for i, summary := range list {
		d := details[i]
		if d == nil {
			continue // gone since
		}
		of = append(of, operation.Past{
			Stack: stack, Service: summary.Labels[labelService], Container: d.ID, ImageID: d.ImageID, ImageRef: d.ref, Config: summary.Labels[labelConfig],
			Running: d.State == "running" || d.State == "restarting", Started: d.Started,
		})
	}
	return of, nil
}

// Pin implements operation.Reverter.
func (c *Compose) Pin(ctx context.Context, id string, snapshot operation.Snapshot) error {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for _, imageID := range snapshot.Images() {
		err := c.docker.ImageTag(look, imageID, c.pinTag(id, imageID))
		if err != nil && !cerrdefs.IsNotFound(err) { // a container may outlive its image's record; a rollback then builds
			return engineFault(err)
		}
	}
	return nil
}

func (c *Compose) pinTag(id, imageID string) string {
	return c.pins() + ":" + id + "-" + strings.TrimPrefix(imageID, "sha256:")[:12]
}

// Unpin implements operation.Reverter.
func (c *Compose) Unpin(ctx context.Context, keep []string) error {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	images, err := c.docker.ImageList(look, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", c.pins()))})
	if err != nil {
		return engineFault(err)
	}
	var errs []error
	for _, i := range images {
		for _, tag := range i.RepoTags {
			rest, ours := strings.CutPrefix(tag, c.pins()+":")
			if !ours || slices.ContainsFunc(keep, func(id string) bool { return strings.HasPrefix(rest, id+"-") }) {
				continue
			}
			// Removing a tag removes the image only with its last tag, and never one in use.
			if _, err := c.docker.ImageRemove(look, tag, image.RemoveOptions{}); err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) {
				errs = append(errs, engineFault(err))
			}
		}
	}
	return errors.Join(errs...)
}
