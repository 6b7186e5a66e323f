package git

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// MaxFile is the largest file that ReadFile returns, in bytes.
const MaxFile = 4 << 20

// Modes of tree entries (git-fast-import(1) lists them).
const (
	ModeFile       = "100644"
	ModeExecutable = "100755"
	ModeSymlink    = "120000"
	ModeSubmodule  = "160000"
	ModeTree       = "040000"
)

// TreeEntry is one file of a commit.
type TreeEntry struct {
	Mode string // one of the Mode constants
	ID   string // object name
	Size int64  // bytes; 0 for submodules and trees
	Path string // from the top, slash-separated, as raw bytes: any but NUL, not always UTF-8
}

// ReadFile is the content of a regular file at a commit, at most MaxFile bytes. Errors:
// NotFound with UNKNOWN_COMMIT or NO_SUCH_FILE; Invalid with NOT_A_REGULAR_FILE
// (a symbolic link could point anywhere) or FILE_TOO_LARGE.
func (r Repo) ReadFile(ctx context.Context, sha, path string) ([]byte, error) {
	entry, err := r.stat(ctx, sha, path)
	switch {
	case err != nil:
		return nil, err
	case entry == nil:
		return nil, fault.New(fault.NotFound, "NO_SUCH_FILE", "commit %s has no file %s", sha, path)
	case entry.Mode != ModeFile && entry.Mode != ModeExecutable:
		return nil, fault.New(fault.Invalid, "NOT_A_REGULAR_FILE", "%s at commit %s is not a regular file (mode %s)", path, sha, entry.Mode)
	case entry.Size > MaxFile:
		return nil, fault.New(fault.Invalid, "FILE_TOO_LARGE", "%s at commit %s has %d bytes, the limit is %d", path, sha, entry.Size, MaxFile)
	}
	out, err := r.do(ctx, run{args: []string{"cat-file", "blob", entry.ID}, limit: MaxFile})
	if err != nil {
		return nil, err
	}
	return []byte(out), nil
}

// Exists reports whether the commit has anything at path.
func (r Repo) Exists(ctx context.Context, sha, path string) (bool, error) {
	entry, err := r.stat(ctx, sha, path)
	return entry != nil, err
}

// stat finds one entry; nil when there is none.
func (r Repo) stat(ctx context.Context, sha, path string) (*TreeEntry, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	entries, err := r.listTree(ctx, sha, "--", path)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	return &entries[0], nil
}

// ListTree lists every file, symbolic link and submodule of a commit, ordered by path bytes.
func (r Repo) ListTree(ctx context.Context, sha string) ([]TreeEntry, error) {
	return r.listTree(ctx, sha, "-r")
}

func (r Repo) listTree(ctx context.Context, sha, option string, paths ...string) ([]TreeEntry, error) {
	if err := checkSHA(sha); err != nil {
		return nil, err
	}
	args := []string{"ls-tree", "-z", "--long", "--full-tree"}
	if option != "--" {
		args = append(args, option)
	}
	args = append(args, sha)
	if len(paths) > 0 {
		args = append(append(args, "--"), paths...)
	}
	var entries []TreeEntry
	fields := nulSplitter{field: func(text string) error {
		entry, err := parseTreeEntry(text)
		entries = append(entries, entry)
		return err
	}}
	if _, err := r.do(ctx, run{args: args, stdout: fields.Write, env: []string{"GIT_LITERAL_PATHSPECS=1"}}); err != nil {
		return nil, err
	}
	return entries, fields.Close()
}

// parseTreeEntry reads "MODE TYPE ID SIZE<tab>PATH", SIZE padded with spaces.
func parseTreeEntry(text string) (TreeEntry, error) {
	meta, path, ok := strings.Cut(text, "\t")
	f := strings.Fields(meta)
	if !ok || len(f) != 4 {
		return TreeEntry{}, fmt.Errorf("git ls-tree printed %q", text)
	}
	entry := TreeEntry{Mode: f[0], ID: f[2], Path: path}
	if f[3] != "-" {
		size, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil {
			return TreeEntry{}, fmt.Errorf("git ls-tree printed %q: %w", text, err)
		}
		entry.Size = size
	}
	return entry, nil
}
