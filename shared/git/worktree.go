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

// ResetHard makes the working tree, the index and the current branch exactly sha.
// Untracked files stay, except those in the way of tracked ones. onLine may be nil.
func (r Repo) ResetHard(ctx context.Context, sha string, onLine func(process.Line)) error {
	if err := checkSHA(sha); err != nil {
		return err
	}
	if _, err := r.do(ctx, run{args: []string{"reset", "--hard", "--no-recurse-submodules", sha, "--"}, onLine: onLine}); err != nil {
		return err
	}
	head, err := r.Head(ctx)
	if err == nil && head != sha {
		err = fault.New(fault.Failed, "RESET_MISSED", "%s is at %s after a reset to %s", r.Dir, head, sha)
	}
	return err
}

// FastForward moves the current branch and the working tree forward to sha as git pull
// --ff-only would. The error is Refused with NOT_A_FAST_FORWARD or DIRTY_TREE.
func (r Repo) FastForward(ctx context.Context, sha string, onLine func(process.Line)) error {
	head, err := r.Head(ctx)
	if err != nil {
		return err
	}
	ahead, err := r.IsAncestor(ctx, head, sha)
	if err != nil {
		return err
	}
	if !ahead {
		return fault.New(fault.Refused, "NOT_A_FAST_FORWARD", "%s is at %s, which is not an ancestor of %s", r.Dir, head, sha).
			WithHint("local commits or a force-push: deploy the commit explicitly, which resets the checkout")
	}
	_, err = r.do(ctx, run{args: []string{"merge", "--ff-only", "--no-verify-signatures", "--no-stat", sha}, onLine: onLine})
	return err
}

// CheckoutPaths gives tracked files that match the patterns and were changed or deleted
// back their content of HEAD, and returns their paths. A pattern is a glob of
// gitglossary(7) pathspecs from the top (** crosses folders); a leading ! excludes.
// Untracked and newly added files are left alone; a pattern may match nothing.
func (r Repo) CheckoutPaths(ctx context.Context, patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	args := []string{"diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--diff-filter=MDT", "HEAD", "--"}
	for _, p := range patterns {
		if rest, excluded := strings.CutPrefix(p, "!"); excluded {
			args = append(args, ":(top,glob,exclude)"+rest)
		} else {
			args = append(args, ":(top,glob)"+p)
		}
	}
	var paths []string
	fields := nulSplitter{field: func(path string) error {
		paths = append(paths, path)
		return nil
	}}
	if _, err := r.do(ctx, run{args: args, stdout: fields.Write}); err != nil {
		return nil, err
	}
	if err := fields.Close(); err != nil || len(paths) == 0 {
		return nil, err
	}
	_, err := r.do(ctx, run{
		args:  []string{"checkout", "--no-recurse-submodules", "--pathspec-from-file=-", "--pathspec-file-nul", "HEAD"},
		env:   []string{"GIT_LITERAL_PATHSPECS=1"},
		stdin: strings.Join(paths, "\x00"),
	})
	return paths, err
}

// WorktreeAdd checks sha out into a new side worktree at dir, an absolute path that does
// not exist yet, and returns it. It shares the objects of r and touches no branch.
func (r Repo) WorktreeAdd(ctx context.Context, dir, sha string) (Repo, error) {
	side := Repo{Dir: dir, Options: r.Options}
	if err := r.checkSide(dir); err != nil {
		return side, err
	}
	if err := checkSHA(sha); err != nil {
		return side, err
	}
	// Forced: a registration whose folder is gone must not be in the way.
	_, err := r.do(ctx, run{args: []string{"worktree", "add", "--force", "--detach", "--quiet", dir, sha}})
	return side, err
}

// WorktreeReset makes dir a clean side worktree at sha, whatever was there: a usable
// one is brought to sha and everything untracked in it deleted, anything else that
// a crashed WorktreeAdd may have left is replaced.
func (r Repo) WorktreeReset(ctx context.Context, dir, sha string) (Repo, error) {
	side := Repo{Dir: dir, Options: r.Options}
	if err := r.checkSide(dir); err != nil {
		return side, err
	}
	if err := checkSHA(sha); err != nil {
		return side, err
	}
	if _, err := r.Resolve(ctx, sha); err != nil {
		return side, err // before anything is touched, whatever a later git would say of it
	}
	if r.owns(ctx, side) {
		_, err := side.do(ctx, run{args: []string{"checkout", "--force", "--detach", "--quiet", "--no-recurse-submodules", sha, "--"}})
		if err == nil {
			_, err = side.do(ctx, run{args: []string{"clean", "-ffdxq"}})
		}
		if err == nil {
			return side, nil
		}
	}
	if err := r.WorktreeRemove(ctx, dir); err != nil {
		return side, err
	}
	return r.WorktreeAdd(ctx, dir, sha)
}

// WorktreeRemove deletes a side worktree with everything in it; one that does not exist is no error.
func (r Repo) WorktreeRemove(ctx context.Context, dir string) error {
	if err := r.checkSide(dir); err != nil {
		return err
	}
	if _, err := os.Lstat(dir); err == nil {
		// Twice forced: a lock file of an interrupted add must not be in the way.
		if _, err := r.do(ctx, run{args: []string{"worktree", "remove", "--force", "--force", dir}}); err != nil {
			// A folder that git does not take for its worktree may be a crashed add's.
			if err := r.removeLeftover(ctx, dir); err != nil {
				return err
			}
		}
	}
	_, err := r.do(ctx, run{args: []string{"worktree", "prune", "--expire=now"}})
	return err
}

// checkSide refuses folders that are, hold or lie above the main working tree.
func (r Repo) checkSide(dir string) error {
	bad := func(why string) error {
		return fault.New(fault.Invalid, "INVALID_WORKTREE", "%q cannot be a side worktree of %s: %s", dir, r.Dir, why)
	}
	if !filepath.IsAbs(dir) || dir != filepath.Clean(dir) {
		return bad("it is not a clean absolute path")
	}
	main, err := filepath.EvalSymlinks(r.Dir)
	if err != nil {
		main = filepath.Clean(r.Dir)
	}
	resolved := dir
	if parent, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		resolved = filepath.Join(parent, filepath.Base(dir))
	}
	if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
		return bad("it is not a folder")
	}
	if resolved == main || strings.HasPrefix(main, strings.TrimSuffix(resolved, "/")+"/") {
		return bad("it holds the main working tree")
	}
	return nil
}

// owns reports whether side is a linked worktree of r that git can use.
func (r Repo) owns(ctx context.Context, side Repo) bool {
	if info, err := os.Lstat(filepath.Join(side.Dir, ".git")); err != nil || !info.Mode().IsRegular() {
		return false // a main working tree has a folder there
	}
	const question = "--git-common-dir"
	ours, err1 := r.answer(ctx, "rev-parse", "--path-format=absolute", question)
	theirs, err2 := side.answer(ctx, "rev-parse", "--path-format=absolute", question)
	return errors.Join(err1, err2) == nil && ours == theirs
}

// removeLeftover deletes a folder only when it is empty or carries the mark of a
// linked worktree of r.
func (r Repo) removeLeftover(ctx context.Context, dir string) error {
	common, err := r.answer(ctx, "rev-parse", "--path-format=absolute", "--git-common-dir")
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		mark, readErr := boundedfile.Read(filepath.Join(dir, ".git"), answerLimit)
		if readErr != nil || !strings.HasPrefix(string(mark), "gitdir: "+common+"/worktrees/") {
			err = errors.New("it is not empty and no worktree of this repository")
		}
	}
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return fault.Wrap(err, fault.Refused, "WORKTREE_IN_THE_WAY", "%s is not removed", dir).
			WithHint("look at what is in it and move it away")
	}
	return nil
}
