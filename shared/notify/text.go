package notify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// breaker is invisible and keeps what it stands between from being read as one.
const breaker = "\u200b"

// mostBytes is the part of one foreign text that is looked at; nothing of Discord's is longer.
const mostBytes = 8 << 10

// escapes are terminal sequences: control sequences, control strings and short ones (ECMA-48, 5.3 to 5.6).
var escapes = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])`)

// webhookAddress is a webhook's address as somebody's output may print it: whoever has it can post.
var webhookAddress = regexp.MustCompile(`(?i)(webhooks)((?:/|%2f)\d{17,20})(?:/|%2f)[a-z0-9_-]{8,}`)

// clean makes foreign text valid and visible: no terminal sequences, no control characters, nothing that
// reorders (https://trojansource.codes) or hides, no webhook's secret. Line ends and tabs become spaces.
func clean(s string) string { return strings.TrimSpace(scrub(s)) }

// Clean is clean for those who show foreign text elsewhere: on one line, of at most 8 KiB.
func Clean(s string) string { return clean(s) }

// scrub is clean that keeps the space round the text.
func scrub(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), mostBytes)], "\uFFFD")
	s = webhookAddress.ReplaceAllString(escapes.ReplaceAllString(s, ""), "$1/(removed)")
	return strings.Map(visible, s)
}

// visible is r, a space for white space, or -1 for what is not to be seen.
func visible(r rune) rune {
	switch {
	case r == ' ' || r == '\u200c' || r == '\u200d': // the joiners shape words and emoji
		return r
	case unicode.IsSpace(r), r == '\u2028', r == '\u2029':
		return ' '
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Bidi_Control, unicode.Other_Default_Ignorable_Code_Point,
		unicode.Noncharacter_Code_Point):
		return -1
	}
	return r
}

// blank reports whether a reader would see nothing of s; Discord refuses such a value.
func blank(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.In(r, unicode.Mn, unicode.Me)
	})
}

// special is every character that Discord's Markdown gives a meaning, the colon because it
// makes links and emoji.
const special = "\\*_~`|>#-[]()<:"

// text is foreign text on one line as Markdown that renders as itself, at most limit UTF-16
// units with its "…" when it was cut. Blank text is "".
func text(s string, limit int) string {
	s = clean(s)
	if blank(s) {
		return ""
	}
	if listItem.MatchString(s) {
		limit--
	}
	s = cut(s, limit, func(r rune) string {
		switch {
		case r == '@':
			return "@" + breaker // no mention, no ping
		case strings.ContainsRune(special, r):
			return `\` + string(r)
		}
		return string(r)
	})
	return listItem.ReplaceAllString(s, `$1\.`)
}

// listItem begins a numbered list when it begins a line.
var listItem = regexp.MustCompile(`^(\d+)\.`)

// cut renders s rune by rune, and ends it with "…" between two characters when it is longer than limit.
func cut(s string, limit int, render func(rune) string) string {
	const ellipsis = "…"
	var b strings.Builder
	used := 0
	fits := 0 // length of b up to which an ellipsis still fits
	for rest := s; rest != ""; {
		n := cluster(rest)
		var piece strings.Builder
		for _, r := range rest[:n] {
			piece.WriteString(render(r))
		}
		used += units(piece.String())
		if used > limit {
			return strings.TrimRight(b.String()[:fits], " ") + ellipsis
		}
		b.WriteString(piece.String())
		if used < limit {
			fits = b.Len()
		}
		rest = rest[n:]
	}
	return b.String()
}

// code is foreign text as a span of code; blank text is "".
func code(s string, limit int) string {
	s = clean(s)
	if blank(s) {
		return ""
	}
	return "`" + cutCode(s, limit-2) + "`"
}

// What some client could read as a mention of all, or as one, a channel, a time or an emoji, inside of code too.
var (
	mentionAll = regexp.MustCompile(`(?i)@(everyone|here)`)
	angled     = regexp.MustCompile(`(?i)<([@#/:]|a:|t:|id:)`)
)

// cutCode is cut for the inside of code, where there are no escapes: a backtick could end it. Other
// text stays as it is, so that it can be copied.
func cutCode(s string, limit int) string {
	s = mentionAll.ReplaceAllString(s, "@"+breaker+"$1")
	s = angled.ReplaceAllString(s, "<"+breaker+"$1")
	return cut(s, limit, func(r rune) string {
		if r == '`' {
			return "ˋ" // U+02CB
		}
		return string(r)
	})
}

// list is items as spans of code, as many as fit, then how many more there are.
func list(items []string, limit int) string {
	const reserve = len(", … 1000000 more")
	var parts []string
	used := 0
	for i, item := range items {
		part := code(item, 80)
		if part == "" {
			continue
		}
		used += units(part) + len(", ")
		if used > limit-reserve {
			return strings.Join(append(parts, fmt.Sprintf("… %d more", len(items)-i)), ", ")
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// block is the last lines of foreign output that fit, as a block of code; "" when there is nothing to see.
func block(lines []string, limit int) string {
	const open, end = "```\n", "\n```"
	left := limit - len(open) - len(end)
	var kept []string
	for i := len(lines) - 1; i >= 0; i-- {
		line := cutCode(strings.TrimRight(scrub(lines[i]), " "), 240)
		if left -= units(line) + 1; left < 0 {
			break
		}
		kept = append(kept, line)
	}
	slices.Reverse(kept)
	body := strings.Trim(strings.Join(kept, "\n"), "\n")
	if blank(body) {
		return ""
	}
	return open + body + end
}
