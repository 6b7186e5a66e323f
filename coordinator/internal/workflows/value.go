package workflows

import (
	"math"
	"strconv"
	"strings"
)

// kind is what is known about a value before the workflow runs.
type kind int

const (
	unknown kind = iota // may be anything
	truthy              // anything that counts as true
	falsy               // anything that counts as false
	null
	boolean
	number
	text
	sequence
	ours    // the name of this repository
	foreign // the name of a fork
	commit  // different for every commit or run
)

// value is the outcome of an expression, as far as it is known.
type value struct {
	kind kind
	n    float64 // of a number; 1 and 0 of a boolean
	s    string
	list []value
}

func aBool(b bool) value {
	if b {
		return value{kind: boolean, n: 1}
	}
	return value{kind: boolean}
}

func aText(s string) value { return value{kind: text, s: s} }

// isTrue and isFalse tell what is certain; both may be false, never both true.
func (v value) isTrue() bool {
	switch v.kind {
	case truthy, ours, foreign, commit, sequence:
		return true
	case boolean, number:
		return v.n != 0 && !math.IsNaN(v.n)
	case text:
		return v.s != ""
	case unknown, falsy, null:
	}
	return false
}

func (v value) isFalse() bool { return v.kind == falsy || v.certain() && !v.isTrue() }

func (v value) certain() bool { return v.kind != unknown && v.kind != truthy && v.kind != falsy }

func not(v value) value {
	switch {
	case v.isTrue():
		return aBool(false)
	case v.isFalse():
		return aBool(true)
	}
	return value{}
}

// and and or give one of their operands, as in JavaScript.
func and(a, b value) value {
	switch {
	case a.isFalse():
		return a
	case a.isTrue():
		return b
	case b.isFalse():
		return value{kind: falsy}
	}
	return value{}
}

func or(a, b value) value {
	switch {
	case a.isTrue():
		return a
	case a.isFalse():
		return b
	case b.isTrue():
		return value{kind: truthy}
	}
	return value{}
}

// equal compares as GitHub does: texts without case, different types as numbers. own is
// this repository's name when it is known. Source:
// https://docs.github.com/actions/reference/workflows-and-actions/expressions#operators
func equal(a, b value, own string) value {
	if !a.certain() || !b.certain() || a.kind == sequence || b.kind == sequence {
		return value{}
	}
	if a.kind > b.kind {
		a, b = b, a
	}
	switch {
	case b.kind == commit && (a.kind == commit || a.kind == text):
		return value{}
	case a.kind == ours && b.kind == foreign:
		return aBool(false)
	case a.kind == foreign && b.kind == foreign: // perhaps the same fork
		return value{}
	case a.kind == b.kind:
		switch a.kind {
		case text:
			return aBool(strings.EqualFold(a.s, b.s))
		case boolean, number:
			return aBool(a.n == b.n)
		default:
			return aBool(true)
		}
	case a.kind == text && (b.kind == ours || b.kind == foreign):
		if own == "" || !strings.EqualFold(a.s, own) && b.kind == foreign {
			return value{}
		}
		return aBool(b.kind == ours && strings.EqualFold(a.s, own))
	}
	return aBool(a.number() == b.number())
}

func (v value) number() float64 {
	switch v.kind {
	case boolean, number:
		return v.n
	case null:
		return 0
	case text:
		if strings.TrimSpace(v.s) == "" {
			return 0
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(v.s), 64); err == nil {
			return n
		}
	default:
	}
	return math.NaN()
}
