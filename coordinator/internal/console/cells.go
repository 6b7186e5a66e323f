package console

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// cellsOf is the number of terminal cells of cleaned text without tabs: 2 for a wide
// character (Unicode Standard Annex 11), 0 for one that combines with the one before.
func cellsOf(s string) int {
	n := 0
	for _, r := range s {
		n += cellsOfRune(r)
	}
	return n
}

func cellsOfRune(r rune) int {
	switch {
	case r < 0x300: // nothing below combines or is wide
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// fit shortens s to at most n cells; what is cut ends in an ellipsis.
func fit(s string, n int) string {
	if cellsOf(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	used := 0
	for i, r := range s {
		if used += cellsOfRune(r); used > n-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// padRight fills s up with spaces to n cells.
func padRight(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-cellsOf(s)))
}

// padLeft fills s up with spaces to n cells, on the left.
func padLeft(s string, n int) string {
	return strings.Repeat(" ", max(0, n-cellsOf(s))) + s
}

// expandTabs replaces tabs by the spaces that a terminal shows for them.
func expandTabs(s string) string {
	const stop = 8
	if !strings.Contains(s, "\t") {
		return s
	}
	var b strings.Builder
	at := 0
	for _, r := range s {
		n := cellsOfRune(r)
		if r == '\t' {
			n = stop - at%stop
			b.WriteString(strings.Repeat(" ", n))
		} else {
			b.WriteRune(r)
		}
		at += n
	}
	return b.String()
}
