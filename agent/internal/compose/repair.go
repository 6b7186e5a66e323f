package compose

import (
	"ataraxis.dev/landfall/agent/internal/ports"
	"context"
	"fmt"
	"regexp"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ataraxis.dev/landfall/agent/internal/operation"
)

// leftover is the name of a container that a recreate was about to put in place of another:
// Compose creates ID_NAME, removes the old NAME, then renames. A Compose that dies in between
// leaves it, and each further attempt puts another prefix in front (docker/compose#13391).
var leftover = regexp.MustCompile(`^(?:[0-9a-f]{12}_)+(.+)$`)

// repair gives leftovers of a crashed recreate their name, or removes them where the old
// container is still there. It must hold the project.
func (c *Compose) repair(ctx context.Context, project string, out ports.Output) error {
	list, err := c.list(ctx, project)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, s := range list {
		names[nameOf(s)] = true
	}
	for _, s := range list {
		m := leftover.FindStringSubmatch(nameOf(s))
		if m == nil || s.Labels[labelReplace] == "" { // somebody's container_name may look like it
			continue
		}
		if err := c.mend(ctx, s, m[1], names[m[1]], out); err != nil {
			return err
		}
		names[m[1]] = true
	}
	return nil
}

// mend ends the story of one leftover.
func (c *Compose) mend(ctx context.Context, s container.Summary, name string, oldIsThere bool, out ports.Output) error {
	change, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	var err error
	if oldIsThere {
		out(operation.Stdout, fmt.Sprintf("removed %s, which a crashed recreate left behind", nameOf(s)), false)
		err = c.docker.ContainerRemove(change, s.ID, container.RemoveOptions{Force: true})
	} else {
		out(operation.Stdout, fmt.Sprintf("renamed %s, which a crashed recreate left behind, to %s", nameOf(s), name), false)
		err = c.docker.ContainerRename(change, s.ID, name)
	}
	if err != nil && !cerrdefs.IsNotFound(err) {
		return engineFault(err)
	}
	return nil
}
