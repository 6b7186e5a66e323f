package console

import (
	"fmt"

	"ataraxis.dev/landfall/shared/workflowcommand"
)

// groupOf finds the group of a step; nil when it has none.
func (a *workflow) groupOf(s *runningStep) *group {
	for _, g := range a.groups {
		if s != nil && g.step == s && !g.ended {
			return g
		}
	}
	return nil
}

// add writes a line into a group, now when it is open, later when it is not.
func (a *workflow) add(g *group, text string) {
	if g.opened {
		a.foreign(text)
		return
	}
	if len(g.held) == heldLimit {
		g.held, g.dropped = g.held[1:], g.dropped+1
	}
	g.held = append(g.held, text)
}

// advance opens the first group, and ends those before the first step that still runs.
func (a *workflow) advance() {
	for len(a.groups) > 0 {
		g := a.groups[0]
		a.open(g)
		if !g.ended {
			return
		}
		a.endFirst()
	}
}

// open begins the group with what was held back.
func (a *workflow) open(g *group) {
	if g.opened {
		return
	}
	g.opened = true
	a.obey()
	fmt.Fprintf(&a.buffer, "::group::%s\n", workflowcommand.Escape(g.step.label()))
	a.ignore()
	if g.dropped > 0 {
		a.foreign(fmt.Sprintf("(%s left out)", count(g.dropped, "earlier line")))
	}
	for _, text := range g.held {
		a.foreign(text)
	}
	g.held = nil
}

// endFirst closes the open group.
func (a *workflow) endFirst() {
	a.groups = a.groups[1:]
	a.obey()
	a.buffer.WriteString("::endgroup::\n")
}

// endAll closes every group; steps that still run are told to be unfinished by the absence of their last line.
func (a *workflow) endAll() {
	for len(a.groups) > 0 {
		a.open(a.groups[0])
		a.endFirst()
	}
}
