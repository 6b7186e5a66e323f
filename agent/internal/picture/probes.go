package picture

import (
	"reflect"
	"slices"

	"ataraxis.dev/landfall/shared/pipeline"
)

// FailedProbe is a probe that failed before an operation began: what goes back goes back to that, and is not judged by it.
type FailedProbe struct {
	Name string `json:"name"`
	Why  string `json:"why"`
	// Aside says that the operation is not judged by it either, because it does nothing that could change the answer; see [Concerns].
	Aside bool `json:"aside,omitempty"`
}

// Concerns reports whether steps, and services that leave, may change what a probe that failed before finds, so that an operation is judged by it: it may
// be the mend. Migrations are left aside: every plan has them, and whether there is one to apply shows when it is applied. own are the probes of the operation's own commit: one that asks for something else than before is always of concern. A database is of
// concern to what touches its service; who answers an address nobody knows, so that it is of concern to any step.
func Concerns(before pipeline.Probe, own []pipeline.Probe, steps []pipeline.Step, leaving []Key, projects map[string]string) bool {
	same := slices.ContainsFunc(own, func(p pipeline.Probe) bool { return reflect.DeepEqual(asked(p), asked(before)) })
	switch {
	case !same:
		return true
	case before.Postgres == nil:
		return len(leaving) > 0 || slices.ContainsFunc(steps, func(s pipeline.Step) bool { return s.Migrate == nil })
	}
	k := Key{projects[before.Postgres.Stack], before.Postgres.Service}
	return k.Project == "" || slices.Contains(leaving, k) || covered(ReachOf(steps, projects), k)
}

// asked is what a probe asks for, whatever it depends on.
func asked(p pipeline.Probe) pipeline.Probe {
	p.When = nil
	return p
}

// FailedNamed finds a probe among those that failed before.
func FailedNamed(failed []FailedProbe, name string) bool {
	return slices.ContainsFunc(failed, func(f FailedProbe) bool { return f.Name == name })
}

// FailedAside are those by which the operation itself is not judged.
func FailedAside(failed []FailedProbe) []FailedProbe {
	return slices.DeleteFunc(slices.Clone(failed), func(f FailedProbe) bool { return !f.Aside })
}
