package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// Change is one path that differs between two commits. A rename is a deletion and an addition.
type Change struct {
	Status  byte   // A added, D deleted, M modified, T changed its type
	Path    string // from the top, slash-separated, as raw bytes: any but NUL, not always UTF-8
	OldMode string // one of the Mode constants; "000000" when added
	NewMode string // one of the Mode constants; "000000" when deleted
}

// Diff is what separates two commits.
type Diff struct {
	Changes    []Change // ordered by path bytes
	Files      int      // len(Changes)
	Insertions int      // lines; binary files count none
	Deletions  int      // lines
	Commits    int      // in head and not in base; too small in a shallow clone
}

// Diff compares the trees of two commits as they are, whatever lies between them, so
// base need not be an ancestor of head. The error is NotFound, UNKNOWN_COMMIT when
// the repository lacks either, as after a force-push or in a shallow clone.
func (r Repo) Diff(ctx context.Context, base, head string) (Diff, error) {
	commits, err := r.CountCommits(ctx, base, head)
	if err != nil {
		return Diff{}, err
	}
	parser := &diffParser{diff: Diff{Commits: commits}}
	fields := nulSplitter{field: parser.field}
	_, err = r.do(ctx, run{stdout: fields.Write, args: []string{
		"diff-tree", "-r", "-z", "--raw", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv",
		"--no-color", "--ignore-submodules=none", base, head, "--",
	}})
	if err == nil {
		err = errors.Join(fields.Close(), parser.close())
	}
	if err != nil {
		return Diff{}, err
	}
	return parser.diff, nil
}

// diffParser reads the fields of git diff-tree --raw --numstat -z: first for every
// path ":OLDMODE NEWMODE OLDID NEWID STATUS" and PATH, then for every path
// "INSERTIONS<tab>DELETIONS<tab>PATH".
type diffParser struct {
	diff   Diff
	change *Change // seen its header, waiting for its path
	stats  int
}

func (p *diffParser) field(text string) error {
	switch {
	case p.change != nil:
		p.change.Path = text
		p.diff.Changes = append(p.diff.Changes, *p.change)
		p.change = nil
		return nil
	case strings.HasPrefix(text, ":"):
		f := strings.Fields(text[1:])
		if len(f) != 5 || f[4] == "" {
			return fmt.Errorf("git diff-tree printed %q", text)
		}
		p.change = &Change{OldMode: f[0], NewMode: f[1], Status: f[4][0]}
		return nil
	default:
		return p.numstat(text)
	}
}

func (p *diffParser) numstat(text string) error {
	f := strings.SplitN(text, "\t", 3)
	if len(f) != 3 {
		return fmt.Errorf("git diff-tree printed %q", text)
	}
	p.stats++
	if f[0] == "-" { // binary
		return nil
	}
	insertions, err1 := strconv.Atoi(f[0])
	deletions, err2 := strconv.Atoi(f[1])
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("git diff-tree printed %q: %w", text, err)
	}
	p.diff.Insertions += insertions
	p.diff.Deletions += deletions
	return nil
}

// close checks that both lists were complete.
func (p *diffParser) close() error {
	p.diff.Files = len(p.diff.Changes)
	if p.change != nil || p.stats != p.diff.Files {
		return fault.New(fault.Failed, "GIT_FAILED", "git diff-tree listed %d paths and %d counts", p.diff.Files, p.stats)
	}
	return nil
}

// nulSplitter hands on NUL-terminated fields as they arrive.
type nulSplitter struct {
	field   func(string) error
	pending []byte
}

func (s *nulSplitter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, 0)
		if end < 0 {
			s.pending = append(s.pending, p...)
			return n, nil
		}
		s.pending = append(s.pending, p[:end]...)
		if err := s.field(string(s.pending)); err != nil {
			return 0, err
		}
		s.pending = s.pending[:0]
		p = p[end+1:]
	}
}

// Close checks that the last field was terminated.
func (s *nulSplitter) Close() error {
	if len(s.pending) > 0 {
		return fault.New(fault.Failed, "GIT_FAILED", "the output of git ended inside %q", s.pending)
	}
	return nil
}
