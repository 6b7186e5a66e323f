package checkout

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Look sees what a move of the checkout to target would lose: see [picture.Tree.Refusal].
// known are commits that Landfall deployed; those that the repository does not have are
// passed over. It changes nothing, takes no lock, asks no remote and does not walk through untracked
// folders, so it is worth repeating right before a move. The error is NotFound,
// UNKNOWN_COMMIT when the target was not fetched.
func (c *Checkout) Look(ctx context.Context, target string, prepare pipeline.Prepare, known []string) (picture.Tree, error) {
	if err := c.judgeConfig(ctx); err != nil {
		return picture.Tree{}, err
	}
	d, err := c.disk()
	if err != nil {
		return picture.Tree{}, err
	}
	defer d.close()
	s, err := c.survey(ctx, d, target, prepare, known)
	if err != nil {
		return picture.Tree{}, err
	}
	return s.Tree, nil
}

// Stand implements ports.Checkout.
func (c *Checkout) Stand(ctx context.Context) (picture.Stand, error) {
	branch, err := c.repo.Branch(ctx)
	if err != nil {
		return picture.Stand{}, err
	}
	at, err := c.repo.Resolve(ctx, "refs/heads/"+c.Branch)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		at, err = "", nil
	}
	return picture.Stand{Branch: branch, Follows: at}, err
}

// survey is a look with everything that a move needs besides.
type survey struct {
	picture.Tree
	target  string
	mutable pipeline.Patterns
	changes map[string]git.IndexChange // index against target
	edited  []git.Tracked              // with those that are mutable
	flags   []git.Flag
	ways    []way
	heads   []string // commits that an unfinished merge or rebase may be alone to name
}

// way is something untracked where the target has something else.
type way struct {
	path   string
	folder bool
	own    bool // a file with the bytes of the target's
}

func (c *Checkout) survey(ctx context.Context, d *disk, target string, prepare pipeline.Prepare, known []string) (*survey, error) {
	s := &survey{Tree: picture.Tree{Dir: c.Dir}, target: target}
	var err error
	if s.mutable, err = pipeline.CompilePatterns(prepare.Reset); err != nil {
		return nil, err
	}
	// Git first, the disk last: what is about to be overwritten is seen as late as possible.
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return c.history(ctx, s, known) },
		func(ctx context.Context) error { return c.index(ctx, s) },
		func(context.Context) error { return s.look(d) },
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// history fills in where HEAD is and what only this repository has.
func (c *Checkout) history(ctx context.Context, s *survey, known []string) error {
	var err error
	if s.Head, err = c.repo.Head(ctx); err != nil {
		return err
	}
	if s.Branch, err = c.repo.Branch(ctx); err != nil {
		return err
	}
	if s.InProgress, s.heads, err = c.repo.Unfinished(ctx); err != nil {
		return err
	}
	remote := "refs/remotes/" + c.Remote + "/" + c.Branch
	others, err := c.repo.Reflog(ctx, remote)
	if err != nil {
		return err
	}
	others = append(others, s.target)
	for _, sha := range known {
		if git.IsSHA(sha) {
			others = append(others, sha)
		}
	}
	commits, err := c.repo.OnlyIn(ctx, []string{s.Head, "refs/heads/" + c.Branch}, others, picture.MaxUnpushed)
	for _, info := range commits {
		s.Unpushed = append(s.Unpushed, shown(info))
	}
	return err
}

// index fills in how HEAD, the index, the target and the tracked files differ.
func (c *Checkout) index(ctx context.Context, s *survey) error {
	changes, err := c.repo.IndexDiff(ctx, s.target)
	if err != nil {
		return err
	}
	s.changes = make(map[string]git.IndexChange, len(changes))
	for _, change := range changes {
		s.changes[change.Path] = change
	}
	if s.flags, err = c.repo.Flags(ctx); err != nil {
		return err
	}
	if s.edited, err = c.repo.Edited(ctx); err != nil {
		return err
	}
	for _, e := range s.edited {
		if !s.mutable.Match(e.Path) {
			s.Edited = append(s.Edited, e.Path)
		}
	}
	return nil
}

// look fills in what lies on the disk.
func (s *survey) look(d *disk) error {
	for _, f := range s.flags {
		p, err := d.at(f.Path)
		if err != nil {
			return lookFault(err, f.Path)
		}
		_, moves := s.changes[f.Path]
		switch {
		case p.mode == modeNothing && !f.AssumeUnchanged: // outside of a sparse checkout
		case moves:
			s.Flagged = append(s.Flagged, f.Path)
		case p.mode != modeNothing:
			s.Noted = append(s.Noted, f.Path)
		}
	}
	tracked := s.tracked()
	ways := map[string]way{}
	for path, entry := range s.wanted() {
		w, err := s.inTheWay(d, path, entry, tracked)
		if err != nil {
			return err
		}
		if w.path != "" {
			ways[w.path] = w
		}
	}
	for _, w := range ways {
		s.ways = append(s.ways, w)
	}
	slices.SortFunc(s.ways, func(a, b way) int { return strings.Compare(a.path, b.path) })
	for _, w := range s.ways {
		if w.folder {
			w.path += "/"
		}
		s.InTheWay = append(s.InTheWay, w.path)
	}
	return nil
}

// entry is what the target has at a path; no mode is nothing.
type entry struct{ mode, id string }

// wanted are the paths that the move may write: the rest of the target's lies on the disk already, as
// git recorded it.
func (s *survey) wanted() map[string]entry {
	wanted := map[string]entry{}
	for _, e := range s.edited {
		if t := s.targetOf(e); t.mode != "" {
			wanted[e.Path] = t
		}
	}
	for path, c := range s.changes {
		if c.TreeMode != "" {
			wanted[path] = entry{c.TreeMode, c.TreeID}
		}
	}
	return wanted
}

// targetOf is what the target has at the place of an edited file.
func (s *survey) targetOf(e git.Tracked) entry {
	if c, ok := s.changes[e.Path]; ok {
		return entry{c.TreeMode, c.TreeID}
	}
	return entry{e.IndexMode, e.IndexID} // the index is the target's there
}

// tracked says whether the index has a file at a path that the move changes.
func (s *survey) tracked() func(string) bool {
	edited := make(map[string]bool, len(s.edited))
	for _, e := range s.edited {
		// Of an unmerged path the index has more than one file, and none of them counts as its own.
		edited[e.Path] = e.IndexMode != "" || unmerged(e)
	}
	return func(path string) bool {
		if c, ok := s.changes[path]; ok && c.IndexMode != "" {
			return true
		}
		return edited[path]
	}
}

// unmerged reports whether a merge left a path without a decision (git-status(1), "Unmerged").
func unmerged(e git.Tracked) bool {
	return e.Index == 'U' || e.Worktree == 'U' || (e.Index == e.Worktree && (e.Index == 'A' || e.Index == 'D'))
}

// inTheWay is what lies in the place of one path of the target and is not git's own to replace.
func (s *survey) inTheWay(d *disk, path string, want entry, tracked func(string) bool) (way, error) {
	p, err := d.at(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return way{path: path}, nil // in a folder that we may not enter there may be anything
	case err != nil:
		return way{}, lookFault(err, path)
	case p.blocker != "":
		if at, err := d.at(p.blocker); err != nil || (at.file() && tracked(p.blocker)) {
			return way{}, err // a tracked file that becomes a folder
		}
		return way{path: p.blocker}, nil
	case p.mode == modeNothing:
		return way{}, nil
	case p.mode == git.ModeTree:
		// Git leaves the content of a submodule's folder alone.
		if want.mode == git.ModeSubmodule || !d.strangers(path, tracked) {
			return way{}, nil
		}
		return way{path: path, folder: true}, nil
	case p.mode != modeSpecial && tracked(path):
		return way{}, nil // an edit perhaps, but a file of git's
	}
	w := way{path: path}
	if p.mode == want.mode {
		id, err := d.id(path, p, want.id)
		w.own = err == nil && id == want.id // what cannot be read is nobody's
	}
	return w, nil
}

func lookFault(err error, path string) error {
	return fault.Wrap(err, fault.Failed, "LOOK_FAILED", "look at %q in the checkout", path)
}
