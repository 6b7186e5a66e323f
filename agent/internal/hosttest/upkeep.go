package hosttest

import (
	"context"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/pipeline"
)

var _ ports.Configs = Runtime{}

// Hashes implements ports.Configs: the configuration of this model's service is its line.
func (r Runtime) Hashes(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack, _ picture.Picture) (map[picture.Key]string, error) {
	if err := r.h.call(ctx, "Configs.Hashes", nil); err != nil {
		return nil, err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	m, err := r.h.composed(r.h.repository.head, stack)
	m.resolve(plan)
	m.madeBy(r.h.composer)
	hashes := map[picture.Key]string{}
	for name := range m.Services {
		hashes[m.Key(name)] = digest(m.lines[name])
	}
	return hashes, err
}

// Composer implements ports.Configs: see [Host.UpgradeCompose].
func (r Runtime) Composer(ctx context.Context) (string, error) {
	return r.h.composer, r.h.call(ctx, "Configs.Composer", nil)
}

// UpgradeCompose has another Compose make what is made from now on.
func (h *Host) UpgradeCompose(version string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.composer = version
}

// bringUp makes what is missing and starts what is stopped, and replaces nothing.
func (r Runtime) bringUp(ctx context.Context, m composed, names []string) error {
	for _, name := range ownersFirst(m.Model, names) {
		k := m.Key(name)
		r.h.mu.Lock()
		var stopped []string
		of := r.h.fleet.of(k)
		for _, c := range of {
			if !c.Running() && !c.Succeeded() {
				stopped = append(stopped, c.ID)
			}
		}
		r.h.mu.Unlock()
		if err := r.each(ctx, "Start", k, stopped); err != nil {
			return err
		}
		for range m.Services[name].Replicas - len(of) {
			if err := r.h.change(ctx, "Engine.Create "+k.String(), nil, func() error { return r.h.fleet.create(m, name, r.h.repository.head, true, picture.Container{}) }); err != nil {
				return err
			}
		}
	}
	return nil
}
