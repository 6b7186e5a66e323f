package compose

import (
	"context"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// thaw lets paused containers of what an up brings up run again; without names it brings up all of the model.
func (w *work) thaw(ctx context.Context, m picture.Model, names []string, withDeps bool) error {
	list, err := w.list(ctx, m.Project)
	if err != nil {
		return err
	}
	var now picture.Picture
	for _, s := range list {
		now.Containers = append(now.Containers, listedOf(s))
	}
	for _, c := range m.ToThaw(names, withDeps, now) {
		limited, cancel := context.WithTimeout(ctx, w.deadlines.Up)
		err := w.docker.ContainerUnpause(limited, c.ID)
		cancel()
		if err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) { // it is gone, or somebody was faster
			return engineFault(err)
		}
		w.out(operation.Stdout, fmt.Sprintf("%s was paused, and is brought up: it runs again", c.Name), false)
	}
	return nil
}
