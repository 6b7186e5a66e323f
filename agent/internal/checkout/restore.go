package checkout

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Restore implements ports.Checkout.
func (c *Checkout) Restore(ctx context.Context, prepare pipeline.Prepare, out ports.Output) (string, error) {
	given := 0
	if prepare.Own && os.Geteuid() == 0 {
		var err error
		if given, err = c.giveBack(ctx); err != nil {
			return "", err
		}
	}
	mutable, err := pipeline.CompilePatterns(prepare.Reset)
	if err != nil {
		return "", err
	}
	entries, err := c.repo.Status(ctx)
	if err != nil {
		return "", err
	}
	var patterns []string
	for _, e := range entries {
		if !e.Untracked() && mutable.Match(e.Path) {
			patterns = append(patterns, escapeGlob(e.Path))
		}
	}
	restored, err := c.repo.CheckoutPaths(ctx, patterns)
	if err != nil {
		return "", err
	}
	// Also where there was nothing to do: an earlier run may have been cut off before its sync.
	if err := c.settle(ctx); err != nil {
		return "", err
	}
	for _, p := range restored {
		out(operation.Stdout, "restored "+strings.ToValidUTF8(p, "\uFFFD"), false)
	}
	return fmt.Sprintf("%d files restored, %d given back to the owner", len(restored), given), nil
}

// escapeGlob makes a pathspec glob that matches one path only. A ! at the beginning would
// exclude the path, which restores every other file.
func escapeGlob(path string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
	if strings.HasPrefix(escaped, "!") {
		return `\` + escaped
	}
	return escaped
}

// giveBack gives tracked files that another user owns, usually root, to the owner of the
// tree. Untracked files are left alone: data folders of containers belong to the containers' users.
func (c *Checkout) giveBack(ctx context.Context) (int, error) {
	head, err := c.repo.Head(ctx)
	if err != nil {
		return 0, err
	}
	entries, err := c.repo.ListTree(ctx, head)
	if err != nil {
		return 0, err
	}
	root, err := os.OpenRoot(c.Dir) // a symbolic link in the tree must not lead us outside
	if err != nil {
		return 0, fault.Wrap(err, fault.Failed, "CHECKOUT_MISSING", "open the checkout")
	}
	defer func() { _ = root.Close() }() // only read
	given, seen := 0, map[string]bool{".": true}
	for _, e := range entries {
		for p := filepath.FromSlash(e.Path); !seen[p]; p = filepath.Dir(p) {
			seen[p] = true
			changed, err := c.give(root, p)
			if err != nil {
				return given, err
			}
			if changed {
				given++
			}
		}
	}
	return given, nil
}

func (c *Checkout) give(root *os.Root, path string) (bool, error) {
	info, err := root.Lstat(path)
	if err != nil {
		return false, nil //nolint:nilerr // a tracked file that is gone comes back with the reset
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == c.owner.UID {
		return false, nil
	}
	if err := root.Lchown(path, int(c.owner.UID), int(c.owner.GID)); err != nil {
		return false, fault.Wrap(err, fault.Failed, "OWNERSHIP", "give %s back to %s", path, ownerName(c.owner))
	}
	return true, nil
}
