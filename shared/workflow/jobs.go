package workflow

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

func (r *reader) job(entry pair) Job {
	job := Job{Key: Text{Value: entry.key.Value, Line: entry.key.Line, Column: entry.key.Column}}
	what := "jobs." + job.Key.Value
	for _, p := range r.pairs(entry.value, what) {
		at := what + "." + p.key.Value
		switch p.key.Value {
		case "name":
			job.Name = r.text(p.value, at)
		case "if":
			job.If = r.text(p.value, at)
		case "needs":
			job.Needs = r.texts(p.value, at)
		case "runs-on":
			job.RunsOn = r.runsOn(p.value, at)
		case "permissions":
			job.Permissions = r.permissions(p)
		case "concurrency":
			job.Concurrency = r.concurrency(p.value)
		case "environment":
			job.Environment = r.environment(p.value, at)
		case "timeout-minutes":
			job.Timeout = r.text(p.value, at)
		case "continue-on-error":
			job.ContinueOnError = r.text(p.value, at)
		case "uses":
			job.Uses = r.text(p.value, at)
		case "with":
			job.With = r.mapping(p.value, at)
		case "env":
			job.Env = r.mapping(p.value, at)
		case "defaults":
			job.Defaults = r.defaults(p.value)
		case "outputs":
			job.Outputs = r.mapping(p.value, at)
		case "container":
			job.Container = r.image(p.value, at)
		case "services":
			for _, service := range r.loose(p.value, at) {
				job.Services = append(job.Services, r.image(service.value, at))
			}
		case "secrets":
			job.Secrets = Text{Value: p.value.Value, Line: p.value.Line, Column: p.value.Column}
		case "strategy":
			r.strategy(p.value, at, &job.Matrix)
		case "steps":
			job.Steps = r.steps(p.value, at)
		}
	}
	r.scalars(entry.value, 0, &job.Scalars)
	return job
}

// runsOn reads a label, a list of labels, or a mapping of group and labels.
func (r *reader) runsOn(node *yaml.Node, what string) RunsOn {
	if isNull(node) || node.Kind != yaml.MappingNode {
		return RunsOn{Labels: r.texts(node, what)}
	}
	var got RunsOn
	for _, p := range r.pairs(node, what) {
		switch p.key.Value {
		case "group":
			got.Group = r.text(p.value, what+".group")
		case "labels":
			got.Labels = r.texts(p.value, what+".labels")
		}
	}
	return got
}

func (r *reader) environment(node *yaml.Node, what string) Text {
	if isNull(node) || node.Kind != yaml.MappingNode {
		return r.text(node, what)
	}
	for _, p := range r.pairs(node, what) {
		if p.key.Value == "name" {
			return r.text(p.value, what+".name")
		}
	}
	return Text{}
}

// image reads a container: an image, or a mapping with one.
func (r *reader) image(node *yaml.Node, what string) Text {
	for _, p := range r.loose(node, what) {
		if p.key.Value == "image" {
			return placed(p.value)
		}
	}
	return placed(node)
}

func (r *reader) strategy(node *yaml.Node, what string, m *Matrix) {
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		*m = Matrix{Written: true, Dynamic: true}
		r.computed(m, node)
		return
	}
	for _, p := range r.pairs(node, what) {
		if p.key.Value == "matrix" {
			r.matrix(p.value, what+".matrix", m)
		}
	}
}

func (r *reader) matrix(node *yaml.Node, what string, m *Matrix) {
	m.Written = true
	if isNull(node) || node.Kind != yaml.MappingNode {
		m.Dynamic = true
		r.computed(m, node)
		return
	}
	m.Values, m.Open = map[string][]string{}, map[string]bool{}
	for _, p := range r.pairs(node, what) {
		switch key := p.key.Value; {
		case key == "exclude": // takes combinations away, adds none
		case key == "include" && p.value.Kind != yaml.SequenceNode:
			m.Dynamic = true
			r.computed(m, p.value)
		case key == "include":
			for _, entry := range p.value.Content {
				if deref(entry).Kind != yaml.MappingNode {
					m.Dynamic = true
					r.computed(m, deref(entry))
					continue
				}
				for _, included := range r.pairs(entry, what+".include") {
					r.add(m, included.key.Value, included.value)
				}
			}
		case p.value.Kind != yaml.SequenceNode:
			m.Open[key] = true
			r.computed(m, p.value)
		default:
			for _, entry := range p.value.Content {
				r.add(m, key, deref(entry))
			}
		}
	}
}

func (r *reader) add(m *Matrix, key string, node *yaml.Node) {
	if node == nil || node.Kind != yaml.ScalarNode || strings.Contains(node.Value, "${{") {
		m.Open[key] = true
		r.computed(m, node)
		return
	}
	m.Values[key] = append(m.Values[key], node.Value)
}

// computed keeps the expressions below a value of the matrix, however deep they stand.
func (r *reader) computed(m *Matrix, node *yaml.Node) {
	var below []Text
	r.scalars(node, 0, &below)
	for _, text := range below {
		if strings.Contains(text.Value, "${{") {
			m.Expressions = append(m.Expressions, text)
		}
	}
}

func (r *reader) steps(node *yaml.Node, what string) []Step {
	if node.Kind != yaml.SequenceNode {
		r.fail(node, "%s must be a list", what)
		return nil
	}
	steps := make([]Step, 0, len(node.Content))
	for _, entry := range node.Content {
		if entry = deref(entry); !r.enter(entry, 0) {
			return nil
		}
		steps = append(steps, r.step(entry, what))
	}
	return steps
}

func (r *reader) step(node *yaml.Node, what string) Step {
	step := Step{Line: node.Line, Column: node.Column}
	for _, p := range r.pairs(node, what) {
		at := what + "." + p.key.Value
		switch p.key.Value {
		case "id":
			step.ID = r.text(p.value, at)
		case "name":
			step.Name = r.text(p.value, at)
		case "if":
			step.If = r.text(p.value, at)
		case "uses":
			step.Uses = r.text(p.value, at)
		case "run":
			step.Run = r.text(p.value, at)
		case "shell":
			step.Shell = r.text(p.value, at)
		case "working-directory":
			step.WorkingDirectory = r.text(p.value, at)
		case "continue-on-error":
			step.ContinueOnError = r.text(p.value, at)
		case "with":
			step.With = r.mapping(p.value, at)
		case "env":
			step.Env = r.mapping(p.value, at)
		}
	}
	return step
}

// mapping reads keys with scalars; one expression may stand for all of it.
func (r *reader) mapping(node *yaml.Node, what string) []Pair {
	switch {
	case isNull(node):
		return nil
	case node.Kind == yaml.ScalarNode:
		return []Pair{{Value: placed(node)}}
	}
	var list []Pair
	for _, p := range r.pairs(node, what) {
		if p.value.Kind != yaml.ScalarNode {
			continue // with: of some actions; env: of a matrix
		}
		list = append(list, Pair{Key: p.key.Value, Value: Text{Value: p.value.Value, Line: p.value.Line, Column: p.value.Column}})
	}
	return list
}

// scalars collects every value below node.
func (r *reader) scalars(node *yaml.Node, depth int, into *[]Text) {
	node = deref(node)
	if node == nil || !r.enter(node, depth) {
		return
	}
	switch node.Kind {
	case yaml.ScalarNode:
		*into = append(*into, Text{Value: node.Value, Line: node.Line, Column: node.Column})
	case yaml.MappingNode:
		for i := 1; i < len(node.Content); i += 2 {
			r.scalars(node.Content[i], depth+1, into)
		}
	case yaml.SequenceNode:
		for _, entry := range node.Content {
			r.scalars(entry, depth+1, into)
		}
	}
}
