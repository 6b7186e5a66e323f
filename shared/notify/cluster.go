package notify

import "unicode"

// mostRunes ends a cluster that piles marks on marks, so that a letter costs a bounded
// part of a message.
const mostRunes = 16

// cluster is the length in bytes of what a reader sees as the first character of s: a base
// with its marks, an emoji with its modifiers and joined parts, a flag of two letters. It is the
// extended grapheme cluster of UAX #29 without its tables for Indic conjuncts, and never cuts a rune.
func cluster(s string) int {
	var previous rune
	flags, runes := 0, 0
	for i, r := range s {
		if isFlagLetter(r) {
			flags++
		}
		switch {
		case runes == 0:
		case runes == mostRunes, !joins(previous, r, flags):
			return i
		}
		runes++
		previous = r
	}
	return len(s)
}

// joins reports whether r continues the cluster that previous belongs to; flags counts the
// flag letters of the cluster, r included.
func joins(previous, r rune, flags int) bool {
	const joiner = '\u200d'
	switch {
	case r == joiner, unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc, unicode.Variation_Selector):
		return true
	case r >= 0x1f3fb && r <= 0x1f3ff: // skin tones
		return true
	case previous == joiner && r >= 0x203c: // parts of an emoji are joined; letters are only shaped
		return true
	case isFlagLetter(previous) && isFlagLetter(r):
		return flags == 2
	}
	return r >= 0x1160 && r <= 0x11ff // vowels and finals of a Hangul syllable
}

func isFlagLetter(r rune) bool { return r >= 0x1f1e6 && r <= 0x1f1ff }
