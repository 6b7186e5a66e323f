package operationtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

var _ operation.Reverter = Runtime{}

// Created lists the images of the containers that were ever made for a service, oldest first.
func (h *Host) Created(stack, service string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.fleet.created[stack+"/"+service])
}

// Pins are the operations whose images are pinned, sorted.
func (h *Host) Pins() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return sortedKeys(h.fleet.pins)
}

// Leave makes a dead agent's operation have that many children; a negative number of them
// cannot be ended.
func (h *Host) Leave(operation string, children int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fleet.orphans[operation] = children
}

// Ready implements operation.Runtime: the engine of this model always answers.
func (r Runtime) Ready(ctx context.Context) error { return r.h.call(ctx, "Runtime.Ready", nil) }

// Complete implements operation.Runtime: no image of this model is ever missing.
func (r Runtime) Complete(ctx context.Context, _ *pipeline.Plan, out operation.Output) (string, error) {
	return "every image is there", r.h.call(ctx, "Runtime.Complete", out)
}

// doneBefore reports whether a repeated step has done its work on a service already.
func (f *fleet) doneBefore(step pipeline.Step, stack, service string, before operation.Snapshot) bool {
	is := f.containers[stack+"/"+service]
	if is == nil || before.Projects == nil {
		return false
	}
	for _, old := range before.Of(stack, service) {
		if old.Container == is.ID && (step.Restart == nil || old.Started.Equal(is.Started)) {
			return false
		}
	}
	return true
}

// Snapshot implements operation.Reverter.
func (r Runtime) Snapshot(ctx context.Context, plan *pipeline.Plan, stacks []string) (operation.Snapshot, error) {
	if err := r.h.call(ctx, "Reverter.Snapshot", nil); err != nil {
		return operation.Snapshot{}, err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	s := operation.Snapshot{Projects: map[string]string{}}
	for _, stack := range plan.Stacks {
		if len(stacks) > 0 && !slices.Contains(stacks, stack.Name) {
			continue
		}
		s.Projects[stack.Name] = stack.Name
		for _, key := range sortedKeys(r.h.fleet.containers) {
			if service, ok := strings.CutPrefix(key, stack.Name+"/"); ok {
				c := r.h.fleet.containers[key]
				s.Containers = append(s.Containers, operation.Past{
					Stack: stack.Name, Service: service, Container: c.ID, ImageID: c.ImageID, ImageRef: key, Running: c.State == "running", Started: c.Started,
				})
			}
		}
	}
	return s, nil
}

// Pin implements operation.Reverter.
func (r Runtime) Pin(ctx context.Context, id string, snapshot operation.Snapshot) error {
	return r.h.change(ctx, "Reverter.Pin", nil, func() error {
		r.h.fleet.pins[id] = snapshot.Images()
		return nil
	})
}

// Unpin implements operation.Reverter.
func (r Runtime) Unpin(ctx context.Context, keep []string) error {
	return r.h.change(ctx, "Reverter.Unpin", nil, func() error {
		maps.DeleteFunc(r.h.fleet.pins, func(id string, _ []string) bool { return !slices.Contains(keep, id) })
		return nil
	})
}

// Revert implements operation.Reverter, one service after the other as [Runtime.Run] does.
func (r Runtime) Revert(ctx context.Context, reversal operation.Reversal, out operation.Output) (string, error) {
	if err := r.h.call(ctx, "Reverter.Revert", out); err != nil {
		return "", err
	}
	changed := 0
	for _, stack := range reversal.Plan.Stacks {
		services, err := r.h.composedNow(stack)
		if err != nil {
			return "", err
		}
		for _, s := range services {
			key := stack.Name + "/" + s.name
			was := reversal.Past.Of(stack.Name, s.name)
			if len(was) == 0 {
				continue
			}
			if err := r.h.tag(ctx, key, was[0].ImageID); err != nil {
				return "", err
			}
			if verb := r.h.undoing(reversal, stack.Name, s, was[0]); verb != "" {
				if err := r.h.act(ctx, verb, key, s); err != nil {
					return "", err
				}
				changed++
			}
		}
	}
	return fmt.Sprintf("%d brought back", changed), r.removeNew(ctx, reversal)
}

// tag gives a service's name back the image that it meant.
func (h *Host) tag(ctx context.Context, key, image string) error {
	h.mu.Lock()
	same := h.fleet.image(key) == image
	h.mu.Unlock()
	if same {
		return nil
	}
	return h.change(ctx, "Engine.Tag "+key, nil, func() error {
		h.fleet.images[key] = image
		return nil
	})
}

// undoing is the verb that brings a service back, "" where it is as it was, or an earlier
// attempt of the same reversal has brought it back.
func (h *Host) undoing(reversal operation.Reversal, stack string, s service, was operation.Past) string {
	is, ok := h.Container(stack, s.name)
	switch {
	case !ok:
		return "Create"
	case is.ID != was.Container && !reversal.Now.Has(is.ID) && is.ImageID == was.ImageID:
		return ""
	case is.ID != was.Container:
		return "Create"
	case was.Running && is.State != "running":
		return "Restart"
	}
	began := slices.IndexFunc(reversal.Now.Containers, func(p operation.Past) bool { return p.Container == is.ID })
	restartedSince := began >= 0 && !reversal.Now.Containers[began].Started.Equal(is.Started)
	spokenOf := slices.ContainsFunc(reversal.Steps, func(step pipeline.Step) bool {
		return step.Stack() == stack && chosen(step.Services(), s.name)
	})
	spokenOf = spokenOf || (s.mount != "" && reversal.Changed.Touch(s.mount))
	if spokenOf && !restartedSince && !is.Started.Equal(was.Started) {
		return "Restart"
	}
	return ""
}

// removeNew removes the containers of services that had none.
func (r Runtime) removeNew(ctx context.Context, reversal operation.Reversal) error {
	r.h.mu.Lock()
	keys := sortedKeys(r.h.fleet.containers)
	r.h.mu.Unlock()
	for _, key := range keys {
		stack, name, _ := strings.Cut(key, "/")
		if _, looked := reversal.Past.Projects[stack]; looked && len(reversal.Past.Of(stack, name)) == 0 {
			if err := r.h.act(ctx, "Remove", key, service{name: name}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Orphans implements operation.Orphans.
type Orphans struct{ h *Host }

var _ operation.Orphans = Orphans{}

type markKey struct{}

// Mark implements operation.Orphans; [MarkOf] reads the mark.
func (o Orphans) Mark(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, markKey{}, id)
}

// MarkOf is the operation that a call's context was marked with, "" for none.
func MarkOf(ctx context.Context) string {
	id, _ := ctx.Value(markKey{}).(string) // none is none
	return id
}

// End implements operation.Orphans.
func (o Orphans) End(ctx context.Context, id string) (int, error) {
	ended := 0
	err := o.h.change(ctx, "Orphans.End "+id, nil, func() error {
		n := o.h.fleet.orphans[id]
		if n < 0 {
			return fault.New(fault.Degraded, "ORPHANS_LEFT", "children of %s cannot be ended", id)
		}
		delete(o.h.fleet.orphans, id)
		ended = n
		return nil
	})
	return ended, err
}
