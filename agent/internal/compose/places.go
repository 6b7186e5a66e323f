package compose

import (
	"os"
	"path/filepath"
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
	roots := []string{t.dir}
	for _, dir := range []string{t.dir, t.checkout} {
		if resolved, err := filepath.EvalSymlinks(dir); err == nil && resolved != t.dir {
			roots = append(roots, resolved)
		}
	}
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
