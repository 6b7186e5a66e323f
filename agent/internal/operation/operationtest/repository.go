package operationtest

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// repository is the remote with its branch, and the working tree.
type repository struct {
	commits map[string]*commit // of the remote
	branch  string             // its head
	known   map[string]bool    // commits the checkout has
	head    string             // what is checked out
	edits   map[string]string  // tracked files of the working tree that differ from head
}

type commit struct {
	parent string
	files  map[string]string
}

func newRepository() repository {
	return repository{commits: map[string]*commit{}, known: map[string]bool{}, edits: map[string]string{}}
}

// Push commits files on top of the remote's branch and returns the commit. Files that
// are not named stay as they are; an empty content removes one.
func (h *Host) Push(files map[string]string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.repository.branch = h.repository.commit(h.repository.branch, files)
	return h.repository.branch
}

// Stray commits files on top of parent without moving the branch: the remote has the
// commit, the branch does not.
func (h *Host) Stray(parent string, files map[string]string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.repository.commit(parent, files)
}

// Edit changes a tracked file of the working tree behind git's back.
func (h *Host) Edit(path, content string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.repository.edits[path] = content
}

// Head is the commit that is checked out.
func (h *Host) Head() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.repository.head
}

func (r *repository) commit(parent string, changes map[string]string) string {
	files := map[string]string{}
	if p := r.commits[parent]; p != nil {
		files = p.files
	}
	files = with(files, changes)
	sum := sha1.New() // as git names commits; nothing is protected by it
	_, _ = sum.Write([]byte(parent))
	for _, path := range sortedKeys(files) {
		_, _ = sum.Write([]byte(path + "\x00" + files[path] + "\x00"))
	}
	sha := hex.EncodeToString(sum.Sum(nil))
	r.commits[sha] = &commit{parent: parent, files: files}
	return sha
}

func (r *repository) isAncestor(a, b string) bool {
	for sha := b; sha != ""; sha = r.commits[sha].parent {
		if sha == a {
			return true
		}
	}
	return false
}

func (r *repository) changes(base, target string) []pipeline.Change {
	from, to := map[string]string{}, map[string]string{}
	if c := r.commits[base]; c != nil {
		from = c.files
	}
	if c := r.commits[target]; c != nil {
		to = c.files
	}
	all := with(from, nil)
	maps.Copy(all, to)
	var changes []pipeline.Change
	for _, path := range sortedKeys(all) {
		old, had := from[path]
		now, has := to[path]
		switch {
		case !had:
			changes = append(changes, pipeline.Change{Status: 'A', Path: path})
		case !has:
			changes = append(changes, pipeline.Change{Status: 'D', Path: path})
		case old != now:
			changes = append(changes, pipeline.Change{Status: 'M', Path: path})
		}
	}
	return changes
}

// need is the error for commits that the checkout does not have.
func (r *repository) need(shas ...string) error {
	for _, sha := range shas {
		if !r.known[sha] {
			return unknownCommit(sha)
		}
	}
	return nil
}

func unknownCommit(sha string) error {
	return fault.New(fault.NotFound, "UNKNOWN_COMMIT", "there is no commit %s", sha)
}

// Commits implements operation.Commits.
type Commits struct{ h *Host }

var _ operation.Commits = Commits{}

// Fetch implements operation.Commits.
func (c Commits) Fetch(ctx context.Context, target string, out operation.Output) (string, error) {
	var branch string
	err := c.h.change(ctx, "Commits.Fetch", out, func() error {
		r := &c.h.repository
		if r.commits[target] == nil {
			return unknownCommit(target)
		}
		for _, tip := range []string{r.branch, target} {
			for sha := tip; sha != ""; sha = r.commits[sha].parent {
				r.known[sha] = true
			}
		}
		branch = r.branch
		return nil
	})
	return branch, err
}

// Head implements operation.Commits.
func (c Commits) Head(ctx context.Context) (string, error) {
	if err := c.h.call(ctx, "Commits.Head", nil); err != nil {
		return "", err
	}
	return c.h.Head(), nil
}

// IsAncestor implements operation.Commits.
func (c Commits) IsAncestor(ctx context.Context, a, b string) (bool, error) {
	if err := c.h.call(ctx, "Commits.IsAncestor", nil); err != nil {
		return false, err
	}
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if err := c.h.repository.need(a, b); err != nil {
		return false, err
	}
	return c.h.repository.isAncestor(a, b), nil
}

// Changes implements operation.Commits.
func (c Commits) Changes(ctx context.Context, base, target string) ([]pipeline.Change, error) {
	if err := c.h.call(ctx, "Commits.Changes", nil); err != nil {
		return nil, err
	}
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if err := c.h.repository.need(base, target); err != nil {
		return nil, err
	}
	return c.h.repository.changes(base, target), nil
}

// Trees implements operation.Trees.
type Trees struct{ h *Host }

var _ operation.Trees = Trees{}

// Pipeline implements operation.Trees.
func (t Trees) Pipeline(ctx context.Context, sha string) (*pipeline.Config, error) {
	if err := t.h.call(ctx, "Trees.Pipeline", nil); err != nil {
		return nil, err
	}
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	if err := t.h.repository.need(sha); err != nil {
		return nil, err
	}
	text, ok := t.h.repository.commits[sha].files[ConfigPath]
	if !ok {
		return nil, fault.New(fault.Invalid, "NO_CONFIG", "commit %s has no %s", sha, ConfigPath)
	}
	if config := t.h.configs[text]; config != nil {
		return config, nil
	}
	config, err := pipeline.Parse(ConfigPath, []byte(text))
	if err == nil {
		t.h.configs[text] = config
	}
	return config, err
}

// sidePrefix begins the directory of a side tree; the commit follows.
const sidePrefix = "/side/"

// SideTree implements operation.Trees.
func (t Trees) SideTree(ctx context.Context, sha string) (string, error) {
	if err := t.h.call(ctx, "Trees.SideTree", nil); err != nil {
		return "", err
	}
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	return sidePrefix + sha, t.h.repository.need(sha)
}

// Checkout implements operation.Checkout.
type Checkout struct{ h *Host }

var _ operation.Checkout = Checkout{}

// Check implements operation.Checkout.
func (c Checkout) Check(ctx context.Context, prepare pipeline.Prepare) error {
	if err := c.h.call(ctx, "Checkout.Check", nil); err != nil {
		return err
	}
	mutable, err := pipeline.CompilePatterns(prepare.Reset)
	if err != nil {
		return err
	}
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	edited := slices.DeleteFunc(sortedKeys(c.h.repository.edits), mutable.Match)
	if len(edited) > 0 {
		return fault.New(fault.Refused, "DIRTY_TREE", "edited by hand: %s", strings.Join(edited, ", "))
	}
	return nil
}

// Restore implements operation.Checkout.
func (c Checkout) Restore(ctx context.Context, prepare pipeline.Prepare, out operation.Output) (string, error) {
	return "", c.h.change(ctx, "Checkout.Restore", out, func() error {
		mutable, err := pipeline.CompilePatterns(prepare.Reset)
		if err == nil {
			maps.DeleteFunc(c.h.repository.edits, func(path, _ string) bool { return mutable.Match(path) })
		}
		return err
	})
}

// Reset implements operation.Checkout.
func (c Checkout) Reset(ctx context.Context, sha string, out operation.Output) error {
	return c.h.change(ctx, "Checkout.Reset", out, func() error {
		if err := c.h.repository.need(sha); err != nil {
			return err
		}
		c.h.repository.head = sha
		clear(c.h.repository.edits)
		return nil
	})
}
