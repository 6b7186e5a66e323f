package hosttest

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// repository is the remote with its branch, and the working tree.
type repository struct {
	commits map[string]*commit // of the remote
	branch  string             // its head
	known   map[string]bool    // commits the checkout has
	head    string             // what is checked out
	edits   map[string]string  // tracked files of the working tree that differ from head, and those that a move saved
	// untracked are files that git does not know, by path; a path with a slash at its end is a folder of them.
	untracked map[string]string
	branchOut string   // branch that is checked out; "" when HEAD is detached
	follows   string   // commit of the branch main while it is not checked out
	local     []string // commits that only the host has
	flagged   []string // files that are flagged skip-worktree
}

func (r *repository) copy() repository {
	c := *r
	c.commits, c.known, c.edits, c.untracked = maps.Clone(r.commits), maps.Clone(r.known), maps.Clone(r.edits), maps.Clone(r.untracked)
	c.local, c.flagged = slices.Clone(r.local), slices.Clone(r.flagged)
	return c
}

type commit struct {
	parent string
	files  map[string]string
}

func newRepository() repository {
	return repository{commits: map[string]*commit{}, known: map[string]bool{}, edits: map[string]string{}, untracked: map[string]string{}, branchOut: "main"}
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

// Link lets a service's mount lead to a path of the host by a link that is in no commit, only in the checkout.
func (h *Host) Link(project, service, path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.links[project+"/"+service] = path
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

// Commits implements ports.Commits.
type Commits struct{ h *Host }

var _ ports.Commits = Commits{}

// Fetch implements ports.Commits.
func (c Commits) Fetch(ctx context.Context, target string, out ports.Output) (string, error) {
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

// RemoteHead implements ports.Commits.
func (c Commits) RemoteHead(ctx context.Context) (string, error) {
	if err := c.h.call(ctx, "Commits.RemoteHead", nil); err != nil {
		return "", err
	}
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	return c.h.repository.branch, nil
}

// Head implements ports.Commits.
func (c Commits) Head(ctx context.Context) (string, error) {
	if err := c.h.call(ctx, "Commits.Head", nil); err != nil {
		return "", err
	}
	return c.h.Head(), nil
}

// IsAncestor implements ports.Commits.
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

// Changes implements ports.Commits.
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

// Trees implements ports.Trees.
type Trees struct{ h *Host }

var _ ports.Trees = Trees{}

// Pipeline implements ports.Trees.
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

// Dirs implements ports.Trees.
func (t Trees) Dirs() []string { return []string{Dir} }

// SideTree implements ports.Trees.
func (t Trees) SideTree(ctx context.Context, sha string, _ ports.SideUse) (string, error) {
	if err := t.h.call(ctx, "Trees.SideTree", nil); err != nil {
		return "", err
	}
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	return sidePrefix + sha, t.h.repository.need(sha)
}

// Checkout implements ports.Checkout.
type Checkout struct{ h *Host }

var _ ports.Checkout = Checkout{}

// Look implements ports.Checkout.
func (c Checkout) Look(ctx context.Context, target string, prepare pipeline.Prepare, known []string) (picture.Tree, error) {
	if err := c.h.call(ctx, "Checkout.Look", nil); err != nil {
		return picture.Tree{}, err
	}
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	return c.h.repository.tree(target, prepare, known)
}

// Stand implements ports.Checkout.
func (c Checkout) Stand(ctx context.Context) (picture.Stand, error) {
	if err := c.h.call(ctx, "Checkout.Stand", nil); err != nil {
		return picture.Stand{}, err
	}
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	return c.h.repository.stand(), nil
}

func (r *repository) stand() picture.Stand {
	if r.branchOut == "main" {
		return picture.Stand{Branch: "main", Follows: r.head}
	}
	return picture.Stand{Branch: r.branchOut, Follows: r.follows}
}

// tree is the checkout as it is before it is moved.
func (r *repository) tree(target string, prepare pipeline.Prepare, known []string) (picture.Tree, error) {
	t := picture.Tree{Dir: Dir, Head: r.head, Branch: r.branchOut}
	mutable, err := pipeline.CompilePatterns(prepare.Reset)
	if err == nil {
		err = r.need(target)
	}
	if err != nil {
		return t, err
	}
	for _, path := range sortedKeys(r.edits) {
		if !mutable.Match(path) && !strings.HasPrefix(path, savedPrefix) {
			t.Edited = append(t.Edited, path)
		}
	}
	for _, sha := range r.local {
		if !slices.Contains(known, sha) {
			t.Unpushed = append(t.Unpushed, picture.Commit{SHA: sha})
		}
	}
	for _, path := range r.flagged {
		if r.commits[r.head].files[path] != r.commits[target].files[path] {
			t.Flagged = append(t.Flagged, path)
		} else {
			t.Noted = append(t.Noted, path)
		}
	}
	for path := range r.commits[target].files {
		_, tracked := r.commits[r.head].files[path]
		_, there := r.untracked[path]
		_, folder := r.untracked[path+"/"]
		if !tracked && (there || folder) {
			t.InTheWay = append(t.InTheWay, path)
		}
	}
	slices.Sort(t.InTheWay)
	return t, nil
}

// Restore implements ports.Checkout.
func (c Checkout) Restore(ctx context.Context, prepare pipeline.Prepare, out ports.Output) (string, error) {
	return "", c.h.change(ctx, "Checkout.Restore", out, func() error {
		mutable, err := pipeline.CompilePatterns(prepare.Reset)
		if err == nil {
			maps.DeleteFunc(c.h.repository.edits, func(path, _ string) bool { return mutable.Match(path) })
		}
		return err
	})
}

// savedPrefix begins the names of edits that a move saved.
const savedPrefix = "saved: "

// Move implements ports.Checkout.
func (c Checkout) Move(ctx context.Context, m picture.Move, out ports.Output) (picture.Moved, error) {
	var moved picture.Moved
	err := c.h.change(ctx, "Checkout.Move", out, func() error {
		r := &c.h.repository
		t, err := r.tree(m.Target, m.Prepare, m.Known)
		if err != nil {
			return err
		}
		if err := t.Refusal("main", ConfigPath); err != nil && !m.GoOn {
			return err
		}
		for _, path := range t.Edited {
			r.edits[savedPrefix+path], moved.Saved = r.edits[path], "refs/landfall/saved/"+m.Operation
		}
		for _, path := range t.InTheWay {
			for _, name := range []string{path, path + "/"} {
				if content, there := r.untracked[name]; there {
					aside := path + ".landfall-saved-" + m.Operation
					r.untracked[aside] = content
					delete(r.untracked, name)
					moved.Aside = append(moved.Aside, aside)
				}
			}
		}
		maps.DeleteFunc(r.edits, func(path, _ string) bool { return !strings.HasPrefix(path, savedPrefix) })
		ends := m.Ends("main")
		r.head, r.branchOut, r.follows = m.Target, ends.Branch, ends.Follows
		return nil
	})
	return moved, err
}

// Pack implements ports.Checkout.
func (c Checkout) Pack(ctx context.Context) error { return c.h.call(ctx, "Checkout.Pack", nil) }

// Drop puts a file, or with a slash at its end a folder, into the checkout that git does not know.
func (h *Host) Drop(path, content string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.repository.untracked[path] = content
}

// Commit makes a commit on the host that nobody else has.
func (h *Host) Commit(files map[string]string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	sha := h.repository.commit(h.repository.head, files)
	h.repository.known[sha], h.repository.head = true, sha
	h.repository.local = append(h.repository.local, sha)
	return sha
}

// Switch checks a branch out, at the commit that is checked out; "" detaches HEAD.
func (h *Host) Switch(branch string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.repository.branchOut, h.repository.follows = branch, h.repository.stand().Follows
}

// Checkout moves the checkout behind everybody's back, to a commit that the remote has.
func (h *Host) Checkout(sha string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.repository.known[sha], h.repository.head = true, sha
}
