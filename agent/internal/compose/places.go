package compose

import (
	"os"
	"path/filepath"
	"slices"
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
	for range mostLinks {
		for _, root := range roots {
			if rel, err := filepath.Rel(root, source); err == nil && (rel == "." || filepath.IsLocal(rel)) {
				places = append(places, filepath.ToSlash(rel))
			}
		}
		next, linked := followOne(source)
		if !linked {
			break
		}
		source = next
	}
	return places
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

// followOne replaces the first symbolic link of an absolute path by what it says.
func followOne(path string) (next string, linked bool) {
	path = filepath.Clean(path)
	for end := 1; end <= len(path); end++ {
		if end < len(path) && path[end] != filepath.Separator {
			continue
		}
		target, err := os.Readlink(path[:end])
		if err != nil {
			continue // no link, or nothing there
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path[:end]), target)
		}
		return filepath.Join(target, path[end:]), true
	}
	return path, false
}
