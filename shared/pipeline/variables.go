package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// VariableNames lists what ${...} may name in environment values, build arguments,
// script arguments, exec commands, and the URL, headers and JSON of HTTP probes.
func VariableNames() []string {
	return []string{"base_sha", "branch", "project", "short_sha", "target_sha"}
}

// unknownVariable is the error of expand for a name that does not exist.
type unknownVariable struct{ name string }

func (e unknownVariable) Error() string { return fmt.Sprintf("unknown variable ${%s}", e.name) }

// expand replaces ${name} by lookup's answer and $$ by $. Any other $ stands for itself.
func expand(text string, lookup func(name string) (string, bool)) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	var out strings.Builder
	for {
		at := strings.IndexByte(text, '$')
		if at < 0 || at+1 == len(text) {
			out.WriteString(text)
			return out.String(), nil
		}
		out.WriteString(text[:at])
		text = text[at:]
		switch text[1] {
		case '$':
			out.WriteByte('$')
			text = text[2:]
		case '{':
			end := strings.IndexByte(text, '}')
			if end < 0 {
				return "", fmt.Errorf("${ is never closed in %q; write $${ for the characters themselves", text)
			}
			value, known := lookup(text[2:end])
			if !known {
				return "", unknownVariable{text[2:end]}
			}
			out.WriteString(value)
			text = text[end+1:]
		default:
			out.WriteByte('$')
			text = text[1:]
		}
	}
}

// variables are the values for one plan.
func variables(c *Config, in Input) func(string) (string, bool) {
	short := in.Target
	if len(short) > shortSHA {
		short = short[:shortSHA]
	}
	values := map[string]string{
		"target_sha": in.Target, "short_sha": short, "base_sha": in.Base,
		"branch": c.Branch, "project": c.Project,
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// shortSHA is the length git prints by default in small repositories.
const shortSHA = 7

// sample stands in for the variables while a file is checked.
func sample(name string) (string, bool) { return "0", slices.Contains(VariableNames(), name) }

func expandAll(list []string, lookup func(string) (string, bool)) ([]string, error) {
	out := make([]string, len(list))
	for i, text := range list {
		expanded, err := expand(text, lookup)
		if err != nil {
			return nil, err
		}
		out[i] = expanded
	}
	return out, nil
}

func expandMap(m map[string]string, lookup func(string) (string, bool)) (map[string]string, error) {
	out := make(map[string]string, len(m))
	for _, key := range sortedKeys(m) {
		expanded, err := expand(m[key], lookup)
		if err != nil {
			return nil, err
		}
		out[key] = expanded
	}
	return out, nil
}

// expandJSON expands the strings inside a decoded value; keys stay as they are.
func expandJSON(value any, lookup func(string) (string, bool)) (any, error) {
	switch v := value.(type) {
	case string:
		return expand(v, lookup)
	case []any:
		out := make([]any, len(v))
		for i, entry := range v {
			expanded, err := expandJSON(entry, lookup)
			if err != nil {
				return nil, err
			}
			out[i] = expanded
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range sortedKeys(v) {
			expanded, err := expandJSON(v[key], lookup)
			if err != nil {
				return nil, err
			}
			out[key] = expanded
		}
		return out, nil
	}
	return value, nil
}
