package picture

import (
	"fmt"
	"slices"
)

// detached tells which namespace a running container has lost, "" for none: the container that it shared one with is gone, or was
// started again since, which made a new one. The engine does not put that right by itself.
func (p Picture) detached(c Container) string {
	for _, s := range c.Shares {
		owner, there := p.Container(s.Container)
		switch {
		case !there:
			return fmt.Sprintf("shares the %s namespace of container %.12s, which is gone", s.Namespace, s.Container)
		case c.Running() && !c.Started.IsZero() && owner.Started.After(c.Started):
			return fmt.Sprintf("shares the %s namespace of %s as it was before that was started again", s.Namespace, ownerName(owner))
		case c.Running() && !owner.Running():
			return fmt.Sprintf("shares the %s namespace of %s, which does not run", s.Namespace, ownerName(owner))
		}
	}
	return ""
}

// orphaned tells which namespace a container cannot be started in any more, "" for none.
func (p Picture) orphaned(c Container) string {
	for _, s := range c.Shares {
		if _, there := p.Container(s.Container); !there {
			return fmt.Sprintf("the container whose %s namespace it shared is gone", s.Namespace)
		}
	}
	return ""
}

func ownerName(c Container) string {
	if c.Project == "" {
		return c.Name
	}
	return c.Service
}

// Stale are services whose containers have lost a namespace, by what mends it.
type Stale struct {
	Recreate []string // the container that they shared it with is gone
	Restart  []string // it was started again
}

// StaleSharers lists the services of a model whose containers ran and have lost a namespace: a step that replaces
// or restarts the owner does the same to them. Those that were stopped stay so, unless their container cannot be started any more; jobs that
// have ended well stay as they are.
func (m Model) StaleSharers(now Picture) Stale {
	var stale Stale
	for _, name := range m.Names() {
		for _, c := range now.Of(m.Key(name)) {
			orphaned := now.orphaned(c) != ""
			switch {
			case c.Succeeded(): // a job that is done needs no namespace
			case orphaned && !slices.Contains(stale.Recreate, name):
				stale.Recreate = append(stale.Recreate, name)
			case !orphaned && now.outlived(c) && !slices.Contains(stale.Restart, name):
				stale.Restart = append(stale.Restart, name)
			}
		}
	}
	return stale
}

// outlived reports whether a running container lives in a namespace whose owner was started again since.
func (p Picture) outlived(c Container) bool {
	return c.Running() && slices.ContainsFunc(c.Shares, func(s Share) bool {
		owner, there := p.Container(s.Container)
		return there && owner.Running() && owner.Started.After(c.Started)
	})
}
