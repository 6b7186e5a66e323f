package starter

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/fault"
)

// The bounds of looking: a repository's compose files lie near its root.
const (
	maxDepth = 6
	maxPaths = 200_000
	maxBytes = 1 << 20
)

// composeName matches compose.yaml, docker-compose.yml, docker-compose.pi.yml, compose.override.yaml.
var composeName = regexp.MustCompile(`^((?:docker-)?compose)(?:[.-]([A-Za-z0-9_.-]+))?\.ya?ml$`)

// passedOver are folders that are never a person's.
var passedOver = []string{"node_modules", "vendor", "venv", "__pycache__", "testdata"}

// sight is what was found in a tree.
type sight struct {
	compose   []*composeFile // by path
	workflows map[string][]byte
	files     map[string]bool
	folders   map[string]bool
	migrate   string // text of scripts/migrate.sh, "" when there is none
}

// has reports whether the tree has a file.
func (s *sight) has(file string) bool { return s.files[file] }

// look walks the tree, reading only compose files, workflow files and the migration script.
func look(tree fs.FS) (*sight, error) {
	s := &sight{workflows: map[string][]byte{}, files: map[string]bool{}, folders: map[string]bool{}}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() {
			hidden := strings.HasPrefix(base, ".") && name != "." && base != ".github"
			if hidden || slices.Contains(passedOver, base) || strings.Count(name, "/") >= maxDepth {
				return fs.SkipDir
			}
			s.folders[name] = true
			return nil
		}
		if len(s.files) > maxPaths {
			return fs.SkipAll
		}
		s.files[name] = true
		if entry.Type().IsRegular() {
			return s.read(tree, name)
		}
		return nil
	})
	if err != nil && fault.ReasonOf(err) == "" {
		err = fault.Wrap(err, fault.Invalid, "TREE_UNREADABLE", "look through the repository")
	}
	return s, err
}

func (s *sight) read(tree fs.FS, name string) error {
	workflowFile := path.Dir(name) == ".github/workflows" && (path.Ext(name) == ".yml" || path.Ext(name) == ".yaml")
	isCompose := composeName.MatchString(path.Base(name)) && !strings.HasPrefix(name, ".github/")
	if !workflowFile && !isCompose && name != "scripts/migrate.sh" {
		return nil
	}
	raw, err := fs.ReadFile(tree, name)
	if boundedfile.Refused(err) || len(raw) > maxBytes {
		return nil // nobody writes one that large, or put something else in its place
	}
	if err != nil {
		return err
	}
	switch {
	case workflowFile:
		s.workflows[path.Base(name)] = raw
	case isCompose:
		file, err := parseCompose(name, raw)
		if err != nil {
			return err
		}
		if len(file.services) > 0 {
			s.compose = append(s.compose, file)
		}
	default:
		s.migrate = string(raw)
	}
	return nil
}
