package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// Problem is one mistake in a file.
type Problem struct {
	File         string
	Line, Column int    // both count from 1
	Path         string // where in the document: "stacks.core.files[0]"; "" is the whole document
	Message      string // lower case, no full stop
	Suggestion   string // the nearest valid name, or ""
}

// String is "landfall.yaml:12:7: message: did you mean "name"?".
func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	if p.Suggestion != "" {
		s += fmt.Sprintf(": did you mean %q?", p.Suggestion)
	}
	return s
}

// Problems is every mistake of a file. As an error it prints one a line.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Sort orders the problems by file, then position.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
}

// Err is nil when there are no problems, otherwise a *fault.Error of kind Invalid and
// reason CONFIG_INVALID that lists all of them, sorted; errors.As finds the Problems in it.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	sorted := slices.Clone(ps)
	sorted.Sort()
	return &fault.Error{Kind: fault.Invalid, Reason: "CONFIG_INVALID", Err: sorted}
}
