package compose

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
)

// prefixes is what a recreate puts before the name of a container that it was about to put in place of another:
// Compose creates ID_NAME, removes the old NAME, then renames. A Compose that dies in between leaves it (docker/compose#13391).
var prefixes = regexp.MustCompile(`^(?:[0-9a-f]{12}_)+`)

// leftover tells the name that a container of a crashed recreate was to have, "" for one that has its name. The name alone tells nothing, nor
// does the label alone: somebody's container_name may look like a leftover's, and the label stays for good. Its value is the
// container_name, or service and number (Compose 2.40.3, pkg/compose/convergence.go, recreateContainer).
func leftover(name, project, replaces string) string {
	if replaces == "" {
		return ""
	}
	for _, wanted := range []string{replaces, project + "-" + replaces, project + "_" + replaces} { // "_" with COMPOSE_COMPATIBILITY
		if before, ends := strings.CutSuffix(name, wanted); ends && before != "" && prefixes.FindString(before) == before {
			return wanted
		}
	}
	return ""
}

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
		wanted := leftover(nameOf(s), project, s.Labels[labelReplace])
		if wanted == "" {
			continue
		}
		if err := c.mend(ctx, s, wanted, names[wanted], out); err != nil {
			return err
		}
		names[wanted] = true
	}
	return nil
}

// mend ends the story of one leftover.
func (c *Compose) mend(ctx context.Context, s container.Summary, name string, oldIsThere bool, out ports.Output) error {
	change, cancel := context.WithTimeout(ctx, c.changeTimeout)
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
