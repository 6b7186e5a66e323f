package workflow

import (
	"regexp"
	"strings"
)

// skipTokens keep push and pull_request from starting anything, wherever they stand in
// the head commit's message. Source:
// https://docs.github.com/actions/how-tos/manage-workflow-runs/skip-workflow-runs
var skipTokens = []string{"[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"}

var (
	skipTrailer = regexp.MustCompile(`^skip-checks: ?true$`)
	trailer     = regexp.MustCompile(`^[A-Za-z0-9-]+:`)
)

// SkipsCI reports whether the message of a push's head commit keeps GitHub from starting
// workflows on push: one of five tokens, or "skip-checks: true" as the last trailer. GitHub
// does not say whether case counts; only what is spelled as documented counts here, since a
// workflow that is wrongly thought skipped is one that nobody waits for.
func SkipsCI(message string) bool {
	for _, token := range skipTokens {
		if strings.Contains(message, token) {
			return true
		}
	}
	message = strings.ReplaceAll(message, "\r\n", "\n")
	paragraphs := strings.Split(strings.TrimRight(message, " \t\n"), "\n\n")
	lines := strings.Split(strings.TrimLeft(paragraphs[len(paragraphs)-1], "\n"), "\n")
	if len(paragraphs) < 2 || !skipTrailer.MatchString(lines[len(lines)-1]) {
		return false
	}
	for _, line := range lines {
		if !trailer.MatchString(line) {
			return false
		}
	}
	return true
}
