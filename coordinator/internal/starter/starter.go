// Package starter writes a first landfall.yaml from the compose files of a repository.
//
// It promises a file that is accepted as it is, explains itself, and invents nothing: every
// stack, flag, action and probe comes from a file that is there. The same tree gives the same
// bytes. Nothing is executed and nothing overwritten. Start reading at [Write], then [Draft].
package starter

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// FileName is what is written at the root of the repository.
const FileName = "landfall.yaml"

// Options is what the tree does not tell.
type Options struct {
	Project string // default: the name of the compose project, else of the folder
	Branch  string // what is deployed; default main
	// Module and Version are the coordinator's own, for hosted runners of the workflow files.
	// Without a version the workflows section stands there as a comment.
	Module, Version string
}

// Result is what was written.
type Result struct {
	Path    string
	Content []byte
	Config  *pipeline.Config // the same, parsed
	// Notes are what was seen and left out, a sentence each; they stand in the file as well.
	Notes []string
}

// Write looks through the tree below root and writes landfall.yaml into it.
//
// Its faults are of kind Invalid: CONFIG_EXISTS when there is one already, NO_COMPOSE_FILES,
// COMPOSE_INVALID for a compose file that is no YAML, TREE_UNREADABLE.
func Write(root string, o Options) (Result, error) {
	path := filepath.Join(root, FileName)
	if _, err := os.Lstat(path); err == nil {
		return Result{}, exists(path)
	}
	if o.Project == "" {
		absolute, err := filepath.Abs(root)
		if err != nil {
			return Result{}, fault.Wrap(err, fault.Invalid, "TREE_UNREADABLE", "find the repository")
		}
		o.Project = filepath.Base(absolute)
	}
	tree, err := os.OpenRoot(root)
	if err != nil {
		return Result{}, fault.Wrap(err, fault.Invalid, "TREE_UNREADABLE", "open the repository")
	}
	defer func() { _ = tree.Close() }() // it was only read
	result, err := Draft(boundedfile.FS(tree, maxBytes), o)
	if err != nil {
		return Result{}, err
	}
	result.Path = path
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a file of the repository, for everybody who may read that
	if errors.Is(err, fs.ErrExist) {
		return Result{}, exists(path)
	}
	if err == nil {
		_, err = file.Write(result.Content)
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		return Result{}, fault.Wrap(err, fault.Failed, "CONFIG_WRITE", "write %s", path)
	}
	return result, nil
}

func exists(path string) error {
	return fault.New(fault.Invalid, "CONFIG_EXISTS", "%s is there already", path).
		WithHint("move it away to begin anew; `landfall-coordinator check` explains what is wrong with it")
}

// Draft is Write without writing. Options.Project must be given unless a compose file
// names its project.
func Draft(tree fs.FS, o Options) (Result, error) {
	if o.Branch == "" {
		o.Branch = "main"
	}
	seen, err := look(tree)
	if err != nil {
		return Result{}, err
	}
	if len(seen.compose) == 0 {
		return Result{}, fault.New(fault.Invalid, "NO_COMPOSE_FILES", "there is no compose file here").
			WithHint("run this at the root of a repository with a compose.yaml or docker-compose.yml")
	}
	d := design(seen, o)
	content := d.text()
	config, err := pipeline.Parse(FileName, content)
	if err == nil {
		err = pipeline.CheckTree(config, seen.has)
	}
	if err != nil {
		return Result{}, fault.Wrap(err, fault.Internal, "STARTER", "what was written is not accepted")
	}
	return Result{Content: content, Config: config, Notes: d.notes}, nil
}
