package runner

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rhysd/actionlint"
)

// contexts are the values that expressions see: "github", "needs", "steps" and so on. Values
// are nil, bool, float64, string, map[string]any or []any.
type contexts struct {
	values map[string]any
	status status
}

// status answers the functions that ask how things went so far.
type status struct{ success, failure, cancelled bool }

// evaluate is the value of an expression, without its ${{ }}.
func (c contexts) evaluate(text string) (any, error) {
	node, err := actionlint.NewExprParser().Parse(actionlint.NewExprLexer(text + "}}"))
	if err != nil {
		return nil, fmt.Errorf("expression %q: %s", text, err.Message)
	}
	value, evalErr := c.value(node)
	if evalErr != nil {
		return nil, fmt.Errorf("expression %q: %w", text, evalErr)
	}
	return value, nil
}

// condition evaluates an `if:`. Without a function about the status it also asks for success
// (https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#status-check-functions).
func (c contexts) condition(text string) (bool, error) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "${{"); ok && strings.Count(text, "${{") == 1 && strings.HasSuffix(text, "}}") {
		text = strings.TrimSuffix(inner, "}}")
	}
	if strings.TrimSpace(text) == "" {
		return c.status.success, nil
	}
	value, err := c.evaluate(text)
	if err != nil {
		return false, err
	}
	asks := false
	for _, name := range []string{"success(", "always(", "failure(", "cancelled("} {
		asks = asks || strings.Contains(text, name)
	}
	return truthy(value) && (asks || c.status.success), nil
}

// interpolate replaces every ${{ }} of a text.
func (c contexts) interpolate(text string) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "${{")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		expression, after, ok := strings.Cut(rest, "}}")
		if !ok {
			return "", fmt.Errorf("%q has no end", "${{"+rest)
		}
		value, err := c.evaluate(expression)
		if err != nil {
			return "", err
		}
		b.WriteString(asText(value))
		text = after
	}
}

func (c contexts) value(node actionlint.ExprNode) (any, error) {
	switch n := node.(type) {
	case *actionlint.NullNode:
		return nil, nil
	case *actionlint.BoolNode:
		return n.Value, nil
	case *actionlint.IntNode:
		return float64(n.Value), nil
	case *actionlint.FloatNode:
		return n.Value, nil
	case *actionlint.StringNode:
		return n.Value, nil
	case *actionlint.VariableNode:
		value, ok := lookUp(c.values, n.Name)
		if !ok {
			return nil, fmt.Errorf("there is no context %q here", n.Name)
		}
		return value, nil
	case *actionlint.ObjectDerefNode:
		receiver, err := c.value(n.Receiver)
		if err != nil {
			return nil, err
		}
		return property(receiver, n.Property), nil
	case *actionlint.IndexAccessNode:
		return c.index(n)
	case *actionlint.ArrayDerefNode:
		return c.every(n)
	case *actionlint.NotOpNode:
		value, err := c.value(n.Operand)
		return !truthy(value), err
	case *actionlint.LogicalOpNode:
		return c.logical(n)
	case *actionlint.CompareOpNode:
		return c.compare(n)
	case *actionlint.FuncCallNode:
		return c.call(n)
	}
	return nil, fmt.Errorf("%T is not supported", node)
}

// filtered is a list made by `.*`: a property of it is that of every element.
type filtered []any

func (c contexts) every(n *actionlint.ArrayDerefNode) (any, error) {
	receiver, err := c.value(n.Receiver)
	if err != nil {
		return nil, err
	}
	var list filtered
	switch r := receiver.(type) {
	case []any:
		list = append(list, r...)
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(r)) {
			list = append(list, r[name])
		}
	}
	return list, nil
}

func (c contexts) index(n *actionlint.IndexAccessNode) (any, error) {
	operand, err := c.value(n.Operand)
	if err != nil {
		return nil, err
	}
	index, err := c.value(n.Index)
	if err != nil {
		return nil, err
	}
	list, ok := operand.([]any)
	if !ok {
		return property(operand, asText(index)), nil
	}
	if at := int(asNumber(index)); at >= 0 && at < len(list) {
		return list[at], nil
	}
	return nil, nil
}

// logical gives one of its operands, as && and || of GitHub do.
func (c contexts) logical(n *actionlint.LogicalOpNode) (any, error) {
	left, err := c.value(n.Left)
	if err != nil || truthy(left) == (n.Kind == actionlint.LogicalOpNodeKindOr) {
		return left, err
	}
	return c.value(n.Right)
}

func (c contexts) compare(n *actionlint.CompareOpNode) (any, error) {
	left, err := c.value(n.Left)
	if err != nil {
		return nil, err
	}
	right, err := c.value(n.Right)
	if err != nil {
		return nil, err
	}
	switch n.Kind {
	case actionlint.CompareOpNodeKindEq:
		return equal(left, right), nil
	case actionlint.CompareOpNodeKindNotEq:
		return !equal(left, right), nil
	case actionlint.CompareOpNodeKindLess:
		return asNumber(left) < asNumber(right), nil
	case actionlint.CompareOpNodeKindLessEq:
		return asNumber(left) <= asNumber(right), nil
	case actionlint.CompareOpNodeKindGreater:
		return asNumber(left) > asNumber(right), nil
	case actionlint.CompareOpNodeKindGreaterEq:
		return asNumber(left) >= asNumber(right), nil
	case actionlint.CompareOpNodeKindInvalid:
	}
	return nil, fmt.Errorf("comparison %d is not supported", n.Kind)
}

func (c contexts) call(n *actionlint.FuncCallNode) (any, error) {
	args := make([]any, len(n.Args))
	for i, a := range n.Args {
		value, err := c.value(a)
		if err != nil {
			return nil, err
		}
		args[i] = value
	}
	lower := func(i int) string { return strings.ToLower(asText(args[i])) }
	switch name := strings.ToLower(n.Callee); {
	case name == "success":
		return c.status.success, nil
	case name == "failure":
		return c.status.failure, nil
	case name == "cancelled":
		return c.status.cancelled, nil
	case name == "always":
		return true, nil
	case name == "contains" && len(args) == 2:
		if list, ok := args[0].([]any); ok {
			for _, item := range list {
				if equal(item, args[1]) {
					return true, nil
				}
			}
			return false, nil
		}
		return strings.Contains(lower(0), lower(1)), nil
	case name == "startswith" && len(args) == 2:
		return strings.HasPrefix(lower(0), lower(1)), nil
	case name == "endswith" && len(args) == 2:
		return strings.HasSuffix(lower(0), lower(1)), nil
	case name == "format" && len(args) > 0:
		text := asText(args[0])
		for i, a := range args[1:] {
			text = strings.ReplaceAll(text, "{"+strconv.Itoa(i)+"}", asText(a))
		}
		return text, nil
	case name == "tojson" && len(args) == 1:
		raw, err := json.MarshalIndent(args[0], "", "  ")
		return string(raw), err
	case name == "fromjson" && len(args) == 1:
		var value any
		err := json.Unmarshal([]byte(asText(args[0])), &value)
		return value, err
	}
	return nil, fmt.Errorf("function %s with %d arguments is not supported", n.Callee, len(args))
}

// lookUp finds a key whatever its case, as GitHub does.
func lookUp(values map[string]any, key string) (any, bool) {
	if value, ok := values[key]; ok {
		return value, true
	}
	for name, value := range values {
		if strings.EqualFold(name, key) {
			return value, true
		}
	}
	return nil, false
}

// property of what is no object, or has none of that name, is null.
func property(receiver any, name string) any {
	switch r := receiver.(type) {
	case map[string]any:
		value, _ := lookUp(r, name)
		return value
	case filtered:
		var values []any
		for _, element := range r {
			if value := property(element, name); value != nil {
				values = append(values, value)
			}
		}
		return values
	}
	return nil
}

func truthy(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0 && !math.IsNaN(v)
	case string:
		return v != ""
	}
	return true
}

// equal compares as GitHub does: text whatever its case, different types as numbers.
func equal(a, b any) bool {
	textA, okA := a.(string)
	textB, okB := b.(string)
	if okA && okB {
		return strings.EqualFold(textA, textB)
	}
	if a == nil && b == nil {
		return true
	}
	return asNumber(a) == asNumber(b)
}

func asNumber(value any) float64 {
	switch v := value.(type) {
	case nil:
		return 0
	case bool:
		if v {
			return 1
		}
		return 0
	case float64:
		return v
	case string:
		if strings.TrimSpace(v) == "" {
			return 0
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
			return n
		}
	}
	return math.NaN()
}

func asText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		return v
	case []any:
		return "Array"
	}
	return "Object"
}
