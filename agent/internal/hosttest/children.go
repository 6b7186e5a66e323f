package hosttest

import (
	"context"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Leave makes a dead agent's operation have that many children; a negative number of them
// cannot be ended.
func (h *Host) Leave(operation string, children int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fleet.orphans[operation] = children
}

// Orphans implements ports.Orphans.
type Orphans struct{ h *Host }

var _ ports.Orphans = Orphans{}

type markKey struct{}

// Mark implements ports.Orphans; [MarkOf] reads the mark.
func (o Orphans) Mark(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, markKey{}, id)
}

// MarkOf is the operation that a call's context was marked with, "" for none.
func MarkOf(ctx context.Context) string {
	id, _ := ctx.Value(markKey{}).(string) // none is none
	return id
}

// End implements ports.Orphans.
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

// Scripts implements ports.Scripts.
type Scripts struct{ h *Host }

var _ ports.Scripts = Scripts{}

// RunScript implements ports.Scripts.
func (s Scripts) RunScript(ctx context.Context, _ *pipeline.Plan, script pipeline.Script, out ports.Output) error {
	return s.h.call(ctx, "Scripts.RunScript "+script.Path, out)
}

// Migrate implements ports.Scripts: it applies the files of migrations/ that are new, in order.
func (s Scripts) Migrate(ctx context.Context, _ *pipeline.Plan, migrate pipeline.Migrate, out ports.Output, applied func(string)) error {
	if err := s.h.call(ctx, "Scripts.Migrate "+migrate.Script, out); err != nil {
		return err
	}
	for _, name := range s.h.pending() {
		if err := s.h.change(ctx, "Database.Apply "+name, nil, func() error {
			s.h.fleet.applied = append(s.h.fleet.applied, name)
			return nil
		}); err != nil {
			return err
		}
		out(operation.Stdout, "applied "+name, false)
		applied(name)
	}
	return nil
}

func (h *Host) pending() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for _, path := range sortedKeys(h.repository.commits[h.repository.head].files) {
		name, ok := strings.CutPrefix(path, "migrations/")
		name = strings.TrimSuffix(name, ".sql")
		if ok && !slices.Contains(h.fleet.applied, name) {
			names = append(names, name)
		}
	}
	return names
}

// Prober implements ports.Prober. The containers probe looks at the model, every
// other one passes, unless [Host.Answer] says what it finds.
type Prober struct{ h *Host }

var _ ports.Prober = Prober{}

// Answer sets what the attempts at a probe find, counted from 1; nil removes it.
func (h *Host) Answer(probe string, answer func(attempt int) operation.ProbeResult) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[probe], h.attempts[probe] = answer, 0
}

// Probe implements ports.Prober.
func (p Prober) Probe(ctx context.Context, plan *pipeline.Plan, probe pipeline.Probe, excused []picture.Excuse) operation.ProbeResult {
	if err := p.h.call(ctx, "Prober.Probe "+probe.Name, nil); err != nil {
		return operation.ProbeResult{Outcome: operation.ProbeWaiting, Message: err.Error()}
	}
	p.h.mu.Lock()
	p.h.attempts[probe.Name]++
	answer, attempt := p.h.answers[probe.Name], p.h.attempts[probe.Name]
	p.h.mu.Unlock()
	switch {
	case answer != nil:
		return answer(attempt)
	case probe.Containers != nil:
		return p.containers(ctx, plan, probe.Containers.Stacks, excused)
	}
	return operation.ProbeResult{Outcome: operation.ProbePassed, Message: "good"}
}

func (p Prober) containers(ctx context.Context, plan *pipeline.Plan, stacks []string, excused []picture.Excuse) operation.ProbeResult {
	services, err := Runtime(p).Services(ctx, plan, stacks)
	if err != nil {
		return operation.ProbeResult{Outcome: operation.ProbeWaiting, Message: err.Error()}
	}
	j := picture.Judge(services, excused)
	if j.Verdict == picture.Passed {
		return operation.ProbeResult{Outcome: j.Verdict, Message: j.String()}
	}
	return operation.ProbeResult{Outcome: j.Verdict, Message: strings.Join(j.Messages, "; ")}
}
