package git

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Head is the checked-out commit. A repository without a commit gives NotFound, UNKNOWN_COMMIT.
func (r Repo) Head(ctx context.Context) (string, error) { return r.Resolve(ctx, "HEAD") }

// Resolve is the full SHA of the commit that rev names (a SHA, branch, tag or
// expression of gitrevisions(7)). The error is NotFound, UNKNOWN_COMMIT when the
// repository does not have it; nothing is fetched.
func (r Repo) Resolve(ctx context.Context, rev string) (string, error) {
	if err := checkRevision(rev); err != nil {
		return "", err
	}
	sha, err := r.answer(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if code := exitCode(err); code == 1 || (code == 128 && fault.ReasonOf(err) == "GIT_FAILED") {
		return "", unknownCommit(rev, r.Dir)
	}
	if err != nil {
		return "", err
	}
	if !IsSHA(sha) {
		return "", fault.New(fault.Failed, "GIT_FAILED", "git rev-parse answered %q for %q", sha, rev)
	}
	return sha, nil
}

// RevParseRef is the commit of a full ref name such as refs/remotes/origin/main. The
// error is NotFound, UNKNOWN_REF when there is no such ref.
func (r Repo) RevParseRef(ctx context.Context, ref string) (string, error) {
	if why := badRef(ref); why != "" {
		return "", fault.New(fault.Invalid, "INVALID_REF", "%q is not a ref name: %s", ref, why)
	}
	sha, err := r.Resolve(ctx, ref)
	if fault.ReasonOf(err) == "UNKNOWN_COMMIT" {
		return "", fault.New(fault.NotFound, "UNKNOWN_REF", "%s has no ref %s", r.Dir, ref).
			WithHint("fetch it first, or check its name")
	}
	return sha, err
}

// IsAncestor reports whether commit a is commit b or one of its ancestors. In a shallow
// clone "no" cannot be known: the error is then Failed, SHALLOW_HISTORY.
func (r Repo) IsAncestor(ctx context.Context, a, b string) (bool, error) {
	for _, sha := range []string{a, b} {
		if err := checkSHA(sha); err != nil {
			return false, err
		}
	}
	_, err := r.answer(ctx, "merge-base", "--is-ancestor", a, b)
	if err == nil {
		return true, nil
	}
	if exitCode(err) != 1 {
		return false, err
	}
	shallow, err := r.IsShallow(ctx)
	if err == nil && shallow {
		err = fault.New(fault.Failed, "SHALLOW_HISTORY", "%s is a shallow clone, so nobody can tell whether %s is an ancestor of %s", r.Dir, a, b).
			WithHint("fetch the whole history: git fetch --unshallow, or fetch-depth: 0 of actions/checkout")
	}
	return false, err
}

// IsShallow reports whether the repository lacks a part of its history.
func (r Repo) IsShallow(ctx context.Context) (bool, error) {
	text, err := r.answer(ctx, "rev-parse", "--is-shallow-repository")
	return text == "true", err
}

// CountCommits is the number of commits that are in head and not in base; too small
// in a shallow clone.
func (r Repo) CountCommits(ctx context.Context, base, head string) (int, error) {
	for _, sha := range []string{base, head} {
		if err := checkSHA(sha); err != nil {
			return 0, err
		}
	}
	text, err := r.answer(ctx, "rev-list", "--count", "^"+base, head)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fault.Wrap(err, fault.Failed, "GIT_FAILED", "git rev-list --count answered %q", text)
	}
	return n, nil
}

// RemoveStaleLock removes the working tree's index.lock when it is older than minAge, or as far
// in the future because the clock was set back since, and reports whether it did. The caller must know that no git runs there: after a
// crash that killed our own child, or by asking a person.
func (r Repo) RemoveStaleLock(ctx context.Context, minAge time.Duration) (bool, error) {
	path, err := r.answer(ctx, "rev-parse", "--git-path", "index.lock")
	if err != nil {
		return false, err
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.Dir, path)
	}
	info, err := os.Lstat(path)
	if os.IsNotExist(err) || (err == nil && time.Since(info.ModTime()).Abs() < minAge) {
		return false, nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return false, fault.Wrap(err, fault.Failed, "LOCK_NOT_REMOVED", "remove the leftover %s", path)
	}
	return true, nil
}
