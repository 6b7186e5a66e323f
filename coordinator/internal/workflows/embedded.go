package workflows

import "strings"

// pasted is an expression within a text, between ${{ and }}.
type pasted struct {
	source     string
	start, end int // of all of it, in bytes
}

// embeds lists the expressions of a text. One that is not ended goes to the text's end.
func embeds(text string) []pasted {
	var list []pasted
	for at := 0; ; {
		start := strings.Index(text[at:], "${{")
		if start < 0 {
			return list
		}
		start += at
		source, length := untilEnd(text[start+3:])
		at = start + 3 + length
		list = append(list, pasted{source, start, at})
	}
}

// untilEnd is the text before the }} that stands in no string, and the length of both.
func untilEnd(text string) (source string, length int) {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '\'':
			quoted = !quoted
		case !quoted && strings.HasPrefix(text[i:], "}}"):
			return text[:i], i + 2
		}
	}
	return text, len(text)
}
