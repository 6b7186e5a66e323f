package operationtest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

var _ operation.Reverter = Runtime{}

// Created counts the containers that were ever made for a service.
func (h *Host) Created(stack, service string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fleet.created[stack+"/"+service]
}

// Pins are the operations whose images are pinned, sorted.
func (h *Host) Pins() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return sortedKeys(h.fleet.pins)
}

// Leave makes a dead agent's operation have that many children.
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
	if is == nil || before.Projects == nil || (step.Recreate == nil && step.Restart == nil) {
		return false
	}
	for _, old := range before.Of(stack, service) {
		if old.Container == is.ID && (step.Recreate != nil || old.Started.Equal(is.Started)) {
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
	if err := r.h.call(ctx, "Reverter.Pin", nil); err != nil {
		return err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.h.fleet.pins[id] = snapshot.Images()
	return nil
}

// Unpin implements operation.Reverter.
func (r Runtime) Unpin(ctx context.Context, keep []string) error {
	if err := r.h.call(ctx, "Reverter.Unpin", nil); err != nil {
		return err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	for id := range r.h.fleet.pins {
		if !slices.Contains(keep, id) {
			delete(r.h.fleet.pins, id)
		}
	}
	return nil
}

// Revert implements operation.Reverter, one service after the other: a call "Reverter.Revert STACK/SERVICE"
// precedes each change, so that the world can be stopped between two of them.
func (r Runtime) Revert(ctx context.Context, reversal operation.Reversal, out operation.Output) (string, error) {
	if err := r.h.call(ctx, "Reverter.Revert", out); err != nil {
		return "", err
	}
	changed := 0
	for _, stack := range reversal.Plan.Stacks {
		r.h.mu.Lock()
		services, err := r.h.composed(r.h.repository.head, stack)
		r.h.mu.Unlock()
		if err != nil {
			return "", err
		}
		for _, s := range services {
			was := reversal.Past.Of(stack.Name, s.name)
			if len(was) == 0 || r.isAsBefore(stack.Name, s.name, was[0], reversal.Now) {
				continue
			}
			if err := r.h.call(ctx, "Reverter.Revert "+stack.Name+"/"+s.name, out); err != nil {
				return "", err
			}
			r.h.mu.Lock()
			r.h.fleet.images[stack.Name+"/"+s.name] = was[0].ImageID
			r.h.fleet.create(stack.Name+"/"+s.name, s)
			r.h.mu.Unlock()
			changed++
		}
	}
	return fmt.Sprintf("%d brought back", changed), r.removeNew(ctx, reversal)
}

// isAsBefore reports whether a service needs nothing: it kept its container, or an
// earlier attempt made one from the old image.
func (r Runtime) isAsBefore(stack, service string, was operation.Past, now operation.Snapshot) bool {
	is, ok := r.h.Container(stack, service)
	if !ok {
		return false
	}
	return is.ID == was.Container || (!now.Has(is.ID) && is.ImageID == was.ImageID)
}

func (r Runtime) removeNew(ctx context.Context, reversal operation.Reversal) error {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	if ctx.Err() != nil {
		return stopped(ctx)
	}
	for key := range r.h.fleet.containers {
		stack, service, _ := strings.Cut(key, "/")
		if _, looked := reversal.Past.Projects[stack]; looked && len(reversal.Past.Of(stack, service)) == 0 {
			delete(r.h.fleet.containers, key)
		}
	}
	return nil
}

// Orphans implements operation.Orphans.
type Orphans struct{ h *Host }

var _ operation.Orphans = Orphans{}

// Mark implements operation.Orphans: children of this model die with their caller.
func (o Orphans) Mark(ctx context.Context, _ string) context.Context { return ctx }

// End implements operation.Orphans.
func (o Orphans) End(ctx context.Context, id string) (int, error) {
	if err := o.h.call(ctx, "Orphans.End "+id, nil); err != nil {
		return 0, err
	}
	o.h.mu.Lock()
	defer o.h.mu.Unlock()
	n := o.h.fleet.orphans[id]
	delete(o.h.fleet.orphans, id)
	if n < 0 {
		return 0, fault.New(fault.Degraded, "ORPHANS_LEFT", "children of %s cannot be ended", id)
	}
	return n, nil
}
