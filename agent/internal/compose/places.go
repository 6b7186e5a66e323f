package compose

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tree is a folder in which compose files are rendered: the checkout, or a side tree of it.
type tree struct {
	checkout string
	dir      string
}

// mostLinks bounds a chain of symbolic links, as the kernel does (path_resolution(7)).
const mostLinks = 40

// places lists where a source lies in the tree, relative to it: the path as it is
// written, and what it leads to by each symbolic link on its way. A source outside the tree has no place.
func (t tree) places(source string) []string {
	roots := t.roots()
	var places []string
	for _, step := range t.trail(source) {
		for _, root := range roots {
			if rel, err := filepath.Rel(root, step); err == nil && filepath.IsLocal(rel) {
				places = append(places, filepath.ToSlash(rel))
			}
		}
	}
	return places
}

// onHost is a source as the host will have it: where it is written, and where it leads, because the engine follows links.
func (t tree) onHost(source string) []string {
	trail := t.trail(source)
	return slices.Compact([]string{trail[0], trail[len(trail)-1]})
}

// trail is the way to a path as it will be on the host once the tree is checked out: the path as it is written, then what each symbolic link
// makes of it, at the end where it lies. Links of the commit are those of the tree, others those that the checkout has; a link that is
// relative leads from where the checkout is, not from where the tree is.
func (t tree) trail(source string) []string {
	source = t.checkedOut(filepath.Clean(source))
	trail, at := []string{source}, "/"
	for rest, links := parts(source), 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." { // of what the links so far have led to: a path is no text
			at = filepath.Dir(at)
			continue
		}
		at = filepath.Join(at, name)
		target, linked := t.readlink(at)
		if !linked {
			continue
		}
		if links++; links > mostLinks {
			return append(trail, "what an endless chain of links leads to from "+at)
		}
		if at = filepath.Dir(at); filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(parts(target), rest...)
		trail = append(trail, filepath.Join(append([]string{at}, rest...)...))
	}
	return append(trail, at)
}

// parts are the names that a path goes through, from the left.
func parts(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(name string) bool { return name == "" || name == "." })
}

// readlink reads a symbolic link that the host will have at an absolute path.
func (t tree) readlink(path string) (target string, linked bool) {
	rel, inside := t.relative(path)
	if inside && rel != "." && t.dir != t.checkout {
		side := filepath.Join(t.dir, rel)
		info, err := os.Lstat(side)
		switch {
		case errors.Is(err, fs.ErrNotExist): // not of the commit
		case err != nil || info.Mode()&fs.ModeSymlink == 0:
			return "", false
		default:
			target, err := os.Readlink(side)
			if err != nil || target != filepath.Join(t.checkout, rel) { // that one was laid by us, see untracked.go
				return target, err == nil
			}
		}
	}
	target, err := os.Readlink(path)
	return target, err == nil // else it is no link, or nothing is there
}

// checkedOut is a path of the tree as the checkout will have it. What was written with .. leads out of the side tree into folders around it,
// where nothing of that name is.
func (t tree) checkedOut(path string) string {
	rel, err := filepath.Rel(t.dir, path)
	if err != nil || t.dir == t.checkout {
		return path
	}
	around := filepath.Dir(filepath.Dir(t.dir))
	if _, err := os.Lstat(path); filepath.IsLocal(rel) || errors.Is(err, fs.ErrNotExist) && path != around && below(around, path) {
		return filepath.Join(t.checkout, rel)
	}
	return path
}

// roots are the folders that stand for the tree: it, the checkout that it is of, and what both lead to.
func (t tree) roots() []string {
	roots := []string{t.dir, t.checkout}
	for _, dir := range []string{t.dir, t.checkout} {
		if resolved, err := filepath.EvalSymlinks(dir); err == nil {
			roots = append(roots, resolved)
		}
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}

// relative is a path below the tree, relative to it.
func (t tree) relative(path string) (rel string, inside bool) {
	for _, root := range t.roots() {
		if rel, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(rel) {
			return rel, true
		}
	}
	return "", false
}

// has reports whether the tree, or the checkout that it is of, has something at a relative path.
func (t tree) has(rel string) bool {
	return slices.ContainsFunc([]string{t.dir, t.checkout}, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, rel))
		return err == nil
	})
}
