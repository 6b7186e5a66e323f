package workflows

import (
	"fmt"
	"strings"
)

// contextLines is how many unchanged lines stand around a change, as in diff -u.
const contextLines = 3

// Diff shows the changes the way `diff -u` does, "" when there are none.
func Diff(changes []Change) string {
	var out strings.Builder
	for _, c := range Changed(changes) {
		from := "a/" + c.Path
		if c.Before == nil {
			from = "/dev/null"
		}
		fmt.Fprintf(&out, "--- %s\n+++ b/%s\n", from, c.Path)
		hunks(&out, script(lines(c.Before), lines(c.After)))
	}
	return out.String()
}

func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
}

// edit is one line of a diff: ' ' stays, '-' goes, '+' comes.
type edit struct {
	op   byte
	line string
}

// script finds a shortest way from a to b by their longest common subsequence. Workflow
// files have some hundred lines, for which the square of that is little.
func script(a, b []string) []edit {
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var edits []edit
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			edits = append(edits, edit{' ', a[i]})
			i++
			j++
		case i < len(a) && (j == len(b) || longest[i+1][j] >= longest[i][j+1]):
			edits = append(edits, edit{'-', a[i]})
			i++
		default:
			edits = append(edits, edit{'+', b[j]})
			j++
		}
	}
	return edits
}

// hunks writes the edits that are near a change.
func hunks(out *strings.Builder, edits []edit) {
	for start := 0; start < len(edits); {
		first := start
		for first < len(edits) && edits[first].op == ' ' {
			first++
		}
		if first == len(edits) {
			return
		}
		end, quiet := first, 0
		for end < len(edits) && quiet <= 2*contextLines {
			quiet++
			if edits[end].op != ' ' {
				quiet = 0
			}
			end++
		}
		end -= max(0, quiet-contextLines)
		from := max(start, first-contextLines)
		hunk(out, edits, from, end)
		start = end
	}
}

func hunk(out *strings.Builder, edits []edit, from, end int) {
	count := func(edits []edit, without byte) (n int) {
		for _, e := range edits {
			if e.op != without {
				n++
			}
		}
		return n
	}
	position := func(without byte) string {
		before, here := count(edits[:from], without), count(edits[from:end], without)
		if here > 0 {
			before++
		}
		return fmt.Sprintf("%d,%d", before, here)
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", position('+'), position('-'))
	for _, e := range edits[from:end] {
		fmt.Fprintf(out, "%c%s\n", e.op, strings.TrimSuffix(e.line, "\n"))
	}
}
