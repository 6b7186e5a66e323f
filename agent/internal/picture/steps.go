package picture

import (
	"slices"
)

// Todo is what a step that changes containers still has to do. A step that is entered again after a crash knows by what it
// found when it began for the first time.
type Todo struct {
	Model  Model
	Names  []string // services that the step names, all of the model where it names none
	Before *Picture // what there was when it began for the first time; nil when nobody looked
	Now    Picture
	Past   *Picture // what there was before the checkout moved; nil when it did not
	// Changed are the paths of the checkout that may have another content since.
	Changed Paths
}

// ToReplace lists the services that still have a container, or none, which was there when the step began.
func (t Todo) ToReplace() []string {
	return t.left(func(name string) int { return t.Model.Services[name].Replicas }, func(old, now Container) bool { return old.ID == now.ID })
}

// ToRestart lists the services that still have a container which has not been started since the step began.
func (t Todo) ToRestart() []string {
	one := func(string) int { return 1 } // a restart makes none
	return t.left(one, func(old, now Container) bool { return old.ID == now.ID && old.Started.Equal(now.Started) })
}

// left lists the services that are not done: untouched tells a container that the step has still to see to, and least how many
// there must be. One that was made and not started is not done; a job that has ended well is.
func (t Todo) left(least func(name string) int, untouched func(old, now Container) bool) []string {
	if t.Before == nil {
		return slices.Clone(t.Names)
	}
	return slices.DeleteFunc(slices.Clone(t.Names), func(name string) bool {
		is, was := t.Now.Of(t.Model.Key(name)), t.Before.Of(t.Model.Key(name))
		return len(is) > 0 && len(is) >= least(name) && !slices.ContainsFunc(is, func(c Container) bool {
			old := slices.ContainsFunc(was, func(o Container) bool { return untouched(o, c) })
			return old || (!c.Running() && !c.Succeeded())
		})
	})
}

// Outdated splits the services of an up: those whose containers show files of the checkout that changed since they were made,
// which Compose does not see, and the rest. It goes by what there was when the step began for the first time, so that a repetition splits
// them as the first time.
func (t Todo) Outdated() (outdated, rest []string) {
	if t.Before == nil || t.Past == nil || len(t.Changed) == 0 {
		return nil, t.Names
	}
	for _, name := range t.Names {
		older := slices.ContainsFunc(t.Before.Of(t.Model.Key(name)), func(c Container) bool { return t.Past.Has(c.ID) })
		if older && t.Model.Services[name].Shows(t.Changed) {
			outdated = append(outdated, name)
		} else {
			rest = append(rest, name)
		}
	}
	return outdated, rest
}
