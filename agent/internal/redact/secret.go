package redact

import (
	"regexp"
	"slices"
	"strings"
)

// secretKey is in the name of a variable that is a secret whatever its value looks like.
var secretKey = regexp.MustCompile(`(?i)pass|secret|token|key|cred|auth|private|dsn|webhook|salt|cookie|session|signature|license|pwd|pin\b|jwt|otp|seed|(?:^|_)pw(?:_|$)`)

// Sounds reports whether a variable is a secret by its name.
func Sounds(key string) bool { return secretKey.MatchString(key) }

// harmlessKey ends the name of a variable that sounds like a secret and says how it is used: AUTH_METHOD, SESSION_DRIVER.
var harmlessKey = regexp.MustCompile(`(?i)_(driver|type|method|mode|backend|user|name|file|path|prefix|host|port|algorithm|ttl|age|size)$`)

// plain are values that tell nothing: numbers, sizes, times, words for yes and no, zones and languages, one plain word, paths, images and
// their digests.
var plain = regexp.MustCompile(`^(?:[+-]?[0-9]+(?:[.,][0-9]+)*(?:[a-zA-Z]{1,3})?|(?i:true|false|enabled|disabled|always|unless-stopped|none|null|default)|[A-Z][a-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?|[a-z]{2}_[A-Z]{2}(?:\.[A-Za-z0-9-]+)?|[a-z]{2,12}|[A-Z]{2,12}|\.{0,2}/[A-Za-z0-9._/-]*|(?:[a-z0-9][a-z0-9./:_-]*@)?sha256:[0-9a-f]{64})$`)

// Secret reports whether the value of a variable is one. What is not plain is: a name that does not sound like a secret may hold one.
func Secret(key, value string) bool {
	if len(value) < leastSecret || strings.HasPrefix(key, "COMPOSE_") { // those steer Compose: files, projects, profiles
		return false
	}
	return secretKey.MatchString(key) && !harmlessKey.MatchString(key) || !plain.MatchString(value)
}

// commit is what may name a commit: a hash, or the beginning of one.
var commit = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// Commits lists the values that may name commits. Whether they do, the repository knows; those that do are no secrets.
func Commits(values []string) []string {
	var found []string
	for _, v := range values {
		if commit.MatchString(v) {
			found = append(found, v)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
