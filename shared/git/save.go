package git

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Saved is one path of a commit that [Repo.Save] makes.
type Saved struct {
	Path string // from the top, slash-separated, raw bytes
	Mode string // ModeFile, ModeExecutable or ModeSymlink; "" when the path is gone
	// ID is an object that the repository has already; "" when Content gives it.
	ID string
	// Content opens what is saved and says how many bytes it has: of a symbolic link, its target.
	Content func() (io.ReadCloser, int64, error)
}

// Snapshot is a state of the working tree that no commit holds.
type Snapshot struct {
	Message string
	Time    time.Time
	Head    string   // commit that the paths are changes of
	Index   []Saved  // as they are staged
	Disk    []Saved  // as they lie in the working tree
	Keep    []string // further commits that must not be forgotten; those the repository lacks are passed over
}

// Save makes a commit of a snapshot at ref, byte for byte: no filter and no line-end
// conversion is applied, the index and the working tree are not touched. The commit
// is shaped as git stash shapes its own, so `git stash apply REF` brings everything back: its first
// parent is Head, its second a commit of the index, whose further parents are what
// ref was before, so that saving again forgets nothing, and Keep. It returns the commit.
//
// It is not made through a temporary index, because git add would clean what it adds.
func (r Repo) Save(ctx context.Context, ref string, s Snapshot) (string, error) {
	if why := badRef(ref); why != "" || !strings.HasPrefix(ref, "refs/") {
		return "", fault.New(fault.Invalid, "INVALID_REF", "%q is not a full ref name: %s", ref, why)
	}
	if err := checkSHA(s.Head); err != nil {
		return "", err
	}
	keep, err := r.keep(ctx, ref, s)
	if err != nil {
		return "", err
	}
	index, err := commitOf(ref, s, s.Index, "index of: ")
	if err != nil {
		return "", err
	}
	disk, err := commitOf(ref, s, s.Disk, "")
	if err != nil {
		return "", err
	}
	parts := []io.Reader{strings.NewReader(index.head("mark :1\n", keep)), index.body}
	parts = append(parts, strings.NewReader(disk.head("", []string{":1"})), disk.body, strings.NewReader("done\n"))
	if _, err := r.do(ctx, run{args: []string{"fast-import", "--quiet", "--done", "--date-format=raw"}, input: io.MultiReader(parts...)}); err != nil {
		return "", err
	}
	return r.RevParseRef(ctx, ref)
}

// keep are the parents of the index commit besides Head.
func (r Repo) keep(ctx context.Context, ref string, s Snapshot) ([]string, error) {
	var keep []string
	seen := map[string]bool{s.Head: true}
	for _, rev := range append([]string{ref}, s.Keep...) {
		sha, err := r.Resolve(ctx, rev)
		if fault.ReasonOf(err) == "UNKNOWN_COMMIT" {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !seen[sha] {
			seen[sha] = true
			keep = append(keep, sha)
		}
	}
	return keep, nil
}

// importCommit is one commit of a git-fast-import(1) stream.
type importCommit struct {
	ref, message, base string
	at                 time.Time
	body               io.Reader
}

func commitOf(ref string, s Snapshot, paths []Saved, prefix string) (importCommit, error) {
	c := importCommit{ref: ref, message: prefix + s.Message + "\n", base: s.Head, at: s.Time}
	var gone strings.Builder // first: afterwards they would take a folder of the same name with them
	var parts []io.Reader
	for _, p := range paths {
		switch {
		case p.Mode == "":
			gone.WriteString("D " + quotePath(p.Path) + "\n")
		case p.Mode != ModeFile && p.Mode != ModeExecutable && p.Mode != ModeSymlink && p.Mode != ModeSubmodule:
			return c, fault.New(fault.Invalid, "INVALID_MODE", "%q has mode %q", p.Path, p.Mode)
		case p.ID != "":
			if err := checkSHA(p.ID); err != nil {
				return c, err
			}
			parts = append(parts, strings.NewReader(fmt.Sprintf("M %s %s %s\n", p.Mode, p.ID, quotePath(p.Path))))
		default:
			parts = append(parts, strings.NewReader(fmt.Sprintf("M %s inline %s\n", p.Mode, quotePath(p.Path))), &dataCommand{open: p.Content})
		}
	}
	c.body = io.MultiReader(append([]io.Reader{strings.NewReader(gone.String())}, append(parts, strings.NewReader("\n"))...)...)
	return c, nil
}

func (c importCommit) head(mark string, merge []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "commit %s\n%scommitter Landfall <landfall@localhost> %d +0000\ndata %d\n%s\nfrom %s\n",
		c.ref, mark, c.at.Unix(), len(c.message), c.message, c.base)
	for _, m := range merge {
		b.WriteString("merge " + m + "\n")
	}
	return b.String()
}

// quotePath writes a path so that fast-import reads these very bytes.
func quotePath(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(path) + `"`
}

// dataCommand is fast-import's data command with the content of something that is opened
// when its turn comes, so that a tree full of edits needs no descriptors and no memory.
type dataCommand struct {
	open func() (io.ReadCloser, int64, error)

	stream io.Reader
	closer io.Closer
	left   int64 // bytes of content that are still to come
}

func (d *dataCommand) Read(p []byte) (int, error) {
	if d.stream == nil {
		content, size, err := d.open()
		if err != nil {
			return 0, err
		}
		d.closer, d.left = content, size
		d.stream = io.MultiReader(strings.NewReader(fmt.Sprintf("data %d\n", size)), counted{d, io.LimitReader(content, size)}, strings.NewReader("\n"))
	}
	n, err := d.stream.Read(p)
	if err == io.EOF { //nolint:errorlint // the plain value, by the contract of io.Reader
		if d.left > 0 {
			err = io.ErrUnexpectedEOF // it shrank meanwhile: git must not take what follows for its content
		}
		if closeErr := d.closer.Close(); closeErr != nil && err == io.EOF { //nolint:errorlint // as above
			err = closeErr
		}
	}
	return n, err
}

// counted takes what is read off the bytes that are still to come, and ends the stream
// where they do not come.
type counted struct {
	d *dataCommand
	r io.Reader
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.d.left -= int64(n)
	if err == io.EOF && c.d.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
