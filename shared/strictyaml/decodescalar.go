package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// knownTag reports whether a scalar has one of YAML's own types; custom tags would be
// a second language inside the file.
func knownTag(tag string) bool {
	switch tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp":
		return true
	}
	return false
}

// text decodes scalars with a parser of their own.
func (d *decoder) text(node *yaml.Node, target reflect.Value, path string) {
	if node.Kind != yaml.ScalarNode || isNull(node) {
		d.wrongType(node, path, "a text")
		return
	}
	var err error
	if target.Type() == durationType {
		var duration time.Duration
		duration, err = ParseDuration(node.Value)
		target.SetInt(int64(duration))
	} else {
		err = target.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(node.Value))
	}
	if err != nil {
		d.fail(node, path, "", "%s%s", prefix(path), err)
	}
}

func (d *decoder) scalar(node *yaml.Node, target reflect.Value, path string) {
	tag := node.ShortTag()
	if node.Kind != yaml.ScalarNode {
		tag = ""
	}
	switch target.Kind() {
	case reflect.String:
		d.stringValue(node, target, path, tag)
	case reflect.Bool:
		var b bool
		if tag != "!!bool" || node.Decode(&b) != nil {
			d.wrongType(node, path, "true or false")
			return
		}
		target.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var i int64
		if tag != "!!int" || node.Decode(&i) != nil || target.OverflowInt(i) {
			d.wrongType(node, path, "a whole number")
			return
		}
		target.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var u uint64
		if tag != "!!int" || node.Decode(&u) != nil || target.OverflowUint(u) {
			d.wrongType(node, path, "a whole number of zero or more")
			return
		}
		target.SetUint(u)
	case reflect.Float32, reflect.Float64:
		var f float64
		if tag != "!!int" && tag != "!!float" || node.Decode(&f) != nil {
			d.wrongType(node, path, "a number")
			return
		}
		target.SetFloat(f)
	default:
		panic(fmt.Sprintf("strictyaml: %s cannot hold YAML", target.Type()))
	}
}

// stringValue decodes a string. Numbers and booleans are not taken for strings: what 1_000,
// 0x10, 1e3 or no would turn into differs between YAML readers, quotes settle it.
func (d *decoder) stringValue(node *yaml.Node, target reflect.Value, path, tag string) {
	switch tag {
	case "!!str", "!!timestamp":
		target.SetString(node.Value)
	case "!!int", "!!float", "!!bool":
		d.fail(node, path, "", "%sexpected a string, found %s: write it in quotes, %q", prefix(path), describe(node), node.Value)
	default:
		d.wrongType(node, path, "a string")
	}
}

// anything decodes into map[string]any, []any, string, int64, float64, bool or nil.
func (d *decoder) anything(node *yaml.Node, path string, depth int) any {
	switch node.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for _, p := range d.pairs(node, path, depth) {
			var v any
			d.value(p.value, reflect.ValueOf(&v).Elem(), join(path, p.key.Value), depth+1)
			m[p.key.Value] = v
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, entry := range node.Content {
			d.value(entry, reflect.ValueOf(&list[i]).Elem(), fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
		return list
	}
	switch tag := node.ShortTag(); tag {
	case "!!bool":
		var b bool
		if node.Decode(&b) == nil {
			return b
		}
	case "!!int":
		var i int64
		if node.Decode(&i) == nil {
			return i
		}
	case "!!float":
		var f float64
		if node.Decode(&f) == nil {
			return f
		}
	case "!!null":
		return nil
	default:
		return node.Value
	}
	d.wrongType(node, path, "a value that fits")
	return nil
}

// describe says what stands at node, for a message.
func describe(node *yaml.Node) string {
	switch {
	case node == nil || isNull(node):
		return "nothing"
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	}
	switch node.ShortTag() {
	case "!!int", "!!float":
		return "the number " + shorten(node.Value)
	case "!!bool":
		return shorten(node.Value)
	}
	return "the string " + strconv.Quote(shorten(node.Value))
}

// shorten keeps messages to a line.
func shorten(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "..."
}
