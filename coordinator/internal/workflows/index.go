package workflows

import (
	"path"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

// expressions remembers the expressions that were parsed, by their text.
type expressions map[string]parsing

type parsing struct {
	expression expression
	err        error
}

// condition is the function of that name, remembered.
func (x expressions) condition(source string) (expression, error) {
	known, ok := x[source]
	if !ok {
		known.expression, known.err = condition(source)
		x[source] = known
	}
	return known.expression, known.err
}

// caller is a job that calls a workflow file.
type caller struct {
	file *workflow.File
	job  *workflow.Job
}

// calledFile is the name of the workflow file of this repository that uses: calls, "" for any other.
func calledFile(uses string) string {
	if !strings.HasPrefix(uses, "./") {
		return ""
	}
	name := path.Clean(uses)
	if path.Dir(name) != Folder {
		return ""
	}
	return path.Base(name)
}

// index finds out who calls whom.
func (c *checker) index() {
	c.callers = map[string][]caller{}
	for _, file := range c.order {
		for i := range file.Jobs {
			if name := calledFile(file.Jobs[i].Uses.Value); name != "" {
				c.callers[name] = append(c.callers[name], caller{file, &file.Jobs[i]})
			}
		}
	}
}

type situationKey struct {
	file     *workflow.File
	scenario scenario
}

// situation is the one of a file and a scenario, remembered.
func (c *checker) situation(file *workflow.File, sc scenario) *situation {
	key := situationKey{file, sc}
	s := c.situations[key]
	if s == nil {
		s = newSituation(file, sc, c.options.Repository)
		s.expression = c.expressions
		c.situations[key] = s
	}
	return s
}

// cause is a kind of people who may start a workflow.
type cause int

const (
	outsiders  cause = iota // somebody without a right to write
	ownPulls                // a pull request between branches of this repository
	withRights              // outsiders, and the run has the repository's secrets and its token
)

func (by cause) scenarios(e workflow.Event) []scenario {
	switch by {
	case ownPulls:
		return fromOwnPull(e)
	case withRights:
		switch e.Name {
		case "pull_request", "pull_request_review", "pull_request_review_comment":
			return nil // of a fork: a token that reads, and no secrets
		}
	case outsiders:
	}
	return fromOutside(e)
}

type reachKey struct {
	file *workflow.File
	by   cause
}

// reach lists the scenarios that start a file, through workflows that call it as well; each once.
func (c *checker) reach(file *workflow.File, by cause) []scenario {
	key := reachKey{file, by}
	if known, ok := c.reached[key]; ok {
		return known
	}
	if c.onTheWay[key] { // files that call one another in a circle, which GitHub refuses: anybody may come in
		return by.scenarios(workflow.Event{Name: "pull_request_target"})
	}
	c.onTheWay[key] = true
	var list []scenario
	seen := map[scenario]bool{}
	add := func(found []scenario) {
		for _, sc := range found {
			if !seen[sc] {
				seen[sc] = true
				list = append(list, sc)
			}
		}
	}
	for _, event := range file.On {
		add(by.scenarios(event))
	}
	if file.Event("workflow_call") != nil {
		for _, from := range c.callers[file.Base()] {
			for _, sc := range c.reach(from.file, by) {
				if !seen[sc] && !c.situation(from.file, sc).skipped(from.job) {
					add([]scenario{sc})
				}
			}
		}
	}
	delete(c.onTheWay, key)
	c.reached[key] = list
	return list
}

// alone reports whether a file can be called and nobody here does: who does is not known.
func (c *checker) alone(file *workflow.File) bool {
	return file.Event("workflow_call") != nil && len(c.callers[file.Base()]) == 0
}
