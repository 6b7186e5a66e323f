package checkout

import (
	"context"
	"path"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
)

// savedRefs is where edits are kept that a move had to take away. Neither gc nor a pruning fetch
// touches what is there.
const savedRefs = "refs/landfall/saved/"

// tries is how often a move begins again when the tree changes under it.
const tries = 5

// Move brings the working tree, the index and the branch to m.Target, checks the branch
// out, and returns when all of it is on the disk. It waits for a person's git to end.
//
// Without GoOn it loses nothing: it looks again, and git itself refuses what the look did not
// see, so that only an edit of the very moment in which git writes that file could be lost. The
// error is then Refused, see [picture.Tree.Refusal], and nothing was changed. Files of
// prepare.reset are given back first.
//
// With GoOn it goes through, to another stand, too, see [picture.Move.Ends]: edits are saved in a commit, what is untracked and in the way is
// renamed aside, each is said through out and returned. What an earlier Move to the same
// target wrote before it was cut off is recognized by its content. It may be repeated after a
// crash at any point: what was saved stays saved.
//
// The error of either is Refused, INDEX_LOCKED when a git does not end in time; Failed when
// git failed half way, and GoOn takes that up.
func (c *Checkout) Move(ctx context.Context, m picture.Move, out ports.Output) (picture.Moved, error) {
	if out == nil {
		out = func(operation.Stream, string, bool) {}
	}
	if err := c.unlocked(ctx, out); err != nil {
		return picture.Moved{}, err
	}
	var moved picture.Moved
	var err error
	if m.GoOn {
		moved, err = c.goOn(ctx, m, out)
	} else {
		err = c.forward(ctx, m, out)
	}
	if err == nil {
		err = c.settle(ctx)
	}
	return moved, err
}

// forward moves a tree in which nothing can be lost.
func (c *Checkout) forward(ctx context.Context, m picture.Move, out ports.Output) error {
	var refused error // git's, of a file that changes at run time
	for range tries {
		if err := c.ready(ctx, m); err != nil {
			return err
		}
		refused = c.patiently(ctx, out, func() error { return c.repo.Switch(ctx, c.Branch, m.Target, lines(out)) })
		if reason := fault.ReasonOf(refused); reason != "DIRTY_TREE" && reason != "UNTRACKED_IN_THE_WAY" {
			if refused != nil {
				c.unwrite(ctx, m.Target)
			}
			return refused
		}
		// The next look names it as we do; git's words are for who types git.
	}
	return refused
}

// unwrite takes away what git had written of new files when it failed, or was ended, half way: nothing lay in their places when it began, the index
// does not have them, and they have the first bytes of the target's. They would stay for ever, take the room on a full disk that going back needs,
// and be in the way of the next move.
func (c *Checkout) unwrite(ctx context.Context, target string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unwriteTime)
	defer cancel()
	d, err := c.disk()
	if err != nil {
		return // whoever moves it back says so
	}
	defer d.close()
	changes, err := c.repo.IndexDiff(ctx, target)
	if err != nil {
		return
	}
	for _, change := range changes {
		p, err := d.at(change.Path)
		if err != nil || change.IndexMode != "" || (p.mode != git.ModeFile && p.mode != git.ModeExecutable) {
			continue
		}
		wanted, err := c.repo.ReadFile(ctx, target, change.Path)
		if err != nil || !d.begins(change.Path, p, wanted) {
			continue
		}
		if d.root.Remove(change.Path) == nil {
			for dir := path.Dir(change.Path); dir != "." && d.root.Remove(dir) == nil; dir = path.Dir(dir) { // as far as they are empty
				continue
			}
		}
	}
}

// unwriteTime bounds the tidying after a move that failed.
const unwriteTime = 30 * time.Second

// ready refuses a move that would lose something, and gives back what changes at run time
// where git would refuse it.
func (c *Checkout) ready(ctx context.Context, m picture.Move) error {
	d, err := c.disk()
	if err != nil {
		return err
	}
	defer d.close()
	s, err := c.survey(ctx, d, m.Target, m.Prepare, m.Known)
	if err != nil {
		return err
	}
	if err := s.Refusal(c.Branch, c.Config); err != nil {
		return err
	}
	var patterns []string
	for _, e := range s.edited { // all of them mutable
		if _, moves := s.changes[e.Path]; moves {
			patterns = append(patterns, escapeGlob(e.Path))
		}
	}
	_, err = c.repo.CheckoutPaths(ctx, patterns)
	return err
}

// goOn moves a tree whatever it is like.
func (c *Checkout) goOn(ctx context.Context, m picture.Move, out ports.Output) (picture.Moved, error) {
	if err := git.CheckBranch(m.Operation); err != nil || !validName.MatchString(m.Operation) {
		return picture.Moved{}, fault.New(fault.Internal, "INVALID_OPERATION", "%q is no name to save under", m.Operation)
	}
	r := &rescue{c: c, move: m, out: out, saved: map[string]string{}}
	for range tries {
		assumed, rested, err := r.round(ctx)
		if err != nil {
			return r.moved, err
		}
		if rested {
			return r.moved, c.force(ctx, m, assumed, out)
		}
		// What was put out of the way is on the disk before anything is overwritten.
		if err := c.settle(ctx); err != nil {
			return r.moved, err
		}
	}
	return r.moved, fault.New(fault.Failed, "TREE_BUSY", "files in %s keep changing while they are saved", c.Dir).
		WithHint("find the program that writes tracked files; those that change at run time belong into prepare.reset of %s", c.Config)
}

// force overwrites. assumed are files with assume-unchanged that the move does not change: a
// forced checkout overwrites these too, unless they are flagged skip-worktree meanwhile.
func (c *Checkout) force(ctx context.Context, m picture.Move, assumed []string, out ports.Output) error {
	ends := m.Ends(c.Branch)
	if err := c.patiently(ctx, out, func() error { return c.repo.SkipWorktree(ctx, assumed, true) }); err != nil {
		return err
	}
	if err := c.patiently(ctx, out, func() error { return c.repo.ForceSwitch(ctx, ends.Branch, m.Target, lines(out)) }); err != nil {
		return err
	}
	if err := c.patiently(ctx, out, func() error { return c.repo.SkipWorktree(ctx, assumed, false) }); err != nil || ends.Branch == c.Branch {
		return err
	}
	err := c.patiently(ctx, out, func() error { return c.repo.SetBranch(ctx, c.Branch, ends.Follows) })
	if fault.KindOf(err) == fault.NotFound { // it was pruned meanwhile: the branch stays where it is
		out(operation.Stderr, err.Error(), false)
		return nil
	}
	return err
}
