package console

import (
	"slices"
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// probeGroup is the probes that judged one thing.
type probeGroup struct {
	title   string
	results []*landfallv1.ProbeResult
}

// probeGroups tells the probes of a deploy from those of its rollback. An operation keeps the last result of each probe, so
// after a rollback that probed, those that ran there speak of the earlier version; only the plan, which may be nil, names them.
func probeGroups(op *landfallv1.Operation, plan *landfallv1.Plan) []probeGroup {
	all := op.GetProbes()
	switch {
	case len(all) == 0:
		return nil
	case op.GetKind() != landfallv1.OperationKind_OPERATION_KIND_DEPLOY || !probedInRollback(op):
		return []probeGroup{{"probes", all}}
	case plan == nil:
		return []probeGroup{{"probes, last results: those that the rollback ran speak of what ran before", all}}
	}
	deploy, rollback := probeGroup{title: "probes of the deploy"}, probeGroup{title: "probes of the rollback, which speak of what ran before"}
	for _, r := range all {
		// The rollback passes only when all of its probes do.
		if slices.Contains(plan.GetRollbackProbes(), r.GetName()) {
			rollback.results = append(rollback.results, r)
		} else {
			deploy.results = append(deploy.results, r)
		}
	}
	return slices.DeleteFunc([]probeGroup{deploy, rollback}, func(g probeGroup) bool { return len(g.results) == 0 })
}

// probedInRollback reports whether the rollback of a deploy came so far that it ran probes.
func probedInRollback(op *landfallv1.Operation) bool {
	return slices.ContainsFunc(op.GetSteps(), func(s *landfallv1.StepRecord) bool {
		return isRollbackStep(s.GetId()) && strings.Contains(s.GetId(), "probe")
	})
}

// isRollbackStep reports whether a step belongs to the rollback of an operation, by its identifier.
func isRollbackStep(id string) bool { return strings.HasPrefix(id, "rollback/") }
