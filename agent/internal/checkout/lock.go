package checkout

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
)

const (
	// lockAge is how long a lock must be watched without a git at work before it counts as left
	// behind: git holds it for moments, unless a person's editor is open.
	lockAge = 3 * time.Second
	// lockPatience is how long a move waits for a git that is at work.
	lockPatience = 20 * time.Second
	lockLook     = 500 * time.Millisecond
)

// patience is how locks are waited for.
type patience struct{ age, most, look time.Duration }

// patiently repeats a git command until no lock is in its way. It waits for a person's
// git to end, and removes the lock of one that was killed.
func (c *Checkout) patiently(ctx context.Context, out ports.Output, do func() error) error {
	w := c.watch()
	for {
		err := do()
		lock := git.LockPath(err)
		if lock == "" {
			return c.wantsRoom(err)
		}
		if err := w.wait(ctx, lock, out); err != nil {
			return err
		}
	}
}

// unlocked returns when nobody holds the index, so that a move begins only when it can end.
func (c *Checkout) unlocked(ctx context.Context, out ports.Output) error {
	own, _, err := c.repo.Dirs(ctx)
	if err != nil {
		return err
	}
	w, lock := c.watch(), filepath.Join(own, "index.lock")
	for {
		if _, err := os.Lstat(lock); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err := w.wait(ctx, lock, out); err != nil {
			return err
		}
	}
}

// lockWatch watches the locks that one command meets.
type lockWatch struct {
	c     *Checkout
	began time.Time
	lock  string
	seen  os.FileInfo // the lock as it was first seen
	since time.Time   // when that was
}

func (c *Checkout) watch() *lockWatch { return &lockWatch{c: c, began: time.Now()} }

// wait waits a moment for a lock to go, or removes it. Its age is what was watched and not
// what its date says: the clock may have been set since. The error says who holds it.
func (w *lockWatch) wait(ctx context.Context, lock string, out ports.Output) error {
	info, err := os.Lstat(lock)
	if err != nil {
		w.seen = nil // it is going, or we may not look at it
	} else if w.seen == nil || w.lock != lock || !os.SameFile(w.seen, info) || !w.seen.ModTime().Equal(info.ModTime()) {
		w.lock, w.seen, w.since = lock, info, time.Now()
	}
	own, common, err := w.c.repo.Dirs(ctx)
	if err != nil {
		return err
	}
	holders := w.c.gits(own, common)
	if len(holders) == 0 && w.seen != nil && time.Since(w.since) >= w.c.locks.age {
		err := removeLock(lock, own, common)
		if err == nil {
			out(operation.Stdout, "removed the "+filepath.Base(lock)+" that a killed git left behind", false)
		}
		return err
	}
	if time.Since(w.began) >= w.c.locks.most {
		return lockedFault(lock, holders)
	}
	timer := time.NewTimer(w.c.locks.look)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// removeLock removes a lock inside git's folders. Its path is what git printed.
func removeLock(lock, own, common string) error {
	bad := func(err error) error {
		return fault.Wrap(err, fault.Failed, "LOCK_NOT_REMOVED", "remove the leftover %s", lock)
	}
	for _, dir := range []string{own, common} {
		relative, err := filepath.Rel(dir, lock)
		if err != nil || !filepath.IsLocal(relative) || filepath.Ext(relative) != ".lock" {
			continue
		}
		root, err := os.OpenRoot(dir) // a link among git's folders must not lead us out of them
		if err != nil {
			return bad(err)
		}
		err = root.Remove(relative)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err = errors.Join(err, root.Close()); err != nil {
			return bad(err)
		}
		return nil
	}
	return bad(errors.New("it is not in the folder of the repository"))
}

func lockedFault(lock string, holders []holder) error {
	if len(holders) == 0 {
		return fault.New(fault.Refused, "INDEX_LOCKED", "%s keeps being taken by another program", lock).
			WithHint("an editor or a cron job works in this repository: wait for it and try again")
	}
	names := make([]string, len(holders))
	for i, h := range holders {
		names[i] = h.String()
	}
	return fault.New(fault.Refused, "INDEX_LOCKED", "%s is held while a git is at work: %s", lock, strings.Join(names, ", ")).
		WithHint("let it end, a commit by closing its editor, and try again")
}
