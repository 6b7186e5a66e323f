package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// forms are the ways in which programs print a value: as it is, each of its lines, quoted and escaped as Go, JSON, YAML and shells
// do, with the dollars that Compose doubles, for URLs, in base64 (also in the middle of a longer text) and in hex.
func forms(value string) []string {
	raw := []string{value}
	for line := range strings.Lines(value) {
		raw = append(raw, strings.TrimSpace(line))
	}
	raw = append(raw, strings.Fields(value)...)
	raw = append(raw, strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune("'\"`\\$", c) })...) // every shell quotes in its own way
	if unquoted := strings.Trim(value, `"'`); unquoted != value {
		raw = append(raw, unquoted)
	}
	var found []string
	for _, v := range raw {
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
