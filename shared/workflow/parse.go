package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// The bounds that keep hostile input cheap; GitHub itself refuses workflow files over
// 512 KiB. Aliases count every time they are followed.
const (
	maxNodes = 100_000
	maxDepth = 64
)

// Parse reads a workflow file; path is only kept and named in messages. Keys it does
// not know are passed over. The error, of kind Invalid and reason CONFIG_INVALID, lists
// what GitHub would refuse of the parts that are read, with line and column; errors.As
// finds the [strictyaml.Problems] in it.
func Parse(path string, raw []byte) (*File, error) {
	r := &reader{path: path, budget: maxNodes}
	root, err := r.document(raw)
	if err != nil {
		return nil, err
	}
	file := &File{Path: path}
	r.file(root, file)
	if err := r.problems.Err(); err != nil {
		return nil, err
	}
	return file, nil
}

type reader struct {
	path     string
	problems strictyaml.Problems
	budget   int
	stopped  bool
}

// document parses the text. Where it is no YAML at all, package strictyaml, which knows
// how to place the library's errors, words the problem.
func (r *reader) document(raw []byte) (*yaml.Node, error) {
	if len(raw) <= strictyaml.MaxBytes {
		var document, second yaml.Node
		decoder := yaml.NewDecoder(bytes.NewReader(raw))
		if decode(decoder, &document) == nil && len(document.Content) == 1 && errors.Is(decode(decoder, &second), io.EOF) {
			return document.Content[0], nil
		}
	}
	var ignored any
	_, problems := strictyaml.Decode(r.path, raw, &ignored)
	if len(problems) == 0 {
		problems = strictyaml.Problems{{File: r.path, Line: 1, Column: 1, Message: "not one readable YAML document"}}
	}
	return nil, problems.Err()
}

// decode turns panics of the library into errors: a file that breaks it is a broken file.
func decode(decoder *yaml.Decoder, into *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: not readable: %v", r)
		}
	}()
	return decoder.Decode(into)
}

func (r *reader) fail(node *yaml.Node, format string, args ...any) {
	p := strictyaml.Problem{File: r.path, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	if node != nil && node.Line > 0 {
		p.Line, p.Column = node.Line, node.Column
	}
	r.problems = append(r.problems, p)
}

// enter counts a visit; false means that the file is too large and nothing more is read.
func (r *reader) enter(node *yaml.Node, depth int) bool {
	if r.stopped {
		return false
	}
	if r.budget--; r.budget < 0 || depth > maxDepth {
		r.stopped = true
		r.fail(node, "too large or too deep once its aliases are followed")
		return false
	}
	return true
}

// pair is a key of a mapping with its value, aliases followed.
type pair struct{ key, value *yaml.Node }

// pairs lists a mapping. Keys that stand twice and merges are what GitHub refuses, too.
func (r *reader) pairs(node *yaml.Node, what string) []pair {
	node = deref(node)
	if node == nil || node.Kind != yaml.MappingNode {
		r.fail(node, "%s must be a mapping", what)
		return nil
	}
	list := make([]pair, 0, len(node.Content)/2)
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := deref(node.Content[i])
		if !r.enter(key, 0) {
			return nil
		}
		folded := strings.ToLower(key.Value)
		switch {
		case key.Kind != yaml.ScalarNode:
			r.fail(key, "%s: a key must be a plain word", what)
		case key.ShortTag() == "!!merge":
			r.fail(key, "%s: GitHub knows anchors but no merge keys (<<)", what)
		case seen[folded] > 0:
			r.fail(key, "%s: the key %q stands on line %d already", what, key.Value, seen[folded])
		default:
			seen[folded] = key.Line
			list = append(list, pair{key, deref(node.Content[i+1])})
		}
	}
	return list
}

// text reads a scalar; null is a Text that is not written.
func (r *reader) text(node *yaml.Node, what string) Text {
	node = deref(node)
	switch {
	case isNull(node):
		return Text{}
	case node.Kind != yaml.ScalarNode:
		r.fail(node, "%s must be a single value", what)
		return Text{}
	}
	return Text{Value: node.Value, Line: node.Line, Column: node.Column}
}

// texts reads a list of scalars, or one scalar in its place.
func (r *reader) texts(node *yaml.Node, what string) []Text {
	node = deref(node)
	if isNull(node) {
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		return []Text{r.text(node, what)}
	}
	list := make([]Text, 0, len(node.Content))
	for _, entry := range node.Content {
		if !r.enter(entry, 0) {
			return nil
		}
		if t := r.text(entry, what); t.Written() {
			list = append(list, t)
		}
	}
	return list
}

func deref(node *yaml.Node) *yaml.Node {
	for i := 0; node != nil && node.Kind == yaml.AliasNode && i < maxDepth; i++ {
		node = node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node == nil || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func values(texts []Text) []string {
	list := make([]string, len(texts))
	for i, t := range texts {
		list[i] = t.Value
	}
	return list
}
