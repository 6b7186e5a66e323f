package hosttest

import (
	"context"
	"maps"
	"slices"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Pin implements ports.Images.
func (r Runtime) Pin(ctx context.Context, images []string) error {
	return r.h.change(ctx, "Restorer.Pin", nil, func() error {
		r.h.fleet.pins = append(r.h.fleet.pins, images...)
		slices.Sort(r.h.fleet.pins)
		r.h.fleet.pins = slices.Compact(r.h.fleet.pins)
		return nil
	})
}

// Unpin implements ports.Images.
func (r Runtime) Unpin(ctx context.Context, keep []string) error {
	return r.h.change(ctx, "Restorer.Unpin", nil, func() error {
		r.h.fleet.pins = slices.DeleteFunc(r.h.fleet.pins, func(id string) bool { return !slices.Contains(keep, id) })
		return nil
	})
}

// Gone implements ports.Images.
func (r Runtime) Gone(ctx context.Context, images []string) ([]string, error) {
	if err := r.h.call(ctx, "Restorer.Gone", nil); err != nil {
		return nil, err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(images), func(id string) bool { return !r.h.fleet.lost[id] }), nil
}

// Rename implements ports.Images, one name after the other.
func (r Runtime) Rename(ctx context.Context, refs map[string]string, _ ports.Output) error {
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		r.h.mu.Lock()
		same := r.h.fleet.image(ref) == refs[ref]
		r.h.mu.Unlock()
		if same {
			continue
		}
		if err := r.h.change(ctx, "Engine.Tag "+ref, nil, func() error {
			r.h.fleet.images[ref] = refs[ref]
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// Rebuild implements ports.Images.
func (r Runtime) Rebuild(ctx context.Context, plan *pipeline.Plan, services []picture.Key, out ports.Output) error {
	if err := r.h.call(ctx, "Restorer.Rebuild", out); err != nil {
		return err
	}
	for _, stack := range plan.Stacks {
		m, err := r.h.composedNow(stack)
		if err != nil {
			return err
		}
		for _, k := range services {
			if _, ours := m.Services[k.Service]; !ours || k.Project != m.Project {
				continue
			}
			bring := r.build
			if !m.Services[k.Service].Builds {
				bring = r.pull
			}
			if err := bring(ctx, m, []string{k.Service}); err != nil {
				return err
			}
		}
	}
	return nil
}

// pull gives names of images what their registry has.
func (r Runtime) pull(ctx context.Context, m composed, names []string) error {
	for _, name := range names {
		ref := m.Services[name].Image
		r.h.mu.Lock()
		has, published := r.h.fleet.registry[ref]
		same := r.h.fleet.image(ref) == has
		r.h.mu.Unlock()
		if !published || same {
			continue
		}
		if err := r.h.change(ctx, "Engine.Pull "+m.Key(name).String(), nil, func() error {
			r.h.fleet.images[ref] = has
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
