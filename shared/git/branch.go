package git

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// Branch is the branch that is checked out, "main" say; "" when HEAD is detached.
func (r Repo) Branch(ctx context.Context) (string, error) {
	ref, err := r.answer(ctx, "symbolic-ref", "--quiet", "HEAD")
	if exitCode(err) == 1 {
		return "", nil
	}
	return strings.TrimPrefix(ref, "refs/heads/"), err
}

// Dirs are the folder of this working tree's own state (HEAD, the index) and the one
// of what all working trees share (objects, branches), absolute; the same for most clones.
func (r Repo) Dirs(ctx context.Context) (own, common string, err error) {
	text, err := r.answer(ctx, "rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir")
	if err != nil {
		return "", "", err
	}
	own, common, ok := strings.Cut(text, "\n")
	if !ok || !filepath.IsAbs(own) || !filepath.IsAbs(common) {
		return "", "", fault.New(fault.Failed, "GIT_FAILED", "git rev-parse answered %q for the folders of %s", text, r.Dir)
	}
	return own, common, nil
}

// unfinished are the traces that git leaves in its folder while an operation of several
// steps is under way (wt-status.c looks for the same), most telling first.
var unfinished = [...]struct{ file, operation string }{
	{"rebase-merge", "rebase"},
	{"rebase-apply/applying", "am"},
	{"rebase-apply", "rebase"},
	{"MERGE_HEAD", "merge"},
	{"CHERRY_PICK_HEAD", "cherry-pick"},
	{"REVERT_HEAD", "revert"},
	{"sequencer", "cherry-pick"},
	{"BISECT_LOG", "bisect"},
}

// Unfinished is the operation that a person began in this working tree and did not end:
// merge, rebase, am, cherry-pick, revert or bisect; "" when there is none. heads are the
// commits that only its state may name.
func (r Repo) Unfinished(ctx context.Context) (operation string, heads []string, err error) {
	own, _, err := r.Dirs(ctx)
	if err != nil {
		return "", nil, err
	}
	for _, u := range unfinished {
		_, err := os.Lstat(filepath.Join(own, u.file))
		if err == nil {
			operation = u.operation
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", nil, fault.Wrap(err, fault.Failed, "GIT_FAILED", "look for a merge or rebase in %s", r.Dir)
		}
	}
	if operation == "" {
		return "", nil, nil
	}
	for _, name := range []string{"MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "ORIG_HEAD"} {
		text, err := boundedfile.Read(filepath.Join(own, name), answerLimit)
		if err != nil {
			continue // most are absent, and a head that cannot be read cannot be kept
		}
		for sha := range strings.FieldsSeq(string(text)) {
			if IsSHA(sha) {
				heads = append(heads, sha)
			}
		}
	}
	return operation, heads, nil
}

// Switch makes the working tree, the index and the branch those of sha and checks the
// branch out, as long as nothing is lost by it: where an edited file or anything untracked,
// ignored or not, is in the way it changes nothing and is Refused, DIRTY_TREE or
// UNTRACKED_IN_THE_WAY. Two things it does not see: commits of the branch
// that are nowhere else, and the content of a submodule's folder where sha has a file.
// onLine may be nil.
func (r Repo) Switch(ctx context.Context, branch, sha string, onLine func(process.Line)) error {
	return r.move(ctx, branch, sha, onLine, "--no-overwrite-ignore")
}

// ForceSwitch is Switch that overwrites edited files and removes what is untracked and in
// the way, whole folders too. It also takes up what a killed git left half done. An empty
// branch leaves HEAD detached at sha, and no branch moves.
func (r Repo) ForceSwitch(ctx context.Context, branch, sha string, onLine func(process.Line)) error {
	return r.move(ctx, branch, sha, onLine, "--force")
}

func (r Repo) move(ctx context.Context, branch, sha string, onLine func(process.Line), how string) error {
	args := []string{"checkout", "--quiet", "--no-recurse-submodules"}
	if branch == "" {
		args = append(args, how, "--detach", sha, "--")
	} else {
		if err := CheckBranch(branch); err != nil {
			return err
		}
		args = append(args, "--no-track", how, "-B", branch, sha, "--")
	}
	if err := checkSHA(sha); err != nil {
		return err
	}
	_, err := r.do(ctx, run{onLine: onLine, args: args})
	if err != nil {
		return err
	}
	head, err := r.Head(ctx)
	if err != nil {
		return err
	}
	now, err := r.Branch(ctx)
	if err == nil && (head != sha || now != branch) {
		err = fault.New(fault.Failed, "RESET_MISSED", "%s is at %s on %q after a checkout of %s on %q", r.Dir, head, now, sha, branch)
	}
	return err
}

// SetBranch makes a branch that is not checked out mean a commit; "" takes the branch away, were there one. The error is NotFound, UNKNOWN_COMMIT when the
// repository does not have the commit.
func (r Repo) SetBranch(ctx context.Context, branch, sha string) error {
	if err := CheckBranch(branch); err != nil {
		return err
	}
	if sha == "" {
		_, err := r.do(ctx, run{args: []string{"update-ref", "-d", "refs/heads/" + branch}})
		return err
	}
	if err := checkSHA(sha); err != nil {
		return err
	}
	if _, err := r.Resolve(ctx, sha); err != nil {
		return err
	}
	_, err := r.do(ctx, run{args: []string{"update-ref", "refs/heads/" + branch, sha}})
	return err
}
