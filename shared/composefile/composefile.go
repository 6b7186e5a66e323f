// Package composefile reads what a compose file says by itself, without asking Compose.
//
// It promises no more than the names and places of services: values may be interpolated, files
// may be merged, and only `docker compose config` knows the result. Start reading at [Parse].
package composefile

import (
	"go.yaml.in/yaml/v3"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// File is one compose file.
type File struct {
	Services []Service // in the file's order
	Includes bool      // other files are pulled in, so there may be more services
}

// Service is one service of a file.
type Service struct {
	Name string
	Line int // from 1
}

// Parse reads a file; name is what it is called in problems. The error, of kind Invalid and reason CONFIG_INVALID,
// holds [strictyaml.Problems]. What Compose knows and this does not is left alone.
func Parse(name string, raw []byte) (File, error) {
	doc := &strictyaml.Document{File: name}
	problem := func(line, column int, format string, args ...any) (File, error) {
		p := doc.Problem(nil, "", format, args...)
		p.Line, p.Column = max(1, line), max(1, column)
		return File{}, strictyaml.Problems{p}.Err()
	}
	var root yaml.Node
	if err := yaml.Unmarshal(raw, &root); err != nil {
		return problem(1, 1, "it is not YAML: %s", err)
	}
	if len(root.Content) == 0 {
		return problem(1, 1, "the file is empty")
	}
	top := root.Content[0]
	if top.Kind != yaml.MappingNode {
		return problem(top.Line, top.Column, "a compose file is a mapping with services")
	}
	var f File
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], resolve(top.Content[i+1])
		switch key.Value {
		case "include":
			f.Includes = true
		case "services":
			if value.Kind != yaml.MappingNode {
				return problem(value.Line, value.Column, "services is a mapping of names")
			}
			f.Services, f.Includes = services(value, f.Includes)
		}
	}
	return f, nil
}

func services(node *yaml.Node, includes bool) ([]Service, bool) {
	var list []Service
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Value == "<<" { // merged from an anchor that we do not follow
			includes = true
			continue
		}
		list = append(list, Service{Name: key.Value, Line: key.Line})
	}
	return list, includes
}

func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
