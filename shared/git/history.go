package git

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// TouchedPaths lists every path that a commit in head and not in base changed against any of
// its parents, each once, ordered by bytes; a rename is two paths. Where base is an ancestor of
// head that is a superset of the paths of every two-dot diff between commits on the way:
// what was changed and changed back is in it. The error is Failed, SHALLOW_HISTORY in a
// shallow clone, whose oldest commits do not show what they removed; NotFound,
// UNKNOWN_COMMIT when either is not here.
func (r Repo) TouchedPaths(ctx context.Context, base, head string) ([]string, error) {
	for _, sha := range []string{base, head} {
		if err := checkSHA(sha); err != nil {
			return nil, err
		}
	}
	shallow, err := r.IsShallow(ctx)
	if err == nil && shallow {
		err = fault.New(fault.Failed, "SHALLOW_HISTORY", "%s is a shallow clone, so nobody can tell what its commits changed", r.Dir).
			WithHint("fetch the whole history: git fetch --unshallow, or fetch-depth: 0 of actions/checkout")
	}
	if err != nil {
		return nil, err
	}
	var commits bytes.Buffer
	if _, err := r.do(ctx, run{args: []string{"rev-list", "^" + base, head}, stdout: commits.Write}); err != nil {
		return nil, err
	}
	if commits.Len() == 0 {
		return nil, nil
	}
	seen := map[string]bool{}
	fields := nulSplitter{field: func(path string) error {
		seen[path] = true
		return nil
	}}
	_, err = r.do(ctx, run{stdin: commits.String(), stdout: fields.Write, args: []string{
		"diff-tree", "--stdin", "-r", "-m", "--root", "-z", "--name-only", "--no-commit-id", "--no-renames", "--no-ext-diff",
		"--no-textconv", "--no-color", "--ignore-submodules=none",
	}})
	if err = errors.Join(err, fields.Close()); err != nil {
		return nil, err
	}
	paths := make([]string, 0, len(seen))
	for path := range seen {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths, nil
}

// Message is a commit's message as its author wrote it: raw bytes, not always UTF-8. The
// error is NotFound, UNKNOWN_COMMIT when the repository lacks the commit.
func (r Repo) Message(ctx context.Context, sha string) (string, error) {
	_, message, err := r.commit(ctx, sha)
	return message, err
}

// CommitTime is when the commit was made, by the clock of whoever made it. The error is
// NotFound, UNKNOWN_COMMIT when the repository lacks the commit.
func (r Repo) CommitTime(ctx context.Context, sha string) (time.Time, error) {
	headers, _, err := r.commit(ctx, sha)
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(headers) { // committer Ada <ada@example.org> 1767268800 +0000
		if f := strings.Fields(line); len(f) > 2 && f[0] == "committer" {
			if seconds, err := strconv.ParseInt(f[len(f)-2], 10, 64); err == nil {
				return time.Unix(seconds, 0), nil
			}
		}
	}
	return time.Time{}, fault.New(fault.Failed, "GIT_FAILED", "commit %s has no date", sha)
}

// commit is a commit's object: its headers and its message.
func (r Repo) commit(ctx context.Context, sha string) (headers, message string, err error) {
	if err := checkSHA(sha); err != nil {
		return "", "", err
	}
	if _, err := r.Resolve(ctx, sha); err != nil {
		return "", "", err
	}
	var object bytes.Buffer
	// Not git log: configuration can make that run programs that check signatures.
	if _, err := r.do(ctx, run{args: []string{"cat-file", "commit", sha}, stdout: object.Write}); err != nil {
		return "", "", err
	}
	headers, message, _ = strings.Cut(object.String(), "\n\n") // headers of many lines are indented, so no blank line is among them
	return headers, message, nil
}
