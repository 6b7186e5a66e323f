package workflows

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"

	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/strictyaml"
)

// Change is what rendering does to one file of a tree.
type Change struct {
	Path   string
	Before []byte // nil: the file is new
	After  []byte
}

// Same reports that the file is up to date.
func (c Change) Same() bool { return c.Before != nil && bytes.Equal(c.Before, c.After) }

// Changed leaves out the files that are up to date.
func Changed(changes []Change) []Change {
	return slices.DeleteFunc(slices.Clone(changes), Change.Same)
}

// Compare merges rendered files with what stands below root, and writes nothing. With
// force a file that cannot be merged is replaced, whatever it holds.
//
// Its faults are of kind Invalid: WORKFLOW_MARKS lists, as [strictyaml.Problems], every
// file without marks, with broken ones, or with text around them that would undo what
// they hold; WORKFLOW_READ is a file that cannot be read.
func Compare(root string, files []File, force bool) ([]Change, error) {
	tree, err := os.OpenRoot(root)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "WORKFLOW_READ", "open the repository")
	}
	defer func() { _ = tree.Close() }() // it was only read
	var problems strictyaml.Problems
	changes := make([]Change, 0, len(files))
	for _, file := range files {
		before, err := boundedfile.ReadIn(tree, file.Path, strictyaml.MaxBytes)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			changes = append(changes, Change{Path: file.Path, After: file.Content})
			continue
		case err != nil:
			return nil, fault.Wrap(err, fault.Invalid, "WORKFLOW_READ", "read the file that is there already")
		case before == nil:
			before = []byte{}
		}
		after, found := file.Content, strictyaml.Problems(nil)
		if document, _ := cut(file.Path, string(before)); len(document.regions) == 0 && !anyMarks(before) {
			found = strictyaml.Problems{{
				File: file.Path, Line: 1, Column: 1,
				Message: "the file is there already and has no marks: move it away, or replace it with --force",
			}}
		} else {
			after, found = merge(file.Path, file.Content, before)
		}
		if force && len(found) > 0 {
			after, found = file.Content, nil
		}
		problems = append(problems, found...)
		changes = append(changes, Change{Path: file.Path, Before: before, After: after})
	}
	if len(problems) > 0 {
		problems.Sort()
		return nil, (&fault.Error{Kind: fault.Invalid, Reason: "WORKFLOW_MARKS", Err: problems}).
			WithHint("nothing was written; --force replaces these files as a whole")
	}
	return changes, nil
}

func anyMarks(text []byte) bool {
	return slices.ContainsFunc(bytes.Split(text, []byte("\n")), func(line []byte) bool { return anyMark.Match(line) })
}

// Write writes the changed files below root, each as a whole or not at all: a temporary
// file beside it is made durable and then renamed. A file that is up to date is not touched.
func Write(root string, changes []Change) error {
	tree, err := os.OpenRoot(root)
	if err != nil {
		return fault.Wrap(err, fault.Failed, "WORKFLOW_WRITE", "open the repository")
	}
	defer func() { _ = tree.Close() }() // every file in it was closed, with its error
	for _, c := range Changed(changes) {
		if err := replace(tree, c.Path, c.After); err != nil {
			return fault.Wrap(err, fault.Failed, "WORKFLOW_WRITE", "write %s", c.Path)
		}
	}
	return nil
}

func replace(tree *os.Root, name string, content []byte) (err error) {
	if err := tree.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	temporary := path.Join(path.Dir(name), "."+path.Base(name)+".landfall")
	// One that is left over, or was put there, is not written into: it may be a FIFO or a link.
	if err := tree.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := tree.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = tree.Rename(temporary, name)
	}
	if err != nil {
		_ = tree.Remove(temporary) // the error that matters is the first one
	}
	return err
}
