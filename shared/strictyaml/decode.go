package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Decode reads the one document of data into the struct that into points to and
// reports everything that is wrong with it, sorted by position. file is only named in
// the problems. What could be decoded is in into even when there are problems, so that
// checks of meaning can go on and everything is reported at once.
//
// Fields are named by the tag `yaml:"name"`; `yaml:"name,required"` must be present;
// fields without a tag are not touched. Decoded are structs, maps with string keys,
// slices, pointers, strings, booleans, integers, floats, any, time.Duration
// ([ParseDuration]), scalars that implement encoding.TextUnmarshaler, and types that
// implement [Unmarshaler]. The Document is never nil.
func Decode(file string, data []byte, into any) (*Document, Problems) {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		panic("strictyaml: Decode needs a pointer that is not nil")
	}
	root, problems := parse(file, data)
	document := newDocument(file, root)
	if root == nil {
		return document, problems
	}
	d := &decoder{file: file, problems: problems, seen: map[Problem]bool{}, budget: maxNodes}
	d.value(root, target.Elem(), "", 0)
	d.problems.Sort()
	return document, d.problems
}

// Unmarshaler is implemented by types that are written in more than one shape, a bare
// string or a mapping say. UnmarshalStrict reports its problems through v; it may call
// v.Decode with a type of the same shape that lacks the method.
type Unmarshaler interface {
	UnmarshalStrict(v Value)
}

// Value is one node of the document on its way into an [Unmarshaler].
type Value struct {
	d     *decoder
	node  *yaml.Node
	path  string
	depth int
}

// IsScalar, IsList and IsMapping tell the shape; null is none of them.
func (v Value) IsScalar() bool { return v.node.Kind == yaml.ScalarNode && !isNull(v.node) }

// IsList reports whether the value is a list.
func (v Value) IsList() bool { return v.node.Kind == yaml.SequenceNode }

// IsMapping reports whether the value is a mapping.
func (v Value) IsMapping() bool { return v.node.Kind == yaml.MappingNode }

// Text is the text of a scalar as it is written, "" of anything else.
func (v Value) Text() string {
	if !v.IsScalar() {
		return ""
	}
	return v.node.Value
}

// Decode decodes the value into what into points to.
func (v Value) Decode(into any) {
	v.d.value(v.node, reflect.ValueOf(into).Elem(), v.path, v.depth+1)
}

// WrongType reports that the value should have been something else, "a list of steps" say.
func (v Value) WrongType(want string) { v.d.wrongType(v.node, v.path, want) }

type decoder struct {
	file     string
	problems Problems
	seen     map[Problem]bool // an alias followed twice reports its problems once
	budget   int
	stopped  bool
}

func (d *decoder) fail(node *yaml.Node, path, suggestion, format string, args ...any) {
	line, column := position(node)
	p := Problem{
		File: d.file, Line: line, Column: column,
		Path: path, Message: fmt.Sprintf(format, args...), Suggestion: suggestion,
	}
	place := p
	place.Path = ""
	if !d.seen[place] {
		d.seen[place] = true
		d.problems = append(d.problems, p)
	}
}

func (d *decoder) wrongType(node *yaml.Node, path, want string) {
	d.fail(node, path, "", "%sexpected %s, found %s", prefix(path), want, describe(node))
}

// enter counts a visit; false means that a bound was hit and nothing more is decoded.
func (d *decoder) enter(node *yaml.Node, path string, depth int) bool {
	if d.stopped {
		return false
	}
	if d.budget--; d.budget < 0 {
		d.tooLarge(node)
		return false
	}
	if depth > maxDepth {
		d.stopped = true
		d.fail(node, path, "", "nested deeper than %d levels, or an alias that contains itself", maxDepth)
		return false
	}
	return true
}

func (d *decoder) tooLarge(node *yaml.Node) {
	d.stopped = true
	d.fail(node, "", "", "the document is too large once its aliases are followed: more than %d values", maxNodes)
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	strictType   = reflect.TypeFor[Unmarshaler]()
)

// value decodes node into target, which is settable.
func (d *decoder) value(node *yaml.Node, target reflect.Value, path string, depth int) {
	node = deref(node)
	if !d.enter(node, path, depth) {
		return
	}
	if node.Kind == yaml.ScalarNode && !knownTag(node.ShortTag()) {
		d.fail(node, path, "", "%sthe tag %s is not allowed here", prefix(path), node.Tag)
		return
	}
	switch {
	case target.Kind() == reflect.Pointer:
		fresh := reflect.New(target.Type().Elem())
		if !isNull(node) {
			target.Set(fresh)
		}
		d.value(node, fresh.Elem(), path, depth)
	case reflect.PointerTo(target.Type()).Implements(strictType):
		target.Addr().Interface().(Unmarshaler).UnmarshalStrict(Value{d, node, path, depth})
	case target.Type() == durationType, reflect.PointerTo(target.Type()).Implements(textType):
		d.text(node, target, path)
	case target.Kind() == reflect.Struct:
		d.structure(node, target, path, depth)
	case target.Kind() == reflect.Map:
		d.mapping(node, target, path, depth)
	case target.Kind() == reflect.Slice:
		d.list(node, target, path, depth)
	case target.Kind() == reflect.Interface && target.NumMethod() == 0:
		if v := d.anything(node, path, depth); v != nil {
			target.Set(reflect.ValueOf(v))
		}
	default:
		d.scalar(node, target, path)
	}
}

func (d *decoder) structure(node *yaml.Node, target reflect.Value, path string, depth int) {
	if node.Kind != yaml.MappingNode {
		d.wrongType(node, path, "a mapping")
		return
	}
	fields, names := fieldsOf(target.Type())
	present := map[string]bool{}
	for _, p := range d.pairs(node, path, depth) {
		key := p.key.Value
		field, known := fields[key]
		if !known {
			d.unknownKey(p.key, path, names)
			continue
		}
		present[key] = true
		d.value(p.value, target.Field(field.index), join(path, key), depth+1)
	}
	for _, name := range names {
		if fields[name].required && !present[name] {
			d.fail(node, join(path, name), "", "%sthe key %q is missing", prefix(path), name)
		}
	}
}

func (d *decoder) unknownKey(key *yaml.Node, path string, names []string) {
	where := ""
	if path != "" {
		where = " in " + path
	}
	suggestion := Suggest(key.Value, names)
	if suggestion == "" {
		where += " (known: " + strings.Join(names, ", ") + ")"
	}
	d.fail(key, join(path, key.Value), suggestion, "unknown key %q%s", key.Value, where)
}

func (d *decoder) mapping(node *yaml.Node, target reflect.Value, path string, depth int) {
	if node.Kind != yaml.MappingNode {
		d.wrongType(node, path, "a mapping")
		return
	}
	filled := reflect.MakeMap(target.Type())
	for _, p := range d.pairs(node, path, depth) {
		element := reflect.New(target.Type().Elem()).Elem()
		d.value(p.value, element, join(path, p.key.Value), depth+1)
		filled.SetMapIndex(reflect.ValueOf(p.key.Value).Convert(target.Type().Key()), element)
	}
	target.Set(filled)
}

func (d *decoder) list(node *yaml.Node, target reflect.Value, path string, depth int) {
	if node.Kind != yaml.SequenceNode {
		d.wrongType(node, path, "a list")
		return
	}
	filled := reflect.MakeSlice(target.Type(), len(node.Content), len(node.Content))
	for i, entry := range node.Content {
		d.value(entry, filled.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1)
	}
	target.Set(filled)
}

// pairs lists the keys of a mapping with merges resolved, and reports keys that are no
// strings, keys that stand twice and merges of something else than mappings.
func (d *decoder) pairs(node *yaml.Node, path string, depth int) []pair {
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		switch {
		case isMergeKey(key):
			for _, source := range mergeSources(node.Content[i+1]) {
				if source.Kind != yaml.MappingNode {
					d.wrongType(source, join(path, "<<"), "a mapping to merge")
				}
			}
		case key.Kind != yaml.ScalarNode:
			d.fail(key, path, "", "%sa key must be a plain word", prefix(path))
		case first[key.Value] != nil:
			d.fail(key, join(path, key.Value), "", "duplicate key %q: it stands on line %d already", key.Value, first[key.Value].Line)
		default:
			first[key.Value] = key
		}
	}
	all := mergedPairs(node, &d.budget, maxDepth-depth)
	if d.budget < 0 {
		d.tooLarge(node)
	}
	return slices.DeleteFunc(all, func(p pair) bool { return p.key.Kind != yaml.ScalarNode })
}

type field struct {
	index    int
	required bool
}

// fieldsOf lists the tagged fields of a struct by name, with the names in the order declared.
func fieldsOf(t reflect.Type) (fields map[string]field, names []string) {
	fields = make(map[string]field, t.NumField())
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("yaml")
		if !ok || tag == "-" {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		fields[name] = field{index: i, required: option == "required"}
		names = append(names, name)
	}
	return fields, names
}

func prefix(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}
