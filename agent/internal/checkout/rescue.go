package checkout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
)

// validName is what the name of an operation may be made of, as it becomes part of file names.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// rescue puts what a forced move would destroy out of its way.
type rescue struct {
	c     *Checkout
	move  picture.Move
	out   ports.Output
	moved picture.Moved
	// saved is the content of each path that was saved, so that the next round tells a new edit
	// from one that is safe.
	saved   map[string]string
	commits bool // commits and the state of a merge are kept
}

// finds is what one round has to put out of the way.
type finds struct {
	disk, index []git.Saved
	keys        map[string]string // what saved will be
	ways        []way
	unflag      []string
}

// round looks, and saves what it sees. rested says that there was nothing left to save moments
// ago. assumed are the files that assume-unchanged must go on protecting.
func (r *rescue) round(ctx context.Context) (assumed []string, rested bool, err error) {
	d, err := r.c.disk()
	if err != nil {
		return nil, false, err
	}
	defer d.close()
	s, err := r.c.survey(ctx, d, r.move.Target, r.move.Prepare, r.move.Known)
	if err != nil {
		return nil, false, err
	}
	f := r.find(d, s)
	commits := !r.commits && (len(s.Unpushed) > 0 || s.InProgress != "")
	if len(f.keys) > 0 || commits {
		if err := r.save(ctx, s, f); err != nil {
			return nil, false, err
		}
	}
	for _, w := range f.ways {
		if err := r.aside(d, w); err != nil {
			return nil, false, err
		}
	}
	if err := r.unflag(ctx, f.unflag); err != nil {
		return nil, false, err
	}
	for _, flag := range s.flags {
		if _, moves := s.changes[flag.Path]; !moves && flag.AssumeUnchanged && !flag.SkipWorktree {
			assumed = append(assumed, flag.Path)
		}
	}
	return assumed, len(f.keys) == 0 && !commits && len(f.ways) == 0 && len(f.unflag) == 0, nil
}

// find decides what of a look would be lost and is not safe yet.
func (r *rescue) find(d *disk, s *survey) finds {
	f := finds{keys: map[string]string{}}
	for _, w := range s.ways {
		if !w.own {
			f.ways = append(f.ways, w)
		}
	}
	for _, e := range s.edited {
		// A file that changes at run time is given back, as Restore does; but one that HEAD
		// does not have could not be.
		if !s.mutable.Match(e.Path) || e.HeadMode == "" {
			r.examine(d, &f, e, s.targetOf(e))
		}
	}
	for _, path := range s.Flagged {
		c := s.changes[path]
		index := git.Tracked{Entry: git.Entry{Path: path}, HeadMode: c.IndexMode, HeadID: c.IndexID, IndexMode: c.IndexMode, IndexID: c.IndexID}
		r.examine(d, &f, index, entry{c.TreeMode, c.TreeID})
		f.unflag = append(f.unflag, path)
	}
	return f
}

// examine finds out what of one edited file is neither in HEAD nor the target's own, in the
// index and on the disk.
func (r *rescue) examine(d *disk, f *finds, e git.Tracked, target entry) {
	head := entry{e.HeadMode, e.HeadID}
	now := entry{}
	p, err := d.at(e.Path)
	if err == nil && p.file() {
		now.mode = p.mode
		now.id, err = d.id(e.Path, p, r.move.Target)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.ways = append(f.ways, way{path: e.Path}) // cannot be read, so it is kept as it is
		return
	}
	lostDisk := now.mode != "" && now != head && now != target
	staged := entry{e.IndexMode, e.IndexID}
	lostIndex := staged.mode != "" && staged.mode != git.ModeSubmodule && staged != head && staged != target && staged != now
	key := fmt.Sprint(now, staged)
	if (!lostDisk && !lostIndex) || r.saved[e.Path] == key {
		return
	}
	f.keys[e.Path] = key
	f.index = append(f.index, git.Saved{Path: e.Path, Mode: staged.mode, ID: staged.id})
	if now.mode == "" {
		f.disk = append(f.disk, git.Saved{Path: e.Path})
		return
	}
	f.disk = append(f.disk, git.Saved{Path: e.Path, Mode: now.mode, Content: func() (io.ReadCloser, int64, error) { return d.open(e.Path, p) }})
}

// save makes the commit of what was found.
func (r *rescue) save(ctx context.Context, s *survey, f finds) error {
	ref := savedRefs + r.move.Operation
	shot := git.Snapshot{
		Message: fmt.Sprintf("what %s found in the checkout\n\nHEAD was %s, branch %q%s.", r.move.Operation, s.Head, s.Branch, during(s.InProgress)),
		Time:    time.Now(), Head: s.Head, Index: f.index, Disk: f.disk, Keep: append([]string{"refs/heads/" + r.c.Branch}, s.heads...),
	}
	var sha string
	err := r.c.patiently(ctx, r.out, func() (err error) {
		sha, err = r.c.repo.Save(ctx, ref, shot)
		return err
	})
	if err != nil {
		return fault.Wrap(err, fault.KindOf(err), reasonOr(err, "NOT_SAVED"), "save the edits of %s", r.c.Dir)
	}
	for path, key := range f.keys {
		r.saved[path] = key
	}
	r.commits, r.moved.Saved = true, ref
	var what []string
	for _, p := range f.disk {
		what = append(what, strings.ToValidUTF8(p.Path, "\uFFFD"))
	}
	if n := len(what); n > 0 {
		r.say("saved %d edited files in %s (%.12s): %s", n, ref, sha, few(what))
	}
	if n := len(s.Unpushed); n > 0 {
		r.say("kept %d commits of this host in %s (%.12s), the newest is %.12s %s", n, ref, sha, s.Unpushed[0].SHA, s.Unpushed[0].Subject)
	}
	if s.InProgress != "" {
		r.say("an unfinished git %s is left behind; its commits are kept in %s (%.12s)", s.InProgress, ref, sha)
	}
	return nil
}

func during(operation string) string {
	if operation == "" {
		return ""
	}
	return ", during a " + operation
}

func reasonOr(err error, other string) string {
	if reason := fault.ReasonOf(err); reason != "" {
		return reason
	}
	return other
}

func (r *rescue) aside(d *disk, w way) error {
	to, err := d.aside(w.path, r.move.Operation)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it went by itself
	}
	if err != nil {
		return err
	}
	r.moved.Aside = append(r.moved.Aside, to)
	r.say("%s was not tracked and in the way, it is now %s", strings.ToValidUTF8(w.path, "\uFFFD"), strings.ToValidUTF8(to, "\uFFFD"))
	return nil
}

func (r *rescue) unflag(ctx context.Context, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	if err := r.c.patiently(ctx, r.out, func() error { return r.c.repo.Unflag(ctx, paths) }); err != nil {
		return err
	}
	r.moved.Unflagged = append(r.moved.Unflagged, paths...)
	for _, path := range paths {
		r.say("%s is no longer flagged assume-unchanged or skip-worktree: the commit changes it", strings.ToValidUTF8(path, "\uFFFD"))
	}
	return nil
}

func (r *rescue) say(format string, args ...any) {
	r.out(operation.Stdout, fmt.Sprintf(format, args...), false)
}

// few names the first of many.
func few(paths []string) string {
	const most = 5
	if len(paths) > most {
		return strings.Join(paths[:most], ", ") + ", ..."
	}
	return strings.Join(paths, ", ")
}
