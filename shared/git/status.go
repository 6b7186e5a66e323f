package git

import (
	"context"
	"fmt"
	"strings"
)

// Entry is one path that git status reports.
type Entry struct {
	Index    byte   // change in the index against HEAD: one of .MTADU, ? for untracked
	Worktree byte   // change in the working tree against the index, likewise
	Path     string // from the top, slash-separated, as raw bytes
}

// Untracked reports whether git does not know the path.
func (e Entry) Untracked() bool { return e.Index == '?' }

// Status lists changed, unmerged and untracked paths in git's order; renames are a
// deletion and an addition, an untracked folder is one entry with a slash at its end.
// An empty list is a clean tree. It takes no lock.
func (r Repo) Status(ctx context.Context) ([]Entry, error) {
	var entries []Entry
	fields := nulSplitter{field: func(text string) error {
		entry, ok, err := parseStatus(text)
		if ok {
			entries = append(entries, entry)
		}
		return err
	}}
	_, err := r.do(ctx, run{stdout: fields.Write, args: []string{
		"status", "--porcelain=v2", "-z", "--untracked-files=normal", "--no-renames", "--ignore-submodules=none",
	}})
	if err != nil {
		return nil, err
	}
	return entries, fields.Close()
}

// parseStatus reads one record of porcelain format version 2 (git-status(1)); ok is
// false for headers.
func parseStatus(text string) (e Entry, ok bool, err error) {
	before := 0 // fields in front of the path
	switch {
	case strings.HasPrefix(text, "1 "):
		before = 8
	case strings.HasPrefix(text, "u "):
		before = 10
	case strings.HasPrefix(text, "? "):
		return Entry{Index: '?', Worktree: '?', Path: text[2:]}, true, nil
	case strings.HasPrefix(text, "# "):
		return Entry{}, false, nil
	}
	f := strings.SplitN(text, " ", before+1)
	if before == 0 || len(f) != before+1 || len(f[1]) != 2 {
		return Entry{}, false, fmt.Errorf("git status printed %q", text)
	}
	return Entry{Index: f[1][0], Worktree: f[1][1], Path: f[before]}, true, nil
}
