package workflows

import (
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

const gateHint = "let it need a job that runs landfall-coordinator ci-gate and nothing else, without always(), !cancelled() or continue-on-error"

// gate looks for jobs that deploy although the gate did not pass.
func (c *checker) gate(file *workflow.File) {
	for i := range file.Jobs {
		job := &file.Jobs[i]
		p := inJob(file, job)
		for n := range job.Steps {
			if c.ctx.Err() != nil {
				return
			}
			p.n = n
			c.gateOf(p, p)
			c.flow.inside(p.step().Uses.Value, map[string]bool{}, func(inner place) { c.gateOf(inner, p) })
		}
	}
}

// gateOf looks at a step that may deploy; outer is the step of the job that it belongs to, itself or one that uses an action.
func (c *checker) gateOf(p, outer place) {
	if !p.step().Run.Written() {
		return
	}
	asked := c.commandsIn(p)
	switch {
	case asked.ungated:
		c.findAt(p.path, p.step().Run, RuleGate, "leave --no-gate out", "%s deploys without waiting for the gate", p.name())
	case asked.otherGate != "":
		c.findAt(p.path, p.step().Run, RuleGate, "let it ask for this repository and what landfall.yaml requires", "%s deploys, and its gate judges something else: %s", p.name(), asked.otherGate)
	case asked.deploys && !c.gatedWithin(outer) && !c.gatedBefore(outer.file, outer.job) && !c.gatedByCallers(outer.file, map[*workflow.File]bool{}):
		c.findAt(p.path, p.step().Run, RuleGate, gateHint+c.whyNot(outer.file), "%s deploys, and nothing proves that the gate has passed before", p.name())
	}
}

// whyNot tells why the first step of a file that looks like a gate is none, for the hint.
func (c *checker) whyNot(file *workflow.File) string {
	if why, known := c.noGate[file]; known {
		return why
	}
	c.noGate[file] = c.findNoGate(file)
	return c.noGate[file]
}

func (c *checker) findNoGate(file *workflow.File) string {
	for i := range file.Jobs {
		at := inJob(file, &file.Jobs[i])
		for n := range at.steps {
			at.n = n
			if step := at.step(); !step.Run.Written() || !c.commands.gate.MatchString(step.Run.Value) {
				continue
			}
			if g := c.gateStep(at); g.fault != "" {
				return "; the step of job " + at.job.Key.Value + " is no gate: " + g.fault
			}
		}
	}
	return ""
}

// gatedWithin reports whether the gate is an earlier step of the same job, whose failure ends the job.
func (c *checker) gatedWithin(p place) bool {
	if condition := p.step().If; condition.Written() {
		if e, err := c.expressions.condition(condition.Value); err != nil || usesStatus(e) {
			return false
		}
	}
	before := p
	for before.n = 0; before.n < p.n; before.n++ {
		if c.gateStep(before).holds() {
			return true
		}
	}
	return false
}

// off reports whether a switch is certainly not set.
func off(t workflow.Text) bool { return !t.Written() || t.Value == "false" }

// gatedBefore reports whether the job is certainly skipped when a gate that comes before it has not passed.
func (c *checker) gatedBefore(file *workflow.File, job *workflow.Job) bool {
	if file == nil {
		return false
	}
	seen := map[*workflow.Job]bool{job: true}
	for next := []*workflow.Job{job}; len(next) > 0 && c.ctx.Err() == nil; next = next[1:] {
		for _, need := range next[0].Needs {
			before := file.Job(need.Value)
			if before == nil || seen[before] {
				continue
			}
			if c.holdsBack(file, before, job) {
				return true
			}
			seen[before] = true
			next = append(next, before)
		}
	}
	return false
}

// gatedByCallers reports whether a file is only ever called, and by jobs that a gate holds back.
func (c *checker) gatedByCallers(file *workflow.File, onTheWay map[*workflow.File]bool) bool {
	callers := c.callers[file.Base()]
	if len(callers) == 0 || onTheWay[file] || slices.ContainsFunc(file.On, func(e workflow.Event) bool { return e.Name != "workflow_call" }) {
		return false
	}
	onTheWay[file] = true
	return !slices.ContainsFunc(callers, func(from caller) bool {
		return !c.gatedBefore(from.file, from.job) && !c.gatedByCallers(from.file, onTheWay)
	})
}

func (c *checker) holdsBack(file *workflow.File, gate, job *workflow.Job) bool {
	list := c.gateSituations(file, gate)
	return len(list) > 0 && !slices.ContainsFunc(list, func(s *situation) bool { return !s.skipped(job) })
}

// gateSituations are all in which a job's gate has not passed, for every event; none when the job has no gate.
func (c *checker) gateSituations(file *workflow.File, gate *workflow.Job) []*situation {
	if known, ok := c.gates[gate]; ok {
		return known
	}
	var list []*situation
	for _, state := range c.gateStates(file, gate) {
		for _, event := range file.On {
			s := newSituation(file, scenario{event: event.Name}, c.options.Repository)
			s.expression = c.expressions
			s.failed = map[string]gateState{strings.ToLower(gate.Key.Value): state}
			list = append(list, s)
		}
	}
	c.gates[gate] = list
	return list
}

// gateStates is how others may see a job whose gate has not passed.
func (c *checker) gateStates(file *workflow.File, gate *workflow.Job) []gateState {
	if called := c.files[calledFile(gate.Uses.Value)]; called != nil {
		return c.calledGateStates(called, gate)
	}
	p := inJob(file, gate)
	var best gateStep
	for n := range gate.Steps {
		p.n = n
		if g := c.gateStep(p); g.judges && (!best.judges || g.holds()) {
			best = g
		}
	}
	if !best.judges {
		return nil
	}
	blocked, late, none := c.verdictOf(gate, best, "blocked"), c.verdictOf(gate, best, "timeout"), c.verdictOf(gate, best, "")
	if best.holds() && off(gate.ContinueOnError) && !gate.Matrix.Written {
		return []gateState{{"failure", blocked}, {"failure", late}, {"failure", none}, {"cancelled", none}, {"skipped", none}}
	}
	return []gateState{{"success", blocked}, {"success", late}, {"success", none}, {"failure", none}, {"cancelled", none}, {"skipped", none}}
}

// calledGateStates is how others see a job that calls a file with a gate in it: it fails when one of its jobs does. What the
// file gives as its outputs is not known.
func (c *checker) calledGateStates(called *workflow.File, gate *workflow.Job) []gateState {
	if gate.Matrix.Written {
		return nil
	}
	for i := range called.Jobs {
		job := &called.Jobs[i]
		p := inJob(called, job)
		for n := range job.Steps {
			p.n = n
			if job.If.Written() || len(job.Needs) > 0 || job.Matrix.Written || !off(job.ContinueOnError) || !c.gateStep(p).holds() {
				continue
			}
			return []gateState{{"failure", value{}}, {"cancelled", value{}}, {"skipped", value{kind: null}}}
		}
	}
	return nil
}

// verdictOf is the job's output verdict when the gate gave one, which is not known when it is made of something else.
func (c *checker) verdictOf(gate *workflow.Job, g gateStep, verdict string) value {
	for _, pair := range gate.Outputs {
		if pair.Key != "" && !strings.EqualFold(pair.Key, "verdict") {
			continue
		}
		e, err := c.expressions.condition(pair.Value.Value)
		path, ok := e.(contextPath)
		if err != nil || !ok || g.id == "" || gate.Matrix.Written ||
			!slices.Equal(path.elements, []string{"steps", strings.ToLower(g.id), "outputs", "verdict"}) {
			return value{}
		}
		break
	}
	if verdict == "" {
		return value{kind: null}
	}
	return aText(verdict)
}
