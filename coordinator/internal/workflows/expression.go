package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// expression is one node of an expression of GitHub's language. Source:
// https://docs.github.com/actions/reference/workflows-and-actions/expressions
type expression interface {
	// eval finds what is certain about the expression in a situation.
	eval(s *situation) value
}

type (
	constant struct{ value value }
	// contextPath is a context with what is dereferenced: github.event.action. An element that is
	// computed, or a *, is "".
	contextPath struct{ elements []string }
	call        struct {
		name string
		args []expression
	}
	negation struct{ operand expression }
	binary   struct {
		operator    string
		left, right expression
	}
	// opaque is a part of what is computed, of which nothing is certain: fromJSON(x).a, github.event[env.NAME].
	opaque struct{ parts []expression }
)

func (c constant) eval(*situation) value      { return c.value }
func (p contextPath) eval(s *situation) value { return s.lookup(p.elements) }
func (opaque) eval(*situation) value          { return value{} }
func (n negation) eval(s *situation) value    { return not(n.operand.eval(s)) }

func (b binary) eval(s *situation) value {
	left, right := b.left.eval(s), b.right.eval(s)
	switch b.operator {
	case "&&":
		return and(left, right)
	case "||":
		return or(left, right)
	case "==":
		return equal(left, right, s.repository)
	case "!=":
		return not(equal(left, right, s.repository))
	}
	return value{} // <, <=, > and >= guard nothing
}

func (c call) eval(s *situation) value {
	args := make([]value, len(c.args))
	for i, a := range c.args {
		args[i] = a.eval(s)
	}
	switch {
	case c.name == "always":
		return aBool(true)
	case c.name == "success":
		return s.success()
	case c.name == "fromjson" && len(args) == 1 && args[0].kind == text:
		return fromJSON(args[0].s)
	case len(args) != 2 || args[1].kind != text && c.name != "contains":
		return value{}
	case c.name == "contains" && args[0].kind == sequence:
		return contains(args[0].list, args[1], s.repository)
	case args[0].kind != text || args[1].kind != text:
		return value{}
	}
	all, part := strings.ToLower(args[0].s), strings.ToLower(args[1].s)
	switch c.name {
	case "contains":
		return aBool(strings.Contains(all, part))
	case "startswith":
		return aBool(strings.HasPrefix(all, part))
	case "endswith":
		return aBool(strings.HasSuffix(all, part))
	}
	return value{}
}

func contains(list []value, item value, own string) value {
	result := aBool(false)
	for _, entry := range list {
		result = or(result, equal(entry, item, own))
	}
	return result
}

func fromJSON(s string) value {
	var decoded any
	if json.Unmarshal([]byte(s), &decoded) != nil {
		return value{}
	}
	return fromAny(decoded)
}

func fromAny(decoded any) value {
	switch v := decoded.(type) {
	case nil:
		return value{kind: null}
	case bool:
		return aBool(v)
	case float64:
		return value{kind: number, n: v}
	case string:
		return aText(v)
	case []any:
		list := value{kind: sequence}
		for _, entry := range v {
			list.list = append(list.list, fromAny(entry))
		}
		return list
	}
	return value{}
}

// usesStatus reports whether an expression calls a function that lets a job run although
// one that it needs did not succeed.
func usesStatus(e expression) bool {
	switch e := e.(type) {
	case negation:
		return usesStatus(e.operand)
	case binary:
		return usesStatus(e.left) || usesStatus(e.right)
	case call:
		switch e.name {
		case "always", "success", "failure", "cancelled":
			return true
		}
		return slices.ContainsFunc(e.args, usesStatus)
	case opaque:
		return slices.ContainsFunc(e.parts, usesStatus)
	}
	return false
}

// condition parses the text of an if:. Text around ${{ }}, line ends too, makes all of it a
// string that is not empty, which counts as true.
func condition(source string) (expression, error) {
	if !strings.Contains(source, "${{") {
		return parseExpression(source)
	}
	inner, ok := strings.CutPrefix(source, "${{")
	inner, ended := strings.CutSuffix(inner, "}}")
	if !ok || !ended || strings.Contains(inner, "${{") {
		return constant{value{kind: truthy}}, nil
	}
	return parseExpression(inner)
}

var token = regexp.MustCompile(`^(?:'(?:[^']|'')*'|[0-9][0-9a-zA-Z.+-]*|[A-Za-z_][A-Za-z0-9_-]*|&&|\|\||[!=<>]=|[!<>()\[\].,*])`)

// maxDepth bounds how deep expressions, callers and needs are followed.
const maxDepth = 50

type expressionParser struct {
	tokens []string
	depth  int
}

var errExpression = errors.New("not a readable expression")

func parseExpression(source string) (expression, error) {
	p := &expressionParser{}
	for rest := strings.TrimSpace(source); rest != ""; rest = strings.TrimSpace(rest) {
		t := token.FindString(rest)
		if t == "" {
			return nil, fmt.Errorf("%w: %.20q", errExpression, rest)
		}
		p.tokens, rest = append(p.tokens, t), rest[len(t):]
	}
	e, err := p.binary(0)
	if err == nil && len(p.tokens) > 0 {
		err = errExpression
	}
	return e, err
}

// precedence lists the binary operators, weakest first.
var precedence = [][]string{{"||"}, {"&&"}, {"==", "!="}, {"<", "<=", ">", ">="}}

func (p *expressionParser) binary(level int) (expression, error) {
	if level == len(precedence) {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	for err == nil {
		operator := p.accept(precedence[level]...)
		if operator == "" {
			return left, nil
		}
		var right expression
		right, err = p.binary(level + 1)
		left = binary{operator, left, right}
	}
	return nil, err
}

func (p *expressionParser) unary() (expression, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth || len(p.tokens) == 0 {
		return nil, errExpression
	}
	if p.accept("!") != "" {
		operand, err := p.unary()
		return negation{operand}, err
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	switch {
	case t == "(":
		e, err := p.binary(0)
		if err == nil && p.accept(")") == "" {
			err = errExpression
		}
		return e, err
	case t[0] == '\'':
		return constant{aText(strings.ReplaceAll(t[1:len(t)-1], "''", "'"))}, nil
	case t[0] >= '0' && t[0] <= '9':
		n, err := strconv.ParseFloat(t, 64)
		if err != nil {
			return constant{value{}}, nil //nolint:nilerr // a number of a form unknown here, hexadecimal say
		}
		return constant{value{kind: number, n: n}}, nil
	case t[0] == '_' || t[0]|0x20 >= 'a' && t[0]|0x20 <= 'z':
		return p.named(strings.ToLower(t))
	}
	return nil, errExpression
}

func (p *expressionParser) named(name string) (expression, error) {
	switch name {
	case "true", "false":
		return constant{aBool(name == "true")}, nil
	case "null":
		return constant{value{kind: null}}, nil
	}
	var e expression
	elements := []string{name}
	if p.accept("(") != "" {
		args, err := p.arguments()
		if err != nil {
			return nil, err
		}
		e = call{name, args}
	}
	for {
		switch {
		case p.accept(".") != "":
			if len(p.tokens) == 0 {
				return nil, errExpression
			}
			elements = append(elements, strings.ToLower(strings.Trim(p.tokens[0], "*")))
			p.tokens = p.tokens[1:]
		case p.accept("[") != "":
			index, err := p.index()
			if err != nil {
				return nil, err
			}
			elements = append(elements, index)
		case e != nil && len(elements) > 1:
			return opaque{[]expression{e}}, nil // a part of what a function gave
		case e != nil:
			return e, nil
		default:
			return contextPath{elements}, nil
		}
	}
}

// index is what stands between brackets, "" unless it is a text.
func (p *expressionParser) index() (string, error) {
	if p.accept("*") != "" {
		if p.accept("]") == "" {
			return "", errExpression
		}
		return "", nil
	}
	e, err := p.binary(0)
	if err != nil || p.accept("]") == "" {
		return "", errExpression
	}
	if c, ok := e.(constant); ok && c.value.kind == text {
		return strings.ToLower(c.value.s), nil
	}
	return "", nil
}

func (p *expressionParser) arguments() ([]expression, error) {
	var args []expression
	if p.accept(")") != "" {
		return nil, nil
	}
	for {
		e, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		args = append(args, e)
		if p.accept(")") != "" {
			return args, nil
		}
		if p.accept(",") == "" {
			return nil, errExpression
		}
	}
}

// accept takes the next token when it is one of these.
func (p *expressionParser) accept(tokens ...string) string {
	for _, t := range tokens {
		if len(p.tokens) > 0 && p.tokens[0] == t {
			p.tokens = p.tokens[1:]
			return t
		}
	}
	return ""
}
