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
// comments, a line without a name altogether, and what several lines are within quotes. A quote that nobody closes takes nothing away: the
// lines after it are read as if it were not there, too.
func EnvFile(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var values []string
	var open byte // the quote within which a line stands, 0 for none
	begun, at := 0, 0
	for line := range strings.Lines(text) {
		start := at
		at += len(line)
		line = strings.TrimRight(line, "\r\n")
		found, quote, within := readLine(line)
		values = append(values, found...)
		if open == 0 {
			open, begun = quote, start+within
			continue
		}
		values = append(values, strings.TrimSpace(line), strings.Trim(line, `"' `))
		if strings.IndexByte(line, open) >= 0 {
			values = append(values, strings.Trim(text[begun:start+len(line)], `"' `))
			open = 0
		}
	}
	return values
}

// readLine lists what a line may hold, and the quote that it opens and does not close, with where what is quoted begins.
func readLine(line string) (values []string, open byte, at int) {
	trimmed := strings.TrimSpace(line)
	if trimmed == "" || trimmed[0] == '#' {
		return nil, 0, 0
	}
	key, value, assigned := strings.Cut(trimmed, "=")
	if !assigned {
		key, value, assigned = strings.Cut(trimmed, ":")
	}
	if !assigned || !name.MatchString(strings.TrimSpace(key)) {
		values = append(values, unnamed(trimmed)...)
	}
	if !assigned {
		return values, 0, 0
	}
	value = strings.TrimSpace(value)
	values = append(values, candidates(strings.TrimSpace(key), value)...)
	if value != "" && (value[0] == '"' || value[0] == '\'') && strings.Count(value, value[:1]) == 1 {
		return values, value[0], strings.LastIndex(line, value) + 1
	}
	return values, 0, 0
}

// shellWords stand alone in files that a shell reads, too.
var shellWords = []string{"export", "source", "declare", "readonly", "unset"}

// unnamed is what a line may hold that gives its value no name: all of it, and its words but for those of a language.
func unnamed(line string) []string {
	if slices.Contains(shellWords, line) {
		return nil
	}
	values := []string{line}
	for _, word := range strings.Fields(line) {
		if telling(word) {
			values = append(values, word)
		}
	}
	return values
}

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
