package compose

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Tracks has the proof ask what the commit that is checked out has: a file that only it has is gone after the move.
func (c *Compose) Tracks(tracked func(ctx context.Context, path string) (bool, error)) {
	c.tracked = tracked
}

// linkUntracked lets the side tree see the interpolation files that live untracked in the checkout. Those that the checkout has only until it
// moves are not linked: leaving lists them.
func (c *Compose) linkUntracked(ctx context.Context, sideTree string, stack pipeline.Stack) (leaving []string, err error) {
	wanted := append(slices.Clone(stack.EnvFiles), ".env")
	if len(stack.Files) > 0 {
		wanted = append(wanted, filepath.Join(filepath.Dir(stack.Files[0]), ".env"))
	}
	for _, rel := range wanted {
		linked, err := c.link(ctx, sideTree, rel)
		if err != nil {
			return nil, err
		}
		if linked == leaves {
			leaving = append(leaving, filepath.Clean(rel))
		}
	}
	slices.Sort(leaving)
	return slices.Compact(leaving), nil
}

// linkEnvFiles lets the side tree see the env files of the stack's services, and reports
// whether any was linked. One that is required and nowhere is Invalid/ENV_FILE_MISSING.
func (c *Compose) linkEnvFiles(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack, sideTree string) (linked bool, err error) {
	raw, err := c.run(ctx, command{
		stack: stack, env: plan.Environment, dir: sideTree, deadline: c.deadlines.Config, capture: true,
		args: []string{"config", "--format", "json", "--no-interpolate"}, // the one form that opens no env file
	})
	var m struct {
		Services map[string]envFiles `json:"services"`
	}
	if err != nil || json.Unmarshal(raw, &m) != nil {
		return false, nil //nolint:nilerr // the files are wrong in another way, which the caller knows
	}
	for _, name := range slices.Sorted(maps.Keys(m.Services)) {
		for _, f := range m.Services[name].EnvFile {
			if _, err := os.Stat(f.Path); err == nil || strings.Contains(f.Path, "$") {
				continue // there, or named by a variable: Compose says whether it misses it
			}
			found := nowhere
			if rel, err := filepath.Rel(sideTree, f.Path); err == nil {
				if found, err = c.link(ctx, sideTree, rel); err != nil {
					return linked, err
				}
			}
			if found == leaves && f.Required {
				return linked, fault.New(fault.Invalid, "ENV_FILE_LEAVES", "stack %s: service %s needs %s, which the target does not track any more: it will be deleted on the host", stack.Name, name, f.Path).
					WithHint(leavesHint)
			}
			if found == nowhere && f.Required {
				return linked, fault.New(fault.Invalid, "ENV_FILE_MISSING", "stack %s: service %s needs %s, which is neither in the target nor on the host", stack.Name, name, f.Path).
					WithHint("put it into the checkout on the host")
			}
			linked = linked || found == shown
		}
	}
	return linked, nil
}

// envFiles is what `docker compose config --no-interpolate` tells of a service's env files.
type envFiles struct {
	EnvFile []struct {
		Path     string `json:"path"` // absolute
		Required bool   `json:"required"`
	} `json:"env_file"`
}

// place is where a file is that compose files read, as the checkout will be.
type place int

const (
	nowhere place = iota
	shown         // in the side tree: the commit's own, or a link to the checkout's
	leaves        // in the checkout until it moves: the commit that is checked out has it, the target has not
)

// leavesHint says what to do about a file that leaves.
const leavesHint = "keep it tracked, or have the compose files read one that no commit ever had"

// link lets the side tree see a file of the checkout by a symbolic link, so that its
// content is not copied. What the checkout does not have, or will not have, is not linked, and a path outside the
// tree needs no link: it is the same file for both. Nothing is ever written outside
// the side tree, whatever links the target commit holds.
func (c *Compose) link(ctx context.Context, sideTree, rel string) (place, error) {
	source := filepath.Join(c.dir, rel)
	if _, err := os.Stat(source); err != nil || !filepath.IsLocal(rel) {
		return nowhere, nil //nolint:nilerr // not linked is an answer
	}
	side, err := os.OpenRoot(sideTree)
	if err != nil {
		return nowhere, fault.Wrap(err, fault.Failed, "SIDE_TREE", "open the side tree")
	}
	defer func() { _ = side.Close() }() // only a handle of a folder
	if _, err := side.Lstat(rel); err == nil {
		return shown, nil // the commit's own, or the link of an earlier look
	}
	if c.tracked != nil {
		if tracked, err := c.tracked(ctx, rel); err != nil || tracked {
			return leaves, err
		}
	}
	if err = side.MkdirAll(filepath.Dir(rel), 0o755); err == nil {
		err = side.Symlink(source, rel)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nowhere, fault.Wrap(err, fault.Failed, "SIDE_TREE", "show %s to the side tree", rel)
	}
	return shown, nil
}
