package runner

import (
	"fmt"
	"regexp"
	"strings"
)

// ParseFile reads a file of NAME=VALUE lines and NAME<<DELIMITER blocks; whichever mark comes first in a line
// decides (actions/runner, FileCommandManager.cs). What the runner refuses, and fails the step for, is an error.
func ParseFile(text string) (map[string]string, error) {
	values := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if line == "" {
			continue
		}
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case equals > 0 && (heredoc < 0 || equals < heredoc):
			values[line[:equals]] = line[equals+1:]
			continue
		case heredoc <= 0 || line[heredoc+2:] == "":
			return nil, fmt.Errorf("the runner refuses the line %q", line)
		}
		name, delimiter := line[:heredoc], line[heredoc+2:]
		var value []string
		for i++; i < len(lines) && lines[i] != delimiter; i++ {
			value = append(value, lines[i])
		}
		if i == len(lines) {
			return nil, fmt.Errorf("the value of %s has no line %q at its end", name, delimiter)
		}
		values[name] = strings.Join(value, "\n")
	}
	return values, nil
}

// Command is a workflow command that the runner obeys.
type Command struct {
	Name       string
	Properties string // as written
	Value      string // unescaped
}

var commandLine = regexp.MustCompile(`^\s*::([A-Za-z-]+)(?: ([^\r\n]*?))?::([^\r\n]*)$`)

// Commands are those in a step's log, but for what stands between stop-commands and its token
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
func Commands(log string) []Command {
	var out []Command
	stopped := ""
	unescape := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%")
	for _, line := range strings.FieldsFunc(log, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if stopped != "" {
			if strings.TrimSpace(line) == "::"+stopped+"::" {
				stopped = ""
			}
			continue
		}
		m := commandLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if m[1] == "stop-commands" {
			stopped = m[3]
			continue
		}
		out = append(out, Command{Name: m[1], Properties: m[2], Value: unescape.Replace(m[3])})
	}
	return out
}
