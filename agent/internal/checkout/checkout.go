// Package checkout is the git working tree that the stacks run from.
//
// It promises that git runs as the owner of the tree; that nothing of the host is lost: not
// what is untracked or ignored, no edit, no commit, no index that a person's git holds; and
// that what a move has done is on the disk when it returns. A tree where something would be
// lost is refused before anything is touched, or where the move must happen, saved
// first. Start reading at [Checkout.Look] and [Checkout.Move].
package checkout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// Settings say which tree, and what in it.
type Settings struct {
	Dir     string // absolute
	Remote  string
	Branch  string
	Config  string // path of landfall.yaml inside the tree
	SideDir string // folder for the side tree, outside Dir
	Git     git.Options

	Learn func(source string, secrets []string) error // is told what of git's configuration must not leave; may be nil
}

// Checkout is one working tree. Safe for concurrent reading; the engine writes one at a time.
type Checkout struct {
	Settings
	repo  git.Repo
	owner *process.Owner
	log   hclog.Logger

	locks  patience
	proc   string                 // /proc, for the gits that are at work
	syncfs func(dir string) error // writes out the file system of a folder
}

var (
	_ ports.Commits  = (*Checkout)(nil)
	_ ports.Trees    = (*Checkout)(nil)
	_ ports.Checkout = (*Checkout)(nil)
)

// Open checks that the tree is there, is a git working tree, and that we may run git as
// its owner. It changes nothing.
func Open(ctx context.Context, s Settings, log hclog.Logger) (*Checkout, error) {
	owner, err := process.LookupOwner(s.Dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fault.Wrap(err, fault.Invalid, "CHECKOUT_OWNER", "the checkout cannot be entered").
			WithHint("run the agent as the owner of %s, or as root", s.Dir)
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "CHECKOUT_MISSING", "the checkout cannot be used").
			WithHint("clone the repository to %s", s.Dir)
	}
	if owner.Credential() != nil && os.Geteuid() != 0 {
		return nil, fault.New(fault.Invalid, "CHECKOUT_OWNER", "the checkout %s belongs to %s, but the agent runs as user %d", s.Dir, ownerName(owner), os.Geteuid()).
			WithHint("run the agent as %s or as root, or give the checkout away: chown -R %d %s", ownerName(owner), os.Geteuid(), s.Dir)
	}
	s.Git.Credential, s.Git.Env = owner.Credential(), nil
	if s.Git.Credential != nil {
		s.Git.Env = owner.Environ()
	}
	c := &Checkout{
		Settings: s, repo: git.Repo{Dir: s.Dir, Options: s.Git}, owner: owner, log: log.Named("checkout"),
		locks: patience{lockAge, lockPatience, lockLook}, proc: "/proc", syncfs: syncfs,
	}
	if err := c.learn(ctx); err != nil {
		return nil, err
	}
	_, err = c.repo.Head(ctx)
	return c, err
}

func ownerName(o *process.Owner) string {
	if o.Name != "" {
		return o.Name
	}
	return fmt.Sprintf("user %d", o.UID)
}

// Owner is the user the tree belongs to; children run as that user.
func (c *Checkout) Owner() *process.Owner { return c.owner }

// Head implements ports.Commits.
func (c *Checkout) Head(ctx context.Context) (string, error) { return c.repo.Head(ctx) }

// Tracked reports whether the commit that is checked out has a file: a move to one that does not have it takes it away.
func (c *Checkout) Tracked(ctx context.Context, path string) (bool, error) {
	head, err := c.repo.Head(ctx)
	if err != nil {
		return false, err
	}
	return c.repo.Exists(ctx, head, filepath.ToSlash(path))
}

// HeadBranch is the branch that is checked out, "" when none is.
func (c *Checkout) HeadBranch(ctx context.Context) (string, error) { return c.repo.Branch(ctx) }

// Fetch implements ports.Commits.
func (c *Checkout) Fetch(ctx context.Context, target string, out ports.Output) (string, error) {
	if err := c.judgeConfig(ctx); err != nil {
		return "", err
	}
	if err := c.learn(ctx); err != nil {
		return "", err
	}
	head, err := c.repo.Fetch(ctx, c.Remote, c.Branch, lines(out))
	if err != nil {
		return "", err
	}
	if err := c.repo.FetchCommit(ctx, c.Remote, target, lines(out)); err != nil {
		if fault.ReasonOf(err) == "UNKNOWN_COMMIT" {
			return "", fault.Wrap(err, fault.NotFound, "UNKNOWN_COMMIT", "neither the checkout nor %s has commit %s", c.Remote, target)
		}
		return "", err
	}
	return head, nil
}

// RemoteHead implements ports.Commits.
func (c *Checkout) RemoteHead(ctx context.Context) (string, error) {
	if err := c.judgeConfig(ctx); err != nil {
		return "", err
	}
	return c.repo.RemoteHead(ctx, c.Remote, c.Branch)
}

// Repo is the repository, for those who only read it.
func (c *Checkout) Repo() git.Repo { return c.repo }

// IsAncestor implements ports.Commits.
func (c *Checkout) IsAncestor(ctx context.Context, a, b string) (bool, error) {
	return c.repo.IsAncestor(ctx, a, b)
}

// Changes implements ports.Commits.
func (c *Checkout) Changes(ctx context.Context, base, target string) ([]pipeline.Change, error) {
	diff, err := c.repo.Diff(ctx, base, target)
	if err != nil {
		return nil, err
	}
	changes := make([]pipeline.Change, len(diff.Changes))
	for i, d := range diff.Changes {
		changes[i] = pipeline.Change{Status: d.Status, Path: d.Path}
	}
	return changes, nil
}

// Pipeline implements ports.Trees.
func (c *Checkout) Pipeline(ctx context.Context, sha string) (*pipeline.Config, error) {
	raw, err := c.repo.ReadFile(ctx, sha, c.Config)
	if err != nil {
		if fault.ReasonOf(err) == "NO_SUCH_FILE" {
			return nil, fault.Wrap(err, fault.Invalid, "NO_CONFIG", "commit %.12s has no %s", sha, c.Config).
				WithHint("write one with: landfall-coordinator init, and push it")
		}
		return nil, err
	}
	config, err := pipeline.Parse(c.Config, raw)
	if err != nil {
		return nil, err
	}
	if config.Branch != c.Branch {
		return nil, fault.New(fault.Invalid, "OTHER_BRANCH", "%s deploys branch %q, this host follows %q", c.Config, config.Branch, c.Branch).
			WithHint("make branch in agent.yaml and in %s the same", c.Config)
	}
	return config, c.checkTree(ctx, config, sha)
}

func (c *Checkout) checkTree(ctx context.Context, config *pipeline.Config, sha string) error {
	entries, err := c.repo.ListTree(ctx, sha)
	if err != nil {
		return err
	}
	paths := make(map[string]bool, len(entries))
	for _, e := range entries {
		paths[e.Path] = true
	}
	return pipeline.CheckTree(config, func(path string) bool { return paths[path] })
}

// Dirs implements ports.Trees.
func (c *Checkout) Dirs() []string {
	dirs := []string{c.Dir}
	if resolved, err := filepath.EvalSymlinks(c.Dir); err == nil && resolved != c.Dir {
		dirs = append(dirs, resolved)
	}
	return dirs
}

// SideTree implements ports.Trees. The tree has the checkout's own folder name,
// because Compose makes the project's name of it.
func (c *Checkout) SideTree(ctx context.Context, sha string, use ports.SideUse) (string, error) {
	if err := c.judgeConfig(ctx); err != nil {
		return "", err
	}
	if err := c.sideDir(); err != nil {
		return "", err
	}
	side, err := c.repo.WorktreeReset(ctx, filepath.Join(c.SideDir, string(use), filepath.Base(c.Dir)), sha)
	return side.Dir, err
}

// wantsRoom gives a failure to write files a hint; others stay as they are. Git does not say why it could not (entry.c).
func (c *Checkout) wantsRoom(err error) error {
	if err == nil || !strings.Contains(err.Error(), "unable to write file") && !strings.Contains(err.Error(), "No space left on device") {
		return err
	}
	return fault.Wrap(err, fault.KindOf(err), fault.ReasonOf(err), "write the files of the checkout").
		WithHint("is the disk full? df -h %s; docker system df tells what images and build caches take, limits.min_free_disk of agent.yaml refuses a deploy in time", c.Dir)
}

// Dirty lists the tracked files that differ from the commit that is checked out.
func (c *Checkout) Dirty(ctx context.Context) ([]string, error) {
	if err := c.judgeConfig(ctx); err != nil {
		return nil, err
	}
	entries, err := c.repo.Status(ctx)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if !e.Untracked() {
			paths = append(paths, strings.ToValidUTF8(e.Path, "\uFFFD"))
		}
	}
	return paths, nil
}

// progressLine is one of git's progress lines on their way to 100 %. Git draws them over one another; in a
// record they are noise.
var progressLine = regexp.MustCompile(`^(remote: )?[A-Z][a-z]+ (objects|deltas): +\d+% .*[^.]$`)

// lines gives a child's lines to an operation.
func lines(out ports.Output) func(process.Line) {
	if out == nil {
		return nil
	}
	return func(l process.Line) {
		text := strings.TrimRight(l.Text, " ")
		if !progressLine.MatchString(text) {
			out(operation.Stream(l.Stream), text, l.Truncated)
		}
	}
}
