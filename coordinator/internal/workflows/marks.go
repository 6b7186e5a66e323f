package workflows

import (
	"regexp"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// A region of a rendered file lies between two marks, each a comment on a line of its own.
const (
	beginMark = "landfall:begin "
	endMark   = "landfall:end "
	markNote  = " (rendered from landfall.yaml; edits inside are overwritten)"
)

var (
	// anyMark is a comment that means to be a mark, mistyped or not.
	anyMark  = regexp.MustCompile(`^\s*#\s*landfall\s*:`)
	goodMark = regexp.MustCompile(`^\s*# landfall:(begin|end) ([a-z][a-z0-9._-]*)(?: \(.*\))?\s*$`)
)

// region is where the lines of a region stand, both marks included.
type region struct {
	name       string
	begin, end int // indexes of lines
}

// document is a file cut into lines, with its regions in order.
type document struct {
	lines   []string // each with its line end
	regions []region
}

func (d document) names() []string {
	names := make([]string, len(d.regions))
	for i, r := range d.regions {
		names[i] = r.name
	}
	return names
}

// cut finds the regions of a text, and what is wrong with its marks.
func cut(path, text string) (document, strictyaml.Problems) {
	d := document{lines: strings.SplitAfter(text, "\n")}
	var problems strictyaml.Problems
	fail := func(line int, message string) {
		problems = append(problems, strictyaml.Problem{
			File: path, Line: line + 1, Column: 1 + len(d.lines[line]) - len(strings.TrimLeft(d.lines[line], " \t")), Message: message,
		})
	}
	open := -1 // line of the mark that waits for its end
	var name string
	for i, line := range d.lines {
		if !anyMark.MatchString(line) {
			continue
		}
		m := goodMark.FindStringSubmatch(line)
		switch {
		case m == nil:
			fail(i, "this mark is damaged: want \"# landfall:begin NAME\" or \"# landfall:end NAME\"")
		case m[1] == "begin" && open >= 0:
			fail(i, "region "+m[2]+" begins inside region "+name)
		case m[1] == "begin":
			open, name = i, m[2]
		case open < 0:
			fail(i, "region "+m[2]+" ends but never began")
		case m[2] != name:
			fail(i, "region "+m[2]+" ends where region "+name+" should")
			open = -1
		default:
			if slices.Contains(d.names(), name) {
				fail(open, "region "+name+" is there twice")
			}
			d.regions = append(d.regions, region{name, open, i})
			open = -1
		}
	}
	if open >= 0 {
		fail(open, "region "+name+" never ends")
	}
	return d, problems
}
