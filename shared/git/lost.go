package git

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// CommitInfo is what a person wants to know of a commit. The texts are UTF-8 as far as
// the commit says its encoding truly, else raw bytes.
type CommitInfo struct {
	SHA     string
	Subject string    // first line of the message
	Author  string    // name only
	Time    time.Time // committer's, by the clock of whoever made it
}

// Describe looks one commit up. The error is NotFound, UNKNOWN_COMMIT when the repository lacks it.
func (r Repo) Describe(ctx context.Context, sha string) (CommitInfo, error) {
	if err := checkSHA(sha); err != nil {
		return CommitInfo{}, err
	}
	if _, err := r.Resolve(ctx, sha); err != nil {
		return CommitInfo{}, err
	}
	commits, err := r.revList(ctx, "", "--no-walk", sha)
	if err == nil && len(commits) != 1 {
		err = fmt.Errorf("git rev-list described %d commits for %s", len(commits), sha)
	}
	if err != nil {
		return CommitInfo{}, err
	}
	return commits[0], nil
}

// OnlyIn lists the commits that one of tips contains, and neither one of others nor any
// remote-tracking branch, newest first, at most limit. tips and others are revisions; those
// that the repository does not have are passed over.
func (r Repo) OnlyIn(ctx context.Context, tips, others []string, limit int) ([]CommitInfo, error) {
	var revisions strings.Builder
	for _, tip := range tips {
		if err := checkRevision(tip); err != nil {
			return nil, err
		}
		revisions.WriteString(tip + "\n")
	}
	for _, other := range others {
		if err := checkRevision(other); err != nil {
			return nil, err
		}
		revisions.WriteString("^" + other + "\n")
	}
	return r.revList(ctx, revisions.String(), "--ignore-missing", "--max-count="+strconv.Itoa(limit), "--stdin", "--not", "--remotes")
}

// revList describes commits. Not git log: configuration can make that run programs that check signatures.
func (r Repo) revList(ctx context.Context, revisions string, arguments ...string) ([]CommitInfo, error) {
	args := append([]string{"rev-list", "--encoding=UTF-8", "--format=%ct%x00%an%x00%s"}, arguments...)
	var out strings.Builder
	if _, err := r.do(ctx, run{args: args, stdin: revisions, stdout: out.Write}); err != nil {
		return nil, err
	}
	return parseCommits(out.String())
}

// parseCommits reads "commit SHA" and "SECONDS NUL AUTHOR NUL SUBJECT", a line each.
func parseCommits(text string) ([]CommitInfo, error) {
	var commits []CommitInfo
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		return nil, nil
	}
	for i := 0; i+1 < len(lines); i += 2 {
		sha, ok := strings.CutPrefix(lines[i], "commit ")
		f := strings.SplitN(lines[i+1], "\x00", 3)
		if !ok || len(f) != 3 {
			return nil, fmt.Errorf("git rev-list printed %q and %q", lines[i], lines[i+1])
		}
		c := CommitInfo{SHA: sha, Author: f[1], Subject: f[2]}
		if seconds, err := strconv.ParseInt(f[0], 10, 64); err == nil {
			c.Time = time.Unix(seconds, 0)
		}
		commits = append(commits, c)
	}
	return commits, nil
}

// Reflog lists the commits that a ref was at, as far as the repository remembers, newest
// first. A ref without such a memory, or no ref at all, gives none.
func (r Repo) Reflog(ctx context.Context, ref string) ([]string, error) {
	if why := badRef(ref); why != "" {
		return nil, fault.New(fault.Invalid, "INVALID_REF", "%q is not a ref name: %s", ref, why)
	}
	if _, err := r.answer(ctx, "reflog", "exists", ref); err != nil {
		if exitCode(err) == 1 {
			return nil, nil
		}
		return nil, err
	}
	var out strings.Builder
	if _, err := r.do(ctx, run{args: []string{"rev-list", "--walk-reflogs", ref}, stdout: out.Write}); err != nil {
		return nil, err
	}
	return strings.Fields(out.String()), nil
}
