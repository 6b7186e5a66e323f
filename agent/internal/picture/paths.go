package picture

import (
	"path"
	"slices"
	"strings"
)

// Paths are sorted paths of the checkout, relative to it, with slashes. [AnyPath] among them stands for all.
type Paths []string

// AnyPath is the checkout itself.
const AnyPath = "."

// Touch reports whether what is at a path, a file or a folder, may have changed: the path itself,
// something below it, or a folder or link that it goes through.
func (p Paths) Touch(at string) bool {
	if len(p) == 0 {
		return false
	}
	if at == AnyPath || p.has(AnyPath) || p.has(at) {
		return true
	}
	if i, _ := slices.BinarySearch(p, at+"/"); i < len(p) && strings.HasPrefix(p[i], at+"/") {
		return true
	}
	for at = path.Dir(at); at != "." && at != "/"; at = path.Dir(at) {
		if p.has(at) {
			return true
		}
	}
	return false
}

func (p Paths) has(at string) bool {
	_, found := slices.BinarySearch(p, at)
	return found
}
