package git

import (
	"context"
	"fmt"
	"strings"
)

// Tracked is one tracked path that differs from HEAD or from the index.
type Tracked struct {
	Entry
	HeadMode, HeadID   string // "" when HEAD does not have it
	IndexMode, IndexID string // "" when the index does not have it, or not its content: unmerged, or added with --intent-to-add
	DiskMode           string // "" when it is gone
}

// Edited lists the tracked paths that differ from HEAD or the index, in git's order.
// It does not look at untracked ones, so data folders of any size cost nothing; and it
// cannot see files that are flagged, see [Repo.Flags].
func (r Repo) Edited(ctx context.Context) ([]Tracked, error) {
	var entries []Tracked
	fields := nulSplitter{field: func(text string) error {
		entry, err := parseTracked(text)
		if err == nil && entry.Path != "" {
			entries = append(entries, entry)
		}
		return err
	}}
	_, err := r.do(ctx, run{stdout: fields.Write, args: []string{
		"status", "--porcelain=v2", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=none",
	}})
	if err != nil {
		return nil, err
	}
	return entries, fields.Close()
}

// parseTracked reads "1 XY SUB MODEHEAD MODEINDEX MODEDISK IDHEAD IDINDEX PATH", or
// "u XY SUB MODE1 MODE2 MODE3 MODEDISK ID1 ID2 ID3 PATH" of an unmerged path.
func parseTracked(text string) (Tracked, error) {
	entry, ok, err := parseStatus(text)
	if !ok || err != nil || entry.Untracked() {
		return Tracked{}, err
	}
	t := Tracked{Entry: entry}
	f := strings.SplitN(text, " ", 11)
	if f[0] == "u" {
		t.HeadMode, t.HeadID = object(f[4], f[8]) // stage 2 is ours
		t.DiskMode, _ = object(f[6], f[8])
		return t, nil
	}
	t.HeadMode, t.HeadID = object(f[3], f[6])
	t.IndexMode, t.IndexID = object(f[4], f[7])
	if f[5] != noMode {
		t.DiskMode = f[5]
	}
	return t, nil
}

const noMode = "000000"

// object makes nothing of a mode or an object name that is all zeros.
func object(mode, id string) (string, string) {
	if mode == noMode || strings.Trim(id, "0") == "" {
		return "", ""
	}
	return mode, id
}

// IndexChange is one path in which the index differs from a commit.
type IndexChange struct {
	Path               string // from the top, slash-separated, as raw bytes
	TreeMode, TreeID   string // in the commit; "" when it lacks the path
	IndexMode, IndexID string // in the index; "" when it lacks the path, or it is unmerged
}

// IndexDiff lists the paths in which the index differs from a commit, ordered by bytes.
// It does not look at the disk.
func (r Repo) IndexDiff(ctx context.Context, sha string) ([]IndexChange, error) {
	if err := checkSHA(sha); err != nil {
		return nil, err
	}
	var changes []IndexChange
	var header []string
	seen := map[string]bool{} // an unmerged path is listed more than once
	fields := nulSplitter{field: func(text string) error {
		if header == nil {
			if header = strings.Fields(strings.TrimPrefix(text, ":")); len(header) != 5 {
				return fmt.Errorf("git diff-index printed %q", text)
			}
			return nil
		}
		f := header
		header = nil
		if seen[text] {
			return nil
		}
		c := IndexChange{Path: text}
		c.TreeMode, c.TreeID = object(f[0], f[2])
		c.IndexMode, c.IndexID = object(f[1], f[3])
		if f[4] == "U" {
			seen[text] = true
			c.IndexMode, c.IndexID = "", ""
		}
		changes = append(changes, c)
		return nil
	}}
	_, err := r.do(ctx, run{stdout: fields.Write, args: []string{
		"diff-index", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", sha, "--",
	}})
	if err != nil {
		return nil, err
	}
	return changes, fields.Close()
}

// Flag is a tracked path whose changes git was told not to look for.
type Flag struct {
	Path            string
	AssumeUnchanged bool // git update-index --assume-unchanged
	SkipWorktree    bool // git update-index --skip-worktree, or outside of a sparse checkout
}

// Flags lists the flagged paths in git's order.
func (r Repo) Flags(ctx context.Context) ([]Flag, error) {
	var flags []Flag
	fields := nulSplitter{field: func(text string) error {
		if len(text) < 3 || text[1] != ' ' {
			return fmt.Errorf("git ls-files printed %q", text)
		}
		tag := text[0] // git-ls-files(1): S is skip-worktree, a small letter assume-unchanged
		f := Flag{Path: text[2:], AssumeUnchanged: tag >= 'a' && tag <= 'z', SkipWorktree: tag == 'S' || tag == 's'}
		if f.AssumeUnchanged || f.SkipWorktree {
			flags = append(flags, f)
		}
		return nil
	}}
	if _, err := r.do(ctx, run{stdout: fields.Write, args: []string{"ls-files", "-v", "-z"}}); err != nil {
		return nil, err
	}
	return flags, fields.Close()
}

// Unflag takes both flags off the paths.
func (r Repo) Unflag(ctx context.Context, paths []string) error {
	// One call cannot do both: update-index applies the last option only.
	for _, option := range []string{"--no-assume-unchanged", "--no-skip-worktree"} {
		if err := r.flag(ctx, option, paths); err != nil {
			return err
		}
	}
	return nil
}

// SkipWorktree sets or takes away the skip-worktree flag of the paths: a file with it is
// left alone by a forced checkout to a commit that does not change it, which
// assume-unchanged does not achieve.
func (r Repo) SkipWorktree(ctx context.Context, paths []string, on bool) error {
	if on {
		return r.flag(ctx, "--skip-worktree", paths)
	}
	return r.flag(ctx, "--no-skip-worktree", paths)
}

func (r Repo) flag(ctx context.Context, option string, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	_, err := r.do(ctx, run{args: []string{"update-index", option, "-z", "--stdin"}, stdin: strings.Join(paths, "\x00") + "\x00"})
	return err
}
