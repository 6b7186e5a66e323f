package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"ataraxis.dev/landfall/shared/fault"
)

// Patterns is a compiled list of path patterns with the meaning that GitHub Actions
// gives to `paths:` filters:
//
//   - any characters but the slash
//     **   any characters; "**/" at the start of a segment also stands for no folder at all
//     ?    zero or one of the preceding character
//   - one or more of the preceding character
//     []   one of the listed letters and digits, ranges allowed: [CB], [1-9], [a-zA-Z]
//     !    at the start: paths that match are taken out again
//     \    the next character stands for itself
//
// A pattern matches the whole path from the root of the repository; a leading dot is
// nothing special. The order counts: the last pattern that matches a path decides.
// So a list with nothing but "!" patterns matches no path. The rules are those of
// https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet
//
// Matching is by bytes: a path that is not UTF-8 matches wildcards like any other, and
// only the very same bytes as literals. Patterns may be used concurrently.
type Patterns struct {
	list []pattern
}

// CompilePatterns compiles a list; the error, of kind Invalid and reason
// PATTERN_INVALID, names the first pattern that is wrong.
func CompilePatterns(patterns []string) (Patterns, error) {
	compiled := Patterns{list: make([]pattern, 0, len(patterns))}
	for _, text := range patterns {
		p, err := compilePattern(text)
		if err != nil {
			return Patterns{}, fault.New(fault.Invalid, "PATTERN_INVALID", "path pattern %q: %s", text, err)
		}
		compiled.list = append(compiled.list, p)
	}
	return compiled, nil
}

// Match reports whether the list matches path, which has slashes between its segments
// and none at the start.
func (p Patterns) Match(path string) bool {
	for i := len(p.list) - 1; i >= 0; i-- {
		if p.list[i].match(path) {
			return !p.list[i].negative
		}
	}
	return false
}

// pattern is one compiled pattern. The literals are a cheap test that most paths fail;
// the regular expression decides about the rest.
type pattern struct {
	negative               bool
	prefix, needle, suffix string
	open                   bool // prefix + "**": the prefix decides alone
	re                     *regexp.Regexp
}

func (p *pattern) match(path string) bool {
	if !strings.HasPrefix(path, p.prefix) || !strings.HasSuffix(path, p.suffix) {
		return false
	}
	return p.open || strings.Contains(path, p.needle) && p.re.MatchString(latin1(path))
}

// atom is one element of a pattern: a character, a set or a wildcard.
type atom struct {
	re         string // the regular expression for it
	literal    string // its bytes when it is a plain character without a quantifier
	repeatable bool   // may be followed by ? or +
}

func compilePattern(text string) (pattern, error) {
	p := pattern{}
	text, p.negative = strings.CutPrefix(text, "!")
	if text == "" {
		return p, errors.New("it is empty")
	}
	atoms, err := parsePattern(text)
	if err != nil {
		return p, err
	}
	var re strings.Builder
	re.WriteString(`(?s)\A(?:`)
	for _, a := range atoms {
		re.WriteString(a.re)
	}
	re.WriteString(`)\z`)
	if p.re, err = regexp.Compile(re.String()); err != nil {
		return p, fmt.Errorf("it is too complex: %w", err)
	}
	p.literals(atoms)
	return p, nil
}

// literals finds what every match must begin with, end with and contain.
func (p *pattern) literals(atoms []atom) {
	var run string
	first := 0
	for first < len(atoms) && atoms[first].literal != "" {
		p.prefix += atoms[first].literal
		first++
	}
	for i := len(atoms) - 1; i >= first && atoms[i].literal != ""; i-- {
		p.suffix = atoms[i].literal + p.suffix
	}
	for _, a := range atoms[first:] {
		if run += a.literal; a.literal == "" {
			run = ""
		}
		if len(run) > len(p.needle) {
			p.needle = run
		}
	}
	p.open = first == len(atoms)-1 && atoms[first].re == anything
}

const (
	anything  = `.*`
	noSlash   = `[^/]*`
	noFolders = `(?:.+/)?`
)

func parsePattern(text string) ([]atom, error) {
	var atoms []atom
	for i := 0; i < len(text); {
		var a atom
		var size int
		var err error
		switch text[i] {
		case '*':
			a, size = wildcard(text, i)
		case '?', '+':
			if len(atoms) == 0 || !atoms[len(atoms)-1].repeatable {
				return nil, fmt.Errorf("%q needs a character before it; write \\%c for the character itself", text[i], text[i])
			}
			last := &atoms[len(atoms)-1]
			*last = atom{re: last.re + text[i:i+1]}
			i++
			continue
		case '[':
			a, size, err = set(text[i:])
		case '\\':
			if i+1 == len(text) {
				return nil, errors.New(`"\" at the end has nothing to escape`)
			}
			a, size = character(text[i+1:])
			size++
		default:
			a, size = character(text[i:])
		}
		if err != nil {
			return nil, err
		}
		atoms = append(atoms, a)
		i += size
	}
	return atoms, nil
}

func wildcard(text string, i int) (a atom, size int) {
	if !strings.HasPrefix(text[i:], "**") {
		return atom{re: noSlash}, 1
	}
	startsSegment := i == 0 || text[i-1] == '/'
	if startsSegment && strings.HasPrefix(text[i:], "**/") {
		return atom{re: noFolders}, 3
	}
	return atom{re: anything}, 2
}

// character takes one character, or one byte where the text is not UTF-8.
func character(text string) (a atom, size int) {
	_, size = utf8.DecodeRuneInString(text)
	literal := text[:size]
	re := regexp.QuoteMeta(latin1(literal))
	if size > 1 {
		re = "(?:" + re + ")"
	}
	return atom{re: re, literal: literal, repeatable: true}, size
}

func set(text string) (a atom, size int, err error) {
	end := strings.IndexByte(text, ']')
	if end < 0 {
		return a, 0, errors.New(`"[" is never closed; write \[ for the character itself`)
	}
	body := text[1:end]
	if body == "" {
		return a, 0, errors.New("[] lists no characters")
	}
	for i := 0; i < len(body); i++ {
		if !alphanumeric(body[i]) {
			return a, 0, fmt.Errorf("[%s] may list only letters, digits and ranges of them", body)
		}
		if i+1 == len(body) || body[i+1] != '-' {
			continue
		}
		if i+2 == len(body) || !sameRange(body[i], body[i+2]) {
			return a, 0, fmt.Errorf("[%s] has a range that is not within a-z, A-Z or 0-9", body)
		}
		i += 2
	}
	return atom{re: "[" + body + "]", repeatable: true}, end + 1, nil
}

func alphanumeric(c byte) bool { return class(c) != 0 }

func class(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z':
		return 'a'
	case 'A' <= c && c <= 'Z':
		return 'A'
	case '0' <= c && c <= '9':
		return '0'
	}
	return 0
}

func sameRange(from, to byte) bool { return class(from) == class(to) && from <= to }

// latin1 turns every byte into the character of the same number, so that a regular
// expression, which reads characters, compares bytes. Plain ASCII stays as it is.
func latin1(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			runes := make([]rune, len(s))
			for j := range len(s) {
				runes[j] = rune(s[j])
			}
			return string(runes)
		}
	}
	return s
}

// MatchService reports whether a service pattern of a step, in which * stands for any
// characters, matches the name of a compose service.
func MatchService(pattern, service string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == service
	}
	rest, ok := strings.CutPrefix(service, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
