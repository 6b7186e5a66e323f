package workflowcommand

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
)

// Inert makes a line that is no command of ours one that the runner takes for text. The runner looks for :: at the
// beginning of a line without its white space; it and the log's viewer look for ##[ everywhere
// (https://github.com/actions/runner, ActionCommand.cs). A carriage return ends a line for it, too. A line that is a JSON
// object means the same afterwards: its marks become escapes.
func Inert(line string) string {
	if !strings.Contains(line, "::") && !strings.Contains(line, "##") {
		return line // nearly every line
	}
	if strings.HasPrefix(line, "{") && json.Valid([]byte(line)) {
		return BreakMarksInJSON(line)
	}
	parts := strings.Split(line, "\r")
	for i, part := range parts {
		if before, _, ok := strings.Cut(part, "::"); ok && !strings.ContainsFunc(before, isWord) {
			parts[i] = "| " + part
		}
	}
	return BreakMarks(strings.Join(parts, "\r"))
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// marks are ##[group] and its like, and the older ##vso[task.setvariable], which runners of the same family obey.
var marks = regexp.MustCompile(`##((?i:vso)?)\[`)

// BreakMarks makes marks inert, which the runner and the log's viewer act on wherever they stand in a line.
func BreakMarks(text string) string {
	if !strings.Contains(text, "##") {
		return text
	}
	return marks.ReplaceAllString(text, "##$1 [")
}

// BreakMarksInJSON makes marks inert in a JSON text, where they can stand in strings only, without changing its values.
func BreakMarksInJSON(text string) string { return marks.ReplaceAllString(text, `##$1\u005b`) }
