package workflow

import "go.yaml.in/yaml/v3"

// Action is an action of the repository itself: an action.yml that a step names by its folder.
type Action struct {
	Path    string // as given to ParseAction
	Inputs  []Input
	Outputs []Pair // names and what they are made of
	Using   Text   // composite, docker, or a version of node
	Image   Text   // of using: docker
	Steps   []Step // of using: composite
	Scalars []Text // every value below runs:
}

// ParseAction is [Parse] for an action.yml or action.yaml.
func ParseAction(path string, raw []byte) (*Action, error) {
	r := &reader{path: path, budget: maxNodes}
	root, err := r.document(raw)
	if err != nil {
		return nil, err
	}
	action := &Action{Path: path}
	var runs *yaml.Node
	for _, p := range r.pairs(root, "an action") {
		switch p.key.Value {
		case "inputs":
			if !isNull(p.value) {
				action.Inputs = r.inputs(p.value, "inputs")
			}
		case "outputs":
			action.Outputs = r.outputs(p.value, "outputs")
		case "runs":
			runs = p.value
		}
	}
	if isNull(runs) {
		if len(r.problems) == 0 {
			r.fail(root, "the key runs is missing")
		}
		return nil, r.problems.Err()
	}
	for _, p := range r.pairs(runs, "runs") {
		switch p.key.Value {
		case "using":
			action.Using = r.text(p.value, "runs.using")
		case "image":
			action.Image = r.text(p.value, "runs.image")
		case "steps":
			action.Steps = r.steps(p.value, "runs.steps")
		}
	}
	r.scalars(runs, 0, &action.Scalars)
	if err := r.problems.Err(); err != nil {
		return nil, err
	}
	return action, nil
}
