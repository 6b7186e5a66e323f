package strictyaml

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Document remembers where everything in a decoded file stands, so that later checks
// of meaning can point at it. Path elements are mapping keys, or list indexes from "0".
type Document struct {
	File string

	root *yaml.Node                     // nil when the file could not be parsed
	keys map[*yaml.Node]map[string]pair // of every mapping, merges resolved
}

// newDocument indexes the keys of every mapping below root.
func newDocument(file string, root *yaml.Node) *Document {
	d := &Document{File: file, root: root, keys: map[*yaml.Node]map[string]pair{}}
	budget := maxNodes
	var visit func(node *yaml.Node)
	visit = func(node *yaml.Node) {
		if node.Kind == yaml.MappingNode {
			pairs := mergedPairs(node, &budget, maxDepth)
			keys := make(map[string]pair, len(pairs))
			for _, p := range pairs {
				keys[p.key.Value] = p
			}
			d.keys[node] = keys
		}
		for _, child := range node.Content {
			visit(child)
		}
	}
	if root != nil {
		visit(root)
	}
	return d
}

// At is where the value at path stands. Where the path does not exist it is the place
// of the last part of it that does; both numbers count from 1.
func (d *Document) At(path ...string) (line, column int) {
	_, value, _ := d.find(path)
	return position(value)
}

// KeyAt is where the key that ends path stands; for a list entry, the entry.
func (d *Document) KeyAt(path ...string) (line, column int) {
	key, _, _ := d.find(path)
	return position(key)
}

// Has reports whether the file itself has a value at path, so that a default can be
// told from a zero that was written.
func (d *Document) Has(path ...string) bool {
	_, _, ok := d.find(path)
	return ok
}

// Problem makes a problem at the value of path.
func (d *Document) Problem(path []string, suggestion, format string, args ...any) Problem {
	line, column := d.At(path...)
	return d.problemAt(line, column, path, suggestion, fmt.Sprintf(format, args...))
}

// KeyProblem makes a problem at the key that ends path.
func (d *Document) KeyProblem(path []string, suggestion, format string, args ...any) Problem {
	line, column := d.KeyAt(path...)
	return d.problemAt(line, column, path, suggestion, fmt.Sprintf(format, args...))
}

func (d *Document) problemAt(line, column int, path []string, suggestion, message string) Problem {
	return Problem{
		File: d.File, Line: line, Column: column,
		Path: d.Path(path...), Message: message, Suggestion: suggestion,
	}
}

// Path writes path the way messages do: "actions.dashboard[0].build".
func (d *Document) Path(path ...string) string {
	var at string
	node := d.root
	for _, element := range path {
		if deref(node) != nil && deref(node).Kind == yaml.SequenceNode {
			at += "[" + element + "]"
		} else {
			at = join(at, element)
		}
		_, node = d.child(node, element)
	}
	return at
}

func (d *Document) find(path []string) (key, value *yaml.Node, found bool) {
	key, value = d.root, d.root
	for _, element := range path {
		k, v := d.child(value, element)
		if v == nil {
			return key, value, false
		}
		key, value = k, v
	}
	return key, value, d.root != nil
}

func (d *Document) child(node *yaml.Node, element string) (key, value *yaml.Node) {
	node = deref(node)
	if node == nil {
		return nil, nil
	}
	switch node.Kind {
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(element); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	case yaml.MappingNode:
		p := d.keys[node][element]
		return p.key, p.value
	}
	return nil, nil
}

func position(node *yaml.Node) (line, column int) {
	if node == nil || node.Line == 0 {
		return 1, 1
	}
	return node.Line, node.Column
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
