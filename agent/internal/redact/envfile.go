package redact

import (
	"regexp"
	"slices"
	"strings"
)

// name is what may stand before the = of an environment file.
var name = regexp.MustCompile(`^(?:export\s+)?[A-Za-z_][A-Za-z0-9_.-]*$`)

// EnvFile lists the values of an environment file. It is no parser: a file that is broken holds secrets, too, and an error that quotes
// it must not. So each line gives what may be a value however it is read: all of it behind the = with and without quotes and
// comments, a line without a name altogether, and what several lines are within quotes.
func EnvFile(text string) []string {
	var values []string
	open, gathered := byte(0), ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if open != 0 {
			gathered += "\n" + line
			values = append(values, strings.TrimSpace(line), strings.Trim(line, `"' `))
			if strings.IndexByte(line, open) >= 0 {
				values = append(values, strings.Trim(gathered, `"' `))
				open, gathered = 0, ""
			}
			continue
		}
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		key, value, assigned := strings.Cut(trimmed, "=")
		if !assigned {
			key, value, assigned = strings.Cut(trimmed, ":")
		}
		if !assigned || !name.MatchString(strings.TrimSpace(key)) {
			for _, v := range append(strings.Fields(trimmed), trimmed) {
				if !slices.Contains(shellWords, v) {
					values = append(values, v)
				}
			}
		}
		if !assigned {
			continue
		}
		value = strings.TrimSpace(value)
		values = append(values, candidates(strings.TrimSpace(key), value)...)
		if value != "" && (value[0] == '"' || value[0] == '\'') && strings.Count(value, value[:1]) == 1 {
			open, gathered = value[0], value[1:]
		}
	}
	return values
}

// shellWords stand alone in files that a shell reads, too.
var shellWords = []string{"export", "source", "declare", "readonly", "unset"}

// candidates are what a value may be read as.
func candidates(key, value string) []string {
	bare := strings.Trim(value, `"'`)
	before, _, commented := strings.Cut(value, " #")
	list := []string{value, bare}
	if commented {
		list = append(list, strings.TrimSpace(before), strings.Trim(strings.TrimSpace(before), `"'`))
	}
	return slices.DeleteFunc(list, func(v string) bool { return !Secret(key, v) })
}

// secretKey is in the name of a variable that is a secret whatever its value looks like.
var secretKey = regexp.MustCompile(`(?i)pass|secret|token|key|cred|auth|private|dsn|webhook|salt|cookie|session|signature|license|pwd|pin\b|jwt|otp|seed|(?:^|_)pw(?:_|$)`)

// Sounds reports whether a variable is a secret by its name.
func Sounds(key string) bool { return secretKey.MatchString(key) }

// harmlessKey ends the name of a variable that sounds like a secret and says how it is used: AUTH_METHOD, SESSION_DRIVER.
var harmlessKey = regexp.MustCompile(`(?i)_(driver|type|method|mode|backend|user|name|file|path|prefix|host|port|algorithm|ttl|age|size)$`)

// plain are values that tell nothing: numbers, sizes, times, words for yes and no, zones and languages, one plain word, paths.
var plain = regexp.MustCompile(`^(?:[+-]?[0-9]+(?:[.,][0-9]+)*(?:[a-zA-Z]{1,3})?|(?i:true|false|enabled|disabled|always|unless-stopped|none|null|default)|[A-Z][a-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?|[a-z]{2}_[A-Z]{2}(?:\.[A-Za-z0-9-]+)?|[a-z]{2,12}|[A-Z]{2,12}|\.{0,2}/[A-Za-z0-9._/-]*)$`)

// Secret reports whether the value of a variable is one. What is not plain is: a name that does not sound like a secret may hold one.
func Secret(key, value string) bool {
	if len(value) < leastSecret || strings.HasPrefix(key, "COMPOSE_") { // those steer Compose: files, projects, profiles
		return false
	}
	return secretKey.MatchString(key) && !harmlessKey.MatchString(key) || !plain.MatchString(value)
}
