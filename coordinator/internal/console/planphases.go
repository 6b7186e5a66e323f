package console

import (
	"slices"
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// plannedPhase is the steps of one phase, by wave.
type plannedPhase struct {
	name  string
	steps []plannedStep
}

// plannedStep is a step with its wave: one more than the highest of those it waits for.
// The engine starts a step as soon as these are done, so no wave starts later than shown.
type plannedStep struct {
	*landfallv1.Step
	wave int
}

// phasesOf groups the steps by phase in the order of the plan.
func phasesOf(plan *landfallv1.Plan) []plannedPhase {
	var out []plannedPhase
	waves := map[string]int{}
	for _, s := range plan.GetSteps() {
		wave := 1
		for _, id := range s.GetAfter() {
			wave = max(wave, waves[id]+1)
		}
		waves[s.GetId()] = wave
		name := strings.TrimPrefix(s.GetPhase().String(), "PHASE_")
		i := slices.IndexFunc(out, func(p plannedPhase) bool { return p.name == name })
		if i < 0 {
			out = append(out, plannedPhase{name: name})
			i = len(out) - 1
		}
		out[i].steps = append(out[i].steps, plannedStep{s, wave})
	}
	for _, phase := range out {
		slices.SortStableFunc(phase.steps, func(a, b plannedStep) int { return a.wave - b.wave })
	}
	return out
}
