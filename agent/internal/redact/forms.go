package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// forms are the ways in which programs print a value: as it is, each of its lines and words that would be a secret alone, quoted and escaped
// as Go, JSON, YAML and shells do, with the dollars that Compose doubles, for URLs, in base64 (also in the middle of a longer text) and in hex.
// A value that was cut is found by its parts, whatever was cut off.
func forms(value string) []string {
	raw := []string{value}
	for _, v := range pieces(value) {
		if telling(v) {
			raw = append(raw, v)
		}
	}
	if unquoted := strings.Trim(value, `"'`); unquoted != value {
		raw = append(raw, unquoted)
	}
	slices.Sort(raw)
	var found []string
	for _, v := range slices.Compact(raw) {
		if len(v) < leastSecret {
			continue
		}
		found = append(found, v, inner(strconv.Quote(v)), inner(strconv.QuoteToASCII(v)), jsonOf(v),
			strings.ReplaceAll(v, "$", "$$"), strings.ReplaceAll(v, "'", `'\''`), strings.ReplaceAll(v, "'", `'"'"'`), strings.ReplaceAll(v, "'", "''"), backslashed(v),
			url.QueryEscape(v), url.PathEscape(v), hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))))
		found = append(found, base64Forms(v)...)
	}
	slices.Sort(found)
	return slices.DeleteFunc(slices.Compact(found), func(f string) bool { return len(f) < leastSecret })
}

// pieces are the lines and words of a value, and what stands between the characters that every shell quotes in its own way.
func pieces(value string) []string {
	var found []string
	for line := range strings.Lines(value) {
		found = append(found, strings.TrimSpace(line))
	}
	found = append(found, strings.Fields(value)...)
	return append(found, strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune("'\"`\\$", c) })...)
}

// leastPiece is the length, in bytes, from which a piece of a value is a secret by itself.
const leastPiece = 8

// telling reports whether a piece of a value would be a secret alone: long enough, and no word of a language. "correct horse" is a secret,
// and neither of its words is one.
func telling(piece string) bool {
	if len(piece) < leastPiece {
		return false
	}
	digit, letter, upper, lower, sign := false, false, false, false, false
	for i, c := range piece {
		switch {
		case unicode.IsDigit(c):
			digit = true
		case unicode.IsLetter(c):
			letter = true
			upper = upper || unicode.IsUpper(c) && i > 0
			lower = lower || unicode.IsLower(c)
		case !strings.ContainsRune("-_.,:;/ ", c):
			sign = true
		}
	}
	return sign || digit && letter || upper && lower
}

// inner takes the quotes away.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

func jsonOf(v string) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return v
	}
	return inner(string(raw))
}

// backslashed is how a shell writes a word without quotes.
func backslashed(v string) string {
	var out strings.Builder
	for _, c := range v {
		if strings.ContainsRune(" \t\"'\\$`!&;()|<>*?[]{}~#", c) {
			out.WriteByte('\\')
		}
		out.WriteRune(c)
	}
	return out.String()
}

// base64Forms are what base64 makes of a value, alone and wherever it stands in a longer text: there are three ways for its bytes to
// fall into the groups of three, and the characters at both ends depend on what stands beside it.
func base64Forms(v string) []string {
	var found []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			encoded := encoding.EncodeToString([]byte(strings.Repeat("\x00", before) + v))
			from := (before*8 + 5) / 6
			to := (before + len(v)) * 8 / 6
			if to-from >= leastSecret {
				found = append(found, encoded[from:to])
			}
		}
	}
	return found
}
