package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The bounds that keep hostile input cheap. A real configuration has some hundred
// nodes, a handful of levels and a few kilobytes.
const (
	MaxBytes = 1 << 20 // of a file
	maxNodes = 20_000  // visited, aliases counted every time they are followed
	maxDepth = 64      // levels of nesting
)

// parse reads the one YAML document of data. Without a document root is nil and at
// least one problem says why.
func parse(file string, data []byte) (root *yaml.Node, problems Problems) {
	fail := func(line, column int, format string, args ...any) {
		problems = append(problems, Problem{File: file, Line: line, Column: column, Message: fmt.Sprintf(format, args...)})
	}
	if len(data) > MaxBytes {
		fail(1, 1, "the file has %d bytes, more than the %d allowed", len(data), MaxBytes)
		return nil, problems
	}
	if at := firstBadByte(data); at >= 0 {
		line, column := lineColumn(data, at)
		fail(line, column, "byte 0x%02x is not allowed: the file must be UTF-8 text", data[at])
		return nil, problems
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	first, err := next(decoder)
	switch {
	case errors.Is(err, io.EOF):
		fail(1, 1, "the file is empty")
		return nil, problems
	case err != nil:
		problems = append(problems, syntaxProblem(file, data, err))
		return nil, problems
	case len(first.Content) == 0 || isNull(first.Content[0]):
		fail(1, 1, "the file is empty")
		return nil, problems
	}
	switch second, err := next(decoder); {
	case errors.Is(err, io.EOF):
	case err != nil:
		problems = append(problems, syntaxProblem(file, data, err))
	default:
		line, column := position(second)
		fail(line, column, "a second document starts here: one file holds one document")
	}
	return first.Content[0], problems
}

// next reads one document. The library reports syntax errors by panics that it catches
// itself; any other panic of it is an error of the file too, never ours.
func next(decoder *yaml.Decoder) (node *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: not readable: %v", r)
		}
	}()
	node = new(yaml.Node)
	err = decoder.Decode(node)
	return node, err
}

var (
	syntaxError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	// parserError matches the errors of the library's parser, which counts lines from 0
	// where its scanner counts from 1.
	parserError = regexp.MustCompile(`^(did not find expected (',' or|'-' indicator|<|key$|node content)` +
		`|found duplicate %|found incompatible YAML|found undefined tag handle)`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntaxProblem finds the place in an error of the YAML library, which knows the line
// at best; the column is that of the first character of the line.
func syntaxProblem(file string, data []byte, err error) Problem {
	p := Problem{File: file, Line: 1, Column: 1, Message: err.Error()}
	m := syntaxError.FindStringSubmatch(err.Error())
	if m == nil {
		return p
	}
	p.Message = "not valid YAML: " + m[2]
	if anchor := unknownAnchor.FindStringSubmatch(m[2]); anchor != nil {
		if at := bytes.Index(data, []byte("*"+anchor[1])); at >= 0 {
			p.Line, p.Column = lineColumn(data, at)
		}
		return p
	}
	if line, err := strconv.Atoi(m[1]); err == nil {
		if parserError.MatchString(m[2]) {
			line++
		}
		p.Line = line
		lines := bytes.Split(data, []byte("\n"))
		if line <= len(lines) {
			text := lines[line-1]
			p.Column = 1 + len(text) - len(bytes.TrimLeft(text, " "))
		}
	}
	return p
}

// firstBadByte finds the first byte that no YAML text may hold, or -1.
func firstBadByte(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			return i
		}
		i += size
	}
	return -1
}

func lineColumn(data []byte, at int) (line, column int) {
	before := data[:at]
	start := bytes.LastIndexByte(before, '\n') + 1
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[start:])
}
