package git

import (
	"context"
	"strings"
)

// Setting is one line of a configuration.
type Setting struct {
	Scope string // "system", "global", "local", "worktree", "command"
	Key   string // "filter.lfs.smudge", in lower case apart from its middle part
	Value string
}

// Settings lists the settings whose keys match a regular expression (git-config(1), --get-regexp), of every file that git reads here.
func (r Repo) Settings(ctx context.Context, pattern string) ([]Setting, error) {
	const limit = 1 << 20 // bytes; a configuration is written by people
	out, err := r.do(ctx, run{args: []string{"config", "--show-scope", "--null", "--get-regexp", pattern}, limit: limit})
	if err != nil {
		if exitCode(err) == 1 {
			return nil, nil // none
		}
		return nil, err
	}
	var found []Setting
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		key, value, _ := strings.Cut(fields[i+1], "\n")
		if fields[i] != "command" { // our own
			found = append(found, Setting{fields[i], key, value})
		}
	}
	return found, nil
}
