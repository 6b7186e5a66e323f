package workflow

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

func (r *reader) file(root *yaml.Node, file *File) {
	var on, jobs *yaml.Node
	for _, p := range r.pairs(root, "a workflow") {
		switch p.key.Value {
		case "name":
			file.Name = r.text(p.value, "name").Value
		case "on":
			on = p.value
			file.OnAt = Text{Line: p.key.Line, Column: p.key.Column}
		case "permissions":
			file.Permissions = r.permissions(p)
		case "concurrency":
			file.Concurrency = r.concurrency(p.value)
		case "env":
			file.Env = r.mapping(p.value, "env")
			r.scalars(p.value, 0, &file.Scalars)
		case "defaults":
			file.Defaults = r.defaults(p.value)
			r.scalars(p.value, 0, &file.Scalars)
		case "jobs":
			jobs = p.value
		}
	}
	if len(r.problems) > 0 && (on == nil || jobs == nil) {
		return // the root is no mapping, or broken; what follows from that is no news
	}
	if isNull(on) {
		r.fail(root, "the key on is missing: nothing starts this workflow")
	} else {
		file.On = r.events(on)
	}
	if isNull(jobs) {
		r.fail(root, "the key jobs is missing")
		return
	}
	file.index = map[string]int{}
	for _, p := range r.pairs(jobs, "jobs") {
		file.index[strings.ToLower(p.key.Value)] = len(file.Jobs)
		file.Jobs = append(file.Jobs, r.job(p))
	}
}

// events reads on: a name, a list of names, or a mapping of names to filters.
func (r *reader) events(on *yaml.Node) []Event {
	var events []Event
	if on.Kind != yaml.MappingNode {
		for _, name := range r.texts(on, "on") {
			events = append(events, Event{Name: name.Value, Line: name.Line, Column: name.Column})
		}
		return events
	}
	for _, p := range r.pairs(on, "on") {
		event := Event{Name: p.key.Value, Line: p.key.Line, Column: p.key.Column}
		switch {
		case isNull(p.value):
		case p.value.Kind == yaml.SequenceNode && event.Name == "schedule":
			r.crons(p.value, &event)
		default:
			r.event(p.value, &event)
		}
		events = append(events, event)
	}
	return events
}

func (r *reader) event(node *yaml.Node, event *Event) {
	for _, p := range r.pairs(node, "on."+event.Name) {
		what := "on." + event.Name + "." + p.key.Value
		switch p.key.Value {
		case "branches":
			event.Branches = r.filter(p, what)
		case "branches-ignore":
			event.BranchesIgnore = r.filter(p, what)
		case "tags":
			event.Tags = r.filter(p, what)
		case "tags-ignore":
			event.TagsIgnore = r.filter(p, what)
		case "paths":
			event.Paths = r.filter(p, what)
		case "paths-ignore":
			event.PathsIgnore = r.filter(p, what)
		case "types":
			event.Types = values(r.texts(p.value, what))
		case "inputs":
			if !isNull(p.value) {
				event.Inputs = r.inputs(p.value, what)
			}
		case "outputs":
			event.Outputs = r.outputs(p.value, what)
		}
	}
	for _, both := range []struct {
		name            string
		filter, ignored Filter
	}{
		{"branches", event.Branches, event.BranchesIgnore},
		{"tags", event.Tags, event.TagsIgnore},
		{"paths", event.Paths, event.PathsIgnore},
	} {
		if both.filter.Written && both.ignored.Written {
			r.fail(node, "on.%s has both %s and %s-ignore: GitHub refuses that; use ! patterns", event.Name, both.name, both.name)
		}
	}
}

func (r *reader) filter(p pair, what string) Filter {
	if isNull(p.value) {
		r.fail(p.key, "%s has no patterns", what)
		return Filter{}
	}
	return Filter{Written: true, Patterns: r.texts(p.value, what)}
}

func (r *reader) crons(list *yaml.Node, event *Event) {
	for _, entry := range list.Content {
		for _, p := range r.pairs(entry, "on.schedule") {
			if p.key.Value == "cron" {
				event.Crons = append(event.Crons, r.text(p.value, "on.schedule.cron"))
			}
		}
	}
}

func (r *reader) permissions(p pair) *Permissions {
	got := &Permissions{Line: p.key.Line, Column: p.key.Column}
	switch {
	case isNull(p.value):
	case p.value.Kind == yaml.MappingNode:
		got.Scopes = map[string]string{}
		for _, scope := range r.pairs(p.value, "permissions") {
			got.Scopes[scope.key.Value] = r.text(scope.value, "permissions."+scope.key.Value).Value
		}
	default:
		got.All = r.text(p.value, "permissions").Value
	}
	return got
}

// concurrency reads a group, or a mapping of it and cancel-in-progress.
func (r *reader) concurrency(node *yaml.Node) *Concurrency {
	switch {
	case isNull(node):
		return nil
	case node.Kind != yaml.MappingNode:
		return &Concurrency{Group: r.text(node, "concurrency")}
	}
	got := &Concurrency{}
	for _, p := range r.pairs(node, "concurrency") {
		switch p.key.Value {
		case "group":
			got.Group = r.text(p.value, "concurrency.group")
		case "cancel-in-progress":
			got.Cancel = r.text(p.value, "concurrency.cancel-in-progress")
		}
	}
	return got
}

// inputs reads the inputs of a workflow or an action.
func (r *reader) inputs(node *yaml.Node, what string) []Input {
	var list []Input
	for _, p := range r.pairs(node, what) {
		input := Input{Name: p.key.Value}
		for _, part := range r.loose(p.value, what) {
			switch part.key.Value {
			case "type":
				input.Type = part.value.Value
			case "default":
				input.Default = placed(part.value)
			}
		}
		list = append(list, input)
	}
	return list
}

// outputs reads names with a value: each, as reusable workflows and actions have them.
func (r *reader) outputs(node *yaml.Node, what string) []Pair {
	var list []Pair
	for _, p := range r.loose(node, what) {
		for _, part := range r.loose(p.value, what) {
			if part.key.Value == "value" {
				list = append(list, Pair{Key: p.key.Value, Value: placed(part.value)})
			}
		}
	}
	return list
}

// defaults reads run: of defaults:.
func (r *reader) defaults(node *yaml.Node) Defaults {
	var got Defaults
	for _, p := range r.loose(node, "defaults") {
		if p.key.Value != "run" {
			continue
		}
		for _, part := range r.loose(p.value, "defaults.run") {
			switch part.key.Value {
			case "shell":
				got.Shell = placed(part.value)
			case "working-directory":
				got.WorkingDirectory = placed(part.value)
			}
		}
	}
	return got
}

// loose lists a mapping; anything else is empty, and its mistakes are GitHub's to tell.
func (r *reader) loose(node *yaml.Node, what string) []pair {
	if node = deref(node); node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	return r.pairs(node, what)
}

// placed is a scalar with its place, not written when it is none.
func placed(node *yaml.Node) Text {
	if node = deref(node); isNull(node) || node.Kind != yaml.ScalarNode {
		return Text{}
	}
	return Text{Value: node.Value, Line: node.Line, Column: node.Column}
}
