package picture

import (
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// Paused reports whether somebody froze the container: `docker pause`. Whoever replaces or restarts it thaws it, and an up cannot start it.
func (c Container) Paused() bool { return c.State == "paused" }

// ToThaw lists the paused containers of the services that an up brings up, without names all of the model: Compose asks the engine to start them,
// which the engine refuses. What is brought up runs.
func (m Model) ToThaw(names []string, withDeps bool, now Picture) []Container {
	if len(names) == 0 {
		names = m.Names()
	}
	up := m.closure(names)
	var found []Container
	for _, c := range now.Containers {
		if c.Paused() && c.Project == m.Project && (slices.Contains(names, c.Service) || withDeps && up[c.Service]) {
			found = append(found, c)
		}
	}
	return found
}

// thawed reports whether what stands for a paused container runs because of what was done since. One that nothing has touched was thawed by whoever
// froze it.
func (r Restore) thawed(k Key, p couple) bool {
	touched := p.is.ID != p.was.ID || !p.is.Started.Equal(p.was.Started) || covered(r.Touched, k)
	return p.was.Paused() && p.is.State == "running" && touched
}

// PausedRuns is the reason of the warning that something paused is going to run.
const PausedRuns = "PAUSED_RUNS"

// paused finds services that somebody froze and that the steps start again.
func (p Proof) paused() []Finding {
	frozen := map[Key][]string{}
	for _, m := range p.Target {
		for _, s := range p.Steps {
			for _, name := range m.changedBy(s) {
				for _, c := range p.Now.Of(m.Key(name)) {
					if k := c.Key(); c.Paused() && !slices.Contains(frozen[k], c.Name) {
						frozen[k] = append(frozen[k], c.Name)
					}
				}
			}
		}
	}
	var found []Finding
	for _, k := range p.Now.Keys() {
		if names := frozen[k]; len(names) > 0 {
			found = append(found, Finding{
				fault.Failed, PausedRuns,
				fmt.Sprintf("%s is paused; what changes or restarts it lets it run again, and going back pauses it again", k),
				"pause it again afterwards, if it is to stay so: docker pause " + strings.Join(names, " "),
			})
		}
	}
	return found
}
