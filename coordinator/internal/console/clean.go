package console

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes one harmless line of text that others made. Escape sequences are removed,
// other control characters become their pictures (a line feed becomes ␊), tabs stay.
// Characters that reorder what is read (https://trojansource.codes) are named; those that
// are invisible are dropped, which also makes the width of a line predictable.
func clean(s string) string {
	s = strings.TrimRight(s, "\r\n")
	if isHarmless(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for s != "" {
		if n := escapeSequence(s); n > 0 {
			s = s[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		writeClean(&b, r)
	}
	return b.String()
}

// cleanLines is clean for text of several lines.
func cleanLines(s string) []string {
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n"), "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return lines
}

// isHarmless is the quick answer for nearly every line of a build log.
func isHarmless(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

func writeClean(b *strings.Builder, r rune) {
	switch {
	case r == '\t':
		b.WriteRune(r)
	case r < ' ':
		b.WriteRune(0x2400 + r) // block Control Pictures
	case r == 0x7f:
		b.WriteRune('␡')
	case r == '\u2028', r == '\u2029':
		b.WriteRune('␤')
	case unicode.Is(unicode.Bidi_Control, r):
		fmt.Fprintf(b, "<U+%04X>", r)
	case unicode.Is(unicode.Cc, r): // what is left of them is C1
		b.WriteRune(utf8.RuneError)
	case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r):
	default:
		b.WriteRune(r) // a byte that is not UTF-8 was decoded as U+FFFD
	}
}

// escapeSequence is the length of the complete escape sequence that s begins with, 0 for
// none. An incomplete one counts as its introducer alone, so that nobody can hide the rest
// of a line. The forms are those of ECMA-48, sections 5.3 to 5.6.
func escapeSequence(s string) int {
	const esc = "\x1b"
	body, kind := "", byte(0)
	switch {
	case strings.HasPrefix(s, esc) && len(s) > 1:
		body, kind = s[2:], s[1]
	case strings.HasPrefix(s, esc):
		return len(esc)
	case len(s) > 1 && s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f: // C1 in UTF-8: the same as ESC and a letter
		body, kind = s[2:], s[1]-0x40
	default:
		return 0
	}
	switch {
	case kind == '[':
		return 2 + controlSequence(body)
	case strings.IndexByte("]PX^_", kind) >= 0:
		return 2 + controlString(body)
	case s[0] == esc[0]:
		return len(esc) + shortSequence(s[1:])
	}
	return 0
}

// shortSequence is the length of intermediates and final byte, 0 when they are incomplete.
func shortSequence(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 0x30 && c <= 0x7e:
			return i + 1
		case c < 0x20 || c > 0x2f:
			return 0
		}
	}
	return 0
}

// controlSequence is the length of parameters, intermediates and final byte, 0 when they are incomplete.
func controlSequence(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 0x40 && c <= 0x7e:
			return i + 1
		case c < 0x20 || c > 0x3f:
			return 0
		}
	}
	return 0
}

// controlString is the length of a string with its terminator (ST, or BEL as xterm takes it), 0 when there is none.
func controlString(s string) int {
	for i := range len(s) {
		switch {
		case s[i] == '\a':
			return i + 1
		case strings.HasPrefix(s[i:], "\x1b\\"), strings.HasPrefix(s[i:], "\u009c"):
			return i + 2
		}
	}
	return 0
}
