package git

import (
	"context"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// Fetch brings refs/remotes/REMOTE/BRANCH up to date, whatever was pushed by force, and
// returns its commit. Progress goes to onLine, which may be nil. Nothing else of
// the repository changes: no tags, no other branch, no submodule, not FETCH_HEAD.
func (r Repo) Fetch(ctx context.Context, remote, branch string, onLine func(process.Line)) (string, error) {
	if err := checkRemote(remote); err != nil {
		return "", err
	}
	if err := CheckBranch(branch); err != nil {
		return "", err
	}
	tracking := "refs/remotes/" + remote + "/" + branch
	if err := r.fetch(ctx, remote, "+refs/heads/"+branch+":"+tracking, onLine); err != nil {
		return "", err
	}
	return r.RevParseRef(ctx, tracking)
}

// FetchCommit makes sure that the repository has the commit, asking the remote only when
// it does not. The error is NotFound, UNKNOWN_COMMIT when the remote has no such commit.
func (r Repo) FetchCommit(ctx context.Context, remote, sha string, onLine func(process.Line)) error {
	if err := checkRemote(remote); err != nil {
		return err
	}
	if err := checkSHA(sha); err != nil {
		return err
	}
	if _, err := r.Resolve(ctx, sha); fault.ReasonOf(err) != "UNKNOWN_COMMIT" {
		return err
	}
	return r.fetch(ctx, remote, sha, onLine)
}

// RemoteHead is the commit that a branch has at the remote. It writes nothing. The error is NotFound, NO_SUCH_BRANCH, where the remote has none.
func (r Repo) RemoteHead(ctx context.Context, remote, branch string) (string, error) {
	if err := checkRemote(remote); err != nil {
		return "", err
	}
	if err := CheckBranch(branch); err != nil {
		return "", err
	}
	ref := "refs/heads/" + branch
	out, err := r.do(ctx, run{fetch: true, limit: answerLimit, args: []string{"ls-remote", "--refs", "--upload-pack=git-upload-pack", "--", remote, ref}})
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if sha, name, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && name == ref && IsSHA(sha) {
			return sha, nil
		}
	}
	return "", fault.New(fault.NotFound, "NO_SUCH_BRANCH", "%s has no branch %s", remote, branch)
}

func (r Repo) fetch(ctx context.Context, remote, refspec string, onLine func(process.Line)) error {
	_, err := r.do(ctx, run{
		fetch: true, onLine: onLine,
		args: []string{
			"fetch", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--progress", "--upload-pack=git-upload-pack", "--", remote, refspec,
		},
	})
	return err
}
