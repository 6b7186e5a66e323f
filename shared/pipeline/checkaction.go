package pipeline

import (
	"errors"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// stepPlace is where a step of an action stands, however the action was written.
func stepPlace(name string, action ActionConfig, i int) place {
	if action.mapped {
		return at("actions", name, "steps", index(i))
	}
	return at("actions", name, index(i))
}

// scriptPlace is where the path of a script step stands.
func scriptPlace(step place, script *ScriptConfig) place {
	if script.mapped {
		return step.in("script", "path")
	}
	return step.in("script")
}

func (c *checker) actions() {
	names := c.actionNames
	c.keys(at("actions"), "action", names)
	for _, name := range names {
		action := c.config.Actions[name]
		p := at("actions", name)
		c.referAll(p.in("after"), "action", action.After, names)
		if len(action.Steps) == 0 {
			steps := p
			if action.mapped {
				steps = p.in("steps")
			}
			c.fail(steps, "", "an action needs at least one step")
		}
		for i, step := range action.Steps {
			c.step(stepPlace(name, action, i), step)
		}
		c.buildsFirst(name, action)
	}
	c.cycles(names)
}

// buildsFirst refuses an action that touches containers before its last build: all
// builds of a plan end before the first container is touched.
func (c *checker) buildsFirst(name string, action ActionConfig) {
	toucher := -1
	for i, step := range action.Steps {
		switch {
		case step.touches() && toucher < 0:
			toucher = i
		case step.Build != nil && toucher >= 0:
			c.failKey(stepPlace(name, action, i).in("build"),
				"a build must come before the steps that touch containers: move it above step %d, or into an action of its own", toucher+1)
		}
	}
}

// touches reports whether the step changes or looks at running containers.
func (s StepConfig) touches() bool {
	return s.Up != nil || s.Recreate != nil || s.Restart != nil || s.Exec != nil || s.Wait != nil
}

// verbs lists the verbs that a step has.
func (s StepConfig) verbs() []string {
	var verbs []string
	for _, v := range []struct {
		name string
		set  bool
	}{
		{"script", s.Script != nil},
		{"build", s.Build != nil},
		{"up", s.Up != nil},
		{"recreate", s.Recreate != nil},
		{"restart", s.Restart != nil},
		{"exec", s.Exec != nil},
		{"wait", s.Wait != nil},
	} {
		if v.set {
			verbs = append(verbs, v.name)
		}
	}
	return verbs
}

// oneOf checks that exactly one of the kinds is set. A mapping with only unknown keys
// has been reported for them.
func (c *checker) oneOf(p place, what string, set []string, all string) {
	switch {
	case len(set) > 1:
		c.fail(p, "", "a %s has exactly one of %s, this one has %s", what, all, strings.Join(set, " and "))
	case len(set) == 0 && !c.brokenBelow(p):
		c.fail(p, "", "a %s has exactly one of %s, this one has none", what, all)
	}
}

// brokenBelow reports whether something inside the value at p has a problem of form.
func (c *checker) brokenBelow(p place) bool {
	prefix := c.doc.Path(p...) + "."
	for path := range c.broken {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

func (c *checker) step(p place, step StepConfig) {
	c.oneOf(p, "step", step.verbs(), "script, build, up, recreate, restart, exec, wait")
	if s := step.Script; s != nil {
		c.path(scriptPlace(p, s), s.Path)
		c.variableList(p.in("script", "args"), s.Args)
	}
	if s := step.Build; s != nil {
		c.onStack(p.in("build"), s.Stack, s.Services)
		c.environment(p.in("build", "args"), s.Args)
	}
	if s := step.Up; s != nil {
		c.onStack(p.in("up"), s.Stack, s.Services)
	}
	if s := step.Recreate; s != nil {
		c.onStack(p.in("recreate"), s.Stack, s.Services)
	}
	if s := step.Restart; s != nil {
		c.onStack(p.in("restart"), s.Stack, s.Services)
	}
	if s := step.Exec; s != nil {
		c.exec(p.in("exec"), s)
	}
	if s := step.Wait; s != nil {
		c.waitable(p.in("wait", "probe"), s.Probe)
		c.positive(p.in("wait", "timeout"), int64(s.Timeout))
	}
}

func (c *checker) exec(p place, exec *ExecConfig) {
	c.stack(p, exec.Stack)
	c.service(p, exec.Service)
	if len(exec.Command) == 0 || exec.Command[0] == "" {
		c.fail(p.in("command"), "", "the command is empty")
	}
	c.variableList(p.in("command"), exec.Command)
	c.word(p.in("user"), exec.User)
}

func (c *checker) onStack(p place, stack string, services []string) {
	c.stack(p, stack)
	c.services(p, services)
}

func (c *checker) stack(p place, name string) {
	c.refer(p.in("stack"), "stack", name, c.stackNames)
}

func (c *checker) service(p place, name string) {
	switch {
	case strings.Contains(name, "*"):
		c.fail(p.in("service"), "", "%q is a pattern: exactly one service is needed here", name)
	case !servicePattern.MatchString(name):
		c.fail(p.in("service"), "", "%q is not a valid service name", name)
	}
}

func (c *checker) services(p place, patterns []string) {
	for i, pattern := range patterns {
		switch {
		case !servicesGlob.MatchString(pattern):
			c.fail(p.in("services", index(i)), "", "%q is not a valid service name or pattern: want letters, digits, . _ - and * for any characters", pattern)
		case slices.Contains(patterns[:i], pattern):
			c.fail(p.in("services", index(i)), "", "service %q is named twice", pattern)
		}
	}
}

// word refuses an argument that a child could read as an option.
func (c *checker) word(p place, text string) {
	if strings.HasPrefix(text, "-") || strings.ContainsFunc(text, control) || text == "" && c.doc.Has(p...) {
		c.fail(p, "", "%q is not allowed: want a plain name", text)
	}
}

func (c *checker) variableList(p place, texts []string) {
	for i, text := range texts {
		c.variables(p.in(index(i)), text)
	}
}

func (c *checker) variables(p place, text string) {
	_, err := expand(text, sample)
	var unknown unknownVariable
	switch {
	case errors.As(err, &unknown):
		if near := strictyaml.Suggest(unknown.name, VariableNames()); near != "" {
			c.fail(p, "${"+near+"}", "%s", unknown)
			return
		}
		c.fail(p, "", "%s (known: %s); write $${ for the characters themselves", unknown, strings.Join(VariableNames(), ", "))
	case err != nil:
		c.fail(p, "", "%s", err)
	}
}

// cycles reports every cycle of `after` once, at its alphabetically first action.
func (c *checker) cycles(names []string) {
	for _, name := range names {
		cycle := c.cycleFrom(name)
		if cycle != nil && slices.Min(cycle) == name {
			c.fail(at("actions", name, "after"), "", "%s is a cycle: no action could be first", strings.Join(append(cycle, name), " -> "))
		}
	}
}

// cycleFrom returns the shortest way along `after` from start back to itself, or nil.
func (c *checker) cycleFrom(start string) []string {
	from := map[string]string{} // action -> the one it was reached from
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		for _, next := range c.config.Actions[queue[0]].After {
			if next == start {
				return wayTo(queue[0], start, from)
			}
			if _, seen := from[next]; !seen {
				from[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func wayTo(end, start string, from map[string]string) []string {
	way := []string{end}
	for way[0] != start {
		way = slices.Insert(way, 0, from[way[0]])
	}
	return way
}
